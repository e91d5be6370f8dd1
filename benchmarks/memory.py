"""Peak memory of loading, splitting and training, while the data grow ten times.

    python -m benchmarks.memory [--mib 100] [--factor 10] [--epochs 1] [--folder /tmp] [--sources SOURCE ...]

For each source and size a separate process loads the data, splits, digests and saves them, opens them again as a
later stage does, trains `mlp` and evaluates it on the test set. Its peak memory is what Linux reports at its end
(`VmHWM`, which counts mapped pages). `in memory` is what the same data take below the limit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

SHAPE, CLASSES, BATCH = (64, 64, 3), 10, 250
_PIECE = 1_000
_ROOT = Path(__file__).resolve().parents[1]

KINDS = {
    "in memory": ("data.npz", 2**40),
    "mapped .npz": ("data.npz", 0),
    "mapped .npy": ("folder", 0),
    "tf.data of TFRecord": ("benchmarks.memory:streamed", 0),
}
"""The sources that are measured: the name for `--data`, in the folder of the data, and the memory limit in bytes."""


def images(count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield noise images, whose brightness depends on the class, in pieces; the labels are in random order."""
    random = np.random.default_rng(0)
    for _ in range(count // _PIECE):
        labels = random.integers(0, CLASSES, _PIECE)
        noise = random.integers(0, 100, (_PIECE, *SHAPE), dtype=np.uint8)
        yield noise + (15 * labels).astype(np.uint8)[:, None, None, None], labels


def write(folder: Path, count: int) -> None:
    """Write the same data in all forms, piece by piece."""
    import zipfile

    import tensorflow as tf

    (folder / "folder").mkdir()
    x = np.lib.format.open_memmap(folder / "folder/x_train.npy", "w+", np.uint8, (count, *SHAPE))
    y = np.lib.format.open_memmap(folder / "folder/y_train.npy", "w+", np.int64, (count,))
    with tf.io.TFRecordWriter(str(folder / "records")) as writer:
        for start, (pixels, labels) in enumerate(images(count)):
            piece = slice(start * _PIECE, (start + 1) * _PIECE)
            x[piece], y[piece] = pixels, labels
            for image, label in zip(pixels, labels, strict=True):
                writer.write(bytes([label]) + image.tobytes())
    x.flush()
    y.flush()
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_STORED) as archive:
        for name in ("x_train", "y_train"):
            archive.write(folder / f"folder/{name}.npy", f"{name}.npy")


def streamed() -> tuple[Any, Any]:
    """Return two data sets, as a user's function would; the last tenth of the records is the test set."""
    import tensorflow as tf

    def decode(record: Any) -> tuple[Any, Any]:
        values = tf.io.decode_raw(record, tf.uint8)
        return tf.reshape(values[1:], SHAPE), tf.cast(values[0], tf.int64)

    records = tf.data.TFRecordDataset("records")
    count = Path("folder/y_train.npy").stat().st_size // 8
    decoded = [part.map(decode).batch(100) for part in (records.take(count * 9 // 10), records.skip(count * 9 // 10))]
    return decoded[0], decoded[1]


def measure(kind: str, epochs: int) -> None:
    """Print the peak memory of this process in MiB, seconds and losses, after all that a stage does with the data."""
    from pipeline import datasets
    from pipeline.models import builder
    from pipeline.training import engine

    data, limit = KINDS[kind]
    started = time.perf_counter()
    splits = datasets.split(datasets.load(data, limit=limit), seed=0)
    digests = datasets.digests(splits)
    datasets.save(splits, "splits.npz", data, "target")
    splits = datasets.load_splits("splits.npz")
    build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
    trainer = engine(build, splits, optimizer="sgd", momentum=0.9, batch_size=BATCH, precision="float32")
    training = trainer.train(np.full(epochs * trainer.steps_per_epoch, 0.001), 0, validations=epochs, test=True)
    assert training.test is not None
    found = {"peak": _peak(), "seconds": time.perf_counter() - started, "digest": digests["x_train"][:8]}
    print(json.dumps({**found, "val_loss": training.val_loss, **training.test}))


def _peak() -> float:
    """Return the peak resident memory in MiB. `ru_maxrss` would include that of the process which started this one."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def run(kind: str, folder: Path, epochs: int) -> dict[str, Any]:
    """Measure in a new process, in the folder of the data."""
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", kind, "--epochs", str(epochs)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row per source: its peak at both sizes, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mib", type=int, default=100, help="size of the smaller data")
    parser.add_argument("--factor", type=int, default=10, help="how much larger the larger data are")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="a folder with room for about 3 times the larger data"
    )
    parser.add_argument("--sources", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.measure, options.epochs)
        return
    example = int(np.prod(SHAPE))
    factors = sorted({1, options.factor})
    counts = [max(1, factor * options.mib * 2**20 // example // _PIECE) * _PIECE for factor in factors]
    measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in options.sources}
    for count in counts:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write(Path(folder), count)
            for kind in measured:
                measured[kind].append(run(kind, Path(folder), options.epochs))
    sizes = " and ".join(f"{count:,} ({count * example / 2**20:.0f} MiB)" for count in counts)
    print(f"images of {SHAPE}: {sizes}; mlp, batch {BATCH}")
    print(f"{'source':22}{'peak MiB':>10}{'peak MiB':>10}{'ratio':>8}{'seconds':>9}{'val_loss':>10}  x_train")
    for kind, found in measured.items():
        small, large = found[0], found[-1]
        print(
            f"{kind:22}{small['peak']:10.0f}{large['peak']:10.0f}{large['peak'] / small['peak']:8.2f}"
            f"{large['seconds']:9.0f}{large['val_loss']:10.4f}  {large['digest']}"
        )


if __name__ == "__main__":
    main()
