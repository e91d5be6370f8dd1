"""A search whose trainings are a formula: a loss surface whose optimum is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, log10
from pathlib import Path

import numpy as np
import pytest

from pipeline import search
from pipeline.evaluation import Evaluation
from pipeline.results import SearchResult
from pipeline.search import Outcome, Plan, Trial

OPTIMUM = 0.05
SCHEMES = ("constant", "cosine", "step")
FLOOR = {"constant": 0.30, "cosine": 0.10, "step": 0.20}
DIVERGES_ABOVE = 1.0
BASELINE = {"adam": 0.6, "sgd": 0.5}


@dataclass
class Surface:
    """A loss that rises by the square of the distance from `optimum` in decades, on a floor by scheme; seeded noise.

    `stop_at` raises `error` instead of giving that answer, counted from 0: the process dies there.
    """

    noise: float = 0.0
    floor: Mapping[str, float] = field(default_factory=lambda: FLOOR)
    optimum: float = OPTIMUM
    diverges_above: float = DIVERGES_ABOVE
    baseline: Mapping[str, float] = field(default_factory=lambda: BASELINE)
    stop_at: int | None = None
    error: type[BaseException] = KeyboardInterrupt
    asked: list[Evaluation] = field(default_factory=list)
    answers: list[Outcome] = field(default_factory=list)

    def __call__(self, evaluation: Evaluation) -> Outcome:
        """Answer at once."""
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
            val_loss=loss,
            val_accuracy=None if diverged else 1 - loss / 10,
            seconds=0.5,
            epochs=evaluation.epochs / (2 if diverged else 1),
            examples=1_000 * evaluation.epochs,
            diverged="loss is nan at update 3" if diverged else "",
        )

    def loss(self, evaluation: Evaluation) -> float:
        """Give the noise of the seed, which is the same for the same question, on the formula."""
        chance = np.random.default_rng(int(evaluation.digest[:12], 16)).normal(0, self.noise) if self.noise else 0.0
        if evaluation.scheme == "constant" and evaluation.initial_lr in (0.001, 0.01):
            return self.baseline[evaluation.optimizer] + chance
        return self.floor[evaluation.scheme] + log10(evaluation.initial_lr / self.optimum) ** 2 + chance


def make_plan(**changes: object) -> Plan:
    """Give a plan of six trials over three schemes; `changes` replaces its fields."""
    fields: dict[str, object] = {
        "optimizer": "sgd",
        "schemes": SCHEMES,
        "suggested_lr": 0.1,
        "lr_low": 0.002,
        "lr_high": 2.0,
        "trials": 6,
        "trial_epochs": 2,
        "epochs": 6,
        "top_k": 2,
        "confirm_seeds": 3,
        "seed": 0,
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


Ask = Callable[[Plan, Surface], tuple[SearchResult, list[Trial]]]


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """Give a database of studies."""
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def ask(storage: str) -> Ask:
    """Give the search, always with the same study: what it is asked again, it continues."""
    return lambda plan, surface: search.run(plan, surface, storage, "study")
