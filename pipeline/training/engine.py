"""The training engine: Keras' own `fit`, fed so that nothing is built or traced twice.

A training is a pure question: this network, this learning-rate curve, this seed - what happened? The
network, its optimizer and its data are set up once; each training resets their state, and differs from
the last only in numbers: the rates, the initial weights, the dropout seeds and the order of the examples.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from numpy.typing import NDArray

from pipeline.datasets import Splits, input_shape
from pipeline.evaluation import Training
from pipeline.models import Builder, symbolic
from pipeline.results import Scaling
from pipeline.training.callbacks import DIVERGED_AT, Reorder, Rewrite, Rewriter, Watch
from pipeline.training.compilation import check_callbacks, uncompiled
from pipeline.training.disk import evaluation_feed, training_feed, users_errors
from pipeline.training.feed import BatchOrder, weighted
from pipeline.training.precision import AUTO, FLOAT32, automatic
from pipeline.training.program import Program, assign

_REMEMBERED = 256 * 2**20
"""Bytes of initial states that are kept, so that trainings from the same seed do not build the network again."""


class Trainer:
    """One network with its optimizer and data, ready to be trained any number of times.

    `precision` is a dtype policy of Keras or `auto`, which picks one that suits network and hardware.
    `class_weight` multiplies the weights of the training examples by their class, as Keras' `fit` does.
    """

    def __init__(
        self,
        build: Builder,
        splits: Splits,
        *,
        optimizer: str,
        momentum: float,
        batch_size: int,
        precision: str,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        splits = weighted(splits, class_weight)
        self._build = build
        self._policy = FLOAT32 if precision == AUTO else precision
        self._order = BatchOrder(len(splits.x_train), batch_size)
        self._batch_size = batch_size
        self._splits = splits
        self._unseeded_draws = keras.random.SeedGenerator(0)
        self.steps_per_epoch = self._order.steps_per_epoch
        self.model = self._fresh_model(seed=0)
        if precision == AUTO and automatic(self.model) != self._policy:
            self._policy = automatic(self.model)
            self.model = self._fresh_model(seed=0)
        self._initial = {0: [variable.numpy() for variable in self.model.variables]}
        self._feed = training_feed(splits, self._order)
        self._program = Program(self.model, self._feed, splits, optimizer, momentum)
        self._validation = evaluation_feed(splits.x_val, splits.y_val, splits.scaling, splits.w_val)

    @users_errors()
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
        settings: Mapping[str, float] = MappingProxyType({}),
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> Training:
        """Train once from the seed's initial state.

        Args:
            curve: one rate per update.
            seed: fixes initial weights, dropout seeds and the order of the examples.
            validations: in how many equal parts the training is cut, each followed by a validation;
                0 trains in one part without any. Must divide the length of the curve.
            rewrite: for reactive schemes, called after each validation.
            patience: stop early after this many validations without a better `val_loss`.
            keep_best: leave the model with the weights of its best validation.
            diverged_at: stop once the loss is this many times what it was at the start; NaN and inf always do.
            settings: `momentum` or `weight_decay` in place of the engine's own, where its optimizer has them; one made
                with a momentum of 0 has none.
            callbacks: Keras callbacks; those at batch level see every call of `UPDATES_PER_CALL` updates.

        Raises:
            ValueError: if `validations` does not divide the curve, or is 0 where something waits for them;
                or if the optimizer has no such setting.
            InputError: if the network's own `train_step` leaves no loss to record, or a callback sets the rate.

        """
        parts = max(validations, 1)
        if not len(curve) or len(curve) % parts:
            raise ValueError(f"validations: received {parts}, expected a divisor of the {len(curve)} updates")
        if not validations and (rewrite is not None or patience is not None or keep_best):
            raise ValueError("validations: received 0, expected 1 or more with rewrite, patience or keep_best")
        check_callbacks(callbacks)
        self._reset(seed, curve, settings)
        watch = Watch(self._program.losses, self._program.step, self._batch_size, diverged_at)
        own: list[keras.callbacks.Callback] = [Reorder(self._feed, seed, len(curve) // parts), watch]
        if rewrite is not None:
            own.append(Rewriter(self._program.curve, self._program.step, curve, rewrite))
        if patience is not None or keep_best:
            own.append(_early_stop(parts if patience is None else patience, keep_best))
        started = time.perf_counter()
        history = self.model.fit(
            self._feed.dataset(len(curve) // parts),
            epochs=parts,
            shuffle=False,
            verbose=0,
            validation_data=self._validation if validations else None,
            callbacks=[*own, *callbacks],
        )
        seconds = time.perf_counter() - started
        updates = watch.updates
        return Training(
            rates=self._program.curve.numpy()[:updates],
            losses=self._program.losses.numpy()[:updates],
            history={name: [float(value) for value in values] for name, values in history.history.items()},
            steps_per_epoch=self.steps_per_epoch,
            validation_steps=len(curve) // parts,
            diverged=watch.diverged,
            seconds=seconds,
            examples=self._order.examples(updates),
        )

    @users_errors()
    def evaluate_test(self) -> dict[str, float]:
        """Loss and metrics of the model as it stands, on the test set."""
        splits = self._splits
        data = evaluation_feed(splits.x_test, splits.y_test, splits.scaling, splits.w_test)
        return {name: float(value) for name, value in self.model.evaluate(data, verbose=0, return_dict=True).items()}

    def serving_model(self) -> keras.Model:
        """A copy of the model as it stands, uncompiled, behind a layer that scales raw inputs."""
        network = uncompiled(self._fresh_model(seed=0))
        assign(network.variables, self.model.variables)
        scaling, raw = self._splits.scaling, symbolic(input_shape(self._splits.x_train))
        if not isinstance(scaling, dict):
            return keras.Sequential([raw, _rescaling(scaling), network])
        return keras.Model(raw, network({name: _rescaling(own)(raw[name]) for name, own in scaling.items()}))

    def traces(self) -> int:
        """How often the training program has been traced; 1 however many trainings have run."""
        return self._program.traces

    def _fresh_model(self, seed: int) -> keras.Model:
        with _dtype_policy(self._policy), _random_states_kept():
            keras.utils.set_random_seed(seed)
            model = self._build()
        if self._policy != FLOAT32:
            _last_layer(model).dtype_policy = keras.DTypePolicy(FLOAT32)  # probabilities need more than 8 bits
        return model

    def _reset(self, seed: int, curve: NDArray[np.float64], settings: Mapping[str, float]) -> None:
        """The state that building the network anew with this seed would give, without tracing again."""
        assign(self.model.variables, self._initial_state(seed))
        # What `keras.random` draws without a seed comes from a global generator. Keras replaces it with every seed set,
        # but the training program keeps the one it was traced with: always this one.
        self._unseeded_draws.state.assign([seed, 0])
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, self._unseeded_draws)
        self._program.reset(curve, settings)

    def _initial_state(self, seed: int) -> list[NDArray[Any]]:
        """What the variables of the network hold when it is built with this seed."""
        if seed not in self._initial:
            state = [variable.numpy() for variable in self._fresh_model(seed).variables]
            while self._initial and (len(self._initial) + 1) * sum(part.nbytes for part in state) > _REMEMBERED:
                del self._initial[next(iter(self._initial))]
            self._initial[seed] = state
        return self._initial[seed]


def _early_stop(patience: int, keep_best: bool) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=keep_best)


def _last_layer(model: keras.Model) -> keras.layers.Layer:
    """The layer that gives the outputs, in however many models it is nested."""
    layer = model
    while getattr(layer, "layers", None):
        layer = layer.layers[-1]
    return layer


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Building with a seed must not disturb the global states that the user's own code may draw from."""
    before = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _rescaling(scaling: Scaling) -> keras.layers.Layer:
    scale, offset = np.asarray(scaling.scale), np.asarray(scaling.offset)
    return keras.layers.Rescaling(_plain(1 / scale), _plain(-offset / scale), dtype="float32")


def _plain(values: NDArray[np.float64]) -> float | list[float]:
    """A number where there is one, else a list: what Keras can write into a model file."""
    return float(values[0]) if len(values) == 1 else [float(value) for value in values]
