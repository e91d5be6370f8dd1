"""The results of a search: the answer, what it was compared with, and how far to trust it."""

from typing import Literal

from pydantic import Field

from pipeline.evaluation import Candidate
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results.batch_scaling import BatchScaling, RateSuggestion
from pipeline.results.common import Cost, Guess, Interval, Result

Verdict = Literal["winner", "tie", "equivalent", "worse", "diverged"]
"""What the confirmation says of a candidate; docs/statistics.md defines each."""


class Basin(Result):
    """The initial rates of a scheme that are expected to come within `noise` of its best objective.

    `noise` is the standard deviation between seeds, and `decades` is log10(lr_high / lr_low). `rates` are those tried,
    ascending, and `values` the mean objective at each, infinite where a training diverged.
    """

    lr_low: float
    lr_high: float
    decades: float
    noise: float
    rates: tuple[float, ...]
    values: tuple[float, ...]


class LeaderboardRow(Candidate):
    """A finalist or baseline at the full budget, on the confirmation seeds; a baseline has no basin.

    `objective` and `val_loss` are means with their own 95% intervals; without `seeds` there was no confirmation, and
    they are what the trials predict. `difference` is how far the row is behind the
    best in the objective, positive where it is worse: its mean is the paired difference to the best mean among those
    that may be the best, and its bounds hold for the truly best one, at 95% over all rows and looks.
    """

    objective: Interval
    val_loss: Interval
    val_accuracy: float | None
    difference: Interval
    seeds: tuple[int, ...]
    verdict: Verdict
    basin: Basin | None = None


class Baseline(Result):
    """What people use without a search, or a rival, at the same budget and on the same seeds or the first of them.

    `gain` is how much better the winner is in the objective, paired by seed; negative where it is worse. Its interval
    holds at 95% over all baselines, comparisons and looks, whichever finalist was chosen on these seeds. It excludes
    zero if and only if one of the two beat the other; a bound of exactly zero is excluded too.
    """

    name: str
    row: LeaderboardRow
    gain: Interval
    accuracy_gain: Interval | None


Question = Literal["decay", "schedule_free", "search"]


class Comparison(Result):
    """What a choice is worth over another one; its interval is one of those of the baselines.

    Of the question "decay", `name` is the best decaying scheme, and it is compared `over` the best constant rate of the
    same search; of "schedule_free", over the best candidate whose optimizer needs no schedule. Of "search" it is the
    answer, over the recipe. Where nothing was compared, `over` is None, and `unknown` says why.
    """

    question: Question
    name: str = ""
    over: Baseline | None = None
    unknown: str = ""


class Space(Result):
    """An optimizer and a batch size, with which every scheme is tried, and the rates that the range test found.

    Where the range test refused, the bounds are those of its last sweep and the rate is their geometric mean. Trials
    begin at `start_lr`, or at the suggested rate if it is None.
    """

    optimizer: str
    batch_size: int
    suggested_lr: float
    lr_low: float
    lr_high: float
    start_lr: float | None = None


class History(Result):
    """The earlier search from whose answer a search started, and what the suggested rates were multiplied by for it."""

    run_id: str
    data: str
    model: str
    optimizer: str
    batch_size: str
    epochs: int
    correction: float


class Audits(Result):
    """How far to trust a search, by its own measurements.

    `seed_noise` is the standard deviation of the finalists' objective between seeds at the full budget, and
    `diverged_share` the share of the trials' trainings that diverged. `importance` is the share of the objective's
    variance explained by rate, scheme and parameters, empty with few trials. `ledger` holds the cost of each part and,
    for comparison, of one training at the full budget and of a search that trains every trial in full.
    """

    seed_noise: float | None
    diverged_share: float
    importance: dict[str, float]
    ledger: dict[str, Cost] = Field(default_factory=dict)


class Transfer(Result):
    """The winner against the other finalists at another budget, `factor` times the full one.

    `objective` is its mean, and `difference` how far it is behind the best, as in the leaderboard. `rivals` are the
    other `candidates` that may be the best at this budget. The results of all budgets hold jointly at 95%.
    """

    factor: float
    epochs: float
    verdict: Verdict
    rivals: tuple[str, ...]
    objective: Interval
    difference: Interval
    candidates: tuple[str, ...]
    seeds: tuple[int, ...]


class SearchResult(Result):
    """The answer: the best scheme and initial rate by the `objective`, and how certain that is.

    `lr_low` and `lr_high` are the lowest and highest initial rate tried. Of the `trials`, `diverged` counts those that
    diverged; `untried` names the schemes that got no trial. Comparisons spread their seeds over `splits` of the data.
    `transfer`, to other budgets, and `suggestions`, for other batch sizes, are filled on request; `batch_scaling`
    where several batch sizes were searched, or the winner was trained at `further_batch_sizes`, and show it.
    `lr_multipliers` scale the rates of layers, by name. `history` is the earlier answer that the search started from,
    if it did.
    """

    objective: Objective = VAL_LOSS
    winner: Candidate
    leaderboard: tuple[LeaderboardRow, ...]
    ties: tuple[str, ...]
    basin: Basin
    baselines: tuple[Baseline, ...]
    comparisons: tuple[Comparison, ...] = ()
    cost: Cost
    reason: str
    lr_low: float
    lr_high: float
    trials: int
    diverged: int
    spaces: tuple[Space, ...]
    splits: int = 1
    untried: tuple[str, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    suggestions: tuple[RateSuggestion, ...] = ()
    batch_scaling: BatchScaling | None = None
    further_batch_sizes: tuple[int, ...] = ()
    audits: Audits | None = None
    guess: Guess | None = None
    lr_multipliers: dict[str, float] = Field(default_factory=dict)
    history: History | None = None
