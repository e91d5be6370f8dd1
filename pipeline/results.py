"""The results of all stages: the models behind every `result.json`."""

from math import isfinite
from typing import Literal, Self

from pydantic import BaseModel

from pipeline.datasets.arrays import Scaling, Scalings
from pipeline.evaluation import STRICT, Candidate
from pipeline.objective import VAL_LOSS, Objective

Verdict = Literal["winner", "tie", "equivalent", "worse", "diverged"]
"""What the confirmation says of a candidate; docs/statistics.md defines each."""


class Result(BaseModel):
    """Base of all results: immutable, and unknown fields are refused."""

    model_config = STRICT


class Tried(Result):
    """A rate, and the mean validation loss at the end and training loss near it, inf if a training diverged.

    `share` is the length as a share of a full training, and `judged_by` the loss that decided.
    """

    lr: float
    share: float
    val_loss: float
    train_loss: float
    judged_by: Literal["val_loss", "train_loss"] = "val_loss"

    @property
    def loss(self) -> float:
        """The loss that decided."""
        return self.train_loss if self.judged_by == "train_loss" else self.val_loss


class Valley(Result):
    """A parabola fitted to the losses that decided: log loss is `log(val_loss) + curvature * log10(rate / lr) ** 2`."""

    lr: float
    val_loss: float
    curvature: float


class Refinement(Result):
    """The rate that trainings with `scheme` found, starting from the rate of a sweep, `start_lr`.

    `tried` holds the trainings in order, `cost` their length in full trainings. `fit` is None if they show no valley;
    `suggested_lr` and its bounds, if all full trainings diverged. A range test's `updates` and `seconds` include these.
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

    `suggestions` maps each method to its rate. `divergence_lr` is None if no sweep diverged. `lr_min` and `lr_max`
    are the bounds of the last sweep, after every widening. `updates` counts all seeds, sweeps and refinements.
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

    def within(self, low: float, high: float) -> Self:
        """Return the interval cut off where the quantity ends, unless nothing is known of it or it diverged."""
        if not (isfinite(self.low) and isfinite(self.high)):
            return self
        return self.model_copy(update={"low": max(self.low, low), "high": min(self.high, high)})


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
    """A constant rate at the same budget and on the same seeds as the winner, or on the first of them.

    `gain` is how much better the winner is in the objective, paired by seed; negative where it is worse. Its interval
    holds at 95% over all baselines and looks, whichever finalist was chosen on these seeds. It excludes zero if and
    only if one of the two beat the other; a bound of exactly zero is excluded too.
    """

    name: str
    row: LeaderboardRow
    gain: Interval
    accuracy_gain: Interval | None


class Space(Result):
    """An optimizer and a batch size, with which every scheme is tried, and the rates that the range test found.

    Where the range test refused, the bounds are those of its last sweep and the rate is their geometric mean.
    """

    optimizer: str
    batch_size: int
    suggested_lr: float
    lr_low: float
    lr_high: float


class Cost(Result):
    """The cost in seconds, passes over the training set, examples processed, and trainings of full length."""

    seconds: float
    epochs: float
    examples: int
    trainings: float = 0.0


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
    ledger: dict[str, Cost] = {}


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


class RateSuggestion(Result):
    """The winner's rate, scaled to another batch size by a rule of thumb; not measured."""

    batch_size: int
    initial_lr: float
    rule: Literal["linear", "square root"]
    note: str = "a suggestion, not measured"


class Guess(Result):
    """What the same prediction for every example gives, by the labels alone, and whether the answer is any better.

    `what` is predicted. `loss` is None where the network's own loss has no value for that, and `accuracy` for a
    regression. `why` holds what is known of the reasons if it is not `beaten`, else which of several outputs are not.
    """

    what: str
    loss: float | None
    accuracy: float | None
    beaten: bool = True
    why: tuple[str, ...] = ()


class SearchResult(Result):
    """The answer: the best scheme and initial rate by the `objective`, and how certain that is.

    `lr_low` and `lr_high` are the lowest and highest initial rate tried. Of the `trials`, `diverged` counts those that
    diverged; `untried` names the schemes that got no trial. Comparisons spread their seeds over `splits` of the data.
    `transfer`, to other budgets, and `suggestions`, for other batch sizes, are filled on request.
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
    trials: int
    diverged: int
    spaces: tuple[Space, ...]
    splits: int = 1
    untried: tuple[str, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    suggestions: tuple[RateSuggestion, ...] = ()
    audits: Audits | None = None
    guess: Guess | None = None


class SeedScore(Result):
    """One final training."""

    seed: int
    split: int = 0
    val_loss: float
    test_loss: float
    test_accuracy: float | None
    train_seconds: float


class TrainResult(Result):
    """The final trainings; all scores are means over the seeds, `test_metrics` those beside loss and accuracy.

    `test_accuracy_interval` covers the test examples, and seeds and splits if there are several. `scaling` is what was
    done to the inputs, and `recomputed` whether the model's BatchNormalization statistics were recomputed. The model is
    one of the prepared split, number 0. Without one that is `registered`, `unsaved` says why; its weights are kept.
    """

    test_loss: float
    test_accuracy: float | None
    test_accuracy_interval: Interval | None
    test_metrics: dict[str, float] = {}
    val_loss: float
    seeds: tuple[SeedScore, ...]
    winner: Candidate
    splits: int = 1
    registered: str | None
    champion: str = ""
    unsaved: str = ""
    scaling: Scalings | None = None
    recomputed: bool = False
    guess: Guess | None = None
    label_scaling: Scaling | None = None


class ReportResult(Result):
    """The path of the report, relative to the working directory, and the answer in a few lines."""

    report: str
    answer: tuple[str, ...]
