"""What it is worth to search the weight decay with the rate, at equal budget.

    python -m benchmarks.weight_decay [--budgets 25 60] [--repeats 8] [--folder FOLDER] [NAME ...]

Each problem is searched with AdamW's own weight decay, and with `weight_decay=search`. Every answer is trained in full
on twelve seeds that no search has used, on the search's split and on a fresh split for each seed. Prints the ratio of
the mean losses, that with a searched decay over that with AdamW's own: geometric means over searches with standard
errors, and the highest. Answers and losses are kept in a folder, so that a run continues earlier ones.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_tools import find
from benchmarks.trust_regret import JUDGES, PROBLEMS, Problem
from benchmarks.trust_regret_methods import Recalling, Setting
from benchmarks.trust_regret_network import Trainable
from pipeline import datasets
from pipeline.evaluation import Candidate

OPTIMIZER = "adamw"

_SEEDS = 12
_FRESH_SPLITS = 900


def _few_digits() -> datasets.Raw:
    raw = datasets.load("digits")
    return datasets.Raw(raw.x_train[:500], raw.y_train[:500])


def _diabetes() -> datasets.Raw:
    from sklearn.datasets import load_diabetes

    found = load_diabetes()
    standard = (found.target - found.target.mean()) / found.target.std()
    return datasets.Raw(found.data.astype(np.float32), standard.astype(np.float32))


def _cancer() -> datasets.Raw:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    return datasets.Raw(found.data.astype(np.float32), found.target)


USED = {
    **{name: PROBLEMS[name] for name in ("digits", "friedman1", "digits, wrong labels", "clusters")},
    "500 digits": Problem(_few_digits, 32, 20),
}
"""Problems on which the decays that are tried, and the surface's priors, were chosen."""

UNUSED = {
    "mnist-5k": PROBLEMS["mnist-5k"],
    "diabetes": Problem(_diabetes, 32, 20),
    "breast cancer": Problem(_cancer, 32, 20),
}
"""Problems on which nothing was chosen."""

ALL = USED | UNUSED


class Compared:
    """The answers on one problem and their losses, each made once and kept in a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self._problem, self._path = ALL[name], folder / f"{name}.jsonl"
        self._raw, self._networks = self._problem.load(), dict[int, Trainable]()
        self._asked = dict[int, Recalling]()
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known: dict[str, Any] = dict(map(json.loads, lines))

    def ratios(self, repeats: int, budget: int) -> NDArray[np.float64]:
        """Return log losses with a searched decay minus those without, (repeats, 2): on its split, on fresh ones."""
        losses = [
            [self._judged(self._answer(mode, at, budget)) for mode in ("search", "fixed")] for at in range(repeats)
        ]
        searched, fixed = np.log(losses).swapaxes(0, 1)
        return np.asarray(searched - fixed)

    def decays(self, repeats: int, budget: int) -> list[float]:
        """Return rate x decay x updates of the answers that have another decay than AdamW's own."""
        found = (self._answer("search", at, budget) for at in range(repeats))
        updates = self._problem.epochs * self._network(0).steps_per_epoch
        return [one.initial_lr * one.weight_decay * updates for one in found if one.weight_decay is not None]

    def _network(self, split: int) -> Trainable:
        if split not in self._networks:
            self._networks[split] = self._problem.network(datasets.split(self._raw, seed=split))
        return self._networks[split]

    def _setting(self, repeat: int, split: int = 0) -> Setting:
        problem = self._problem
        return Setting(self._network(split), OPTIMIZER, problem.batch_size, problem.epochs, repeat)

    def _answer(self, mode: str, repeat: int, budget: int) -> Candidate:
        def searched() -> dict[str, Any]:
            setting = self._setting(repeat)
            ask = self._asked.setdefault(repeat, Recalling(setting))
            options = setting.options(budget=budget, weight_decay=mode)
            return find(options, setting.network.steps_per_epoch, ask).winner.model_dump()

        return Candidate.model_validate(self._remember(f"answer {mode} {repeat} {budget}", searched))

    def _judged(self, one: Candidate) -> list[float]:
        def losses() -> list[float]:
            return [self._mean(one, fresh=fresh) for fresh in (False, True)]

        return list(self._remember(one.model_dump_json(), losses))

    def _mean(self, one: Candidate, *, fresh: bool) -> float:
        losses = []
        for at, seed in enumerate(JUDGES[:_SEEDS]):
            setting = self._setting(0, _FRESH_SPLITS + at if fresh else 0)
            rates = setting.curve(one.scheme, one.initial_lr, one.params)
            losses.append(setting.train(rates, seed, weight_decay=one.weight_decay).final)
        return float(np.mean(losses))

    def _remember(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
            with self._path.open("a") as file:
                file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]


def rows(name: str, compared: Compared, repeats: int, budgets: Sequence[int]) -> Iterator[str]:
    """Yield a line of the table for each budget."""
    for budget in budgets:
        logs, decays = compared.ratios(repeats, budget), compared.decays(repeats, budget)
        errors = logs.std(axis=0, ddof=1) / np.sqrt(repeats)
        cells = [
            f"{np.exp(mean):.3f} ± {error:.3f} (worst {np.exp(most):.2f})"
            for mean, error, most in zip(logs.mean(axis=0), errors, logs.max(axis=0), strict=True)
        ]
        chosen = ", ".join(f"{decay:.1g}" for decay in sorted(decays)) or "none"
        yield f"| {name} | {budget} | {' | '.join(cells)} | {len(decays)} of {repeats}: {chosen} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(ALL)}; default: all")
    parser.add_argument("--budgets", nargs="+", type=int, default=(25, 60), help="full trainings")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "weight_decay_benchmark")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(ALL):
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(ALL)}")
    options.folder.mkdir(exist_ok=True)
    titles = (
        "problem",
        "budget",
        "the search's split",
        "fresh splits",
        "answers with another decay: rate x decay x updates",
    )
    print(f"| {' | '.join(titles)} |\n{'| --- ' * len(titles)}|")
    for name in options.names or ALL:
        for line in rows(name, Compared(name, options.folder), options.repeats, options.budgets):
            print(line, flush=True)


if __name__ == "__main__":
    main()
