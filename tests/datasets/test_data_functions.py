"""Data from users' own functions."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import datasets
from pipeline.errors import InputError

ARRAYS = """
import numpy as np

x = np.arange(40.0).reshape(20, 2)
y = np.arange(20) % 2
"""
TENSORS = """
import numpy as np
import tensorflow as tf

images = np.arange(12 * 4 * 4, dtype=np.uint8).reshape(12, 4, 4)
codes = np.arange(12) % 4
one_hot = np.eye(4, dtype=np.float32)[codes]
plain = tf.data.Dataset.from_tensor_slices((images, codes))
hot = tf.data.Dataset.from_tensor_slices((images, one_hot))
"""


@pytest.fixture
def load_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], datasets.Raw]]:
    """Return a loader of the function `load` in a module that is written to the working directory."""
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)

    def load(code: str) -> datasets.Raw:
        Path("own_data.py").write_text(code)
        return datasets.load("own_data:load")

    yield load
    for name in set(sys.modules) - known:
        if name.startswith("own_data"):
            del sys.modules[name]


Load = Callable[[str], datasets.Raw]


@pytest.mark.parametrize("returned", ["x, y", "[x, y]", "x.tolist(), y.tolist()"])
def test_arrays_without_a_test_set(load_code: Load, returned: str) -> None:
    """`(x, y)` is all training data, to be split."""
    raw = load_code(f"{ARRAYS}\ndef load():\n    return {returned}\n")
    np.testing.assert_array_equal(raw.x_train, np.arange(40.0).reshape(20, 2))
    np.testing.assert_array_equal(raw.y_train, np.arange(20) % 2)
    assert raw.x_test is None


def test_arrays_with_a_test_set(load_code: Load) -> None:
    """`((x_train, y_train), (x_test, y_test))` is accepted, as Keras' own loaders return it."""
    raw = load_code(f"{ARRAYS}\ndef load():\n    return (x, y), (x[:4], y[:4])\n")
    assert len(raw.x_train) == 20
    assert raw.x_test is not None
    np.testing.assert_array_equal(raw.x_test, raw.x_train[:4])


@pytest.mark.parametrize(
    "pipeline",
    [
        "plain",
        "plain.batch(5)",  # a smaller last batch
        "plain.batch(4, drop_remainder=True)",
        "plain.batch(1)",
        "hot",  # as many rows in an image as there are classes
        "hot.batch(5)",
        "hot.batch(4, drop_remainder=True)",  # as many examples in a batch as there are classes
    ],
)
def test_tf_data_is_read_whole_batched_or_not(load_code: Load, pipeline: str) -> None:
    """However it is batched and labelled, the same examples come out in the same order."""
    raw = load_code(f"{TENSORS}\ndef load():\n    return {pipeline}, {pipeline}.take(2)\n")
    np.testing.assert_array_equal(raw.x_train[..., 0], np.arange(192).reshape(12, 4, 4))
    np.testing.assert_array_equal(raw.y_train, np.arange(12) % 4)
    assert raw.x_test is not None
    np.testing.assert_array_equal(raw.x_test, raw.x_train[: len(raw.x_test)])


def test_functions_in_packages_may_import_their_neighbours_late(load_code: Load, tmp_path: Path) -> None:
    """The working directory stays importable while the function runs, and only then."""
    package = tmp_path / "own_data_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "numbers_.py").write_text(ARRAYS)
    (package / "loading.py").write_text(
        "def load():\n    from own_data_package import numbers_\n    return numbers_.x, numbers_.y\n"
    )
    before = list(sys.path)
    assert len(datasets.load("own_data_package.loading:load").x_train) == 20
    assert sys.path == before


@pytest.mark.parametrize(
    ("code", "received", "accepted"),
    [
        ("def other(): pass", "own_data:load", "own_data has 'other'"),
        ("load = 3", "own_data:load", "own_data has none"),
        ("def load(): return 1 / 0", "ZeroDivisionError: division by zero (own_data.py, line 1)", "(x, y)"),
        ("import json\ndef load(): json.loads('?')", "JSONDecodeError: Expecting value", "(x, y)"),
        ("import json\ndef load(): json.loads('?')", "(own_data.py, line 2)", "(x, y)"),
        ("def load(path): pass", "TypeError: load() missing 1 required positional argument", "(x, y)"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library' (own_data.py", "(x, y)"),
        ("def load(:", "SyntaxError", "(x, y)"),
        ("raise SystemExit('usage: own_data')", "SystemExit: usage: own_data", "(x, y)"),
        ("def load(): raise GeneratorExit", "GeneratorExit (own_data.py, line 1)", "(x, y)"),
        ("def load(): raise ValueError('two\\nlines')", "ValueError: two lines", "(x, y)"),
        ("def load(): return None", "NoneType", "(x, y)"),
        ("def load(): return [1], [2], [3], [4]", "tuple of 4", "(x, y)"),
        ("def load(): return [[1], [2, 3], [4]], [0, 1, 0]", "ValueError: setting an array element", "(x, y)"),
        ("def load(): return {'a': 1}, [1]", "()", "numbers or booleans"),
        (
            "def load(): return {'a': [[1.0]], 'b': [[1.0], [2.0]]}, [1]",
            "a 1, b 2",
            "the same number of examples of each",
        ),
        ("def load(): return {}, [1]", "none", "name -> array"),
        (f"{TENSORS}\ndef load(): return plain.repeat(), plain", "an endless one", "without repeat()"),
        (f"{TENSORS}\ndef load(): return plain.take(0), plain", "an empty one", "at least one (x, y)"),
        (f"{TENSORS}\ndef load(): return plain.map(lambda x, y: x), plain", "elements TensorSpec", "elements (x, y)"),
        (
            f"{TENSORS}\ndef load():\n    def one(i): raise KeyError('lost')\n"
            "    return plain.map(lambda x, y: (tf.numpy_function(one, [y], tf.int64), y)), plain",
            "KeyError: 'lost'",
            "(x, y)",
        ),
        (
            f"{TENSORS}\ndef load():\n    spec = tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)\n"
            "    ragged = lambda: iter([([1.0], 0), ([1.0, 2.0], 1)])\n"
            "    return tf.data.Dataset.from_generator(ragged, output_signature=spec), plain",
            "ValueError: all input arrays must have the same shape",
            "examples of one shape",
        ),
    ],
)
def test_unusable_function_is_one_line(load_code: Load, code: str, received: str, accepted: str) -> None:
    """Any error of user code is reported in one line, with its place in that code."""
    with pytest.raises(InputError) as caught:
        load_code(code)
    message = str(caught.value)
    assert "\n" not in message
    assert received in message.partition("received ")[2]
    assert accepted in message.partition("; accepted: ")[2]


@pytest.mark.parametrize("data", ["no_such_module:load", "no_such_package.module:load"])
def test_unknown_module_is_distinguished_from_a_failing_one(data: str) -> None:
    """A misspelt module is not reported as a failure inside the user's code."""
    with pytest.raises(InputError, match=f"no such module: received {data}; accepted: .*, in a module on PYTHONPATH"):
        datasets.load(data)
