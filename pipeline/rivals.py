"""What the answer of a search is compared with: what people use without a search, and rivals that the user names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pipeline.evaluation import Candidate
from pipeline.schedules import SCHEMES, Value
from pipeline.usages import usage

CONSTANT = "constant"
RECIPE = "AdamW recipe"

CUSTOMARY: Mapping[str, float] = {
    "sgd": 0.01,
    "adam": 0.001,
    "adamw": 0.001,
    "adadelta": 0.001,
    "adamax": 0.001,
    "rmsprop": 0.001,
    "nadam": 0.001,
    "adagrad": 0.001,
    "lion": 0.001,
    "adafactor": 0.001,
    "lamb": 0.001,
    "muon": 0.001,
    "schedule_free_sgd": 1.0,
    "schedule_free_adamw": 0.0025,
    "prodigy": 1.0,
}
"""The rate that people use without a search: each optimizer's default, in Keras or by its authors."""

SCHEDULE_FREE = frozenset({"schedule_free_sgd", "schedule_free_adamw"})
"""Optimizers that need no schedule."""

_HIGHEST = 1e6


@dataclass(frozen=True)
class Rival:
    """An optimizer with a schedule whose rate is known, so that it needs neither a range test nor trials."""

    name: str
    optimizer: str
    scheme: str
    initial_lr: float
    params: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `optimizer`, `optimizer:scheme` or `optimizer:scheme:rate`; by default the customary rate, constant.

        Raises:
            ValueError: if it is written otherwise, the optimizer or scheme is unknown, or the rate is none.

        """
        optimizer, _, rest = text.partition(":")
        scheme, _, rate = rest.partition(":")
        if optimizer not in CUSTOMARY:
            raise ValueError(f"expected optimizer:scheme:rate, the optimizer one of {', '.join(CUSTOMARY)}")
        own = usage(optimizer)
        scheme = scheme or next(iter(own.schemes), CONSTANT)
        if scheme not in SCHEMES:
            raise ValueError(f"expected optimizer:scheme:rate, the scheme one of {', '.join(SCHEMES)}")
        try:
            initial_lr = float(rate or CUSTOMARY[optimizer])
        except ValueError:
            initial_lr = 0.0
        if not 0 < initial_lr <= _HIGHEST:
            raise ValueError(f"expected optimizer:scheme:rate, the rate above 0 and at most {_HIGHEST:g}")
        shown = optimizer if scheme == CONSTANT else f"{optimizer} {scheme}"
        return cls(f"{shown} at {initial_lr:g}", optimizer, scheme, initial_lr, own.params or {})

    def candidate(self, batch_size: int) -> Candidate:
        """Return what to train with."""
        return Candidate(
            scheme=self.scheme,
            initial_lr=self.initial_lr,
            optimizer=self.optimizer,
            batch_size=batch_size,
            params=dict(self.params),
        )


USUAL = (
    Rival("Adam at 0.001", "adam", CONSTANT, 0.001),
    Rival("SGD at 0.01", "sgd", CONSTANT, 0.01),
    Rival(RECIPE, "adamw", "cosine", 0.001, {"warmup": 0.05}),
)
"""What people use without a search: two constant rates, Keras' defaults, and a common recipe.

The recipe is AdamW at 0.001 with a linear warm-up over 5% of the updates, and half a cosine down to zero. Its weight
decay is Keras' default, 0.004.
"""


def parse_rivals(text: str) -> tuple[Rival, ...]:
    """Read rivals, comma-separated; none if the text is empty.

    Raises:
        ValueError: if one cannot be read, is given twice, or is compared anyway.

    """
    rivals = tuple(Rival.parse(one) for one in text.split(",")) if text else ()
    known = [one.candidate(1) for one in (*USUAL, *rivals)]
    if any(one in known[:at] for at, one in enumerate(known)):
        raise ValueError(f"expected each once, and none of {', '.join(one.name for one in USUAL)}: these always are")
    return rivals
