"""How much training it takes to find the rate of a whole one: forms of refinement, on the problems of `range_test`.

    python -m benchmarks.range_test_forms [--folder FOLDER] [NAME ...]

Every form starts from the same sweeps, five a problem, and is judged by the same grid as there, with a cosine decay.
Costs are in whole trainings. With the same folder, trainings that `benchmarks.range_test` has made are not made again.
"""

import argparse
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.range_test import REPEATS, Asked, Grid, Judged, judge
from benchmarks.range_test_problems import PROBLEMS, Trainings
from pipeline.range_test import bounds, explore, updates_for
from pipeline.range_test.refinement import bottom, bracket, refine, short_share, starting_rate

SCHEME = "cosine"
MOST = 8  # trainings that follow the valley, as in `refine`

Loss = Callable[[float, float], float]
"""`(offset, share) -> validation loss`, the offset in decades from the start."""


def of_length(share: float) -> Callable[[Loss], float]:
    """Trainings of one length alone, half a decade apart, and the parabola through the best three."""
    return lambda loss: bottom(bracket(lambda offset: loss(offset, share), MOST))


def extrapolated(shorter: float, longer: float) -> Callable[[Loss], float]:
    """The best rates of two lengths, and from their distance that of a whole training; it never goes up."""

    def find(loss: Loss) -> float:
        first = of_length(shorter)(loss)
        second = first + bottom(bracket(lambda offset: loss(first + offset, longer), MOST))
        a_doubling = min(0.0, (second - first) / np.log2(longer / shorter))
        return float(second + a_doubling * np.log2(1 / longer))

    return find


FORMS: dict[str, Callable[[Loss], float]] = {
    "sweep alone": lambda loss: 0.0,
    "an eighth alone": of_length(1 / 8),
    "a quarter alone": of_length(1 / 4),
    "a half alone": of_length(1 / 2),
    "extrapolated from a quarter and a half": extrapolated(1 / 4, 1 / 2),
    "whole ones alone": of_length(1.0),
}


def asked(trainings: Trainings, repeat: int) -> dict[str, tuple[float, float]]:
    """Each form's rate and its cost, from the sweeps of one repeat; empty where these gave no start."""
    problem, seed = trainings.problem, 100 + repeat
    seeds = tuple(100 + 3 * repeat + i for i in range(3))
    found = explore(trainings.sweep, seeds, *bounds(problem.optimizer), updates_for(problem.batch_size))
    start = starting_rate(found.analysis)
    if start is None:
        return {}
    answers = {}
    for name, form in FORMS.items():
        made: set[tuple[float, float]] = set()

        def loss(offset: float, share: float, made: set[tuple[float, float]] = made) -> float:
            made.add((offset, share))
            return trainings.val_loss(SCHEME, start * 10**offset, seed, share)

        rate = start * 10 ** form(loss)
        answers[name] = (rate, sum(share for _, share in made))
    refined = refine(
        lambda rate, seed, share: trainings.val_loss(SCHEME, rate, seed, share),
        start,
        seeds=(seed,),
        short=short_share(trainings.updates()),
    )
    return {**answers, "an eighth, then whole ones (`refine`)": (refined.suggested_lr or np.nan, refined.cost)}


def main() -> None:
    """Measure and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="parts of the names of problems; default: all")
    folder = Path(tempfile.gettempdir()) / "range_test_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where trainings are kept")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    started, judged, costs = (
        time.perf_counter(),
        defaultdict[str, list[Judged]](list),
        defaultdict[str, list[float]](list),
    )
    for problem in PROBLEMS:
        if options.names and not any(name in problem.name for name in options.names):
            continue
        trainings = Trainings(problem, options.folder)
        answers = [asked(trainings, repeat) for repeat in range(REPEATS)]
        trainings.save()
        grid = Grid(trainings, SCHEME, next(answer["whole ones alone"][0] for answer in answers if answer))
        for name, (rate, cost) in (item for answer in answers for item in answer.items()):
            judged[name].append(judge(Asked(rate, 0), grid))
            costs[name].append(cost)
        trainings.save()
    print("| trainings | excess loss, median | worst | decades off, median | cost, median | cost, most |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, every in judged.items():
        excess = [np.inf if each.excess is None else each.excess for each in every]
        decades = np.median([each.decades for each in every if each.decades is not None])
        worst = f"{max(excess):.0%}" if np.isfinite(max(excess)) else "diverges"
        spent = f"{np.median(costs[name]):.2g} | {max(costs[name]):.2g}"
        print(f"| {name} | {np.median(excess):.1%} | {worst} | {decades:.2f} | {spent} |")
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
