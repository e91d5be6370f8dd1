"""The objective: the validation metric that a search optimises, and whether less or more of it is better."""

import re
from dataclasses import dataclass
from typing import Literal, Self

Direction = Literal["min", "max"]

_WRITTEN = re.compile(r"(?:(min|max):)?(val_.+)")

_BETTER_HIGH = re.compile(
    r"_(acc|accuracy|auc|dice|f1|fbeta|io_u|iou|precision|r2|recall|sensitivity|specificity)(?=_|$)",
    re.IGNORECASE,
)
_BETTER_LOW = re.compile(
    r"_(cosh|crossentropy|divergence|error|hinge|loss|mae|mape|mse|msle|poisson|rmse)(?=_|$)", re.IGNORECASE
)


@dataclass(frozen=True)
class Objective:
    """A validation metric, by its name in Keras' logs, and its better direction."""

    metric: str
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `val_auc`, or `max:val_gain` where the name does not show the direction.

        Raises:
            ValueError: if it names no validation metric, or the direction is unknown.

        """
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ValueError("expected val_loss, val_accuracy, or val_ and the name of a metric of the model")
        metric = written[2]
        direction: Direction | None = usual_direction(metric)
        if written[1]:
            direction = "min" if written[1] == "min" else "max"
        if direction is None:
            raise ValueError(f"expected max:{metric} or min:{metric}, as the name does not show which is better")
        return cls(metric, direction)

    @property
    def label(self) -> str:
        """The metric in words: "validation loss"."""
        return self.metric.replace("val_", "validation ", 1).replace("_", " ")

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a share of examples, so that it moves in steps."""
        return self.metric.endswith(("accuracy", "acc"))

    def oriented(self, value: float) -> float:
        """Return the value, negated where more is better, so that less always is; a second call undoes the first."""
        return value if self.direction == "min" else -value


VAL_LOSS = Objective("val_loss", "min")
"""The default objective."""


def usual_direction(metric: str) -> Direction | None:
    """Return the better direction implied by a word in the metric's name; None if no word does, or if two disagree."""
    high, low = _BETTER_HIGH.search(metric), _BETTER_LOW.search(metric)
    if (high is None) == (low is None):
        return None
    return "max" if high else "min"
