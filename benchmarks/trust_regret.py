"""How much worse the answers of searches that all cost the same are than the best rate and scheme.

    python -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers_search.txt
    PEERS/bin/python -m benchmarks.trust_regret [--repeats 10] [--methods ours ...] [NAME ...]

Each method searches each problem ten times, training on as many examples as ours does. Every answer is trained in full
on twenty seeds that no search has used. The best cell of a grid of all schemes and eight rates a decade is found in
rounds of more seeds for fewer cells, and then trained on the same twenty seeds. Answers are kept in a folder.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np

from benchmarks.search_tools import SCHEMES
from benchmarks.trust_regret_methods import METHODS, Answer, Params, Setting
from benchmarks.trust_regret_network import Network
from pipeline import datasets
from pipeline.models import builder
from pipeline.training import engine

JUDGES = tuple(range(500_000, 500_020))
GRID_RATES = tuple(10 ** (k / 8) for k in range(-24, 1))  # 0.001 to 1
GRID_ROUNDS = ((1, 40), (3, 12), (12, 1))
"""Rounds of the grid: how many seeds, and how many cells are left after them."""

_GRID_SEED = 600_000


@dataclass(frozen=True)
class Problem:
    """What article A's network is trained on, by SGD with momentum 0.9."""

    load: Callable[[], datasets.Raw]
    batch_size: int
    epochs: int


def _friedman() -> datasets.Raw:
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(2000, noise=1.0, random_state=0)
    return datasets.Raw(x.astype(np.float32), y.astype(np.float32))


PROBLEMS = {
    "digits": Problem(lambda: datasets.load("digits"), 32, 10),
    "mnist-5k": Problem(lambda: datasets.load("mnist-5k"), 50, 5),
    "friedman1 (regression)": Problem(_friedman, 32, 20),
}


class Measured:
    """The answers, judgements and grid of one problem, each made once and kept in a file."""

    def __init__(self, name: str, folder: Path, epochs: int | None = None) -> None:
        """Set up a problem, with the number of epochs given in place of its own."""
        self.problem = replace(PROBLEMS[name], epochs=epochs) if epochs else PROBLEMS[name]
        self.splits = datasets.split(self.problem.load(), seed=0)
        self.network = Network(self.splits, self.problem.batch_size)
        self._path = folder / f"{name}{f' {epochs} epochs' if epochs else ''}.json"
        self._known: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def setting(self, repeat: int) -> Setting:
        """Return what a search is given."""
        return Setting(self.network, self.problem.batch_size, self.problem.epochs, repeat)

    def answer(self, method: str, repeat: int) -> Answer:
        """Return the answer of a method; the others may spend what ours costs."""
        budget = 0 if method == "ours" else self.answer("ours", repeat).examples
        key = f"{method} {repeat} {budget}"
        return Answer(**self._remember(key, lambda: asdict(METHODS[method](self.setting(repeat), budget))))

    def judged(self, scheme: str, initial_lr: float | None, params: Params) -> float:
        """Return the mean final loss on the judges' seeds; inf where one of them diverged or there is no rate."""
        if initial_lr is None:
            return float("inf")
        key = f"judge {scheme} {initial_lr!r} {sorted(params.items())}"
        return float(np.mean(self._remember(key, lambda: self._finals(scheme, initial_lr, params, JUDGES))))

    def best(self) -> tuple[str, float]:
        """Return the best cell of the grid, its scheme and rate."""
        cells = [(scheme, rate) for scheme in SCHEMES for rate in GRID_RATES]
        first = _GRID_SEED
        for count, left in GRID_ROUNDS:
            seeds = range(first, first + count)
            cells = self._remember(f"best {left}", partial(self._lowest, cells, seeds))[:left]
            first += count
        scheme, rate = cells[0]
        return str(scheme), float(rate)

    def differences(self) -> list[float]:
        """Return the relative differences of final losses to those of the training engine, smallest first.

        Near the largest rates that do not diverge, rounding decides the loss: neither figure is the right one there.
        """
        return sorted(self._remember("differences", self._differences))

    def _lowest(self, cells: list[tuple[str, float]], seeds: Sequence[int]) -> list[tuple[str, float]]:
        """Sort the cells by their mean loss on these seeds, lowest first."""
        losses = {(scheme, rate): np.mean(self._finals(scheme, rate, {}, seeds)) for scheme, rate in cells}
        return sorted(losses, key=losses.__getitem__)

    def _finals(self, scheme: str, rate: float, params: Params, seeds: Sequence[int]) -> list[float]:
        curve = self.setting(0).curve(scheme, rate, params)
        return [self.network.train(curve, seed).final for seed in seeds]

    def _differences(self) -> list[float]:
        splits, problem = self.splits, self.problem
        build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
        trainer = engine(
            build, splits, optimizer="sgd", momentum=0.9, batch_size=problem.batch_size, precision="float32"
        )
        differences = []
        for scheme in ("constant", "cosine", "step"):
            for rate in (self.best()[1] / 10, self.best()[1] / 3, self.best()[1]):
                curve = self.setting(0).curve(scheme, rate)
                theirs = trainer.train(curve, JUDGES[0], validations=1).history["val_loss"][-1]
                differences.append(abs(self.network.train(curve, JUDGES[0]).final / theirs - 1))
        return differences

    def _remember(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(self._known))
            new.replace(self._path)
        return self._known[key]


def regrets(measured: Measured, methods: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Return the excess validation loss over the best of the grid, by method, one a repeat."""
    lowest = measured.judged(*measured.best(), {})
    found: dict[str, list[float]] = {}
    for method in methods:
        answers = [measured.answer(method, repeat) for repeat in range(repeats)]
        found[method] = [measured.judged(a.scheme, a.initial_lr, a.params) / lowest - 1 for a in answers]
    return found


def row(measured: Measured, name: str, repeats: int, found: dict[str, list[float]]) -> str:
    """Return a line of the table: the median regret of each method and its worst, and what our search cost."""
    spent = np.median([measured.answer("ours", repeat).examples for repeat in range(repeats)])
    trainings = spent / (measured.problem.epochs * len(measured.splits.x_train))
    return f"| {name} | {' | '.join(_cell(excess) for excess in found.values())} | {trainings:.0f} |"


def _cell(excess: Sequence[float]) -> str:
    return f"{_percent(float(np.median(excess)))} ({_percent(max(excess))})"


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "fails"


def notes(measured: Measured, name: str) -> Iterator[str]:
    """Say what the best of the grid is, and how far the NumPy network is from the engine."""
    scheme, rate = measured.best()
    yield f"{name}: best of the grid {scheme} {rate:.3g}, validation loss {measured.judged(scheme, rate, {}):.4f}"
    gaps = measured.differences()
    yield f"  NumPy against the engine: losses differ by {np.median(gaps):.0e}, at most {gaps[-1]:.0e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, judge, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PROBLEMS)}; default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--epochs", type=int, help="length of every training; default: each problem's own")
    folder = Path(tempfile.gettempdir()) / "trust_regret_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where answers are kept")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(PROBLEMS):
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(PROBLEMS)}")
    options.folder.mkdir(exist_ok=True)
    started, pooled, table, remarks = time.perf_counter(), dict[str, list[float]](), list[str](), list[str]()
    for name in options.names or PROBLEMS:
        measured = Measured(name, options.folder, options.epochs)
        found = regrets(measured, options.methods, options.repeats)
        table.append(row(measured, name, options.repeats, found))
        for method, excess in found.items():
            pooled.setdefault(method, []).extend(excess)
        remarks += notes(measured, name)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print(f"| problem | {' | '.join(options.methods)} | cost of ours, in full trainings |")
    print("| --- " * (len(options.methods) + 2) + "|\n" + "\n".join(table))
    print(f"| all together | {' | '.join(map(_cell, pooled.values()))} | |\n")
    print("\n".join(remarks))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
