"""The training engine: Keras' own `fit`, fed so that nothing is built or traced twice.

The network, its optimizer and its data are set up once; each training resets their state, and differs from the last
only in numbers: the rates, the initial weights, the dropout seeds and the order of the examples.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Splits
from pipeline.evaluation import DIVERGED_AT, Training
from pipeline.models import Builder
from pipeline.optimizers import AveragedWeights
from pipeline.training import keras_internals
from pipeline.training.batch_statistics import BatchStatistics, Recompute
from pipeline.training.callbacks import Reorder, Rewrite, Rewriter, Validate, Watch
from pipeline.training.checkpoints import Checkpoint, Resume
from pipeline.training.compilation import Compile, check_callbacks, compiled_for
from pipeline.training.examples import Examples, input_errors_unwrapped, weighted
from pipeline.training.feed import UPDATES_PER_CALL, BatchOrder, Feed
from pipeline.training.network import Network, assign
from pipeline.training.program import Program


class Source(Protocol):
    """The data sets that an engine validates and tests on."""

    @property
    def validation(self) -> tf.data.Dataset:
        """The validation set."""

    @property
    def test(self) -> tf.data.Dataset:
        """The test set."""


class Start(Protocol):
    """The state that a training begins with."""

    def initial_state(self, seed: int) -> Sequence[NDArray[Any]]:
        """Return the initial values of the model's variables, in their order."""


class Trainer:
    """One model with its optimizer, batch size and data, ready to be trained any number of times."""

    def __init__(
        self,
        model: keras.Model,
        start: Start,
        source: Source,
        feed: Feed,
        order: BatchOrder,
        watched: int = UPDATES_PER_CALL,
        recompute: bool = True,
    ) -> None:
        """Store the parts, for `compile_with` to complete.

        Divergence is checked every `watched` batches. `recompute` says whether BatchNormalization's statistics are
        recomputed for validations that come too early for its moving averages.
        """
        self.model, self._start, self._source = model, start, source
        self._feed, self._order, self._watched = feed, order, watched
        self._unseeded_draws = keras.random.SeedGenerator(0)
        self._recompute = recompute
        self.steps_per_epoch = order.steps_per_epoch

    def compile_with(self, compile_: Compile) -> "Trainer":
        """Compile the model by `compile_` with the engine's rates."""
        self._program = Program(self.model, self._feed, compile_)
        elsewhere = self._program.averaging is not None
        self._statistics = BatchStatistics(self.model, self._feed, self._order, self._unseeded_draws, elsewhere)
        return self

    def decay_by(self, weight_decay: float) -> None:
        """Decay weights by this in the trainings that follow; see `Program.decay_by`."""
        self._program.decay_by(weight_decay)

    @input_errors_unwrapped()
    def train(
        self,
        curve: NDArray[np.float64],
        seed: int,
        *,
        validations: int,
        rewrite: Rewrite | None = None,
        patience: int | None = None,
        keep_best: bool = False,
        diverged_at: float = DIVERGED_AT,
        validate_every: int = 0,
        test: bool = False,
        weights: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Training:
        """Train once from the seed's initial state, or go on from a checkpoint of the same training.

        Args:
            curve: one rate per update.
            seed: fixes initial weights, dropout seeds and the order of the examples.
            validations: the number of equal parts of the training, each followed by a validation; 0 trains in one part
                without validation. Must divide the length of the curve.
            rewrite: for reactive schemes, called after each validation.
            patience: stop early after this many validations without a better `val_loss`.
            keep_best: restore the weights of the best validation at the end.
            diverged_at: stop once the loss is this many times its start; NaN and inf always stop.
            validate_every: if `validations` is 0, the number of updates between measurements of the validation loss,
                which become the history's `val_loss`; 0 measures none.
            test: include scores on the test set.
            weights: include the final weights.
            callbacks: Keras callbacks; batch-level hooks run once per call of the program.
            checkpoint: where the training's state is kept; states of `callbacks` are not.

        Raises:
            ValueError: if `validations` does not divide the curve, or is 0 with `rewrite`, `patience` or `keep_best`.
            InputError: if the network's own `train_step` does not call `compute_loss`, or a callback cannot be used.

        """
        parts = max(validations, 1)
        part = len(curve) // parts
        if not len(curve) or len(curve) % parts:
            raise ValueError(f"validations: received {parts}, expected a divisor of the {len(curve)} updates")
        if not validations and (rewrite is not None or patience is not None or keep_best):
            raise ValueError("validations: received 0, expected 1 or more with rewrite, patience or keep_best")
        check_callbacks(callbacks)
        self._reset(seed, curve)
        program = self._program
        watch = Watch(
            program.losses,
            program.step,
            batch_size=self._order.batch_size,
            part=part,
            stretch=self._watched,
            diverged_at=diverged_at,
        )
        own: list[keras.callbacks.Callback] = [AveragedWeights(), Reorder(self._feed, seed, part), watch]
        if rewrite is not None:
            own.append(Rewriter(program.curve, program.step, curve, rewrite))
        if patience is not None or keep_best:
            own.append(_early_stop(parts if patience is None else patience, keep_best))
        measured = Validate(self._validation_loss, watch, validate_every)
        if validate_every and not validations:
            own.append(measured)
        recomputed = Recompute(self._statistics, program.step)
        # The last one, since the user's may put other weights in place for the validation.
        last: list[keras.callbacks.Callback] = [recomputed] if self._recompute else []
        first, before = 0, 0.0
        if checkpoint is not None:
            state = [*self.model.variables, *program.variables, self._unseeded_draws.state]
            last.append(resume := Resume(checkpoint, parts, state, [*own, recomputed]))
            first, before = resume.first, resume.seconds
        self._feed.arrange(seed, first * part, (first + 1) * part)
        started = time.perf_counter()
        history = self.model.fit(
            self._feed.dataset(part),
            epochs=parts,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            validation_data=self._source.validation if validations else None,
            callbacks=[*own, *callbacks, *last],
        )
        if recomputed.applied and self._program.averages_weights:  # Keras has just replaced the weights
            self._statistics.recompute()
        seconds = before + time.perf_counter() - started
        updates = watch.updates
        seen = {**history.history, **({"val_loss": measured.losses} if measured.losses else {})}
        return Training(
            rates=program.curve.numpy()[:updates],
            losses=program.losses.numpy()[:updates],
            history={key: series for name, values in seen.items() for key, series in _series(name, values).items()},
            steps_per_epoch=self.steps_per_epoch,
            validation_steps=validate_every or part,
            diverged=watch.diverged,
            seconds=seconds,
            examples=self._order.examples(updates),
            test=self._scores() if test else None,
            weights=self.model.get_weights() if weights else None,
            recomputed=recomputed.applied,
        )

    def lags(self, updates: int) -> bool:
        """Return whether moving averages of BatchNormalization lag after so many updates."""
        return self._statistics.lag(updates)

    def traces(self) -> int:
        """Return how often the program has been traced: once, however many trainings have run."""
        return self._program.traces

    def _scores(self) -> dict[str, float]:
        """Return loss and metrics of the model on the test set."""
        measured = self.model.evaluate(self._source.test, verbose=0, return_dict=True)
        return {key: value for name, score in measured.items() for key, [value] in _series(name, [score]).items()}

    def _validation_loss(self) -> float:
        """Return the validation loss in the midst of a training, with the weights to evaluate."""
        free, weights = self._program.averaging, self.model.trainable_variables
        if free is not None:
            free.hold_average(weights)
        loss = float(self.model.evaluate(self._source.validation, verbose=0, return_dict=True)["loss"])
        if free is not None:
            free.hold_training_weights(weights)
        return loss

    def _reset(self, seed: int, curve: NDArray[np.float64]) -> None:
        """Put the model into the state of a new one built with this seed, without tracing again."""
        assign(self.model.variables, self._start.initial_state(seed))
        self._unseeded_draws.state.assign([seed, 0])
        keras_internals.draw_unseeded_from(self._unseeded_draws)
        self._program.reset(curve)


def _series(name: str, values: Sequence[Any]) -> dict[str, list[float]]:
    """Return a metric's values as numbers; a metric of several numbers, such as one a class, becomes several."""
    found = np.asarray(values, np.float64)
    if found.ndim == 1:
        return {name: found.tolist()}
    return {f"{name}_{at}": series.tolist() for at, series in enumerate(found.reshape(len(found), -1).T)}


def shared_engine(
    network: Network,
    examples: Examples,
    *,
    optimizer: str,
    momentum: float,
    batch_size: int,
    recompute: bool = True,
) -> Trainer:
    """Return an engine that may share its network and data with others, but has its own model."""
    order = BatchOrder(len(examples), batch_size)
    trainer = Trainer(network.model(), network, examples, examples.feed(order), order, recompute=recompute)
    return trainer.compile_with(compiled_for(examples, optimizer, momentum))


def engine(
    build: Builder,
    splits: Splits,
    *,
    optimizer: str,
    momentum: float,
    batch_size: int,
    precision: str,
    class_weight: Mapping[int, float] | None = None,
    recompute: bool = True,
) -> Trainer:
    """Return an engine with its own network and data.

    Args:
        build: builds the network anew at each call.
        splits: the data.
        optimizer: a name in `pipeline.optimizers.OPTIMIZERS`.
        momentum: SGD's; other optimizers ignore it.
        batch_size: examples in an update.
        precision: a Keras dtype policy, or `auto`, which picks one that suits network and hardware.
        class_weight: multiplies the weights of the training examples by their class, as Keras' `fit` does.
        recompute: see `Trainer`.

    """
    network = Network(build, precision)
    examples = Examples(network.adapted(weighted(splits, class_weight) if class_weight else splits))
    return shared_engine(
        network, examples, optimizer=optimizer, momentum=momentum, batch_size=batch_size, recompute=recompute
    )


def _early_stop(patience: int, keep_best: bool) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=keep_best)
