"""What results of several stages are made of."""

from math import isfinite
from typing import Self

from pydantic import BaseModel

from pipeline.evaluation import STRICT


class Result(BaseModel):
    """Base of all results: immutable, and unknown fields are refused."""

    model_config = STRICT


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


class Cost(Result):
    """The cost in seconds, passes over the training set, examples processed, and trainings of full length."""

    seconds: float
    epochs: float
    examples: int
    trainings: float = 0.0


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
