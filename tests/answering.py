"""What answers in place of networks: executors that keep no order, and sweeps whose losses are a formula."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation import Ask, Evaluation, Training
from pipeline.range_test import Sweeps

Train = Callable[[Evaluation], Training]
Answers = Iterator[tuple[Evaluation, Training]]
Executor = Callable[[Train], Ask]


def in_order(train: Train) -> Ask:
    """Return what answers each question before it trains for the next."""

    def ask(evaluations: Sequence[Evaluation]) -> Answers:
        for evaluation in evaluations:
            yield evaluation, train(evaluation)

    return ask


def late(train: Train) -> Ask:
    """Return what gives no answer before all are known."""
    return lambda evaluations: iter([(evaluation, train(evaluation)) for evaluation in evaluations])


def reversed_order(train: Train) -> Ask:
    """Return what answers the last question first."""
    return lambda evaluations: in_order(train)(evaluations[::-1])


def shuffled(train: Train) -> Ask:
    """Return what answers in an order of its own."""
    chance = random.Random(7)
    return lambda evaluations: in_order(train)(chance.sample(evaluations, len(evaluations)))


def threaded(train: Train) -> Ask:
    """Return what trains four at a time, each for up to 5 ms, and answers as each has finished."""
    chance = random.Random(7)

    def slowly(evaluation: Evaluation, seconds: float) -> tuple[Evaluation, Training]:
        time.sleep(seconds)
        return evaluation, train(evaluation)

    def ask(evaluations: Sequence[Evaluation]) -> Answers:
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(slowly, evaluation, chance.uniform(0, 0.005)) for evaluation in evaluations]
            for finished in as_completed(waiting):
                yield finished.result()

    return ask


DISORDERLY = (late, reversed_order, shuffled, threaded)


@dataclass
class Descent:
    """Sweeps fall round `centre` and stop at `breaks_at`; trainings are best at `best` and diverge above 10 times it.

    A seed in `shifted` has its centre so many times higher; without a `fall` nothing is learned at any rate. `batches`
    is what was asked at once.
    """

    centre: float = 1e-2
    fall: float = 2.0
    breaks_at: float = 1.0
    best: float = 3e-3
    shifted: Mapping[int, float] = field(default_factory=dict)
    batches: list[list[Evaluation]] = field(default_factory=list)

    def __call__(self, evaluations: Sequence[Evaluation]) -> Answers:
        """Answer in order."""
        self.batches.append(list(evaluations))
        return in_order(self.train)(evaluations)

    def train(self, evaluation: Evaluation) -> Training:
        """Return what happens in a sweep, or in a training of its refinement."""
        rates = evaluation.curve(PLAN.steps_per_epoch)
        return self._sweep(rates, evaluation.seed) if evaluation.is_sweep else self._training(rates, evaluation)

    def _sweep(self, rates: np.ndarray, seed: int) -> Training:
        centre = self.centre * self.shifted.get(seed, 1.0)
        losses = 0.3 + self.fall / (1 + np.exp(4 * np.log10(rates / centre)))
        losses += np.random.default_rng(seed).normal(0, 0.01, rates.size)
        kept = losses[rates < self.breaks_at]
        return _training(rates[: kept.size], kept, "loss is nan" if kept.size < rates.size else "")

    def _training(self, rates: np.ndarray, evaluation: Evaluation) -> Training:
        away = np.log10(evaluation.candidate.initial_lr / self.best)
        if away > 1:
            return _training(rates[:10], np.ones(10), "loss is nan")
        return _training(rates, np.ones(rates.size), val_loss=0.1 / evaluation.epochs * np.exp(away**2))


def _training(rates: np.ndarray, losses: np.ndarray, diverged: str = "", **history: float) -> Training:
    return Training(
        rates=rates.astype(np.float32),
        losses=losses.astype(np.float32),
        history={name: (float(value),) for name, value in history.items()},
        steps_per_epoch=PLAN.steps_per_epoch,
        validation_steps=max(rates.size, 1),
        diverged=diverged,
        seconds=0.1,
        examples=32 * rates.size,
    )


PLAN = Sweeps(
    optimizer="sgd",
    batch_size=32,
    seeds=(0, 1, 2),
    lr_min=1e-5,
    lr_max=10.0,
    updates=250,
    steps_per_epoch=100,
    refine="cosine",
    epochs=8,
)
