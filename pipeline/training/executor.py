"""Trainings in this process, by engines that share one copy of the data."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.datasets import Scaling, Scalings, Splits, Stream
from pipeline.errors import describe, shortened
from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.keras_settings import arithmetic
from pipeline.models import Builder
from pipeline.objective import VAL_LOSS, Objective
from pipeline.schedules import format_params, rewriter
from pipeline.training import keras_internals
from pipeline.training.checkpoints import Checkpoint, Checkpoints
from pipeline.training.codes import scaling_layer
from pipeline.training.compilation import remark
from pipeline.training.engine import Trainer, shared_engine
from pipeline.training.examples import Examples
from pipeline.training.losses import for_outputs
from pipeline.training.network import Network, device_kind
from pipeline.training.vocabularies import Learning


@dataclass(frozen=True)
class Problem:
    """The user's network and data, which all evaluations share.

    `momentum` is SGD's, `precision` a Keras dtype policy or `auto`. `recompute` says whether BatchNormalization's
    statistics are recomputed where its moving averages lag.
    """

    build: Builder
    splits: Splits
    momentum: float
    precision: str
    recompute: bool = True


_SHOWN = 10
"""Most class weights to print."""

_LOGGED = 1_000
"""Most characters of multipliers to log; MLflow takes 6,000."""


class InProcess:
    """Executor that trains one evaluation after another, each on the engine for its optimizer and batch size.

    What has another weight decay than the optimizer's own has an engine for itself, which is traced to read it.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem, self._build = problem, Learning(problem.build, problem.splits)
        self._engines: dict[tuple[str, int, bool], Trainer] = {}

    def ask(
        self,
        evaluations: Iterable[Evaluation],
        started: Callable[[Evaluation], object] = lambda evaluation: None,
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training as it finishes.

        Args:
            evaluations: what to train; each is taken only when its training can begin.
            started: called when a training begins.
            checkpoints: where trainings keep their state; data in streams have none, as their order may change.

        """
        for evaluation in evaluations:
            started(evaluation)
            yield evaluation, self._train(evaluation, checkpoints)

    def conditions(self) -> dict[str, str]:
        """Return the settings that affect the numbers, besides evaluation, data, the user's model and the code."""
        return {
            "precision": self._network.policy,
            "device": device_kind(),
            "arithmetic": arithmetic(),
            "momentum": repr(self._problem.momentum),
            "scaling": TypeAdapter(Scalings).dump_json(self.scaling).decode(),
            "labels": "scaled" if self._problem.splits.label_scaling else "as they are",
            "class_weights": repr(self._problem.splits.class_weights),
            "batch_norm": "recomputed" if self._problem.recompute else "averaged",
            "lr_multipliers": repr(self._network.factors),
            "order": "shuffled within windows" if self.streamed else "shuffled",
        }

    @property
    def examples(self) -> int:
        """How many examples there are to train on."""
        return len(self._problem.splits.x_train)

    @property
    def streamed(self) -> bool:
        """Whether the training set is read in passes, in an order that may not come again."""
        return isinstance(self._problem.splits.x_train, Stream)

    @property
    def remarks(self) -> list[str]:
        """What to tell users about their own network before it trains."""
        said = []
        if self._network.same_start:
            said.append(
                "every seed starts from the same weights: seeds differ only in the order of the examples and dropout"
            )
        if self.lr_multipliers:
            said.append(f"layers train at multiples of the rate: {shortened(self.params['lr_multipliers'])}")
        if about_loss := remark(self._network.sample(), self._examples):
            said.append(about_loss)
        if self._build.learnt:
            said.append(f"layer {self._build.learnt!r} came without vocabulary, and learnt it from the training set")
        scaled = self.scaling.values() if isinstance(self.scaling, dict) else [self.scaling]
        if (layer := scaling_layer(self._network.sample())) and any(one.kind != "none" for one in scaled):
            said.append(
                f"the network has a {layer} layer, and inputs are scaled before it too: scale=none leaves them alone"
            )
        return said

    def require_metric(self, objective: Objective, evaluation: Evaluation) -> None:
        """Check, with a single update, that the network has the objective's metric.

        Args:
            objective: what the evaluations are judged by.
            evaluation: one of those to come; its engine is used.

        Raises:
            InputError: if the network does not have it.

        """
        if objective != VAL_LOSS:
            engine = self._engine(evaluation.candidate)
            short = evaluation.curve(engine.steps_per_epoch)[:1]
            engine.train(short, evaluation.seed, validations=1).loss_by(objective)

    def objective(self, candidate: Candidate) -> dict[str, str]:
        """Return what losses measure: if equal for two networks, their losses on the same examples are comparable.

        This is the loss function and, if the network adds penalties to it, the names of the network's weights. With
        several outputs it is a loss for each by name, null where there is none, and the weights of these losses.
        """
        model, splits = self.compiled(candidate), self._problem.splits
        losses = {
            name: loss if isinstance(loss, str) else keras.saving.serialize_keras_object(loss)
            for name, loss in for_outputs(model, splits, model.loss).items()
        }
        weights = [variable.path for variable in model.trainable_variables] if model.losses else []
        measured = {
            "loss": json.dumps(losses.get("", losses), sort_keys=True, default=str),
            "penalised": json.dumps(weights),
        }
        if splits.outputs:
            given = keras_internals.compiled_with(model)["loss_weights"]
            weighed = {name: 1.0 if one is None else one for name, one in for_outputs(model, splits, given).items()}
            measured["weights"] = json.dumps(weighed, sort_keys=True)
        return measured

    def compiled(self, candidate: Candidate) -> keras.Model:
        """Return the network that a candidate's trainings use, as they compiled it."""
        return self._engine(candidate).model

    def served(self, training: Training) -> keras.Model:
        """Return a model that takes raw inputs, with the final weights of a training, which must include them."""
        weights: Sequence[NDArray[Any]] | None = training.weights
        if weights is None:
            raise ValueError("served: received a training without weights, expected one with them")
        return self._network.served(weights, self._examples.splits)

    @property
    def lr_multipliers(self) -> dict[str, float]:
        """The factors by which the network scales the rates of its layers, by name; empty without any."""
        return self._network.lr_multipliers

    @property
    def params(self) -> dict[str, str]:
        """What to log of the network besides the options: its `lr_multipliers`, if it has any."""
        return {"lr_multipliers": shortened(format_params(self.lr_multipliers), _LOGGED)} if self.lr_multipliers else {}

    @property
    def scaling(self) -> Scalings:
        """The scaling of the inputs: that of the data, except that codes which the network looks up stay unscaled."""
        return self._examples.splits.scaling  # type: ignore[no-any-return]

    @property
    def label_scaling(self) -> Scaling | None:
        """The scaling of the labels, which results do not show."""
        return self._problem.splits.label_scaling

    @property
    def class_weights(self) -> str:
        """Say how much training examples count by their class; "" where all count the same."""
        splits = self._problem.splits
        if splits.class_weights is None:
            return ""
        pairs = [f"{name} {weight:.3g}" for name, weight in zip(splits.classes, splits.class_weights, strict=True)]
        more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        weights = f"{', '.join(pairs[:_SHOWN])}{more}"
        return f"training examples count by their class ({weights}); validation and test examples count the same"

    def lags(self, candidate: Candidate, updates: int) -> bool:
        """Return whether moving averages of BatchNormalization lag after so many updates, and are not recomputed."""
        return not self._problem.recompute and self._engine(candidate).lags(updates)

    def unsavable(self, definitions: Mapping[str, Any]) -> str:
        """Return why the served model cannot be saved, or not loaded in safe mode; "" if it can.

        Args:
            definitions: the classes and functions of the user's, which loading needs.

        """
        try:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                self._network.served(None, self._problem.splits).save(path)
                keras.saving.load_model(path, custom_objects=dict(definitions), compile=False)
        except Exception as error:  # whatever the user's layers and Keras raise
            return describe(error)
        return ""

    @cached_property
    def _network(self) -> Network:
        return Network(self._build, self._problem.precision)

    @cached_property
    def _examples(self) -> Examples:
        return Examples(self._network.adapted(self._problem.splits))

    def _engine(self, candidate: Candidate) -> Trainer:
        optimizer, batch_size, decay = candidate.optimizer, candidate.batch_size, candidate.weight_decay
        key = optimizer, batch_size, decay is not None
        if key not in self._engines:
            self._engines[key] = shared_engine(
                self._network,
                self._examples,
                optimizer=optimizer,
                momentum=self._problem.momentum,
                batch_size=batch_size,
                recompute=self._problem.recompute,
            )
        if decay is not None:
            self._engines[key].decay_by(decay)
        return self._engines[key]

    def _train(self, evaluation: Evaluation, checkpoints: Checkpoints | None) -> Training:
        if evaluation.split and not self._examples.resplits:
            self._examples = Examples(self._examples.splits, resplits=True)
            self._engines.clear()
        self._examples.use(evaluation.split)
        checkpoint = None if checkpoints is None or self.streamed else checkpoints.of(evaluation)
        training = train(self._engine(evaluation.candidate), evaluation, checkpoint=checkpoint)
        scaling = self._problem.splits.label_scaling
        if scaling is None or len(scaling.scale) > 1:  # several values share no unit: their losses stay standardised
            return training
        return training.in_units_of_labels(scaling.scale[0])


def train(
    engine: Trainer,
    evaluation: Evaluation,
    curve: NDArray[np.float64] | None = None,
    validate_every: int = 0,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Train as an evaluation specifies, on an engine with its optimizer and batch size.

    `curve` replaces the evaluation's rates; for `validate_every` and `checkpoint` see `Trainer.train`.
    """
    candidate, steps_per_epoch = evaluation.candidate, engine.steps_per_epoch
    parts = evaluation.parts(steps_per_epoch)
    return engine.train(
        evaluation.curve(steps_per_epoch) if curve is None else curve,
        evaluation.seed,
        validations=parts,
        validate_every=validate_every,
        rewrite=None if evaluation.is_sweep else rewriter(candidate.scheme, candidate.params),
        patience=math.ceil(evaluation.patience * parts) or None,
        keep_best=evaluation.patience > 0,
        diverged_at=evaluation.diverged_at,
        test=evaluation.test,
        weights=evaluation.weights,
        checkpoint=checkpoint,
    )
