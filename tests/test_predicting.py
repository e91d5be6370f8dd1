import base64
from io import BytesIO
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import Output, Scaling, Splits
from pipeline.lr_pipeline_model import VALUES, Outputs
from pipeline.predictions import Confused, Label
from pipeline.stages.predicting import predictions


def _splits(x: Any, y: Any, **changes: Any) -> Splits:
    """Return data that are all test set."""
    fields: dict[str, Any] = {f"{letter}_{part}": v for letter, v in (("x", x), ("y", y)) for part in ("train", "val")}
    return Splits(
        **fields, x_test=x, y_test=y, scaling=Scaling(offset=(0.0,), scale=(1.0,)),
        **{"task": "classification", "classes": ("ant", "bee", "cat"), "num_outputs": 3, **changes},
    )  # fmt: skip


def _answering(shape: tuple[int, ...], outputs: int) -> keras.Model:
    """Return a network whose outputs are the first values of its input."""
    last = keras.layers.Dense(outputs, use_bias=False)
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), last])
    last.set_weights([np.eye(int(np.prod(shape)), outputs)])
    return network


IMAGES = np.zeros((5, 2, 2, 1), np.uint8)
IMAGES[:, 0, :, 0] = [[9, 0], [9, 0], [0, 9], [0, 8], [1, 0]]
IMAGES[2, 1, 0, 0] = 4
LABELS = np.array([0, 1, 1, 0, 0], np.int32)
CLASSES = Outputs(("ant", "bee", "cat"), "softmax")


def test_classes_are_counted_by_true_and_predicted_class() -> None:
    """Rows are true classes; the most frequent errors come first; probabilities are those of the model."""
    (found,) = predictions(_answering((2, 2, 1), 3), CLASSES, _splits(IMAGES, LABELS), seed=7)
    assert (found.seed, found.examples, found.correct) == (7, 5, 3)
    assert found.counts == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    assert found.confused == (
        Confused(true="ant", predicted="bee", count=1), Confused(true="bee", predicted="ant", count=1),
    )  # fmt: skip
    assert found.values == ()


def test_the_hardest_images_come_with_their_pictures() -> None:
    """The least likely true class first; 9 of at most 9 is drawn white."""
    (found,) = predictions(_answering((2, 2, 1), 3), CLASSES, _splits(IMAGES, LABELS), seed=7)
    assert [one.row for one in found.hardest] == [1, 3, 4, 2, 0]
    first = found.hardest[0]
    assert (first.true, first.predicted) == ("bee", "ant")
    assert first.true_probability == pytest.approx(1 / (np.exp(9) + 2))
    assert first.probability == pytest.approx(np.exp(9) / (np.exp(9) + 2))
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(first.image))))
    assert picture.tolist() == [[255, 0], [0, 0]]


def test_large_photographs_are_made_smaller_and_keep_their_colours() -> None:
    """A report of them stays small; bytes that reach far are drawn as they are."""
    photographs = np.zeros((1, 300, 150, 3), np.uint8)
    photographs[..., 0] = 200
    (found,) = predictions(_answering((300, 150, 3), 3), CLASSES, _splits(photographs, LABELS[:1]), seed=0)
    picture = Image.open(BytesIO(base64.b64decode(found.hardest[0].image)))
    assert picture.size == (48, 96)
    assert picture.getpixel((0, 0)) == (200, 0, 0)


def test_tables_have_no_pictures_and_one_unit_stands_for_two_classes() -> None:
    """Its output is the probability of the second."""
    x = np.array([[0.9], [0.2]], np.float32)
    splits = _splits(x, np.array([1, 1], np.int32), classes=("no", "yes"), num_outputs=2)
    (found,) = predictions(_answering((1,), 1), Outputs(("no", "yes")), splits, seed=0)
    assert found.counts == ((0, 0), (1, 1))
    assert found.hardest == ()


def test_many_classes_have_no_matrix() -> None:
    """It would not fit; the most frequent errors do."""
    classes = tuple(f"class {at}" for at in range(30))
    x = np.eye(30, dtype=np.float32)
    splits = _splits(x, np.roll(np.arange(30), 1).astype(np.int32), classes=classes, num_outputs=30)
    (found,) = predictions(_answering((30,), 30), Outputs(classes, "softmax"), splits, seed=0)
    assert found.counts == ()
    assert found.correct == 0
    assert len(found.confused) == 10


def test_values_are_compared_one_by_one() -> None:
    """Each predicted value has its own errors, over all test examples, though not all are kept."""
    x = np.stack([np.arange(1000.0), np.arange(1000.0) + 3], axis=1).astype(np.float32)
    y = np.stack([x[:, 0] - 1, x[:, 1] + 2], axis=1)
    splits = _splits(x, y, task="regression", classes=(), num_outputs=2)
    (found,) = predictions(_answering((2,), 2), VALUES, splits, 0, ("mpg", "weight"))
    first, second = found.values
    assert (first.name, second.name) == ("mpg", "weight")
    assert (first.mean_absolute_error, second.mean_absolute_error) == (1, 2)
    assert len(first.true) == len(first.predicted) == 400
    assert (first.true[0], first.predicted[0], first.predicted[-1]) == (-1, 0, 999)


def test_labels_are_counted_one_by_one_and_the_hardest_come_first() -> None:
    """A label that is never given and never occurs comes last, without a score."""
    x = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    y = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    splits = _splits(x, y, task="multi_label")
    (found,) = predictions(_answering((3,), 3), Outputs(("ant", "bee", "cat")), splits, seed=0)
    assert found.correct == 2
    assert found.labels == (
        Label(name="bee", found=1, missed=1, wrong=1),
        Label(name="ant", found=3, missed=0, wrong=0),
        Label(name="cat", found=0, missed=0, wrong=0),
    )
    assert [one.f1 for one in found.labels] == [0.5, 1, None]


def test_each_of_several_outputs_has_its_own_errors() -> None:
    """In the order of the data, whatever the order of the network."""
    x = np.array([[0, 1, 7], [1, 0, 9]], np.float32)
    image = keras.Input((3,))
    size = keras.layers.Dense(1, use_bias=False, name="size")
    kind = keras.layers.Dense(2, use_bias=False, name="kind")
    network = keras.Model(image, {"size": size(image), "kind": kind(image)})
    size.set_weights([np.array([[0], [0], [1]])])
    kind.set_weights([np.array([[1, 0], [0, 1], [0, 0]])])
    y = np.array([(1, 5), (1, 10)], [("kind", np.int32), ("size", np.float32)])
    described = {
        "kind": Output(task="classification", num_outputs=2, classes=("ant", "bee")),
        "size": Output(task="regression", num_outputs=1, classes=()),
    }
    widths = {"kind": 2, "size": 1}
    splits = _splits(x, y, task="several", classes=(), num_outputs=widths, outputs=described)
    outputs = {"kind": Outputs(("ant", "bee"), "softmax"), "size": VALUES}
    first, second = predictions(network, outputs, splits, seed=3)
    assert (first.output, first.counts, first.values) == ("kind", ((0, 0), (1, 1)), ())
    assert (second.output, second.classes) == ("size", ())
    assert second.values[0].mean_absolute_error == pytest.approx(1.5)
