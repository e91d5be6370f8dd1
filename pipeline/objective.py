"""The objective: which validation metric a search judges by, and whether less or more of it is better."""

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
    """A validation metric by the name that Keras logs it under, and its better direction."""

    metric: str
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `val_auc`, or `max:val_gain` where the name does not tell the direction; else raise ValueError."""
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ValueError("expected val_loss, val_accuracy, or val_ and the name of a metric of the model")
        metric = written[2]
        direction: Direction | None = usual_direction(metric)
        if written[1]:
            direction = "min" if written[1] == "min" else "max"
        if direction is None:
            raise ValueError(f"expected max:{metric} or min:{metric}, as the name does not tell which is better")
        return cls(metric, direction)

    @property
    def label(self) -> str:
        """The metric in words: "validation loss"."""
        return self.metric.replace("val_", "validation ", 1).replace("_", " ")

    def oriented(self, value: float) -> float:
        """The value so signed that less is better: as it is, or its negative; applied again it is undone."""
        return value if self.direction == "min" else -value


VAL_LOSS = Objective("val_loss", "min")
"""What is judged by unless something else is asked for."""


def usual_direction(metric: str) -> Direction | None:
    """The better direction by a word of the metric's name, None where it has no such word, or two that disagree."""
    high, low = _BETTER_HIGH.search(metric), _BETTER_LOW.search(metric)
    if (high is None) == (low is None):
        return None
    return "max" if high else "min"
