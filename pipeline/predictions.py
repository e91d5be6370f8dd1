"""What the model that is kept predicts for the test set: the contents of `predictions.json`, an artifact of `train`."""

from pydantic import BaseModel

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


class Values(BaseModel):
    """One predicted value of a regression: some test examples, and the mean absolute error over all of them."""

    model_config = STRICT

    true: tuple[float, ...]
    predicted: tuple[float, ...]
    mean_absolute_error: float


class Predictions(BaseModel):
    """Predictions of one model for all test examples.

    `seed` is that of its training. Of a classification `counts` has a row for each true class and a column for each
    predicted one, and is empty with many classes; `confused` are the most frequent errors and, of images, `hardest`
    those with the least probability of their class. Of a regression there are `values`.
    """

    model_config = STRICT

    seed: int
    examples: int
    correct: int = 0
    classes: tuple[str, ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()
    confused: tuple[Confused, ...] = ()
    hardest: tuple[Hard, ...] = ()
    values: tuple[Values, ...] = ()
