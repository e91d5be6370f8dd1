"""Results of all stages, small but complete, and reports of them."""

from collections.abc import Callable
from math import inf

import numpy as np
import pytest

from pipeline.datasets import PrepareResult, Scaling
from pipeline.evaluation import Training
from pipeline.objective import Objective
from pipeline.predictions import Confused, Hard, Predictions
from pipeline.reporting.report_inputs import Report, Sweep
from pipeline.reporting.report_page import render
from pipeline.reporting.training_figures import NamedTraining, Role
from pipeline.results import (
    Interval,
    LeaderboardRow,
    RangeTestResult,
    Refinement,
    SeedScore,
    TrainResult,
    Tried,
    Valley,
)
from pipeline.schedules import Array
from tests.reporting.searches import SEEDS, make_search, make_transfer, make_trials

STEPS_PER_EPOCH, EPOCHS = 64, 6
UPDATES = STEPS_PER_EPOCH * EPOCHS


def _rates(scheme: str, initial_lr: float) -> Array:
    done = np.arange(UPDATES) / UPDATES
    shapes = {
        "cosine": 0.5 * (1 + np.cos(np.pi * done)),
        "exponential": np.exp(-4 * done),
        "step": 0.5 ** np.floor(6 * done),
        "one_cycle": np.interp(done, [0, 0.3, 1], [0.1, 1, 0.001]),
    }
    return initial_lr * shapes.get(scheme, np.ones(UPDATES))


def make_training(
    name: str, scheme: str, role: Role, initial_lr: float, floor: float, seed: int, metric: str = "accuracy"
) -> NamedTraining:
    """Return a training whose losses fall to about `floor`, with the noise of `seed`."""
    noise = np.random.default_rng(seed)
    step = np.arange(UPDATES)
    batch_loss = (2.3 * np.exp(-step / 45) + floor) * np.exp(noise.normal(0, 0.25, UPDATES))
    epoch = np.arange(1, EPOCHS + 1)
    loss = (1.2 * np.exp(-epoch) + floor) * np.exp(noise.normal(0, 0.03, EPOCHS))
    history = {"loss": loss, "val_loss": loss * 1.1, metric: 1 - loss / 4, f"val_{metric}": 1 - loss / 3}
    training = Training(
        rates=_rates(scheme, initial_lr).astype(np.float32),
        losses=batch_loss.astype(np.float32),
        history={key: values.tolist() for key, values in history.items()},
        steps_per_epoch=STEPS_PER_EPOCH,
        validation_steps=STEPS_PER_EPOCH,
        diverged="",
        seconds=9.4,
        examples=UPDATES * 50,
    )
    return NamedTraining(f"{name} seed={seed}", scheme, seed, role, training)


def make_trainings(metric: str = "accuracy") -> list[NamedTraining]:
    """Return three seeds of the winner, two finalists and two baselines."""
    series: list[tuple[str, str, Role, float, float]] = [
        ("cosine lr=0.0562", "cosine", "winner", 0.0562, 0.052),
        ("one_cycle lr=0.1", "one_cycle", "finalist", 0.1, 0.055),
        ("exponential lr=0.0316", "exponential", "finalist", 0.0316, 0.071),
        ("Adam at 0.001", "constant", "baseline", 0.001, 0.085),
        ("SGD at 0.01", "constant", "baseline", 0.01, 0.095),
    ]
    return [make_training(*one, seed, metric) for one in series for seed in SEEDS]


def make_sweep() -> Sweep:
    """Return a loss that is constant at first, falls from a rate of 0.002 on, and explodes above 0.6."""
    rates = np.geomspace(1e-5, 3, 240)
    position = np.log10(rates)
    clean = 0.35 + 1.95 / (1 + np.exp(4 * (position + 1.9))) + np.exp(13 * (position + 0.05))
    noise = np.random.default_rng(7).normal(0, 0.07, (3, rates.size))
    losses = clean * np.exp(noise)
    losses[:, -4:] = np.nan
    median = np.where(np.isnan(losses[0]), np.nan, clean)
    return Sweep(rates, losses, median, median * 0.93, median * 1.07)


def make_refinement() -> Refinement:
    """Return three short trainings, one of them diverged, and three whole ones with the best at 0.0562."""
    short = [(0.178, 0.6), (0.0562, 0.8), (0.562, inf)]
    whole = [(0.178, 0.44), (0.0562, 0.36), (0.0178, 0.43)]
    return Refinement(
        scheme="cosine",
        start_lr=0.178,
        seeds=(0,),
        tried=tuple(
            Tried(lr=lr, share=share, val_loss=loss, train_loss=loss)
            for share, tried in ((0.125, short), (1.0, whole))
            for lr, loss in tried
        ),
        fit=Valley(lr=0.055, val_loss=0.36, curvature=0.76),
        cost=3.375,
        updates=1_620,
        seconds=9.1,
    )


def make_range_test() -> RangeTestResult:
    """Return a range test that suggests 0.0562."""
    return RangeTestResult(
        verdict="ok",
        reason="The loss falls from 0.0032 and is lowest at 0.32.",
        suggested_lr=0.0562,
        lr_low=0.0032,
        lr_high=0.32,
        suggestions={"steepest": 0.0125, "valley": 0.0316, "minimum_tenth": 0.0562, "minimum": 0.45},
        divergence_lr=0.85,
        seeds=(0, 1, 2),
        optimizer="sgd",
        batch_size=50,
        lr_min=1e-5,
        lr_max=10.0,
        updates=240,
        seconds=11.4,
        refinement=make_refinement(),
    )


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def make_predictions() -> Predictions:
    """Return those of a model that takes one of two sevens for a one."""
    return Predictions(
        seed=0,
        examples=3,
        correct=2,
        classes=("1", "7"),
        counts=((1, 0), (1, 1)),
        confused=(Confused(true="7", predicted="1", count=1),),
        hardest=(Hard(row=2, true="7", predicted="1", probability=0.8, true_probability=0.15, image=PNG),),
    )


def make_report(**changes: object) -> Report:
    """Return a whole classification report; `changes` replaces its fields."""
    search = make_search()
    scores = [(0, 0.0561, 0.0498, 0.9842), (1, 0.0588, 0.0523, 0.9828), (2, 0.0579, 0.0507, 0.9856)]
    fields: dict[str, object] = {
        "prepare": PrepareResult(
            data="mnist-5k",
            task="classification",
            input_shape=(28, 28, 1),
            num_outputs=10,
            classes=tuple("0123456789"),
            train_examples=3200,
            validation_examples=800,
            test_examples=1000,
            scaling=Scaling(offset=(0.0,), scale=(255.0,)),
            digests={"train.npz": "9f" * 32, "test.npz": "0c" * 32},
        ),
        "range_test": make_range_test(),
        "range_tests": [make_range_test()],
        "search": search,
        "train": TrainResult(
            test_loss=0.0509,
            test_accuracy=0.9842,
            test_accuracy_interval=Interval(mean=0.9842, low=0.9764, high=0.992),
            val_loss=0.0576,
            seeds=tuple(
                SeedScore(seed=s, val_loss=v, test_loss=t, test_accuracy=a, train_seconds=9.4) for s, v, t, a in scores
            ),
            winner=search.winner,
            registered=None,
        ),
        "sweep": make_sweep(),
        "trials": make_trials(),
        "trainings": make_trainings(),
        "options": {"data": "mnist-5k", "optimizer": "sgd", "batch_size": 50, "epochs": 6, "scheme": None},
        "environment": {"python": "3.11.9", "tensorflow": "2.21.0", "machine": "2 cores, 8 GB"},
        "costs": [
            ("prepare", 1.2, 0.0),
            ("range_test", 11.4, 11.25),
            ("search", 141.2, 58.5),
            ("train", 28.2, 18.0),
        ],
        "generated": "2025-06-01T12:00:00+00:00",
        "command": "python -m pipeline main --data mnist-5k --optimizer sgd",
    }
    return Report(**(fields | changes))  # type: ignore[arg-type]


def make_regression() -> Report:
    """Return a regression report: losses only, and the mean absolute error of each training."""
    report = make_report()
    assert report.search is not None
    assert report.train is not None
    seeds = tuple(score.model_copy(update={"test_accuracy": None}) for score in report.train.seeds)
    rows = tuple(row.model_copy(update={"val_accuracy": None}) for row in report.search.leaderboard)
    baselines = tuple(
        b.model_copy(update={"accuracy_gain": None, "row": b.row.model_copy(update={"val_accuracy": None})})
        for b in report.search.baselines
    )
    return make_report(
        prepare=report.prepare.model_copy(update={"task": "regression", "num_outputs": 1, "classes": ()}),
        train=report.train.model_copy(update={"test_accuracy": None, "test_accuracy_interval": None, "seeds": seeds}),
        search=report.search.model_copy(update={"leaderboard": rows, "baselines": baselines}),
        trainings=make_trainings("mae"),
    )


def make_maximised() -> Report:
    """Return the report of a search for the highest gain, 1 minus the loss; two of its trials diverged."""
    report = make_report()
    assert report.search is not None
    assert report.trials is not None

    def turned(row: LeaderboardRow) -> LeaderboardRow:
        loss = row.objective
        gain = Interval(mean=1 - loss.mean, low=1 - loss.high, high=1 - loss.low)
        values = row.basin and row.basin.model_copy(update={"values": tuple(1 - v for v in row.basin.values)})
        return row.model_copy(update={"objective": gain, "basin": values})

    search = report.search
    turned_rows = tuple(turned(row) for row in search.leaderboard)
    baselines = tuple(b.model_copy(update={"row": turned(b.row)}) for b in search.baselines)
    objective = {"objective": Objective("val_gain", "max"), "leaderboard": turned_rows, "baselines": baselines}
    trials = report.trials.assign(val_gain=1 - report.trials["val_loss"].replace(inf, np.nan))
    return make_report(search=search.model_copy(update=objective), trials=trials)


def make_given() -> Report:
    """Return the report of a scheme given by the user: no range test, no search."""
    winners = [training for training in make_trainings() if training.role == "winner"]
    return make_report(range_test=None, range_tests=[], search=None, sweep=None, trials=None, trainings=winners)


@pytest.fixture
def report() -> Report:
    """Return a whole classification report."""
    return make_report()


@pytest.fixture(scope="session")
def rendered() -> str:
    """Return the page of the classification report, drawn once for all tests."""
    return render(make_report())


@pytest.fixture
def change() -> Callable[..., Report]:
    """Return a function that builds a report with other fields."""
    return make_report


@pytest.fixture
def regression() -> Report:
    """Return a whole regression report."""
    return make_regression()


@pytest.fixture
def transferred() -> Report:
    """Return the report of a search that tried other budgets."""
    return make_report(search=make_transfer())


@pytest.fixture
def maximised() -> Report:
    """Return a whole report whose objective is a gain, to be maximised."""
    return make_maximised()


@pytest.fixture
def given() -> Report:
    """Return the report of a scheme given by the user."""
    return make_given()
