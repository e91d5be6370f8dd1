"""Fourteen epochs of MNIST with optimizers that need no schedule: recorded, as `reproduce` does not train them."""

from pathlib import Path

from pipeline.evaluation import Candidate
from pipeline.results import Result

FILE = Path(__file__).with_name("schedule_free.json")
"""The figures of `python -m benchmarks.schedule_free` on all of MNIST; with `--record` it writes them."""


class Contender(Result):
    """One candidate's trainings, one per seed, tested at the end.

    Attributes:
        found: whether a search chose the candidate.
        accuracies: fractions of the test images, one per seed.
        loss: the mean test loss over the seeds.

    """

    candidate: Candidate
    found: bool
    accuracies: tuple[float, ...]
    loss: float


class Published(Result):
    """What others publish for one training of the same network; the accuracy is a fraction of the test images."""

    name: str
    accuracy: float


class Recorded(Result):
    """All contenders on one network; `made` is a date, and `command` trained and tested them."""

    made: str
    command: str
    train_examples: int
    epochs: int
    contenders: tuple[Contender, ...]
    published: tuple[Published, ...]


def recorded() -> Recorded:
    """Return what is recorded."""
    return Recorded.model_validate_json(FILE.read_text(encoding="utf-8"))
