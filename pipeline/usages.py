"""How optimizers are used whose authors say more than that any schedule will do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.schedules import Value


@dataclass(frozen=True)
class Usage:
    """How an optimizer is searched.

    Attributes:
        schemes: the names of those it is tried with; empty for all.
        params: parameters of each of these schemes that are not at their defaults.
        rates: the lowest, the first and the highest initial rate to try, where a sweep says nothing; None to sweep. All
            are equal if the optimizer estimates its step size.
        unswept: why a sweep says nothing.

    """

    schemes: tuple[str, ...] = ()
    params: Mapping[str, Value] | None = None
    rates: tuple[float, float, float] | None = None
    unswept: str = ""

    @property
    def has_one_rate(self) -> bool:
        """Whether there is only one rate to try."""
        return self.rates is not None and self.rates[0] == self.rates[-1]

    def among(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the wanted schemes that suit the optimizer, or all that do if none is wanted."""
        if not self.schemes:
            return wanted
        return tuple(scheme for scheme in self.schemes if scheme in wanted) or self.schemes


_FREE = Usage(("constant",), {"warmup": 0.05})

DECAYING: Final = ("adamw", "lion", "lamb", "muon", "schedule_free_adamw")
"""Optimizers that are defined with a decay of the weights by rate x decay at each update: arXiv:1711.05101, 2302.06675,
1904.00962, 2502.16982, 2405.15682. Prodigy's rate is a multiple of a step size that it estimates."""

USAGES: Final[Mapping[str, Usage]] = {
    "schedule_free_sgd": _FREE,
    "schedule_free_adamw": _FREE,
    "prodigy": Usage(
        ("constant", "cosine"),
        rates=(1.0, 1.0, 1.0),
        unswept="it estimates its step size, and its authors leave the rate at 1",
    ),
    "adafactor": Usage(
        rates=(0.001, 0.01, 0.1),
        unswept="Keras limits its rate to 1/sqrt(update), so that no sweep shows where it diverges;"
        " its authors begin with 0.01",
    ),
}
"""By optimizer, as the authors recommend: for Schedule-Free a constant rate after a warm-up
(github.com/facebookresearch/schedule_free), for Prodigy a rate of 1, constant or along half a cosine without restarts
(github.com/konstmish/prodigy), for Adafactor a rate of 0.01 or less (arXiv:1804.04235). The warm-up is as long as that
of `warmup_stable_decay`.
"""


def usage(optimizer: str) -> Usage:
    """Return how an optimizer is searched: with any scheme, at rates that a sweep shows, if nothing else is said."""
    return USAGES.get(optimizer, Usage())
