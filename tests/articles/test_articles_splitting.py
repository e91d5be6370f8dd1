"""The articles' splits of the data."""

import numpy as np
import pytest

from pipeline.articles.experiment import as_published, refuse_unusable, split_as_articles
from pipeline.datasets import PrepareResult, Raw, Scaling, Task, load, split
from pipeline.datasets.conform import conform
from pipeline.errors import InputError


@pytest.fixture
def official() -> Raw:
    """Return 63 training and 20 test images of 4x4 pixels; the first pixel is the number of the example."""
    x = np.zeros((83, 4, 4), np.uint8)
    x[:, 0, 0] = np.arange(83)
    x[:, 3, 3] = 255
    y = np.arange(83) % 3 + 4
    return conform(Raw(x[:63], y[:63], x[63:], y[63:]))


def examples(x: np.ndarray) -> list[int]:
    """Return the numbers of the examples."""
    return [int(pixel) for pixel in x[:, 0, 0, 0]]


def test_article_a_trains_on_everything_and_validates_on_the_test_set(official: Raw) -> None:
    """In the order of the source, labels as codes, pixels by 255."""
    splits = split_as_articles(official, "a", seed=1)
    assert examples(splits.x_train) == list(range(63))
    assert examples(splits.x_val) == examples(splits.x_test) == list(range(63, 83))
    assert list(splits.y_train[:4]) == [0, 1, 2, 0]
    np.testing.assert_array_equal(splits.y_val, splits.y_test)
    assert splits.scaling.scale == (255.0,)


def test_article_b_holds_out_the_last_fifth(official: Raw) -> None:
    """As Keras' `validation_split=0.2`, which rounds what is kept down: 50 of 63."""
    splits = split_as_articles(official, "b", seed=1)
    assert examples(splits.x_train) == list(range(50))
    assert examples(splits.x_val) == list(range(50, 63))
    assert examples(splits.x_test) == list(range(63, 83))


def test_without_a_test_set_the_ordinary_split_serves() -> None:
    """Article a would have nothing to validate on."""
    raw = load("digits")
    assert not as_published(raw)
    np.testing.assert_array_equal(split_as_articles(raw, "a", 3).x_val, split(raw, 3).x_val)


def prepared(task: Task, *shape: int) -> PrepareResult:
    """Return the result of `prepare` for data of this kind."""
    return PrepareResult(
        data="own",
        task=task,
        input_shape=shape,
        num_outputs=2,
        classes=("no", "yes"),
        train_examples=60,
        validation_examples=20,
        test_examples=20,
        scaling=Scaling(scale=(1.0,), offset=(0.0,)),
        digests={},
    )


def test_values_and_tables_are_refused() -> None:
    """Both articles classify; article b's networks take images, article a's take anything."""
    for article in ("a", "b", "all"):
        with pytest.raises(InputError, match="classes"):
            refuse_unusable(prepared("regression", 8, 8, 1), article)
        refuse_unusable(prepared("classification", 8, 8, 1), article)
    for article in ("b", "all"):
        with pytest.raises(InputError, match="images"):
            refuse_unusable(prepared("classification", 5), article)
    refuse_unusable(prepared("classification", 5), "a")
