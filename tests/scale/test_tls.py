"""A Dask cluster whose connections are encrypted: who has no certificate that it trusts is refused."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import dask
import pytest
from distributed.security import Security

from pipeline.cluster.connection import connected
from pipeline.config import PrepareOptions
from pipeline.errors import InputError
from tests.e2e.project import Project
from tests.scale.processes import Processes, processes

pytestmark = pytest.mark.slow

TLS = "distributed.comm.tls"
ROLES = ("scheduler", "worker", "client")


def certificates(folder: Path) -> Mapping[str, str]:
    """Write a key and a certificate that is its own authority, and return the settings that name them."""
    folder.mkdir()
    key, own = folder / "key.pem", folder / "cert.pem"
    made = Security.temporary()
    key.write_text(made.tls_client_key, encoding="utf-8")
    own.write_text(made.tls_client_cert, encoding="utf-8")
    files = {f"{role}.{what}": file for role in ROLES for what, file in (("cert", own), ("key", key))}
    return {f"{TLS}.{name}": str(file) for name, file in {"ca-file": own, **files}.items()}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return what scheduler, workers and command have in common."""
    return certificates(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def started(settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a scheduler and a worker that trust nobody else."""
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(f"DASK_{name}".replace(".", "__").replace("-", "_").upper(), value)
        with processes(folder, "--protocol", "tls") as made:
            made.start_worker()
            yield made


def address(started: Processes) -> str:
    """Return the scheduler's address."""
    return str(json.loads(started.file.read_text(encoding="utf-8"))["address"])


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        ([], "TLS expects a `ssl_context`"),
        ([f"{TLS}.ca-file"], "TLS certificate does not match"),
        ([f"{TLS}.client.cert", f"{TLS}.client.key"], "SSL"),
    ],
    ids=["none", "authority", "client"],
)
def test_certificates_that_do_not_fit_are_refused(
    started: Processes, settings: Mapping[str, str], unknown: list[str], said: str, tmp_path: Path
) -> None:
    """None at all, an authority that did not sign the scheduler's, and one that the scheduler does not trust."""
    others = certificates(tmp_path / "others")
    given = {**settings, **{name: others[name] for name in unknown}} if unknown else {}
    scheduler = re.escape(address(started))
    refused = rf"^scheduler: received {scheduler} \(.*{said}.*; accepted: .*certificates that it and this command trust"
    with dask.config.set(given), pytest.raises(InputError, match=refused):
        connected(PrepareOptions(scheduler=address(started)), print)


def test_a_command_trains_by_tls(started: Processes, settings: Mapping[str, str], tmp_path: Path) -> None:
    """Where scheduler, worker and command trust each other."""
    with dask.config.set(settings):
        ended = Project(tmp_path).here("train", scheduler=address(started), scheme="cosine", initial_lr=0.05, seeds=1)
    assert address(started).startswith("tls://")
    assert "test accuracy" in ended.stdout
