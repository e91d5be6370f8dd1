"""Our range test compared with those of fastai, Lightning, torch-lr-finder and keras_lr_finder.

    python -m venv PEERS && PEERS/bin/pip install torch==2.13.0
    PEERS/bin/pip install --no-deps -r benchmarks/peers_range_test.txt
    python -m benchmarks.range_test --peers PEERS/bin/python [--schemes cosine constant] [--folder FOLDER] [NAME ...]

Every method answers five times per problem, each time with other seeds. All answers are judged by whole trainings with
a cosine decay to zero from a grid of initial rates, four per decade, on six seeds that no method has used (three for
the convolutional network; two far from the best rate), and again with a constant rate. Between two rates of the grid
the logarithm of the loss is interpolated. Without `--peers` only ours is judged.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.range_test_problems import PROBLEMS, Problem, Trainings
from pipeline.range_test import conduct

SCHEMES = ("cosine", "constant")
"""The schemes of the trainings that judge the answers; the goals refer to the first."""

STYLES = {"fastai": (1e-7, 10.0, 100), "lightning": (1e-8, 1.0, 100), "keras": (1e-4, 1.0, None)}
"""Bounds and updates of each kind of sweep; keras_lr_finder's are from its README, for five epochs."""


@dataclass(frozen=True)
class Asked:
    """One answer of one method: a rate or None, the updates spent, and an interval if it gives one."""

    rate: float | None
    updates: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Judged:
    """The quality of an answer, as whole trainings show it.

    Attributes:
        decades: how far the rate is from the best one of the grid; None where the method failed.
        excess: how much higher the loss is than the lowest, as a share; None where the method failed.
        held: whether the interval includes the best rate; None without an interval.
        updates: what the answer cost.

    """

    decades: float | None
    excess: float | None
    held: bool | None
    updates: int


class Grid:
    """Mean validation losses at rates 10 ** (k / 4).

    Two seeds find the valley, going outwards from the best rate until the loss has clearly risen. All seeds then judge
    the rates whose loss was at most 1.5 times the lowest; the others need no finer judgement.
    """

    def __init__(self, trainings: Trainings, scheme: str, start: float) -> None:
        self._trainings, self._scheme = trainings, scheme
        self._losses: dict[int, float] = {}
        self._descend(round(4 * np.log10(start)))
        near = [k for k, loss in self._losses.items() if loss < 1.5 * min(self._losses.values())]
        self._losses.update({k: self._mean(k, trainings.problem.judges) for k in near})
        self.best = min(near, key=self._at)
        self.lowest = self._losses[self.best]

    def loss(self, rate: float) -> float:
        """Return the loss at any rate; inf where a neighbour on the grid diverged."""
        place = 4 * float(np.log10(rate))
        low = int(np.floor(place))
        left, right = self._at(low), self._at(low + 1)
        if not np.isfinite([left, right]).all():
            return np.inf
        return float(np.exp(np.log(left) + (place - low) * (np.log(right) - np.log(left))))

    def _at(self, k: int) -> float:
        if k not in self._losses:
            self._losses[k] = self._mean(k, 2)
        return self._losses[k]

    def _mean(self, k: int, seeds: int) -> float:
        return float(np.mean(self._trainings.val_losses(self._scheme, 10 ** (k / 4), range(seeds))))

    def _descend(self, k: int) -> None:
        """Widen the grid until both ends and their inner neighbours are 15% worse than the best rate."""
        low, high = k - 2, k + 2
        for _ in range(60):
            best = min(range(low, high + 1), key=self._at)
            left = min(self._at(low), self._at(low + 1)) > 1.15 * self._at(best)
            right = min(self._at(high), self._at(high - 1)) > 1.15 * self._at(best)
            if left and right:
                break
            low, high = low - (not left), high + (not right)


def ours(trainings: Trainings, scheme: str, repeat: int) -> dict[str, Asked]:
    """Run our range test with one seed, with three, and with three and a refinement by trainings with this scheme."""
    seeds, asked = tuple(100 + 3 * repeat + at for at in range(3)), {}
    for name, count in (("ours, one seed", 1), ("ours", 3)):
        found = conduct(trainings.plan(seeds[:count]), trainings.ask).found
        read = found.analysis
        asked[name] = Asked(read.suggested_lr, found.spent, _interval(read.lr_low, read.lr_high))
    refined = conduct(trainings.plan(seeds, scheme), trainings.ask).result
    interval = _interval(refined.lr_low, refined.lr_high)
    return {**asked, "ours, refined": Asked(refined.suggested_lr, refined.updates, interval)}


def _interval(low: float | None, high: float | None) -> tuple[float, float] | None:
    return (low, high) if low and high else None


def peers(trainings: Trainings, python: str, repeats: int) -> list[dict[str, Asked]]:
    """Let each peer's own functions read sweeps of its own kind; return one dictionary per repeat."""
    curves = [
        _curve(trainings, style, low, high, updates or 5 * trainings.steps_per_epoch, 100 + repeat)
        for repeat in range(repeats)
        for style, (low, high, updates) in STYLES.items()
    ]
    replies = trainings.remember(f"peers {repeats}", lambda: _ask(python, curves))
    answers = [{name: Asked(each["rate"], each["updates"]) for name, each in reply.items()} for reply in replies]
    kinds = len(STYLES)
    return [{k: v for each in answers[i : i + kinds] for k, v in each.items()} for i in range(0, len(answers), kinds)]


def _curve(trainings: Trainings, style: str, low: float, high: float, updates: int, seed: int) -> dict[str, Any]:
    """Sweep as a peer would, and return the curve that its functions read."""
    asked = trainings.plan((seed,)).question(np.geomspace(low, high, updates), seed)
    ((_, training),) = trainings.ask([asked])
    return {
        "style": style,
        "rates": asked.curve(trainings.steps_per_epoch).tolist(),
        "losses": training.losses.tolist(),
        "steps_per_epoch": trainings.steps_per_epoch,
    }


def _ask(python: str, curves: list[dict[str, Any]]) -> Any:
    script = Path(__file__).with_name("range_test_peers.py")
    done = subprocess.run([python, str(script)], input=json.dumps(curves), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peers' environment failed:\n{done.stderr}")
    return json.loads(done.stdout)


def judge(asked: Asked, grid: Grid) -> Judged:
    """Compare an answer with the grid."""
    optimum = 10 ** (grid.best / 4)
    held = None if asked.interval is None else bool(asked.interval[0] <= optimum <= asked.interval[1])
    usable = asked.rate is not None and np.isfinite(asked.rate) and 1e-9 < asked.rate < 1e4
    if asked.rate is None or not usable:
        return Judged(None, None, held, asked.updates)
    loss = grid.loss(asked.rate)
    if not np.isfinite(loss):
        return Judged(None, None, held, asked.updates)
    return Judged(abs(float(np.log10(asked.rate / optimum))), loss / grid.lowest - 1, held, asked.updates)


def measure(scheme: str, problem: Problem, python: str | None, repeats: int, folder: Path) -> dict[str, list[Judged]]:
    """Judge every method on a problem: method -> one judgement per repeat."""
    started, trainings = time.perf_counter(), Trainings(problem, folder)
    own = [ours(trainings, scheme, repeat) for repeat in range(repeats)]
    trainings.save()
    others = peers(trainings, python, repeats) if python else []
    grid = Grid(trainings, scheme, next((a["ours"].rate for a in own if a["ours"].rate), 0.01))
    judged = defaultdict[str, list[Judged]](list)
    for method, asked in (item for answers in (*own, *others) for item in answers.items()):
        judged[method].append(judge(asked, grid))
    trainings.save()
    print(f"{scheme:8} {problem.name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return judged


Table = dict[str, dict[str, list[Judged]]]
"""Method -> problem -> one judgement per repeat."""


def table_of(problems: dict[str, dict[str, list[Judged]]]) -> Table:
    """Turn problem -> method into method -> problem."""
    methods = next(iter(problems.values()))
    return {method: {name: judged[method] for name, judged in problems.items()} for method in methods}


def summary(table: Table) -> list[str]:
    """Return one row per method, over all problems and repeats."""
    lines = [
        "| method | excess loss, median | worst | decades off, median | failures | interval holds | updates, median |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method, problems in table.items():
        every = [judged for each in problems.values() for judged in each]
        excess = [judged.excess for judged in every if judged.excess is not None]
        decades = [judged.decades for judged in every if judged.decades is not None]
        held = [judged.held for judged in every if judged.held is not None]
        failed, spent = 1 - len(excess) / len(every), np.median([judged.updates for judged in every])
        cells = [
            method,
            _percent(np.median(excess)) if excess else "-",
            _percent(max(excess)) if excess else "-",
            f"{np.median(decades):.2f}" if decades else "-",
            f"{failed:.0%}",
            f"{np.mean(held):.0%}" if held else "-",
            f"{spent:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def by_problem(table: Table, show: Callable[[list[Judged]], str]) -> list[str]:
    """Return one row per problem, with one column per method."""
    problems = list(next(iter(table.values())))
    lines = ["| problem | " + " | ".join(table) + " |", "| --- |" + " --- |" * len(table)]
    lines += [f"| {p} | " + " | ".join(show(table[method][p]) for method in table) + " |" for p in problems]
    return lines


def _typical(judged: list[Judged]) -> str:
    """Return the median excess over the repeats, counting a failure as the worst, and how many failed."""
    excess = [np.inf if each.excess is None else each.excess for each in judged]
    failed = sum(not np.isfinite(value) for value in excess)
    middle = float(np.median(excess))
    return ("fails" if np.isinf(middle) else _percent(middle)) + (f" ({failed} fail)" if failed else "")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 10 else f"x {1 + share:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the report as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="parts of problem names; default: all")
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES), help="what to judge by")
    parser.add_argument("--peers", help="Python of the peers' environment; default: only ours is judged")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="length of every training; default: each problem's own")
    folder = Path(tempfile.gettempdir()) / "range_test_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where trainings are kept")
    options = parser.parse_args(arguments)
    problems = [p for p in PROBLEMS if not options.names or any(name in p.name for name in options.names)]
    if options.epochs:
        problems = [replace(problem, epochs=options.epochs) for problem in problems]
    options.folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    for scheme in options.schemes:
        table = table_of({p.name: measure(scheme, p, options.peers, options.repeats, options.folder) for p in problems})
        print(f"\n## Judged by trainings with {scheme} rate\n")
        print("\n".join(summary(table)))
        print("\nMedian excess validation loss by problem:\n")
        print("\n".join(by_problem(table, _typical)))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
