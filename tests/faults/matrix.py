"""Every fault, how often each is tried, and the report on what came of them.

python -m tests.faults.matrix [WORD ...]   writes reports/reliability.md; with words, only the rows with one of them
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from threading import Lock

from tests.e2e.project import ROOT
from tests.faults import damage, kills, limits, servers
from tests.faults.disturbed import Bench, Outcome

REPORT = ROOT / "reports" / "reliability.md"


@dataclass(frozen=True)
class Fault:
    """A row of the table: what is done to a command, how often, and the function that does it."""

    name: str
    times: int
    strike: Callable[[Bench, Random], Iterable[Outcome] | Outcome]

    def tried(self, bench: Bench) -> Iterator[Outcome]:
        """Yield what came of it, each time at another moment."""
        for number in range(self.times):
            try:
                found = self.strike(bench, Random(f"{self.name} {number}"))
                yield from [found] if isinstance(found, Outcome) else found
            except Exception as error:  # whatever it is, the others are still to be tried
                yield Outcome(" ".join(f"{'' if isinstance(error, AssertionError) else repr(error)}{error}".split()))


def _journeys(table: dict[str, kills.Kill], points: Sequence[str]) -> list[Fault]:
    return [Fault(name, 1, partial(kills.journey, kill, points)) for name, kill in table.items()]


def _set_up(name: str, times: int, kill: kills.Kill) -> Fault:
    mended = ", then `doctor --fix`" if kill.mlflow else ""
    return Fault(f"{name} while the store is set up{mended}", times, partial(kills.while_set_up, kill))


KILLED = [
    *_journeys(kills.KILLS, kills.POINTS),
    *(_set_up(name, 5, kills.KILLS[name]) for name in kills.KILLS if "stage" not in name and "below" not in name),
    *_journeys(kills.SIGNALS, ("main", "range_test", "search", "train")),
    *(_set_up(name, 2, kill) for name, kill in kills.SIGNALS.items()),
]
"""Commands that are ended."""

FAILED = [
    Fault("SIGTERM while a server does not answer", 2, servers.signal_while_mute(15)),
    Fault("SIGINT while a server does not answer", 2, servers.signal_while_mute(2)),
    Fault("SIGTERM while the server is gone", 1, servers.signal_while_gone),
    Fault("server not there from the start", 1, servers.no_server),
    Fault("server gone for good in mid-search", 1, servers.server_gone),
    Fault("server restarted in mid-search", 1, servers.server_restarted),
    *(Fault(f"disk full during {stage}", 1, limits.disk_full(stage)) for stage in ("range_test", "search", "train")),
    Fault("temporary folder full", 1, limits.temporary_disk_full),
    Fault("limit on the size of files", 1, limits.file_limit),
    *(Fault(f"`{name}` read-only", 1, limits.read_only(name)) for name in ("mlflow.db", "mlruns")),
    Fault("project's folder read-only", 1, limits.read_only(".")),
    Fault("`reports/` read-only", 1, limits.reports_read_only),
    Fault("artifacts deleted, database kept", 1, damage.artifacts_deleted),
    *(Fault(f"`result.json` of {stage} cut", 1, damage.result_cut(stage)) for stage in ("range_test", "search")),
    Fault("`lr_curve.csv` of a training gone", 1, damage.damaged("search", "trial", "lr_curve.csv", None)),
    Fault("`result.json` of a training cut", 1, damage.damaged("search", "confirmation", "result.json", 100)),
    Fault("`weights.npz` of a training cut", 1, damage.damaged("train", "final", "weights.npz", 1_000)),
    Fault("champion's files gone", 1, damage.champion_gone),
    Fault("same command twice at once", 2, servers.two_at_once),
    Fault("same command twice at once on a server", 2, servers.two_at_once_on_server),
    Fault("password in the server's address", 1, servers.password),
    Fault("memory limited", 2, limits.out_of_memory),
]
"""Commands around which something fails."""

FAULTS = [*KILLED, *FAILED]


def main(words: Sequence[str]) -> None:
    """Try every fault, or those whose names hold one of the words, and write the report after each."""
    from benchmarks.performance_forms import description  # loads TensorFlow

    wanted = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    machine = f"{description()}, load average {os.getloadavg()[2]:.1f}"
    known, guard = _known() if words else {}, Lock()
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job and what it starts would ignore it

    def tried(faults: Sequence[Fault], folder: Path) -> None:
        bench = Bench(folder) if faults else None
        for fault in faults:
            assert bench is not None
            lines = _lines(fault.name, list(fault.tried(bench)))
            with guard:
                known[fault.name] = lines
                print(*lines, sep="\n", flush=True)
                REPORT.write_text("\n".join(_report(known, machine)) + "\n", encoding="utf-8")

    # Two at a time, each with a bench of its own: most of the time they wait for processes.
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ThreadPoolExecutor(2) as pool:
        groups = [[fault for fault in group if fault in wanted] for group in (KILLED, FAILED)]
        for _ in pool.map(tried, groups, [Path(tempfile.mkdtemp(dir=folder)) for _ in groups]):
            pass


def _known() -> dict[str, list[str]]:
    """Return the lines of the report on each fault: its row, and what was lost."""
    found: dict[str, list[str]] = {}
    for line in REPORT.read_text(encoding="utf-8").splitlines():
        for fault in FAULTS:
            if line.startswith((f"| {fault.name} |", f"- *{fault.name}*:")):
                found.setdefault(fault.name, []).append(line)
    return found


def _lines(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    lost = sum(bool(one.lost) for one in outcomes)
    seconds = [one.seconds for one in outcomes if one.seconds is not None]
    took = f"{median(seconds):.1f} | {max(seconds):.1f}" if seconds else " | "
    repeated = max((one.repeated for one in outcomes), default=0)
    row = f"| {name} | {len(outcomes)} | {len(outcomes) - lost} | {lost} | {repeated} | {took} |"
    return [row, *(f"- *{name}*: {one.lost}" for one in outcomes if one.lost)]


def _report(known: Mapping[str, Sequence[str]], machine: str) -> Iterator[str]:
    yield f"""# What commands survive

```
make faults
```

{machine}.

`tests/faults/` does each of these to a real command: the whole chain on `digits`, so small that it takes seconds.
Moments are drawn by a seed. Where processes are killed, one command after another is, each a bit further on the way,
and the last one must finish.

*Survived*: afterwards the same command finishes with the winner, losses and curves of an undisturbed run, to the last
digit; no run is left RUNNING; stages end within 30 s of their command; and what could be said was said in one line,
without a traceback. *Repeated*: finished trainings that were made again; the one in flight when its process is killed
always is, and does not count. *Seconds*: from the fault, or from the start if it was there before, until the command
has said what happened and everything has ended.

| fault | times | survived | lost | repeated, at most | seconds, median | max |
| --- | --- | --- | --- | --- | --- | --- |"""
    rows = [known[fault.name] for fault in FAULTS if fault.name in known]
    yield from (row for row, *_ in rows)
    times, survived, lost = (sum(int(row.split("|")[column]) for row, *_ in rows) for column in (2, 3, 4))
    yield f"| **all** | {times} | {survived} | {lost} | | | |"
    if lost:
        yield from ("", "What was lost:", "")
    for _, *losses in rows:
        yield from losses
    if missing := [fault.name for fault in FAULTS if fault.name not in known]:
        yield f"\nNot tried yet: {'; '.join(missing)}."


if __name__ == "__main__":
    main(sys.argv[1:])
