"""A search whose trainings are a formula: a loss surface whose optimum is known."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import inf, log10

import numpy as np
import pytest

from pipeline import search
from pipeline.evaluation import Evaluation
from pipeline.results import SearchResult
from pipeline.search import Outcome, Plan, Space, Trial

OPTIMUM = 0.05
SCHEMES = ("constant", "cosine", "step")
FLOOR = {"constant": 0.30, "cosine": 0.10, "step": 0.20}
DIVERGES_ABOVE = 1.0
FULL = 6
BASELINE = {"adam": 0.6, "sgd": 0.5}


@dataclass
class Surface:
    """A loss that rises by the square of the distance from `optimum` in decades, on a floor by scheme; seeded noise.

    A lower budget adds the same to all, but to the schemes in `slow` much more. `stop_at` raises `error` instead of
    giving that answer, counted from 0: the process dies there. What it has answered it does not count as asked again.
    `batches` is added to the loss by batch size.
    """

    noise: float = 0.0
    floor: Mapping[str, float] = field(default_factory=lambda: FLOOR)
    optimum: float = OPTIMUM
    diverges_above: float = DIVERGES_ABOVE
    baseline: Mapping[str, float] = field(default_factory=lambda: BASELINE)
    slow: Collection[str] = ()
    batches: Mapping[int, float] = field(default_factory=dict)
    stop_at: int | None = None
    error: type[BaseException] = KeyboardInterrupt
    asked: list[Evaluation] = field(default_factory=list)
    answers: list[Outcome] = field(default_factory=list)

    def __call__(self, evaluation: Evaluation) -> Outcome:
        """Answer at once."""
        if evaluation in self.asked:
            return self.answers[self.asked.index(evaluation)]
        if len(self.asked) == self.stop_at:
            self.stop_at = None
            raise self.error
        self.asked.append(evaluation)
        self.answers.append(self._answer(evaluation))
        return self.answers[-1]

    def _answer(self, evaluation: Evaluation) -> Outcome:
        diverged = evaluation.initial_lr > self.diverges_above
        loss = inf if diverged else self.loss(evaluation)
        return Outcome(
            loss=loss,
            val_loss=loss,
            val_accuracy=None if diverged else 1 - loss / 10,
            seconds=0.5,
            epochs=evaluation.epochs / (2 if diverged else 1),
            examples=round(900 * evaluation.epochs),
            diverged="loss is nan at update 3" if diverged else "",
        )

    def loss(self, evaluation: Evaluation) -> float:
        """Give the noise of the seed, which is the same for the same question, on the formula."""
        chance = np.random.default_rng(int(evaluation.digest[:12], 16)).normal(0, self.noise) if self.noise else 0.0
        if evaluation.scheme == "constant" and evaluation.initial_lr in (0.001, 0.01):
            return self.baseline[evaluation.optimizer] + chance
        chance += self.batches.get(evaluation.batch_size, 0.0)
        short = (FULL / evaluation.epochs - 1) * (0.5 if evaluation.scheme in self.slow else 0.01)
        return self.floor[evaluation.scheme] + log10(evaluation.initial_lr / self.optimum) ** 2 + chance + short


SPACE = Space("sgd", 32, suggested_lr=0.1, lr_low=0.002, lr_high=2.0)


def make_plan(**changes: object) -> Plan:
    """Give a plan of six trials over three schemes; `changes` replaces its fields."""
    fields: dict[str, object] = {
        "spaces": (SPACE,),
        "schemes": SCHEMES,
        "trials": 6,
        "budgets": (FULL / 9, FULL / 3),
        "epochs": FULL,
        "top_k": 2,
        "confirm_seeds": 3,
        "seed": 0,
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


Ask = Callable[[Plan, Surface], tuple[SearchResult, list[Trial]]]


@pytest.fixture
def ask() -> Ask:
    """Give the search."""
    return search.run
