"""What it is worth to start a search from the answer of an earlier one, and what it costs where that misleads.

    python -m benchmarks.trust_history [PAIR ...] [--repeats 12] [--folder FOLDER]

Of each pair, the first problem is searched within a budget of 15 full trainings. Then the second one is, without that
answer and starting from it: at the range test's suggestion times the ratio of the first search's answer to the
suggestion that it had, or a part of that ratio. Prints the mean regret, in percent, of the best candidate after the
first, second, fourth and eighth trial: the excess of its mean loss on ten seeds that no search has used over the lowest
of all candidates of the problem. The first problems have a row each, too. Results are kept in a folder.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.trust_regret import PROBLEMS, Measured, Problem
from benchmarks.trust_regret_methods import Answer, Setting
from pipeline import range_test, search
from pipeline.evaluation import Evaluation, Training
from pipeline.search.allocation import finalists, run_trials

AFTER = (1, 2, 4, 8)
"""The numbers of trials after which answers are judged."""

BUDGET = 15.0

SEEDS = 10
"""The number of judges' seeds."""

CORRECTIONS: dict[str, Callable[[float], float]] = {
    "without": lambda ratio: 1.0,
    "in full": lambda ratio: ratio,
    "its square root": sqrt,
    "at most a factor of 2": lambda ratio: min(max(ratio, 0.5), 2.0),
}
"""What the suggested rate is multiplied by, of the earlier answer's ratio to its own."""


@dataclass(frozen=True)
class Pair:
    """Two problems: the name of the first, the second, and what the first answer's rate is multiplied by to mislead."""

    first: str
    second: Problem
    misled: float = 1.0


_DIGITS, _CLUSTERS, _FRIEDMAN = (PROBLEMS[name] for name in ("digits", "clusters", "friedman1"))
_SHORT = replace(_DIGITS, epochs=4)

PAIRS = {
    "digits, then 4 epochs": Pair("digits", _SHORT),
    "digits, then batches of 128": Pair("digits", replace(_DIGITS, batch_size=128)),
    "digits, then clusters": Pair("digits", _CLUSTERS),
    "digits doubled, then 4 epochs": Pair("digits", _SHORT, 2.0),
    "digits halved, then 4 epochs": Pair("digits", _SHORT, 0.5),
    "clusters, then 5 epochs": Pair("clusters", replace(_CLUSTERS, epochs=5)),
    "friedman1, then batches of 128": Pair("friedman1", replace(_FRIEDMAN, batch_size=128)),
    "friedman1, then digits": Pair("friedman1", _DIGITS),
}


def ratio(measured: Measured, repeat: int) -> float:
    """Return the rate that a search answers with, divided by the one that its range test suggests."""

    def searched() -> float:
        setting = measured.setting(repeat)
        options, steps = setting.options(budget=BUDGET), setting.network.steps_per_epoch
        found = range_test.conduct(range_test.planned(options, lambda size: steps), setting.network.ask).result
        plan = search.planned(options, [found], lambda size: steps, 1)
        winner = search.conduct(plan, setting.network.ask)[0].winner
        return winner.initial_lr / plan.spaces[0].suggested_lr

    return float(measured.remember(f"ratio {repeat}", searched))


def answers(setting: Setting, corrections: Sequence[float]) -> Iterator[list[Answer]]:
    """Yield for each correction what the search would answer after each number of trials."""
    known: dict[str, Training] = {}

    def ask(evaluations: Sequence[Evaluation]) -> list[search.Outcome]:
        new = [one for one in evaluations if one.digest not in known]
        known.update((one.digest, training) for one, training in setting.network.ask(new))
        return [search.Outcome.of(known[one.digest], options.judged_by) for one in evaluations]

    options, steps = setting.options(budget=BUDGET, trials=max(AFTER)), setting.network.steps_per_epoch
    found = range_test.conduct(range_test.planned(options, lambda size: steps), setting.network.ask).result
    for correction in corrections:
        plan = search.planned(options, [found], lambda size: steps, 1, correction=correction)
        trials = run_trials(plan, ask)
        best = [finalists(plan, trials[:count])[0].candidate for count in AFTER]
        yield [Answer(one.scheme, one.initial_lr, one.params, count) for one, count in zip(best, AFTER, strict=True)]


def losses(measured: Measured, given: float, corrections: Sequence[float], repeat: int) -> list[list[float]]:
    """Return the judged losses of one search after each number of trials, for each correction of a `given` ratio."""

    def judged(answer: Answer) -> float:
        rate = float(answer.initial_lr or 0.0)
        key = f"judged {answer.scheme} {rate!r} {sorted(answer.params.items())}"
        return float(measured.remember(key, lambda: measured.mean(answer.scheme, rate, answer.params, SEEDS)))

    def searched() -> list[list[float]]:
        return [[judged(answer) for answer in several] for several in answers(measured.setting(repeat), corrections)]

    known: list[list[float]] = measured.remember(f"losses {repeat} {given!r}", searched)
    return known


def rows(pair: str, folder: Path, repeats: int) -> Iterator[str]:
    """Yield a row of the table for each correction, and one with the ratios of the earlier answers."""
    earlier = Measured(PAIRS[pair].first, folder)
    later = Measured(f"second of {pair}", folder, problem=PAIRS[pair].second)
    given = [ratio(earlier, repeat) * PAIRS[pair].misled for repeat in range(repeats)]
    found = np.array(
        [
            losses(later, one, [correct(one) for correct in CORRECTIONS.values()], repeat)
            for repeat, one in enumerate(given)
        ]
    )
    for place, name in enumerate(CORRECTIONS):
        yield _row(pair, name, (found / found.min() - 1)[:, place])
    yield f"| {pair} | ratio {np.median(given):.2f}, {min(given):.2f} to {max(given):.2f} |{' |' * len(AFTER)}"


def first_row(name: str, folder: Path, repeats: int) -> str:
    """Return the row of a problem that is searched first."""
    measured = Measured(name, folder)
    found = np.array([losses(measured, 1.0, [1.0], repeat)[0] for repeat in range(repeats)])
    return _row(name, "without", found / found.min() - 1)


def _row(problem: str, correction: str, regrets: NDArray[np.float64]) -> str:
    return f"| {problem} | {correction} | {' | '.join(_mean(regrets[:, at]) for at in range(len(AFTER)))} |"


def _mean(values: NDArray[np.float64]) -> str:
    sound = values[np.isfinite(values)]
    text = f"{100 * sound.mean():.1f} ± {100 * sound.std(ddof=1) / sqrt(len(sound)):.1f}" if len(sound) > 1 else "-"
    return text if len(sound) == len(values) else f"{text}, {len(values) - len(sound)} fail"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pairs", nargs="*", metavar="PAIR", help=f"some of {'; '.join(PAIRS)}; default: all")
    parser.add_argument("--repeats", type=int, default=12)
    folder = Path(tempfile.gettempdir()) / "trust_history_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where results are kept")
    options = parser.parse_args(arguments)
    if unknown := set(options.pairs) - set(PAIRS):
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {'; '.join(PAIRS)}")
    options.folder.mkdir(exist_ok=True)
    pairs = options.pairs or list(PAIRS)
    print(f"| problem | correction | {' | '.join(f'after {count}' for count in AFTER)} |")
    print("| --- " * (2 + len(AFTER)) + "|")
    for first in dict.fromkeys(PAIRS[pair].first for pair in pairs):
        print(first_row(first, options.folder, options.repeats), flush=True)
    for pair in pairs:
        print("\n".join(rows(pair, options.folder, options.repeats)), flush=True)
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
