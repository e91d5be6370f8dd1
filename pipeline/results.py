"""What stages hand each other: the models behind every `result.json`."""

from typing import Literal

from pydantic import BaseModel

from pipeline.evaluation import STRICT, Candidate
from pipeline.objective import VAL_LOSS, Objective

Task = Literal["classification", "regression"]
ClaimVerdict = Literal["supported", "not supported", "within noise", "not run"]


class Result(BaseModel):
    """Base of all results: immutable, and unknown fields are refused."""

    model_config = STRICT


class Scaling(Result):
    """How raw inputs become network inputs: `(x - offset) / scale`, by training statistics.

    `offset` and `scale` hold one number (images) or one number a feature (tables).
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]


InputShape = tuple[int, ...] | dict[str, tuple[int, ...]]
"""The shape of one example without the batch axis; of each input by name where there are several."""

Scalings = Scaling | dict[str, Scaling]
"""One scaling, or one of each input by name."""


class PrepareResult(Result):
    """The data after splitting. `digests` maps each artifact to its SHA-256."""

    data: str
    task: Task
    input_shape: InputShape
    num_outputs: int
    classes: tuple[str, ...]
    train_examples: int
    validation_examples: int
    test_examples: int
    scaling: Scalings
    digests: dict[str, str]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the updates in a pass over the training set."""
        return -(-self.train_examples // batch_size)


class Tried(Result):
    """A rate with its mean validation loss, inf where it diverged; `share` is the training's length in whole ones."""

    lr: float
    share: float
    val_loss: float


class Valley(Result):
    """A parabola through trainings: log loss is `log(val_loss) + curvature * log10(rate / lr) ** 2`."""

    lr: float
    val_loss: float
    curvature: float


class Refinement(Result):
    """What trainings made of the rate of a sweep.

    They used `scheme` and started from the rate `start_lr`; `tried` holds them in the order in which they were made.
    `suggested_lr`, `lr_low` and `lr_high` are None where all whole ones diverged. `fit` is None where fewer than three
    points, or their shape, allow none. `cost` is the length of all together, in whole trainings; `updates` and
    `seconds` are part of those of the range test.
    """

    scheme: str
    start_lr: float
    seeds: tuple[int, ...]
    tried: tuple[Tried, ...]
    fit: Valley | None = None
    suggested_lr: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    cost: float
    updates: int = 0
    seconds: float = 0.0


class RangeTestResult(Result):
    """A learning-rate range test: a rate and an interval, or a refusal with its reason.

    `suggestions` maps each method to its rate; `divergence_lr` is where sweeps diverged, None where none did. `lr_min`
    and `lr_max` are the bounds of the last sweep, after all that was widened.
    `updates` counts those of all seeds and sweeps, and of the refinement where there was one.
    """

    verdict: Literal["ok", "refused"]
    reason: str
    suggested_lr: float | None
    lr_low: float | None
    lr_high: float | None
    suggestions: dict[str, float]
    divergence_lr: float | None = None
    seeds: tuple[int, ...]
    optimizer: str
    batch_size: int
    lr_min: float
    lr_max: float
    updates: int
    seconds: float
    refinement: Refinement | None = None


class Interval(Result):
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float
    level: float = 0.95


class Basin(Result):
    """Initial rates of a scheme whose objective is within `noise` of the best, from short trainings.

    `noise` is twice the standard deviation between seeds of such trainings.
    `decades` is log10(lr_high / lr_low); `rates` are those tried, ascending, and `values` what each led to, infinite
    where it diverged.
    """

    lr_low: float
    lr_high: float
    decades: float
    noise: float
    rates: tuple[float, ...]
    values: tuple[float, ...]


class LeaderboardRow(Candidate):
    """One finalist or baseline at the full budget, on the confirmation seeds.

    `objective` and `val_loss` are means with their own 95% intervals. `difference` is how far it is behind the best in
    the objective, positive where it is worse: the paired difference to the best mean among those that may be the best,
    and bounds that hold for the truly best, at 95% for all rows and looks together. A baseline has no basin.
    """

    objective: Interval
    val_loss: Interval
    val_accuracy: float | None
    difference: Interval
    seeds: tuple[int, ...]
    verdict: Literal["winner", "tie", "worse", "diverged"]
    basin: Basin | None = None


class Baseline(Result):
    """A constant rate at the same budget and on the same seeds as the winner.

    `gain` is by how much the winner is better in the objective, paired by seed (negative: it is worse). Its interval
    holds at 95% for all baselines and looks together, whichever finalist was chosen on these seeds.
    """

    name: str
    row: LeaderboardRow
    gain: Interval
    accuracy_gain: Interval | None


class Widening(Result):
    """A bound of the initial rate that moved, because the best rate of a scheme lay at it."""

    optimizer: str
    batch_size: int
    scheme: str
    side: Literal["low", "high"]
    before: float
    after: float


class Space(Result):
    """An optimizer and batch size that every scheme was combined with, and what the range test said of its rates.

    Without a suggestion, since the range test refused, the bounds are those of its sweep.
    """

    optimizer: str
    batch_size: int
    suggested_lr: float
    lr_low: float
    lr_high: float


class Cost(Result):
    """What was spent: wall seconds, passes over the training set, and examples seen."""

    seconds: float
    epochs: float
    examples: int


class Agreement(Result):
    """Whether a lower budget ranks as the full one does.

    `correlation` is Spearman's, of the objective of so many `candidates` at `epochs` passes and of their means at the
    full budget; None where it is not defined.
    """

    epochs: float
    candidates: int
    correlation: float | None


class Audits(Result):
    """How far to trust a search, from what it measured itself.

    `seed_noise` is the standard deviation of the finalists' objective between seeds at the full budget,
    `diverged_share` that of the trials' trainings, `importance` the share of the variance of the objective that rate,
    scheme and parameters explain (empty with few trials). `ledger` holds what each part cost, and for comparison what
    one training at the full budget and a blind search of as many would.
    """

    agreement: tuple[Agreement, ...]
    seed_noise: float | None
    diverged_share: float
    importance: dict[str, float]
    ledger: dict[str, Cost] = {}


class Transfer(Result):
    """How the winner does at another budget, `factor` times the full one, against the other finalists.

    `objective` is its mean, `difference` how far it is behind the best, as in the leaderboard. `rivals` are those
    of the `candidates` that may be the best there too, or instead. What is said of all budgets together holds at 95%.
    """

    factor: float
    epochs: float
    verdict: Literal["winner", "tie", "worse", "diverged"]
    rivals: tuple[str, ...]
    objective: Interval
    difference: Interval
    candidates: tuple[str, ...]
    seeds: tuple[int, ...]


class RateSuggestion(Result):
    """The winner's rate scaled to another batch size by a rule of thumb; nothing was trained with it."""

    batch_size: int
    initial_lr: float
    rule: Literal["linear", "square root"]
    note: str = "a suggestion, not measured"


class SearchResult(Result):
    """The answer: which scheme and initial rate by the `objective`, and how sure that is.

    `lr_low` and `lr_high` bound the initial rates that were looked at, after all that was `widened`; of `trials`
    configurations so many `diverged`. `untried` names what `trials` did not suffice for. `transfer` and
    `suggestions`, for other budgets and batch sizes, are there where they were asked for.
    """

    objective: Objective = VAL_LOSS
    winner: Candidate
    leaderboard: tuple[LeaderboardRow, ...]
    ties: tuple[str, ...]
    basin: Basin
    baselines: tuple[Baseline, ...]
    cost: Cost
    reason: str
    lr_low: float
    lr_high: float
    widened: tuple[Widening, ...] = ()
    trials: int
    diverged: int
    spaces: tuple[Space, ...]
    untried: tuple[str, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    suggestions: tuple[RateSuggestion, ...] = ()
    audits: Audits | None = None


class SeedScore(Result):
    """One final training."""

    seed: int
    val_loss: float
    test_loss: float
    test_accuracy: float | None
    train_seconds: float


class TrainResult(Result):
    """The final trainings. Each loss and accuracy is the mean over seeds."""

    test_loss: float
    test_accuracy: float | None
    val_loss: float
    seeds: tuple[SeedScore, ...]
    winner: Candidate
    registered: str | None


class ReportResult(Result):
    """Where the report is, relative to the working directory, and the answer in a few lines."""

    report: str
    answer: tuple[str, ...]


class ExperimentResult(Result):
    """One experiment of the articles. Without `candidate` it was not run, for the `reason` given."""

    id: str
    candidate: Candidate | None
    epochs: int
    scores: tuple[SeedScore, ...]
    reason: str = ""


class ClaimResult(Result):
    """What an article claims and reports of one training, and what ours, one a seed, say to it.

    `difference` is our test loss minus that of the experiment `compared_with`, paired by seed (positive: worse).
    """

    id: str
    title: str
    claim: str
    published_accuracy: float | None
    published_loss: float | None
    test_accuracy: Interval | None
    test_loss: Interval | None
    compared_with: str
    difference: Interval | None
    verdict: ClaimVerdict
    remark: str
    trained: ExperimentResult


class ReproduceResult(Result):
    """The articles' experiments. `as_published` says whether data and epochs are those of the articles.

    `printed_rates` are article a's: at the start of each epoch, and at the end.
    """

    data: str
    train_examples: int
    as_published: bool
    experiments: tuple[ClaimResult, ...]
    printed_rates: tuple[float, ...]
