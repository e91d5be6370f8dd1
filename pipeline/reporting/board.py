"""The leaderboard of table and forest plot: finalists and baselines in one order, each listed once."""

from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from pipeline.evaluation import Candidate, setting_prefix
from pipeline.reporting import wording
from pipeline.results import LeaderboardRow, SearchResult


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard."""

    label: str
    role: Literal["winner", "finalist", "baseline"]
    row: LeaderboardRow

    @property
    def standing(self) -> str:
        """The verdict; among tied finalists, the one to train with is marked."""
        if self.role == "winner" and self.row.verdict == "tie":
            return "tie, chosen"
        return self.row.verdict

    @property
    def diverged(self) -> bool:
        """Whether the candidate diverged, so that it has no mean."""
        return not isfinite(self.row.objective.mean)


def entries(search: SearchResult) -> tuple[Entry, ...]:
    """Return finalists and baselines by their mean objective, the best first and diverged ones last.

    A baseline that is also in the leaderboard of the search appears once, under its own name.
    """
    baselines = {_key(baseline.row): baseline for baseline in search.baselines}
    found = {_key(row): _finalist(row, search) for row in search.leaderboard}
    for key, baseline in baselines.items():
        if key not in found or found[key].role != "winner":
            found[key] = Entry(baseline.name, "baseline", baseline.row)
    oriented = search.objective.oriented
    return tuple(sorted(found.values(), key=lambda e: inf if e.diverged else oriented(e.row.objective.mean)))


def _finalist(row: LeaderboardRow, search: SearchResult) -> Entry:
    wins = _key(row) == _key(search.winner)
    label = f"{setting_prefix(row, search.spaces)}{wording.scheme(row.scheme)} {wording.number(row.initial_lr)}"
    return Entry(label, "winner" if wins else "finalist", row)


def _key(row: Candidate) -> tuple[str, float, str, int, str]:
    return (row.scheme, row.initial_lr, row.optimizer, row.batch_size, repr(sorted(row.params.items())))
