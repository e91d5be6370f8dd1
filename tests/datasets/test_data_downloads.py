"""Downloads: of files as published, and of no others."""

import gzip
import hashlib
import io
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets.downloads import DOWNLOADS
from pipeline.errors import InputError
from tests.datasets.conftest import Array, idx_bytes

RNG = np.random.default_rng(0)


def npz() -> dict[str, bytes]:
    """Return a file as of MNIST, with few images."""
    file = io.BytesIO()
    sets = {f"x_{part}": RNG.integers(0, 256, (20, 28, 28), np.uint8) for part in ("train", "test")}
    np.savez(file, allow_pickle=False, y_train=np.arange(20) % 2, y_test=np.arange(20) % 2, **sets)
    return {"mnist.npz": file.getvalue()}


def idx() -> dict[str, bytes]:
    """Return files as of Fashion-MNIST, with few images."""
    images, labels = RNG.integers(0, 256, (20, 28, 28), np.uint8), np.arange(20) % 2
    contents = (images, labels, images, labels)
    return {
        name: gzip.compress(idx_bytes(values))
        for name, values in zip(DOWNLOADS["fashion_mnist"].sha256, contents, strict=True)
    }


def batch(labels: Array) -> bytes:
    """Return a file as of CIFAR-10: images with planes of red, green and blue, each of one value."""
    colours = np.repeat(np.array([[10, 20, 30]] * len(labels), np.uint8), 32 * 32, axis=1)
    return np.concatenate([labels[:, np.newaxis].astype(np.uint8), colours], axis=1).tobytes()


def cifar() -> dict[str, bytes]:
    """Return an archive as of CIFAR-10, with few images."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            content = batch(np.arange(4) % 2)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return {"cifar-10-binary.tar.gz": file.getvalue()}


FILES = {"mnist": npz, "fashion_mnist": idx, "cifar10": cifar}


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a data set whose files are in a folder in place of a server, with digests of their own."""
    (tmp_path / "server").mkdir()
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "cache"))
    own: str = request.param
    files = FILES[own]()
    for file, content in files.items():
        (tmp_path / "server" / file).write_bytes(content)
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    served = replace(DOWNLOADS[own], origin=(tmp_path / "server").as_uri(), sha256=digests)
    monkeypatch.setitem(DOWNLOADS, own, served)
    return own


def test_a_data_set_is_downloaded_once(name: str, tmp_path: Path) -> None:
    """Later it comes from Keras' cache, also without the server."""
    first = datasets.load(name)
    for file in (tmp_path / "server").iterdir():
        file.unlink()
    again = datasets.load(name)
    assert first.x_test is not None
    assert first.x_train.shape == {"cifar10": (20, 32, 32, 3)}.get(name, (20, 28, 28, 1))
    assert len(first.x_test) == {"cifar10": 4}.get(name, 20)
    assert first.y_train.tolist() == [0, 1] * 10
    np.testing.assert_array_equal(first.x_train, again.x_train)
    if name == "cifar10":
        assert first.x_train[0, 5, 6].tolist() == [10, 20, 30]


def test_another_file_than_the_published_one_is_refused(name: str, tmp_path: Path) -> None:
    """Also if it is one that could be read."""
    other = FILES[name]()
    changed = next(iter(other))
    (tmp_path / "server" / changed).write_bytes(other[changed] + b"\0")
    with pytest.raises(InputError, match=f"^cannot download {name}: received ValueError: Incomplete or corrupted file"):
        datasets.load(name)


def test_a_damaged_file_in_the_cache_is_replaced(name: str, tmp_path: Path) -> None:
    """Without a server it is refused."""
    first = datasets.load(name)
    (damaged, *_) = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    np.testing.assert_array_equal(datasets.load(name).x_train, first.x_train)
    damaged.write_bytes(b"damaged")
    for file in (tmp_path / "server").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=f"^cannot download {name}: received"):
        datasets.load(name)


@pytest.mark.parametrize("published", DOWNLOADS)
def test_download_succeeds_or_names_the_offline_choices(published: str) -> None:
    """Without a network, one line lists what works without one; with a network or a cached copy, data are loaded."""
    before = socket.getdefaulttimeout()
    try:
        raw = datasets.load(published)
    except InputError as error:
        message = str(error)
        assert message.startswith(f"cannot download {published}: received ")
        assert "accepted: without a network, one of mnist-5k, digits, a path" in message
        assert "\n" not in message
    else:
        assert len(raw.x_train) in (50_000, 60_000)
        assert raw.x_test is not None
        assert len(raw.x_test) == 10_000
    assert socket.getdefaulttimeout() == before
