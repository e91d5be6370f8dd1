"""Fourteen epochs of MNIST with optimizers that need no schedule: recorded, as `reproduce` does not train them."""

from pathlib import Path

from pipeline.results import Result

FILE = Path(__file__).with_name("schedule_free.json")
"""What `python -m benchmarks.schedule_free --record` wrote when it was last run on all of MNIST."""


class Contender(Result):
    """One optimizer's trainings, one per seed, tested at the end.

    Attributes:
        optimizer: the optimizer, as options name it.
        found: whether a search chose it, with its scheme and rate.
        accuracies: fractions of the test images, one per seed.
        loss: the mean test loss over the seeds.

    """

    optimizer: str
    scheme: str
    initial_lr: float
    found: bool
    accuracies: tuple[float, ...]
    loss: float


class Published(Result):
    """What others publish for one training of the same network; the accuracy is a fraction of the test images."""

    name: str
    accuracy: float


class Recorded(Result):
    """All contenders on one network; `made` is a date, `command` what was typed."""

    made: str
    command: str
    train_examples: int
    epochs: int
    contenders: tuple[Contender, ...]
    published: tuple[Published, ...]


def recorded() -> Recorded:
    """Return what is recorded."""
    return Recorded.model_validate_json(FILE.read_text(encoding="utf-8"))
