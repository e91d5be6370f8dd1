"""Regret of searches, by their cost: how much worse their answers are than the best rate and scheme.

    python -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers_search.txt
    PEERS/bin/python -m benchmarks.trust_regret [--budgets 3 10 25] [--repeats 10] [--methods ours ...] [NAME ...]

Each method searches each problem ten times within each budget of full trainings. Every answer is trained in full twenty
times on seeds that no search has used: on the search's split, and on a fresh split for each seed. It is compared with
the best cell of a grid of all schemes and eight rates per decade, trained in the same way. Answers, judgements and
grids are kept in a folder, so that a run continues earlier ones; --known prints and draws what is already there.
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
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import keras
import numpy as np

from benchmarks.search_tools import SCHEMES
from benchmarks.trust_regret_figure import draw
from benchmarks.trust_regret_methods import METHODS, Answer, Params, Setting
from benchmarks.trust_regret_network import Network, OfEngine, Trainable
from pipeline import datasets
from pipeline.models import Builder, builder
from pipeline.training import engine

BUDGETS = (3, 5, 10, 15, 25)

JUDGES = tuple(range(500_000, 500_020))
JUDGEMENTS = {"the search's split": False, "fresh splits": True}

GRID_RATES = tuple(10 ** (k / 8) for k in range(-32, 1))  # 0.0001 to 1
GRID_NEAR = 0.8
"""Decades around the best rate of linear decay within which all schemes are tried."""

GRID_ROUNDS = ((1, 80), (3, 30), (6, 12))
"""Rounds of the grid: the number of the judges' seeds, and the number of cells that are left afterwards."""

_FRESH_SPLITS = 900


@dataclass(frozen=True)
class Problem:
    """Data on which a network, by default article A's, is trained by SGD with momentum 0.9, Adam or AdamW."""

    load: Callable[[], datasets.Raw]
    batch_size: int
    epochs: int
    optimizer: str = "sgd"
    build: Callable[[datasets.Splits], Builder] | None = None

    def network(self, splits: datasets.Splits) -> Trainable:
        """Return the network on these data."""
        if self.build is None:
            return Network(splits, self.batch_size)
        return OfEngine(self.build, splits, self.batch_size)


def _friedman() -> datasets.Raw:
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(2000, noise=1.0, random_state=0)
    return datasets.Raw(x.astype(np.float32), y.astype(np.float32))


def _clusters() -> datasets.Raw:
    from sklearn.datasets import make_classification

    shape = {"n_informative": 12, "n_classes": 5, "n_clusters_per_class": 3, "class_sep": 1.2}
    x, y = make_classification(3000, 30, random_state=3, **shape)
    return datasets.Raw(x.astype(np.float32), y)


def _wrong_digits() -> datasets.Raw:
    """Return digits, a quarter of whose labels are exchanged among each other."""
    raw, rng = datasets.load("digits"), np.random.default_rng(0)
    labels = np.array(raw.y_train)
    wrong = rng.random(len(labels)) < 0.25
    labels[wrong] = rng.permutation(labels[wrong])
    return datasets.Raw(raw.x_train, labels)


def _convolutional(splits: datasets.Splits) -> Builder:
    """Return a network with convolutions and BatchNormalization."""
    layers = keras.layers

    def build() -> keras.Model:
        hidden = (layers.Conv2D(16, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D())
        out = layers.Dense(splits.num_outputs, activation="softmax")
        return keras.Sequential([keras.Input(splits.x_train.shape[1:]), *hidden, layers.Flatten(), out])

    return build


PROBLEMS = {
    "digits": Problem(lambda: datasets.load("digits"), 32, 10),
    "mnist-5k": Problem(lambda: datasets.load("mnist-5k"), 50, 5),
    "friedman1": Problem(_friedman, 32, 20),
    "digits, wrong labels": Problem(_wrong_digits, 32, 20),
    "mnist-5k, Adam": Problem(lambda: datasets.load("mnist-5k"), 50, 4, "adam"),
    "clusters": Problem(_clusters, 32, 15),
    "digits, convolutions": Problem(lambda: datasets.load("digits"), 64, 5, "adamw", _convolutional),
}


class UnknownError(Exception):
    """Raised if the folder lacks a result and nothing may be trained."""


class Measured:
    """The answers, judgements and grid of one problem, each made once and kept in a file."""

    def __init__(
        self,
        name: str,
        folder: Path,
        epochs: int | None = None,
        *,
        only_known: bool = False,
        problem: Problem | None = None,
    ) -> None:
        """Set up a problem, by default the one of this name, with this number of epochs in place of its own."""
        own = problem or PROBLEMS[name]
        self.problem = replace(own, epochs=epochs) if epochs else own
        self._only_known, self._networks = only_known, dict[int, Trainable]()
        self._path = folder / f"{name}{f' {epochs} epochs' if epochs else ''}.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known: dict[str, Any] = dict(map(json.loads, lines))

    def setting(self, repeat: int, split: int = 0) -> Setting:
        """Return the setting of a search."""
        problem = self.problem
        if split not in self._networks:
            self._networks[split] = problem.network(datasets.split(self._raw, seed=split))
        return Setting(self._networks[split], problem.optimizer, problem.batch_size, problem.epochs, repeat)

    def answer(self, method: str, repeat: int, budget: int, budgets: Sequence[int]) -> Answer:
        """Return the answer of a method; if it is unknown, those for the other budgets are computed with it."""
        key = "answer {} {} {}".format
        if key(method, repeat, budget) not in self._known:
            self._may_train()
            for made, answer in METHODS[method](self.setting(repeat), budgets).items():
                self.remember(key(method, repeat, made), lambda answer=answer: asdict(answer))  # type: ignore[misc]
        return Answer(**self._known[key(method, repeat, budget)])

    def regret(self, answer: Answer, *, fresh: bool) -> float:
        """Return the excess validation loss over the best of the grid; inf if there is no rate or a seed diverged."""
        if answer.initial_lr is None:
            return float("inf")
        lowest = self.best(fresh=fresh)[2]
        return self._judged(answer.scheme, answer.initial_lr, answer.params, fresh=fresh) / lowest - 1

    def best(self, *, fresh: bool) -> tuple[str, float, float]:
        """Return the best of the grid's last cells by this judgement: its scheme, rate and loss."""
        cells = self.remember("grid", self._grid)
        losses = [self._judged(scheme, rate, {}, fresh=fresh) for scheme, rate in cells]
        scheme, rate = cells[int(np.argmin(losses))]
        return str(scheme), float(rate), min(losses)

    def differences(self) -> list[float]:
        """Return the relative differences of final losses to those of the training engine, smallest first.

        Near the largest rates that do not diverge, rounding decides the loss, so neither figure is right there.
        """
        return sorted(self.remember("differences", self._differences))

    def mean(self, scheme: str, rate: float, params: Params, seeds: int, *, fresh: bool = False) -> float:
        """Return the mean final loss on the first judges' seeds; inf if one of them diverged."""
        losses = list[float]()
        for at, seed in enumerate(JUDGES[:seeds]):
            setting = self.setting(0, _FRESH_SPLITS + at if fresh else 0)
            losses.append(setting.train(setting.curve(scheme, rate, params), seed).final)
            if not np.isfinite(losses[-1]):
                break
        return float(np.mean(losses))

    @cached_property
    def _raw(self) -> datasets.Raw:
        return self.problem.load()

    def _judged(self, scheme: str, rate: float, params: Params, *, fresh: bool) -> float:
        """Return the mean final loss on the judges' seeds; inf if one of them diverged."""
        key = f"{'fresh' if fresh else 'own'} {scheme} {rate!r} {sorted(params.items())}"
        return float(self.remember(key, lambda: self.mean(scheme, rate, params, len(JUDGES), fresh=fresh)))

    def _grid(self) -> list[tuple[str, float]]:
        """Return the best cells after all rounds, by their mean loss on the search's split."""
        linear = {rate: self.mean("linear", rate, {}, GRID_ROUNDS[-1][0]) for rate in GRID_RATES}
        centre = min(linear, key=linear.__getitem__)
        near = [rate for rate in GRID_RATES if abs(np.log10(rate / centre)) < GRID_NEAR]
        cells = list(product(SCHEMES, near))
        for seeds, left in GRID_ROUNDS:
            losses = {cell: self.mean(*cell, {}, seeds) for cell in cells}
            cells = sorted(losses, key=losses.__getitem__)[:left]
        return cells

    def _differences(self) -> list[float]:
        problem, splits = self.problem, datasets.split(self._raw, seed=0)
        build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
        trainer = engine(
            build, splits, optimizer=problem.optimizer, momentum=0.9, batch_size=problem.batch_size, precision="float32"
        )
        differences, setting, highest = [], self.setting(0), self.best(fresh=False)[1]
        for scheme, rate in product(("constant", "cosine", "step"), (highest / 10, highest / 3, highest)):
            curve = setting.curve(scheme, rate)
            theirs = trainer.train(curve, JUDGES[0], validations=1).history["val_loss"][-1]
            differences.append(abs(setting.train(curve, JUDGES[0]).final / theirs - 1))
        return differences

    def remember(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what is kept under this key, made once."""
        if key not in self._known:
            self._may_train()
            self._known[key] = make()
            with self._path.open("a") as file:
                file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]

    def _may_train(self) -> None:
        if self._only_known:
            raise UnknownError


@dataclass(frozen=True)
class Found:
    """The results of one method on one problem within one budget, one number per search.

    Attributes:
        costs: in full trainings.
        regrets: for each judgement.

    """

    problem: str
    method: str
    budget: int
    costs: list[float]
    regrets: dict[str, list[float]]


def find(measured: Measured, name: str, options: argparse.Namespace) -> Iterator[Found]:
    """Search and judge; with --known, leave out what is unknown."""
    for method, budget in product(options.methods, options.budgets):
        try:
            answers = [measured.answer(method, at, budget, options.budgets) for at in range(options.repeats)]
            regrets = {
                judgement: [measured.regret(answer, fresh=fresh) for answer in answers]
                for judgement, fresh in JUDGEMENTS.items()
            }
        except UnknownError:
            continue
        yield Found(name, method, budget, [answer.cost for answer in answers], regrets)


def pooled(found: Sequence[Found]) -> list[Found]:
    """Return the searches of all problems together, where results are known for each problem."""
    problems, together = {one.problem for one in found}, []
    for method, budget in dict.fromkeys((one.method, one.budget) for one in found):
        alike = [one for one in found if (one.method, one.budget) == (method, budget)]
        if len(alike) == len(problems):
            regrets = {
                judgement: [value for one in alike for value in one.regrets[judgement]] for judgement in JUDGEMENTS
            }
            together.append(Found("all", method, budget, [cost for one in alike for cost in one.costs], regrets))
    return together


def table(found: Sequence[Found], judgement: str) -> Iterator[str]:
    """Yield the lines of a table: for each budget, the median and the worst regret of each method."""
    budgets = sorted({one.budget for one in found})
    yield f"| problem | method | {' | '.join(map(str, budgets))} |"
    yield "| --- " * (len(budgets) + 2) + "|"
    for problem, method in dict.fromkeys((one.problem, one.method) for one in found):
        of = {one.budget: one.regrets[judgement] for one in found if (one.problem, one.method) == (problem, method)}
        yield f"| {problem} | {method} | {' | '.join(_cell(of[b]) if b in of else '' for b in budgets)} |"


def _cell(regrets: Sequence[float]) -> str:
    return f"{_percent(float(np.median(regrets)))} ({_percent(max(regrets))})"


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "fails"


def spent(found: Sequence[Found]) -> Iterator[str]:
    """Return a note on what each method spent."""
    for one in found:
        yield f"{one.method}, {one.budget}: {np.median(one.costs):.1f}, at most {max(one.costs):.1f} full trainings"


def notes(measured: Measured, name: str) -> Iterator[str]:
    """Return a note on the best of the grid and the difference between the NumPy network and the engine."""
    for judgement, fresh in JUDGEMENTS.items():
        scheme, rate, loss = measured.best(fresh=fresh)
        yield f"{name}: best of the grid on {judgement} {scheme} {rate:.3g}, validation loss {loss:.4f}"
    if measured.problem.build is None:
        gaps = measured.differences()
        yield f"  NumPy against the engine: losses differ by {np.median(gaps):.0e}, at most {gaps[-1]:.0e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, judge, print the tables as Markdown, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PROBLEMS)}; default: all")
    usual = [name for name in METHODS if "at once" not in name]
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=usual)
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, help="full trainings")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--epochs", type=int, help="length of every training; default: each problem's own")
    folder = Path(tempfile.gettempdir()) / "trust_regret_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where answers are kept")
    parser.add_argument("--known", action="store_true", help="train nothing, and show what is known")
    parser.add_argument("--figure", type=Path, help="where to draw regret against cost, as .svg or .png")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(PROBLEMS):
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(PROBLEMS)}")
    options.folder.mkdir(exist_ok=True)
    started, found, remarks = time.perf_counter(), list[Found](), list[str]()
    for name in options.names or PROBLEMS:
        measured = Measured(name, options.folder, options.epochs, only_known=options.known)
        found += find(measured, name, options)
        try:
            remarks += notes(measured, name)
        except UnknownError:
            remarks.append(f"{name}: not measured whole")
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    together = pooled(found)
    for judgement in JUDGEMENTS:
        print(f"\nJudged on {judgement}:\n\n" + "\n".join(table([*together, *found], judgement)))
    print("\n" + "\n".join([*spent(together), "", *remarks]))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s.")
    if options.figure:
        draw({method: [one for one in together if one.method == method] for method in options.methods}, options.figure)


if __name__ == "__main__":
    main()
