"""How a search at work stands: the best candidate so far, and how much its loss varies between seeds."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Ask, Candidate, Evaluation, Training
from pipeline.search.allocation import finalists
from pipeline.search.candidates import family
from pipeline.search.plan import BRACKET, CONFIRM_SEED, Outcome, Plan, Trial, telling
from pipeline.search.surface import Surface

_EVERY = 1.0
"""Seconds that short trainings leave between two looks: fitting a surface takes longer than some of them."""


@dataclass
class Watched:
    """Answers as `ask` does, and tells after a training how the search stands; during the confirmation after each look.

    What it names during the trials is what the search would answer if it were interrupted then.

    Attributes:
        plan: that of the search.
        ask: runs the trainings.
        tell: is given a line.
        every: the least seconds between two lines.

    """

    plan: Plan
    ask: Ask
    tell: Callable[[str], object]
    every: float = _EVERY
    _trials: list[Trial] = field(default_factory=list)
    _confirmed: dict[tuple[object, ...], tuple[Candidate, list[float]]] = field(default_factory=dict)
    _looked: float = -inf

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer in the order of `ask`."""
        tried, confirmed = False, False
        for evaluation, training in self.ask(evaluations):
            outcome = Outcome.of(training, self.plan.objective)
            if evaluation.seed < self.plan.seed + CONFIRM_SEED:
                tried = True
                self._trials.append(Trial(len(self._trials), evaluation, outcome))
                self._say_of_trials()
            elif evaluation.epochs == self.plan.epochs and evaluation.seed in self.plan.fresh_seeds:
                confirmed = True
                one = evaluation.candidate
                self._confirmed.setdefault((*family(one), one.initial_lr), (one, []))[1].append(outcome.loss)
            yield evaluation, training
        if confirmed and not tried:
            self._say_of_confirmation()

    def _say_of_trials(self) -> None:
        if time.monotonic() - self._looked < self.every:
            return
        best, *_ = finalists(self.plan, self._trials)
        surface, noise = Surface.of(telling(self._trials)), inf
        if surface is None:
            self.tell("every training so far has diverged")
        else:
            if len(self._trials) >= BRACKET:  # before, it is little more than a guess
                noise = surface.loss(best.mean + surface.noise) - surface.loss(best.mean)
            self._say(best.candidate, surface.loss(best.mean), noise)
        self._looked = time.monotonic()

    def _say_of_confirmation(self) -> None:
        """Tell which of those that were not beaten has the lowest mean: these have the most seeds, and the same."""
        losses = [losses for _, losses in self._confirmed.values()]
        most = max(map(len, losses))
        rows = ((one, float(np.mean(losses))) for one, losses in self._confirmed.values() if len(losses) == most)
        best, mean = min(rows, key=lambda row: row[1])
        self._say(best, mean, statistics.seed_noise(losses), f", on {most} seeds")

    def _say(self, best: Candidate, loss: float, noise: float, basis: str = "") -> None:
        objective, name = self.plan.objective, self.plan.name_of(best)
        known = f" ± {noise:.2g} between seeds" if noise < inf else ", noise between seeds not yet known"
        value = f"{objective.metric} {objective.oriented(loss):.3g}"
        self.tell(f"best so far: {name} at {best.initial_lr:.3g}, {value}{known}{basis}")
