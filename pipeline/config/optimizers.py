"""How optimizers are used whose authors say more than that any schedule will do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.schedules import Value


@dataclass(frozen=True)
class Usage:
    """The schemes that an optimizer is searched with, and their parameters that are not at their defaults.

    Attributes:
        schemes: by name; empty for all.
        params: of each of these schemes.
        rate: the only initial rate that is tried, for an optimizer that estimates its step size; None to search one.

    """

    schemes: tuple[str, ...] = ()
    params: Mapping[str, Value] | None = None
    rate: float | None = None

    def among(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the wanted schemes that suit the optimizer, or all that do if none is wanted."""
        if not self.schemes:
            return wanted
        return tuple(scheme for scheme in self.schemes if scheme in wanted) or self.schemes


_FREE = Usage(("constant",), {"warmup": 0.05})

USAGES: Final[Mapping[str, Usage]] = {
    "schedule_free_sgd": _FREE,
    "schedule_free_adamw": _FREE,
    "prodigy": Usage(("constant", "cosine"), rate=1.0),
}
"""By optimizer, as the authors recommend: for Schedule-Free a constant rate after a warm-up
(github.com/facebookresearch/schedule_free), for Prodigy a rate of 1, constant or along half a cosine without restarts
(github.com/konstmish/prodigy). The length of the warm-up is that of `warmup_stable_decay`.
"""


def usage(optimizer: str) -> Usage:
    """Return how an optimizer is used: with any scheme at any rate if nothing else is said."""
    return USAGES.get(optimizer, Usage())
