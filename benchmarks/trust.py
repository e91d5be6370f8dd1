"""Coverage of the search's intervals and error rate of its verdicts, on problems whose truth is known.

    python -m benchmarks.trust [--repeats 2000] [--digits-repeats 2000] [--digits-seeds 400] [--remembered FILE]

Every repeat is a whole confirmation: the search's own function draws seeds in batches, compares, measures basins and
chooses; only the trainings are replaced. On the surface a loss is a formula with noise between seeds. On digits it is
the loss of a real training with one of many seeds, whose mean is the truth; those trainings are kept in a file. Prints
the tables of part (a) of reports/trust.md.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log10, sqrt
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import scipy
from numpy.typing import NDArray

from pipeline import datasets
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.models import builder
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Interval
from pipeline.search import CONFIRM_SEED, Evaluate, Outcome, Plan
from pipeline.search.confirmation import Confirmation, confirm
from pipeline.search.surface import Cell
from pipeline.statistics import mean_interval
from pipeline.training import InProcess, Problem

LIMITS = (2, 3, 4, 6, 10)
FULL, BRIEF = 6, 2
"""Epochs on the surface, where they have no effect."""

EPOCHS, BATCH_SIZE, FIRST_SEED = 6, 32, 50_000
"""Epochs of the trainings on digits."""

ACCURACY = Objective("val_accuracy", "max")

Truth = Mapping[str, float]
Losses = Mapping[str, NDArray[np.float64]]
"""The validation losses of each candidate, one per seed."""


def _on_digits(scheme: str, initial_lr: float, optimizer: str = "sgd") -> Evaluation:
    candidate = Candidate(scheme=scheme, initial_lr=initial_lr, optimizer=optimizer, batch_size=BATCH_SIZE, params={})
    return Evaluation(candidate, EPOCHS, FIRST_SEED, validations=1)


FINALISTS = {
    "cosine": _on_digits("cosine", 0.1),
    "linear": _on_digits("linear", 0.1),
    "constant": _on_digits("constant", 0.05),
}
BASELINES = {"Adam at 0.001": _on_digits("constant", 0.001, "adam"), "SGD at 0.01": _on_digits("constant", 0.01)}
CANDIDATES = FINALISTS | BASELINES


@dataclass(frozen=True)
class Surface:
    """A problem with a formula. Names of finalists begin with "f", those of baselines with "b".

    Attributes:
        name: what is hard about it.
        truth: the true losses, in units of the noise between seeds, or for accuracies of a hundredth.
        noise: the standard deviation of each candidate's own noise.
        shared: the standard deviation of what a seed adds to all candidates alike.
        step: the step of the losses, like that of accuracies on few examples; 0 if they are continuous.

    """

    name: str
    truth: Truth
    noise: Mapping[str, float]
    shared: float = 1.0
    step: float = 0.0


_STEP = 0.01
"""The step of accuracies on 100 examples."""


def surfaces() -> Iterator[Surface]:
    """Yield problems that are hard in different ways."""
    names = ("f1", "f2", "f3", "b1", "b2")

    def surface(
        name: str, means: tuple[float, ...], noise: tuple[float, ...] = (1.0,) * 5, step: float = 0.0
    ) -> Surface:
        chosen, unit = names if len(means) == len(names) else ("f1", "b1"), step or 1.0
        truth = {one: unit * mean for one, mean in zip(chosen, means, strict=True)}
        own = {one: unit * deviation for one, deviation in zip(chosen, noise, strict=False)}
        return Surface(name, truth, own, unit, step)

    yield surface("all five equal", (0, 0, 0, 0, 0))
    yield surface("three equal finalists, baselines far", (0, 0, 0, 8, 10))
    yield surface("two equal, the rest far", (0, 0, 6, 8, 10))
    yield surface("two equal of unequal noise", (0, 0, 6, 8, 10), (1.0, 0.3, 1.0, 3.0, 3.0))
    yield surface("best ahead by half a deviation", (0, 0.5, 0.5, 8, 10))
    yield surface("steps of one deviation", (0, 1, 2, 3, 4))
    yield surface("clear: the best ahead by four", (0, 4, 6, 8, 10))
    yield surface("a baseline is the best", (2, 2, 3, 0, 8))
    yield surface("one finalist, one baseline, equal", (0, 0))
    yield surface("one finalist, one baseline, 1.5 apart", (0, 1.5))
    for noise in (0.25, 0.5, 1.0):
        yield surface(f"accuracies, noise of {noise:g} steps, two equal", (0, 0, 6, 8, 10), (noise,) * 5, _STEP)
    yield surface("accuracies, noise of 0.5 steps, all equal", (0, 0, 0, 0, 0), (0.5,) * 5, _STEP)
    yield surface("accuracies, noise of 0.5 steps, one finalist, one baseline, equal", (0, 0), (0.5,) * 2, _STEP)


def on_surface(surface: Surface, rng: np.random.Generator) -> Evaluate:
    """Answer from the formula: independent noise for every seed, the same each time for the same evaluation."""
    luck: dict[tuple[str, int], float] = {}

    def drawn(name: str, seed: int) -> float:
        if (name, seed) not in luck:
            luck[name, seed] = float(rng.normal())
        return luck[name, seed]

    def loss(asked: Evaluation) -> float:
        name = str(asked.candidate.params["name"])
        noise = surface.noise[name] * drawn(name, asked.seed) + surface.shared * drawn("shared", asked.seed)
        exact = surface.truth[name] + log10(asked.candidate.initial_lr) ** 2 + noise
        return surface.step * round(exact / surface.step) if surface.step else exact

    return lambda evaluations: [_outcome(loss(asked)) for asked in evaluations]


def on_digits(losses: Losses, rng: np.random.Generator) -> Evaluate:
    """Answer from stored trainings, in a new order of their seeds."""
    order = rng.permutation(len(next(iter(losses.values()))))

    def loss(asked: Evaluation) -> float:
        name = next((name for name, known in CANDIDATES.items() if known.candidate == asked.candidate), None)
        # Trainings of basins, at other rates, do not affect what is counted here.
        return float(losses[name][order[asked.seed]]) if name else float("inf")

    return lambda evaluations: [_outcome(loss(asked)) for asked in evaluations]


def _outcome(val_loss: float) -> Outcome:
    return Outcome(val_loss, val_loss, None, 0.0, 0.0, 0, "" if np.isfinite(val_loss) else "not trained")


def losses_on_digits(path: Path, seeds: int) -> Losses:
    """Return the losses of each candidate on the same seeds, training those that the file lacks."""
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            found = {name: kept[name] for name in CANDIDATES}
        if all(len(values) >= seeds for values in found.values()):
            return {name: values[:seeds] for name, values in found.items()}
    splits = datasets.split(datasets.load("digits"), seed=0)
    build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executor = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    found = {}
    for name, candidate in CANDIDATES.items():
        asked = [replace(candidate, seed=FIRST_SEED + at) for at in range(seeds)]
        found[name] = np.array([training.val_loss for training in answers(executor.ask, asked)])
    np.savez(path, **found)
    return found


def confirm_surface(surface: Surface, limit: int, rng: np.random.Generator) -> Confirmation:
    """Confirm the candidates of a surface once."""
    candidates = {name: _named(name) for name in surface.truth}
    finalists = {name: candidate for name, candidate in candidates.items() if name.startswith("f")}
    rest = {name: candidate for name, candidate in candidates.items() if name not in finalists}
    plan = replace(_plan(limit), objective=ACCURACY if surface.step else VAL_LOSS, resolution=surface.step)
    return confirm(plan, _cells(finalists), rest, (), on_surface(surface, rng))


def _named(name: str) -> Evaluation:
    candidate = Candidate(scheme="constant", initial_lr=1.0, optimizer="sgd", batch_size=1, params={"name": name})
    return Evaluation(candidate, BRIEF, seed=-10)


def confirm_digits(losses: Losses, limit: int, rng: np.random.Generator) -> Confirmation:
    """Confirm the candidates on digits once."""
    finalists = {name: replace(finalist, seed=0) for name, finalist in FINALISTS.items()}
    return confirm(replace(_plan(limit), epochs=EPOCHS), _cells(finalists), BASELINES, (), on_digits(losses, rng))


def _plan(limit: int) -> Plan:
    """Return a plan whose seeds are 0, 1, and so on up to the limit."""
    return Plan((), (), trials=0, epochs=FULL, top_k=0, confirm_seeds=limit, seed=-CONFIRM_SEED)


def _cells(finalists: Mapping[str, Evaluation]) -> dict[str, Cell]:
    return {name: Cell(one.candidate, 0.0, 0.0) for name, one in finalists.items()}


COLUMNS = {
    "means": "each mean's interval",
    "gains": "each gain's interval",
    "all gains": "all gains together",
    "all bounds": "all bounds behind the best",
    "best in": "best among winner or ties",
    "win": "winner named",
    "false": "wrongly (tied or worse)",
    "seeds": "seeds a candidate",
}


def tally(truth: Truth, found: Confirmation, step: float = 0.0) -> dict[str, float]:
    """Return, for each column, whether it held in one confirmation: 1 or 0, or a share. Losses move in this step."""
    best = min(truth.values())
    top = [name for name, mean in truth.items() if mean <= best + 1e-12]
    rows = found.rows
    losses = {name: [outcome.loss for outcome in outcomes] for name, outcomes in found.outcomes.items()}
    means = {name: mean_interval(values, resolution=step) for name, values in losses.items()}
    gains = [_holds(b.gain, truth[b.name] - truth[found.winner]) for b in found.baselines]
    bounds = [_holds(row.difference, truth[name] - best) for name, row in rows.items()]
    winners = [name for name, row in rows.items() if row.verdict == "winner"]
    may_be_best = [name for name, row in rows.items() if row.verdict in ("winner", "tie")]
    return {
        "means": float(np.mean([_holds(means[name], truth[name]) for name in rows])),
        "gains": float(np.mean(gains)),
        "all gains": float(all(gains)),
        "all bounds": float(all(bounds)),
        "best in": float(any(name in top for name in may_be_best)),
        "win": float(bool(winners)),
        "false": float(bool(winners) and (len(top) > 1 or winners[0] not in top)),
        "seeds": float(np.mean([len(row.seeds) for row in rows.values()])),
    }


def _holds(interval: Interval, value: float) -> bool:
    return bool(interval.low - 1e-9 <= value <= interval.high + 1e-9)


def row(name: str, limit: int, truth: Truth, once: Callable[[], Confirmation], repeats: int, step: float = 0.0) -> str:
    """Repeat a confirmation, and return a line of the table."""
    counted = [tally(truth, once(), step) for _ in range(repeats)]
    means = {key: float(np.mean([one[key] for one in counted])) for key in COLUMNS}
    shares = [f"{100 * means[key]:.1f}%" for key in list(COLUMNS)[:-1]]
    return f"| {name} | {limit} | {' | '.join(shares)} | {means['seeds']:.1f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--digits-repeats", type=int, default=2000)
    parser.add_argument("--digits-seeds", type=int, default=400)
    remembered = Path(tempfile.gettempdir()) / "lr-pipeline-trust-digits.npz"
    parser.add_argument("--remembered", type=Path, default=remembered, help="file that keeps the trainings on digits")
    options = parser.parse_args(arguments)
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, {os.cpu_count()} cores"
    )
    error = 100 * sqrt(0.05 * 0.95 / options.repeats)
    print(f"{options.repeats} repeats a line: a share of 95% or 5% has a standard error of {error:.1f} points\n")
    head = f"| problem | limit | {' | '.join(COLUMNS.values())} |\n|{' --- |' * (len(COLUMNS) + 2)}"
    print(head)
    for surface in surfaces():
        for limit in LIMITS:
            once = partial(confirm_surface, surface, limit, np.random.default_rng(limit))
            print(row(surface.name, limit, surface.truth, once, options.repeats, surface.step), flush=True)
    if options.digits_repeats:
        losses = losses_on_digits(options.remembered, options.digits_seeds)
        truth = {name: float(values.mean()) for name, values in losses.items()}
        spread = ", ".join(f"{name} {values.mean():.4f} ± {values.std(ddof=1):.4f}" for name, values in losses.items())
        print(f"\ndigits, {options.digits_seeds} seeds: {spread}\n\n{head}")
        for limit in LIMITS:
            once = partial(confirm_digits, losses, limit, np.random.default_rng(limit))
            print(row("digits", limit, truth, once, options.digits_repeats), flush=True)


if __name__ == "__main__":
    main()
