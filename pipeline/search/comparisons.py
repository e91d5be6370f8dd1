"""The questions that a search answers beside "which is best": what a decay is worth, and what the search itself is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation import Candidate
from pipeline.results import Baseline, Comparison, Question
from pipeline.rivals import CONSTANT, RECIPE, SCHEDULE_FREE
from pipeline.search.candidates import same_setting
from pipeline.search.choice import Evidence

Gain = Callable[[str, str], Baseline]
"""`(name, chosen)`: how much better the chosen one is than the named one, on the same seeds."""

_WITHOUT_CONSTANT = "that takes three finalists, or a budget of 30"

_WITHOUT_RECIPE = "that takes a budget of 16"


@dataclass(frozen=True)
class Compared:
    """Finalists and baselines by name, the answer, and what it was chosen by.

    A decay is any scheme but the constant rate. Its best one is the answer, or if that is a constant rate the finalist
    that would be chosen without it. It is compared with the constant rate of its own optimizer and batch size that has
    the lowest mean: a finalist, whose rate was searched, or a baseline if that is even better.
    """

    candidates: Mapping[str, Candidate]
    chosen: str
    evidence: Evidence

    @property
    def decay(self) -> str:
        """The best decay; "" if no finalist decays."""
        if not self._is_constant(self.chosen):
            return self.chosen
        decays = self._finalists(constant=False)
        tied = [name for name in decays if name in self.evidence.tied]
        return min(tied or decays, key=self.evidence.expected.__getitem__, default="")

    @property
    def constants(self) -> list[str]:
        """The constant rates that the decay may be compared with, the one with the lowest mean first."""
        setting = self.candidates[self.decay or self.chosen]
        own = [one for one in self.candidates if self._is_constant(one) and same_setting(self.candidates[one], setting)]
        return sorted(own, key=self.evidence.rank) if set(own) & set(self.evidence.expected) else []

    @property
    def schedule_free(self) -> list[str]:
        """The candidates that need no schedule, the one with the lowest mean first."""
        free = [name for name, one in self.candidates.items() if one.optimizer in SCHEDULE_FREE and name != self.decay]
        return sorted(free, key=self.evidence.rank)

    @property
    def pairs(self) -> int:
        """The number of pairs whose gains may be shown, whichever finalists these seeds favour."""
        of_answer = max(len(self.evidence.tied), 1) * len(self._baselines)
        beside = {*self.constants, *self.schedule_free}
        if not self._is_constant(self.chosen):
            beside -= set(self._baselines)
        return of_answer + len(self._finalists(constant=False)) * len(beside)

    def answered(self, gain: Gain, schemes: Sequence[str]) -> tuple[Comparison, ...]:
        """Answer the questions, as far as what they are about was trained; `schemes` are those that were searched."""
        why = _WITHOUT_CONSTANT if CONSTANT in schemes else "the constant scheme was not searched"
        why = why if self.decay else "no finalist decays"
        found = [_answer("decay", self.decay, self.constants, gain, why)]
        if self.schedule_free:
            found.append(_answer("schedule_free", self.decay, self.schedule_free, gain, why))
        recipe = [RECIPE] if RECIPE in self._baselines and self.chosen != RECIPE else []
        why = "the recipe itself is the answer" if self.chosen == RECIPE else _WITHOUT_RECIPE
        return (*found, _answer("search", self.chosen, recipe, gain, why))

    @property
    def _baselines(self) -> list[str]:
        return [name for name in self.candidates if name not in self.evidence.expected]

    def _finalists(self, *, constant: bool) -> list[str]:
        return [name for name in self.evidence.expected if self._is_constant(name) is constant]

    def _is_constant(self, name: str) -> bool:
        return self.candidates[name].scheme == CONSTANT


def unanswered(why: str) -> tuple[Comparison, ...]:
    """Return the questions without answers, where nothing was compared."""
    return Comparison(question="decay", unknown=why), Comparison(question="search", unknown=why)


def _answer(question: Question, name: str, others: Sequence[str], gain: Gain, why_not: str) -> Comparison:
    if name and others:
        return Comparison(question=question, name=name, over=gain(others[0], name))
    return Comparison(question=question, name=name, unknown=why_not)
