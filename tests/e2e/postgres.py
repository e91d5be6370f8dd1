"""A real PostgreSQL on loopback, as the backend of a team's MLflow server."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.project import PATIENCE
from tests.e2e.server import free_port

_DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version, outside PATH."""

_UNPRIVILEGED = "postgres"
"""Who runs it where the tests run as root, which PostgreSQL refuses; Debian's package makes this user."""


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where it is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def postgres(found: Path) -> Iterator[tuple[str, Path]]:
    """Run a PostgreSQL with an empty database: give its URI, and the folder of all that it keeps."""
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    if user:
        shutil.chown(folder, user)
    setup = (found / "initdb", "--pgdata", folder / "data", "--username", "mlflow", "--auth", "trust", "--no-sync")
    subprocess.run(setup, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    # Nothing of a test needs to survive a power cut; sockets have short paths, so it listens on loopback only.
    own = ("fsync=off", f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
    command = (str(found / "postgres"), "-D", str(folder / "data"), *(part for one in own for part in ("-c", one)))
    log = folder / "postgres.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=file, stderr=file)
    try:
        ready = (found / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port))
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(ready, check=False).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres", folder
    finally:
        process.send_signal(signal.SIGINT)  # ends without waiting for its clients
        process.wait(timeout=PATIENCE)
        shutil.rmtree(folder)
