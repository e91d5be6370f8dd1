"""The connection to Dask: worker processes that this command starts and ends, or a cluster that runs already."""

import asyncio
import atexit
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError, connect
from distributed.security import Security

from pipeline.cluster import working
from pipeline.config import PrepareOptions
from pipeline.errors import OutsideError, describe, refusal

_TIMEOUT = 10.0
"""Seconds after which a scheduler that does not answer counts as none."""

_CLOSING = 2.0
"""Seconds for closing a connection, of which nothing is needed any more."""

_KILLED = 3
"""Workers of this command's own that a training may take with it before it is given up."""


class Connection:
    """A client, and the cluster of this machine if this command started one.

    Attributes:
        client: Dask's.
        local: how many workers this command started; 0 if it joined a cluster.
        address: the scheduler's.

    """

    def __init__(self, client: Client, cluster: LocalCluster | None, local: int) -> None:
        self.client, self._cluster, self.local = client, cluster, local
        self.address = str(client.scheduler.address)
        working.draw_apart()

    def workers(self, gpu: bool) -> int:
        """Return how many workers there are now, or how many that offer a GPU."""
        with self.needed():
            known = self.client.scheduler_info()["workers"].values()
        return sum(1 for worker in known if not gpu or worker["resources"].get("GPU"))

    def check(self) -> None:
        """See that the scheduler is still there.

        Raises:
            OutsideError: if it is not.

        """
        if self.client.status != "running":
            raise self._gone()

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Say in a line that the scheduler went away meanwhile, where it did.

        Raises:
            OutsideError: if it did.

        """
        self.check()
        try:
            yield
        except CommClosedError as error:
            raise self._gone() from error

    def _gone(self) -> OutsideError:
        said = f"the Dask scheduler at {self.address} is gone; what is trained is kept"
        return OutsideError(f"{said}: run the same command again, with a scheduler that runs")

    def close(self) -> None:
        """Disconnect, and end the processes that this command started: what they have at work is not waited for."""
        if self._cluster is not None:
            for nanny in self._cluster.workers.values():
                nanny.auto_restart = False
            for process in psutil.Process().children():
                if process.pid in {nanny.pid for nanny in self._cluster.workers.values()}:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
        for part in (self.client, self._cluster):
            if part is not None:
                with suppress(Exception):  # nothing can be done about it
                    part.close(timeout=_CLOSING)


_open: dict[tuple[int, str | None], Connection] = {}


def connected(options: PrepareOptions, note: Callable[[str], object]) -> Connection:
    """Return this process's connection for these options; it is closed as the process ends.

    Raises:
        InputError: if the scheduler cannot be reached.

    """
    key = options.workers, options.scheduler
    if key not in _open or _open[key].client.status != "running":
        for name in ("distributed", "distributed.client"):  # what users must know, this project says
            logging.getLogger(name).setLevel(logging.CRITICAL)
        _open[key] = _joined(options.scheduler) if options.scheduler else _started(options.workers)
        atexit.register(_open[key].close)
        # It needs bokeh there, and may be switched off: there is an address all the same.
        client = _open[key].client
        if client.run_on_scheduler(lambda dask_scheduler: bool(dask_scheduler.http_application.applications)):
            note(f"Dask's dashboard: {client.dashboard_link}")
    return _open[key]


def _started(workers: int) -> Connection:
    """Start worker processes on this machine."""
    folder = tempfile.mkdtemp()  # a killed worker cannot remove its own
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,  # the system's own: a worker that is paused looks like one that hangs
        local_directory=folder,
        preload=[working.__name__],
        env={"TMPDIR": folder},
        silence_logs=logging.CRITICAL,
        scheduler_kwargs={"allowed_failures": _KILLED - 1},
    )
    return Connection(Client(cluster, set_as_default=False), cluster, workers)


def _joined(scheduler: str) -> Connection:
    """Connect to a scheduler, given by its address or its file."""
    accepted = "the address of a Dask scheduler that runs, such as tcp://host:8786, or its scheduler file"
    if "://" not in scheduler and not Path(scheduler).is_file():
        raise refusal("scheduler", scheduler, accepted)
    address = scheduler
    try:
        if "://" not in scheduler:
            address = str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])
        asyncio.run(_reached(address))
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if address.startswith("tls://"):
            accepted += ", with certificates that it and this command trust (docs/scale.md, TLS)"
        raise refusal("scheduler", f"{scheduler} ({describe(error)})", accepted) from error
    return Connection(client, None, 0)


async def _reached(address: str) -> None:
    """Connect to a scheduler and leave again: a client that cannot connect takes 20 s to end, with a traceback."""
    given = Security().get_connection_args("client")
    connection = await asyncio.wait_for(connect(address, timeout=_TIMEOUT, **given), _TIMEOUT + 1)
    await connection.close()
