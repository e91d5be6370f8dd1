"""How far one controller reaches: searches whose trainings are a formula, on simulated workers.

    python -m benchmarks.scale controller [--trials 10000] [--workers 256]
    python -m benchmarks.scale workers [--workers 1 2 4 8 16] [--budgets 25 60] [--seconds 60] [--repeats 20]

The search, its surface, its proposals and its statistics are the real ones. A training is an answer from a formula, and
takes simulated seconds on a simulated worker; what the search computes between two requests counts with its processor
time, which other work on the machine does not lengthen.

`controller` lets a search go on for so many trials, which would end long before, and prints what a proposal costs, what
it costs to log a training, and from both how many workers one controller keeps at work. `workers` compares whole
searches on more and more workers: the time to the answer, and how much worse it is than the best rate and scheme.
"""

import argparse
import heapq
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf, log10
from statistics import mean, median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np
import psutil

from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.results import Space
from pipeline.schedules import SCHEMES
from pipeline.search import Plan, allocation, conduct
from pipeline.search.budget import sizes

NAMES = tuple(name for name, scheme in SCHEMES.items() if scheme.searchable)
SPACE = Space(optimizer="sgd", batch_size=32, suggested_lr=0.03, lr_low=0.003, lr_high=0.3)
OPTIMUM, CLIFF = 0.1, 1.0
"""The best rate, and that from which trainings diverge."""

NOISE, STEEPNESS = 0.04, 1.5
"""Standard deviation of the log loss between seeds, and its rise by the square of the decades from the best rate."""

STEPS = 90
LENGTHS = (10.0, 60.0, 600.0)
"""Seconds of an evaluation for which the workers of one controller are counted."""


def level(one: Candidate) -> float:
    """Return the log loss of a candidate, relative to the best one: schemes lie up to 0.2 apart."""
    if one.initial_lr > CLIFF:
        return inf
    return 0.2 * NAMES.index(one.scheme) / len(NAMES) + STEEPNESS * log10(one.initial_lr / OPTIMUM) ** 2


@dataclass
class Workers:
    """Simulated workers, which answer from the formula, and a clock.

    Attributes:
        number: how many they are.
        seconds: what a training takes.
        spread: the standard deviation of the logarithm of that.
        now: the simulated time: trainings, and the processor time of the search between two requests.
        thinking: that processor time, with the number of trainings that were then asked for.

    """

    number: int
    seconds: float
    spread: float = 0.0
    now: float = 0.0
    thinking: list[tuple[float, int]] = field(default_factory=list)
    _since: float = field(default_factory=time.process_time)

    def ask(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer each evaluation as a worker finishes it."""
        thought = time.process_time() - self._since
        self.thinking.append((thought, len(evaluations)))
        self.now += thought
        free = [self.now] * self.number
        answered = []
        for at, evaluation in enumerate(evaluations):
            chance = np.random.default_rng(int(evaluation.digest[:12], 16))
            seconds = self.seconds * float(np.exp(self.spread * chance.standard_normal()))
            done = heapq.heappop(free) + seconds
            heapq.heappush(free, done)
            answered.append((done, at, evaluation, _training(evaluation, seconds, chance)))
        for done, _, evaluation, training in sorted(answered, key=lambda one: one[:2]):
            self.now = done
            yield evaluation, training
        self._since = time.process_time()


def _training(evaluation: Evaluation, seconds: float, chance: np.random.Generator) -> Training:
    updates = evaluation.updates(STEPS)
    curve = np.zeros(updates, np.float32)
    expected = level(evaluation.candidate)
    loss = float(np.exp(expected + NOISE * chance.standard_normal()))
    history = {"val_loss": (loss,)} if expected < inf else {}
    diverged = "" if history else "loss is nan"
    return Training(curve, curve, history, STEPS, updates, diverged, seconds, 32 * updates)


def plan_of(budget: int, workers: int, seed: int = 0) -> Plan:
    """Return the plan of a search with a budget, on so many workers."""
    own = sizes(budget)
    return Plan(
        (SPACE,),
        NAMES,
        own.trials,
        9,
        own.top_k,
        own.confirm_seeds,
        seed,
        own.baselines,
        trainings=budget,
        at_once=workers,
    )


@dataclass(frozen=True)
class Round:
    """What the search needed before one request, once it knew so many trainings."""

    known: int
    asked: int
    seconds: float


def controller(trials: int, workers: int, logged: int) -> None:
    """Print what a proposal costs as trials grow in number, and how many workers one controller keeps at work."""
    simulated = Workers(workers, 60.0)
    plan = replace(plan_of(25, workers), trials=trials, trainings=inf, top_k=5, confirm_seeds=7, baselines=True)
    before = psutil.Process().memory_info().rss
    settled = allocation.settled
    # It is asked, which takes time, and its answer ignored: a search of one setting ends long before.
    allocation.settled = lambda *known: settled(*known) and False
    try:
        started = time.process_time()
        conduct(plan, simulated.ask)
        whole = time.process_time() - started
    finally:
        allocation.settled = settled
    rounds = _rounds(simulated)
    print("| trials known | asked at once | ms a proposal |")
    print("| --- | --- | --- |")
    bounds = [bound for bound in (30, 100, 200, 300, 1_000, 3_000, 10_000) if bound < trials] + [trials]
    for low, high in zip([0, *bounds], bounds, strict=False):
        within = [one for one in rounds if low < one.known <= high and one.known < trials]
        if within:
            asked = sum(one.asked for one in within)
            spent = sum(one.seconds for one in within)
            print(f"| {low} to {high} | {median(one.asked for one in within):.0f} | {1e3 * spent / asked:.1f} |")
    proposal = sum(one.seconds for one in rounds) / sum(one.asked for one in rounds)
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    print(f"\n{trials} trials and the answer: {whole:.0f} s, of which {whole - sum(o.seconds for o in rounds):.0f} s")
    print(f"after the last request or in answering; {grown:.0f} MiB more than before.")
    busy, steady = _efficiency(simulated)
    print(
        f"Efficiency of {workers} workers, 60 s a training: {steady:.1%} while it asks for as many, {busy:.1%} in all."
    )
    saturation(proposal, logged)


def _rounds(simulated: Workers) -> list[Round]:
    known, found = 0, list[Round]()
    for seconds, asked in simulated.thinking:
        found.append(Round(known, asked, seconds))
        known += asked
    return found


def _efficiency(simulated: Workers) -> tuple[float, float]:
    """Return the share of the workers' time in which they train: in all, and in requests that give all of them work."""
    trained = sum(asked for _, asked in simulated.thinking) * simulated.seconds
    full = [thought for thought, asked in simulated.thinking if asked >= simulated.number]
    return trained / (simulated.now * simulated.number), simulated.seconds / (simulated.seconds + mean(full or [0.0]))


def saturation(proposal: float, trainings: int) -> None:
    """Print what logging a training costs, and how many workers proposals and logging together keep at work."""
    from benchmarks.scale_ui import log  # load TensorFlow, which the search does without
    from benchmarks.soak import store

    with store(server=False):
        log(0, 5)
        started = time.process_time()
        log(5, 5 + trainings)
        logging = (time.process_time() - started) / trainings
    print(f"\nA proposal takes {1e3 * proposal:.1f} ms, logging a training {1e3 * logging:.1f} ms of processor time:")
    print(f"at most {1 / logging:.0f} trainings a second are logged.\n")
    print("| seconds a training | workers of one controller |")
    print("| --- | --- |")
    for seconds in LENGTHS:
        print(f"| {seconds:.0f} | {seconds / (proposal + logging):.0f} |")


def workers(numbers: Sequence[int], budgets: Sequence[int], seconds: float, repeats: int) -> None:
    """Print the time to the answer and the regret of whole searches."""
    print("| budget | workers | simulated minutes to the answer | times faster | trainings | regret, mean | worst |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for budget in budgets:
        alone = 0.0
        for number in numbers:
            times, costs, regrets = list[float](), list[float](), list[float]()
            for seed in range(repeats):
                simulated = Workers(number, seconds, spread=0.05)
                found, _ = conduct(plan_of(budget, number, 1_000 * seed), simulated.ask)
                times.append(simulated.now / 60)
                costs.append(found.cost.trainings)
                regrets.append(float(np.exp(level(found.winner)) - 1))
            alone = alone or mean(times)
            cells = f"{mean(times):.1f} | {alone / mean(times):.1f} | {mean(costs):.1f}"
            print(f"| {budget} | {number} | {cells} | {mean(regrets):.1%} | {max(regrets):.1%} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is named first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    kinds = parser.add_subparsers(dest="what", required=True)
    one = kinds.add_parser("controller")
    one.add_argument("--trials", type=int, default=10_000)
    one.add_argument("--workers", type=int, default=256)
    one.add_argument("--logged", type=int, default=100, help="trainings that are logged to time that")
    whole = kinds.add_parser("workers")
    whole.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    whole.add_argument("--budgets", type=int, nargs="+", default=[25, 60])
    whole.add_argument("--seconds", type=float, default=60.0)
    whole.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args(arguments)
    if options.what == "controller":
        controller(options.trials, options.workers, options.logged)
    else:
        workers(options.workers, options.budgets, options.seconds, options.repeats)
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main(sys.argv[1:])
