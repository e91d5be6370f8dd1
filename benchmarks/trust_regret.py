"""How much worse than the best rate and scheme are the answers of searches that all cost the same.

    python -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers_search.txt
    PEERS/bin/python -m benchmarks.trust_regret [--repeats 10] [NAME ...]

Ten whole searches a problem and method, at the examples that ours trains on. Every answer is trained in full on twenty
seeds that no search has used. The best is sought on a grid of all schemes and eight rates a decade, in rounds of more
seeds for fewer cells, and then trained on the same twenty seeds. Answers are kept in a folder.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np

from benchmarks.trust_regret_methods import METHODS, SCHEMES, Answer, Setting
from benchmarks.trust_regret_network import Network
from pipeline import datasets
from pipeline.models import builder
from pipeline.results import Params
from pipeline.training import Trainer

JUDGES = tuple(range(500_000, 500_020))
GRID_RATES = tuple(10 ** (k / 8) for k in range(-24, 1))  # 0.001 to 1
GRID_ROUNDS = ((1, 40), (3, 12), (12, 1))
"""Seeds, and how many cells are left after them."""

_GRID_SEED = 600_000


@dataclass(frozen=True)
class Problem:
    """What is trained by article A's network and SGD with momentum 0.9."""

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
    """The answers, judgements and grid of one problem, each made once and then read from a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self.problem = PROBLEMS[name]
        self.splits = datasets.split(self.problem.load(), seed=0)
        self.network = Network(self.splits, self.problem.batch_size)
        self._path = folder / f"{name}.json"
        self._known: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def setting(self, repeat: int) -> Setting:
        """What a search is given."""
        return Setting(self.network, self.problem.batch_size, self.problem.epochs, repeat)

    def answer(self, method: str, repeat: int) -> Answer:
        """What a method answers; ours tells how much the others may spend."""
        budget = 0 if method == "ours" else self.answer("ours", repeat).examples
        key = f"{method} {repeat} {budget}"
        return Answer(**self._remember(key, lambda: asdict(METHODS[method](self.setting(repeat), budget))))

    def judged(self, scheme: str, initial_lr: float | None, params: Params) -> float:
        """Mean final validation loss on the judges' seeds; inf where one of them diverged or there is no rate."""
        if initial_lr is None:
            return float("inf")
        key = f"judge {scheme} {initial_lr!r} {sorted(params.items())}"
        return float(np.mean(self._remember(key, lambda: self._finals(scheme, initial_lr, params, JUDGES))))

    def best(self) -> tuple[str, float]:
        """The best cell of the grid, scheme and rate."""
        cells = [(scheme, rate) for scheme in SCHEMES for rate in GRID_RATES]
        first = _GRID_SEED
        for count, left in GRID_ROUNDS:
            seeds = range(first, first + count)
            cells = self._remember(f"best {left}", partial(self._lowest, cells, seeds))[:left]
            first += count
        scheme, rate = cells[0]
        return str(scheme), float(rate)

    def differences(self) -> list[float]:
        """Relative differences to the training engine in final losses, smallest first.

        Rounding decides where rates are near the largest that do not diverge: neither figure is then the right one.
        """
        return sorted(self._remember("differences", self._differences))

    def _lowest(self, cells: list[tuple[str, float]], seeds: Sequence[int]) -> list[tuple[str, float]]:
        """The cells by their mean loss on these seeds, lowest first."""
        losses = {(scheme, rate): np.mean(self._finals(scheme, rate, {}, seeds)) for scheme, rate in cells}
        return sorted(losses, key=losses.__getitem__)

    def _finals(self, scheme: str, rate: float, params: Params, seeds: Sequence[int]) -> list[float]:
        curve = self.setting(0).curve(scheme, rate, params)
        return [self.network.train(curve, seed).final for seed in seeds]

    def _differences(self) -> list[float]:
        splits, problem = self.splits, self.problem
        build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
        engine = Trainer(
            build, splits, optimizer="sgd", momentum=0.9, batch_size=problem.batch_size, precision="float32"
        )
        differences = []
        for scheme in ("constant", "cosine", "step"):
            for rate in (self.best()[1] / 10, self.best()[1] / 3, self.best()[1]):
                curve = self.setting(0).curve(scheme, rate)
                theirs = engine.train(curve, JUDGES[0], validations=1).history["val_loss"][-1]
                differences.append(abs(self.network.train(curve, JUDGES[0]).final / theirs - 1))
        return differences

    def _remember(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(self._known))
            new.replace(self._path)
        return self._known[key]


def regrets(measured: Measured, repeats: int) -> dict[str, list[float]]:
    """Excess validation loss over the best of the grid, by method, one a repeat."""
    lowest = measured.judged(*measured.best(), {})
    found: dict[str, list[float]] = {}
    for method in METHODS:
        answers = [measured.answer(method, repeat) for repeat in range(repeats)]
        found[method] = [measured.judged(a.scheme, a.initial_lr, a.params) / lowest - 1 for a in answers]
    return found


def row(measured: Measured, name: str, repeats: int, found: dict[str, list[float]]) -> str:
    """One row a problem: the median regret of each method and its worst, and what a search cost."""
    spent = np.median([measured.answer("ours", repeat).examples for repeat in range(repeats)])
    trainings = spent / (measured.problem.epochs * len(measured.splits.x_train))
    cells = [f"{_percent(float(np.median(excess)))} ({_percent(max(excess))})" for excess in found.values()]
    return f"| {name} | {' | '.join(cells)} | {trainings:.0f} |"


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "fails"


def main() -> None:
    """Search, judge, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[*PROBLEMS, []], help="default: all")
    parser.add_argument("--repeats", type=int, default=10)
    folder = Path(tempfile.gettempdir()) / "trust_regret_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where answers are kept")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    started, pooled, table, notes = time.perf_counter(), dict[str, list[float]](), list[str](), list[str]()
    for name in options.names or PROBLEMS:
        measured = Measured(name, options.folder)
        found = regrets(measured, options.repeats)
        table.append(row(measured, name, options.repeats, found))
        for method, excess in found.items():
            pooled.setdefault(method, []).extend(excess)
        scheme, rate = measured.best()
        lowest = measured.judged(scheme, rate, {})
        notes.append(f"{name}: best of the grid {scheme} {rate:.3g}, validation loss {lowest:.4f}")
        gaps = measured.differences()
        notes.append(f"  NumPy against the engine: losses differ by {np.median(gaps):.0e}, at most {gaps[-1]:.0e}")
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    everything = [f"{_percent(float(np.median(e)))} ({_percent(max(e))})" for e in pooled.values()]
    print(f"| problem | {' | '.join(METHODS)} | cost of ours, in full trainings |")
    print("| --- " * (len(METHODS) + 2) + "|\n" + "\n".join(table))
    print(f"| all together | {' | '.join(everything)} | |\n")
    print("\n".join(notes))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
