"""TFRecord files of `tf.train.Example` records, as a `tf.data.Dataset` of `(x, y)` or `(x, y, weight)`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.datasets.arrays import Raw
from pipeline.datasets.streams import read_datasets
from pipeline.errors import listed, reading, refusal

_ACCEPTED = (
    "tf.train.Example records with a feature `image` (one encoded PNG, JPEG, BMP or GIF image, all of one size) or `x`"
    " (numbers, equally many in each), a feature `label` (one integer, text or float) and, optionally, `weight`"
)
_PATTERN = "*.tfrecord*"
_COMPRESSION = {".gz": "GZIP"}


def record_files(path: Path) -> list[Path]:
    """The files of a data set in TFRecord format: the file itself, or those of a folder by name."""
    return sorted(path.glob(_PATTERN)) if path.is_dir() else [path]


def read_records(path: Path, limit: int) -> Raw:
    """Read TFRecord files, or open them where they hold more than `limit` bytes of data.

    In a folder, files with `test` in their name are the test set, and all others are the training set.

    Raises:
        InputError: if there is none, one is damaged, or its records are not as accepted.

    """
    files = record_files(path)
    held_out = [file for file in files if path.is_dir() and "test" in file.name]
    sets = [part for part in ([file for file in files if file not in held_out], held_out) if part]

    guard = partial(reading, path, _ACCEPTED)
    with guard():
        datasets = [_dataset(part) for part in sets]
    return read_datasets(datasets, str(path), limit, guard)


def _dataset(files: Sequence[Path]) -> Any:
    import tensorflow as tf  # no other file format needs it

    records = tf.data.TFRecordDataset([str(file) for file in files], _COMPRESSION.get(files[0].suffix, ""))
    first = next(records.as_numpy_iterator(), None)
    if first is None:
        raise refusal(f"{files[0]} is empty", "no record", _ACCEPTED)
    known = dict(tf.train.Example.FromString(first).features.feature)
    inputs = next((name for name in ("image", "x") if name in known), None)
    if inputs is None or "label" not in known:
        raise refusal(f"{files[0]} has unusable records", f"features {listed(sorted(known)) or 'none'}", _ACCEPTED)
    wanted = [name for name in (inputs, "label", "weight") if name in known]
    spec = {name: _spec(known[name], scalar=name != "x") for name in wanted}

    def decode(record: Any) -> Any:
        features = tf.io.parse_single_example(record, spec)
        x = features[inputs]
        if inputs == "image":
            x = tf.io.decode_image(x, expand_animations=False)
        return (x, *(features[name] for name in wanted[1:]))

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _spec(feature: Any, *, scalar: bool) -> Any:
    """How to parse a feature that is like this one."""
    import tensorflow as tf

    kind = feature.WhichOneof("kind") or "bytes_list"
    dtype = {"bytes_list": tf.string, "int64_list": tf.int64, "float_list": tf.float32}[kind]
    return tf.io.FixedLenFeature([] if scalar else [len(getattr(feature, kind).value)], dtype)
