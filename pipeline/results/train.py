"""The results of the final trainings and of the report."""

from pydantic import Field

from pipeline.datasets.arrays import Scaling, Scalings
from pipeline.evaluation import Candidate
from pipeline.results.common import Guess, Interval, Result


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
    `lr_multipliers` scale the rates of its layers, by name.
    """

    test_loss: float
    test_accuracy: float | None
    test_accuracy_interval: Interval | None
    test_metrics: dict[str, float] = Field(default_factory=dict)
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
    lr_multipliers: dict[str, float] = Field(default_factory=dict)


class ReportResult(Result):
    """The path of the report, relative to the working directory, and the answer in a few lines."""

    report: str
    answer: tuple[str, ...]
