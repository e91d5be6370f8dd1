"""A search whose trainings are a formula: a loss surface whose optimum is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log10
from typing import get_args

import numpy as np

from pipeline.config import SamplerName
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.objective import VAL_LOSS
from pipeline.results import Space
from pipeline.rivals import USUAL
from pipeline.schedules import SCHEMES as SCHEME_TABLE
from pipeline.search import Outcome, Plan, Trial, allocation
from pipeline.search.plan import bounds

OPTIMUM = 0.05
SCHEMES = ("constant", "cosine", "step")
FLOOR = {"constant": 0.30, "cosine": 0.10, "step": 0.20}
DIVERGES_ABOVE = 1.0
FULL = 6
BASELINE = {"adam": 0.6, "sgd": 0.5, "adamw": 0.7}

SPACE = Space(optimizer="sgd", batch_size=32, suggested_lr=0.1, lr_low=0.002, lr_high=2.0)
BOUNDS = bounds(SPACE, ())

SEARCHABLE = tuple(name for name, scheme in SCHEME_TABLE.items() if scheme.searchable)
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

_STEPS_PER_EPOCH = 90
_DIVERGED = "loss is nan at update 3"


def make_training(evaluation: Evaluation, **history: float) -> Training:
    """Return a training that ended with these values; without values it diverged after half of its updates."""
    updates = evaluation.updates(_STEPS_PER_EPOCH) // (1 if history else 2)
    return Training(
        rates=np.zeros(updates, np.float32),
        losses=np.zeros(updates, np.float32),
        history={name: (value,) for name, value in history.items()},
        steps_per_epoch=_STEPS_PER_EPOCH,
        validation_steps=updates,
        diverged="" if history else _DIVERGED,
        seconds=0.5,
        examples=10 * updates,
    )


def make_evaluation(scheme: str = "cosine", initial_lr: float = OPTIMUM, **fields: object) -> Evaluation:
    """Return a trial of SGD with batches of 32; `fields` are those of its candidate."""
    candidate = {"scheme": scheme, "initial_lr": initial_lr, "optimizer": "sgd", "batch_size": 32, "params": {}}
    return Evaluation(Candidate.model_validate(candidate | fields), epochs=FULL, seed=10_000)


def make_outcome(loss: float) -> Outcome:
    """Return the outcome of a training that ended with this loss, or diverged if the loss is infinite."""
    history = {"val_loss": loss} if loss < inf else {}
    return Outcome.of(make_training(make_evaluation(), **history), VAL_LOSS)


@dataclass
class Surface:
    """A loss that rises by the square of the distance from `optimum` in decades, on a floor by scheme; seeded noise.

    It answers as an executor does. A finished training is recalled when it is requested again.

    Attributes:
        by_batch_size: added to the loss.
        stop_at: the training, counted from 0, in place of which `error` is raised, once: the process dies there.
        asked: every evaluation that was trained, in order.
        batches: the evaluations that were requested together.

    """

    noise: float = 0.0
    floor: Mapping[str, float] = field(default_factory=lambda: FLOOR)
    optimum: float = OPTIMUM
    diverges_above: float = DIVERGES_ABOVE
    baseline: Mapping[str, float] = field(default_factory=lambda: BASELINE)
    by_batch_size: Mapping[int, float] = field(default_factory=dict)
    stop_at: int | None = None
    error: type[BaseException] = KeyboardInterrupt
    asked: list[Evaluation] = field(default_factory=list)
    batches: list[list[Evaluation]] = field(default_factory=list)
    trainings: dict[str, Training] = field(default_factory=dict)

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer in order."""
        if evaluations:
            self.batches.append(list(evaluations))
        for evaluation in evaluations:
            yield evaluation, self._recalled(evaluation)

    def evaluate(self, evaluations: Sequence[Evaluation]) -> list[Outcome]:
        """Answer as the parts of the search are answered."""
        return [Outcome.of(training, VAL_LOSS) for training in answers(self, evaluations)]

    def answered(self) -> list[Training]:
        """Return every training, in order."""
        return [self.trainings[evaluation.digest] for evaluation in self.asked]

    def _recalled(self, evaluation: Evaluation) -> Training:
        if evaluation.digest not in self.trainings:
            if len(self.asked) == self.stop_at:
                self.stop_at = None
                raise self.error
            self.asked.append(evaluation)
            self.trainings[evaluation.digest] = self.train(evaluation)
        return self.trainings[evaluation.digest]

    def train(self, evaluation: Evaluation) -> Training:
        """Return a training that ends with the loss of the surface, or diverges."""
        if evaluation.candidate.initial_lr > self.diverges_above:
            return make_training(evaluation)
        loss = self.loss(evaluation)
        return make_training(evaluation, val_loss=loss, val_accuracy=1 - loss / 10)

    def loss(self, evaluation: Evaluation) -> float:
        """Return the formula plus the seed's noise, which is the same each time for the same evaluation."""
        candidate = evaluation.candidate
        chance = np.random.default_rng(int(evaluation.digest[:12], 16)).normal(0, self.noise) if self.noise else 0.0
        if candidate in [one.candidate(candidate.batch_size) for one in USUAL]:
            return {**BASELINE, **self.baseline}[candidate.optimizer] + chance
        chance += self.by_batch_size.get(candidate.batch_size, 0.0)
        short = (FULL / evaluation.epochs - 1) * 0.01
        return self.floor[candidate.scheme] + log10(candidate.initial_lr / self.optimum) ** 2 + chance + short


def make_plan(**changes: object) -> Plan:
    """Return a plan of six trials over three schemes; `changes` replaces its fields."""
    fields: dict[str, object] = {
        "spaces": (SPACE,),
        "schemes": SCHEMES,
        "trials": 6,
        "epochs": FULL,
        "top_k": 2,
        "confirm_seeds": 3,
        "seed": 0,
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


def run_trials(plan: Plan, surface: Surface) -> list[Trial]:
    """Return all trials."""
    return allocation.run_trials(plan, surface.evaluate)
