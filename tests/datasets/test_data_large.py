"""Data too large for memory: mapped files, and data sets that are read in passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets import Rows, Splits, Stream
from pipeline.datasets.large import blocks, take
from pipeline.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]
STREAM = """
import numpy as np
import tensorflow as tf

data = np.load("digits.npz")
passes = []

def dataset(first, last):
    return tf.data.Dataset.from_tensor_slices((data["x_train"][first:last], data["y_train"][first:last]))

def load():
    return {train}, dataset(1100, 1300).batch(20)
"""


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Array]:
    """Return 1,797 images with the names of their digits, in a working directory of their own."""
    monkeypatch.chdir(tmp_path)
    raw = datasets.load("digits")
    arrays: dict[str, Any] = {"x_train": raw.x_train, "y_train": np.array([f"digit {label}" for label in raw.y_train])}
    np.savez("digits.npz", allow_pickle=False, **arrays)
    return arrays


def npz(arrays: dict[str, Array]) -> str:
    """Write an uncompressed `.npz`."""
    np.savez("mine.npz", allow_pickle=False, **arrays)
    return "mine.npz"


def npy(arrays: dict[str, Array]) -> str:
    """Write a folder of `.npy` files, one of them in Fortran order."""
    Path("mine").mkdir()
    for name, values in arrays.items():
        np.save(f"mine/{name}.npy", np.asfortranarray(values) if name == "x_train" else values)
    return "mine"


def memmaps(arrays: dict[str, Array]) -> str:
    """Write a function that returns mapped arrays, the inputs as part of a larger map."""
    np.save("x.npy", np.concatenate([arrays["x_train"][:3], arrays["x_train"]]))
    np.save("y.npy", arrays["y_train"])
    code = "import numpy as np\ndef load(): return np.load('x.npy', mmap_mode='r')[3:], np.load('y.npy')\n"
    Path("mapped_data.py").write_text(code)
    return "mapped_data:load"


def same(ours: Splits, theirs: Splits) -> None:
    """Assert that both hold the same values, in memory or on disk."""
    assert datasets.digests(ours) == datasets.digests(theirs)
    for name in ("task", "classes", "num_outputs", "scaling"):
        assert getattr(ours, name) == getattr(theirs, name)


class TestMapped:
    @pytest.mark.parametrize("write", [npz, npy, memmaps])
    def test_only_their_place_differs(self, digits: dict[str, Array], write: Callable[..., str]) -> None:
        """Splits, scaling and digests equal those of the same data in memory, also when opened again."""
        data = write(digits)
        held, mapped = (datasets.split(datasets.load(data, limit=limit), seed=3) for limit in (2**30, 1000))
        assert isinstance(held.x_train, np.ndarray)
        assert isinstance(mapped.x_train, Rows)
        same(mapped, held)
        datasets.save(mapped, "splits.npz", data, "target")
        assert Path("splits.npz").stat().st_size < digits["x_train"].nbytes + 4 * digits["y_train"].nbytes
        again = datasets.load_splits("splits.npz")
        assert isinstance(again.x_test, Rows)
        same(again, held)

    @pytest.mark.parametrize("kind", ["negative images", "table"])
    def test_scaling_is_computed_in_pieces(self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Many blocks give the mean and deviation of the whole."""
        monkeypatch.setattr("pipeline.datasets.large.BLOCK_BYTES", 4096)
        shape = (500, 8, 4, 2) if kind == "negative images" else (500, 7)
        x = np.random.default_rng(0).normal(1, 2, shape)
        np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(500) % 2)
        splits = datasets.split(datasets.load(str(tmp_path / "x.npz"), limit=0), seed=0)
        assert len(list(blocks(splits.x_train))) > 1
        train = np.concatenate(list(blocks(splits.x_train))).astype(np.float64)
        axis = 0 if kind == "table" else None
        np.testing.assert_allclose(splits.scaling.offset, np.atleast_1d(train.mean(axis)), rtol=1e-6)
        np.testing.assert_allclose(splits.scaling.scale, np.atleast_1d(train.std(axis)), rtol=1e-5)

    def test_what_memory_refuses_is_refused_on_disk(self, digits: dict[str, Array]) -> None:
        """One NaN in the last example is refused, and so is a compressed file, which cannot be mapped."""
        x = digits["x_train"].astype(np.float32)
        x[-1, 0, 0] = np.nan
        with pytest.raises(InputError, match=r"1 NaN or infinite, first in example 1796"):
            datasets.load(npz({**digits, "x_train": x}), limit=0)
        np.savez_compressed("small.npz", allow_pickle=False, **digits)
        with pytest.raises(InputError, match=r"compressed and too large .* bytes; accepted: an uncompressed one"):
            datasets.load("small.npz", limit=0)
        assert len(datasets.load("small.npz").x_train) == 1797

    def test_a_changed_source_is_not_taken_for_the_prepared_one(self, digits: dict[str, Array]) -> None:
        """A source with one changed label is refused when opened again."""
        splits = datasets.split(datasets.load(npz(digits), limit=0), seed=0)
        datasets.save(splits, "splits.npz", "mine.npz", "target")
        digits["y_train"][7] = "digit 9"
        npz(digits)
        with pytest.raises(InputError, match=r"mine.npz has changed since it was prepared"):
            datasets.load_splits("splits.npz")

    def test_pickles_are_refused(self, tmp_path: Path) -> None:
        """Opening them could run code."""
        np.save(tmp_path / "x_train.npy", np.array([{}], dtype=object))
        np.save(tmp_path / "y_train.npy", np.zeros(1))
        with pytest.raises(InputError, match="holds Python objects"):
            datasets.load(str(tmp_path))


class TestStream:
    @pytest.fixture
    def opened(self, digits: dict[str, Array]) -> Callable[..., datasets.Raw]:
        """Return a loader of the first 1,000 digits as a data set, with a test set of 200."""

        def load(train: str, limit: int) -> datasets.Raw:
            module = f"streamed_{abs(hash(train))}"
            Path(f"{module}.py").write_text(STREAM.format(train=train))
            return datasets.load(f"{module}:load", limit=limit)

        return load

    @pytest.mark.parametrize("train", ["dataset(0, 1000)", "dataset(0, 1000).batch(64)"])
    def test_the_same_examples_are_in_the_same_splits(self, opened: Callable[..., datasets.Raw], train: str) -> None:
        """Splits are as in memory, though in the data set's own order, batched or not."""
        raw = opened(train, 1000)
        held, streamed = (datasets.split(raw, seed=3) for raw in (opened(train, 2**30), raw))
        assert isinstance(streamed.x_train, Stream)
        for part in ("train", "val", "test"):
            sets = []
            for splits in (held, streamed):
                x, y = np.concatenate(list(blocks(getattr(splits, f"x_{part}")))), getattr(splits, f"y_{part}")
                sets.append(sorted(zip((image.tobytes() for image in x), y.tolist(), strict=True)))
            assert sets[0] == sets[1]
        assert streamed.scaling == held.scaling
        datasets.save(streamed, "splits.npz", streamed.x_train.reader.data, "target")
        same(datasets.load_splits("splits.npz"), streamed)

    def test_data_set_that_shuffles_itself_is_refused(self, opened: Callable[..., datasets.Raw]) -> None:
        """Its examples would move between training and validation."""
        raw = opened("dataset(0, 1000).shuffle(1000)", 0)
        with pytest.raises(InputError, match="differs between passes: received other labels from"):
            datasets.split(raw, seed=0)

    @pytest.mark.parametrize(
        ("size", "received"),
        [
            ("1000 - len(passes)", "999 examples after 1000"),
            ("1000 + len(passes)", "other labels from example 1000"),
        ],
    )
    def test_data_set_that_changes_in_size_is_refused(
        self, opened: Callable[..., datasets.Raw], size: str, received: str
    ) -> None:
        """Each pass has one example fewer, or one more."""
        raw = opened(f"(dataset(0, {size}).batch(50), passes.append(1))[0]", 0)
        splits = datasets.split(raw, seed=0)
        datasets.save(splits, "splits.npz", raw.x_train.reader.data, "target")
        again = datasets.load_splits("splits.npz").x_train
        with pytest.raises(InputError, match=f"differs between passes: received {received}"):
            list(blocks(again))

    def test_rows_are_taken_in_the_order_of_the_data_set(self, opened: Callable[..., datasets.Raw]) -> None:
        """Taking rows of taken rows gives the right examples."""
        raw = opened("dataset(0, 1000).batch(30)", 0)
        part = take(take(raw.x_train, np.arange(0, 1000, 3)), np.arange(5, 300, 2))
        whole = np.concatenate(list(blocks(raw.x_train)))
        np.testing.assert_array_equal(np.concatenate(list(blocks(part))), whole[::3][5:300:2])


class TestRecords:
    @pytest.fixture
    def write(self, digits: dict[str, Array]) -> Callable[..., str]:
        """Return a writer of TFRecord files in a folder: name -> the features of each record."""
        import tensorflow as tf

        def kind(value: Any) -> tf.train.Feature:
            values = np.atleast_1d(value)
            if isinstance(value, bytes):
                return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            if values.dtype.kind == "f":
                return tf.train.Feature(float_list=tf.train.FloatList(value=values))
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

        def write(name: str, records: list[dict[str, Any]]) -> str:
            Path("records").mkdir(exist_ok=True)
            with tf.io.TFRecordWriter(f"records/{name}") as writer:
                for record in records:
                    features = tf.train.Features(feature={name: kind(value) for name, value in record.items()})
                    writer.write(tf.train.Example(features=features).SerializeToString())
            return f"records/{name}"

        return write

    @pytest.mark.parametrize("limit", [0, 2**30])
    def test_images_of_a_folder(self, digits: dict[str, Array], write: Callable[..., str], limit: int) -> None:
        """PNG images with class names are read from two files for training, and one for validation and test each."""
        import tensorflow as tf

        x, y = digits["x_train"][:300], digits["y_train"][:300]
        records = [
            {"image": tf.io.encode_png(image).numpy(), "label": label.encode()}
            for image, label in zip(x, y.tolist(), strict=True)
        ]
        write("digits-train.tfrecord-00000-of-00002", records[:120])
        write("digits-train.tfrecord-00001-of-00002", records[120:190])
        write("digits_val.tfrecord", records[190:200])
        write("digits-test.tfrecord-00000-of-00001", records[200:])
        raw = datasets.load("records", limit=limit)
        assert isinstance(raw.x_train, np.ndarray if limit else Stream)
        assert raw.x_train.dtype == np.uint8
        np.testing.assert_array_equal(np.concatenate(list(blocks(raw.x_train))), x[:190])
        np.testing.assert_array_equal(np.concatenate(list(blocks(raw.x_val))), x[190:200])
        np.testing.assert_array_equal(np.concatenate(list(blocks(raw.x_test))), x[200:])
        assert raw.y_train.tolist() == y[:190].tolist()
        first = datasets.source_digest("records")
        write("digits-test.tfrecord-00000-of-00001", records[201:])
        assert datasets.source_digest("records") != first

    @pytest.mark.parametrize("limit", [0, 2**30])
    def test_tables_with_weights_and_values(self, write: Callable[..., str], limit: int) -> None:
        """Rows of numbers with a float target and a weight are read from one file; a test set is split off."""
        rows = [{"x": [i, -i, 0.5], "label": i / 2, "weight": 1.0 + i} for i in map(float, range(50))]
        raw = datasets.load(write("rows.tfrecord", rows), limit=limit)
        splits = datasets.split(raw, seed=0)
        assert splits.task == "regression"
        for part in ("train", "val", "test"):
            y, w = getattr(splits, f"y_{part}"), getattr(splits, f"w_{part}")
            np.testing.assert_allclose(np.concatenate(list(blocks(getattr(splits, f"x_{part}"))))[:, 0], 2 * y)
            np.testing.assert_allclose(w, 1 + 2 * y)
        if not limit:
            datasets.save(splits, "splits.npz", "records/rows.tfrecord", "target")
            same(datasets.load_splits("splits.npz"), splits)

    @pytest.mark.parametrize(
        ("records", "message"),
        [
            ([{"pixels": 1, "label": 1}], "features 'label', 'pixels'; accepted: tf.train.Example records"),
            ([], "is empty: received no record"),
            ([{"x": [1.0, 2.0], "label": 1}, {"x": [1.0], "label": 1}], "cannot read"),
        ],
    )
    def test_other_records_are_refused(
        self, write: Callable[..., str], records: list[dict[str, Any]], message: str
    ) -> None:
        """The error is one line, with what would be accepted."""
        with pytest.raises(InputError) as caught:
            datasets.load(write("odd.tfrecord", records))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
