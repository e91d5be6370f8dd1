"""How the best initial rate depends on the batch size: what a search measured, and rules of thumb."""

from typing import Literal

from pipeline.results.common import Result


class RateSuggestion(Result):
    """The winner's rate, scaled to another batch size by a rule of thumb; not measured."""

    batch_size: int
    initial_lr: float
    rule: Literal["linear", "square root"]
    note: str = "a suggestion, not measured"


class ScaledRate(Result):
    """The winner's rate, scaled to another batch size by a measured power law, with its 95% interval."""

    batch_size: int
    initial_lr: float
    lr_low: float
    lr_high: float


class BatchScaling(Result):
    """The best initial rate is about proportional to `batch_size ** exponent`, as trainings at several sizes show.

    `exponent_low` and `exponent_high` bound a 95% interval. `batch_sizes` are those of the trainings, and `rates` are
    for sizes beside those searched.
    """

    optimizer: str
    batch_sizes: tuple[int, ...]
    exponent: float
    exponent_low: float
    exponent_high: float
    rates: tuple[ScaledRate, ...]
