"""What the model that is kept predicts for the test set: the contents of `predictions.json`, an artifact of `train`."""

from pydantic import BaseModel, TypeAdapter

from pipeline.evaluation import STRICT

PREDICTIONS = "predictions.json"


class Confused(BaseModel):
    """How many test examples of one class the model takes for another."""

    model_config = STRICT

    true: str
    predicted: str
    count: int


class Hard(BaseModel):
    """A test image whose class the model finds least likely.

    `row` counts from 0 within the test set, probabilities are those of the predicted and of the true class, and `image`
    is a PNG file in base64.
    """

    model_config = STRICT

    row: int
    true: str
    predicted: str
    probability: float
    true_probability: float
    image: str


class Label(BaseModel):
    """How well the model finds one of several labels that an example can have; it finds those above one half.

    `found` and `missed` count the test examples that have the label, `wrong` those that are given it without having it.
    """

    model_config = STRICT

    name: str
    found: int
    missed: int
    wrong: int

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None if no example has the label or is given it."""
        all_of_it = 2 * self.found + self.missed + self.wrong
        return 2 * self.found / all_of_it if all_of_it else None


class Values(BaseModel):
    """One predicted value of a regression: some test examples, and the mean absolute error over all of them."""

    model_config = STRICT

    name: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    mean_absolute_error: float


class Predictions(BaseModel):
    """Predictions of one model for all test examples, of one of its outputs.

    `seed` is that of its training, and `output` is empty if there is one output only. Of a classification `counts` has
    a row for each true class and a column for each predicted one, and is empty with many classes; `confused` are the
    most frequent errors and, of images, `hardest` those with the least probability of their class. Of several labels an
    example `labels` are the hardest, and `correct` are examples with all labels right. Of a regression there are
    `values`.
    """

    model_config = STRICT

    seed: int
    examples: int
    output: str = ""
    correct: int = 0
    classes: tuple[str, ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()
    confused: tuple[Confused, ...] = ()
    hardest: tuple[Hard, ...] = ()
    labels: tuple[Label, ...] = ()
    values: tuple[Values, ...] = ()


STORED = TypeAdapter(tuple[Predictions, ...])
"""The contents of `PREDICTIONS`: one for each output."""
