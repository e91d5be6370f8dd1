"""Results as the stages hand them over, small but complete."""

from collections.abc import Callable
from math import inf

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.objective import Objective
from pipeline.reporting.figures import Role, Training
from pipeline.reporting.html import Report, Sweep, render
from pipeline.results import (
    Agreement,
    Audits,
    Baseline,
    Basin,
    Cost,
    Valley,
    Interval,
    LeaderboardRow,
    PrepareResult,
    RangeTestResult,
    RateSuggestion,
    Refinement,
    Scaling,
    Space,
    SearchResult,
    SeedScore,
    TrainResult,
    Transfer,
    Tried,
    Widening,
    Winner,
)

STEPS_PER_EPOCH, EPOCHS, SEEDS = 64, 6, (100, 101, 102)
UPDATES = STEPS_PER_EPOCH * EPOCHS


def _rates(scheme: str, initial_lr: float) -> npt.NDArray[np.float64]:
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
) -> Training:
    """A training whose losses fall to about `floor`, with the noise of `seed`."""
    noise = np.random.default_rng(seed)
    step = np.arange(UPDATES)
    batch_loss = (2.3 * np.exp(-step / 45) + floor) * np.exp(noise.normal(0, 0.25, UPDATES))
    epoch = np.arange(1, EPOCHS + 1)
    loss = (1.2 * np.exp(-epoch) + floor) * np.exp(noise.normal(0, 0.03, EPOCHS))
    history = {"loss": loss, "val_loss": loss * 1.1, metric: 1 - loss / 4, f"val_{metric}": 1 - loss / 3}
    return Training(
        name=f"{name} seed={seed}",
        scheme=scheme,
        seed=seed,
        role=role,
        lr=_rates(scheme, initial_lr),
        batch_loss=batch_loss,
        history={key: values.tolist() for key, values in history.items()},
        steps_per_epoch=STEPS_PER_EPOCH,
    )


def make_trainings(metric: str = "accuracy") -> list[Training]:
    """Three seeds of the winner, two finalists and two baselines."""
    series: list[tuple[str, str, Role, float, float]] = [
        ("cosine lr=0.0562", "cosine", "winner", 0.0562, 0.052),
        ("one_cycle lr=0.1", "one_cycle", "finalist", 0.1, 0.055),
        ("exponential lr=0.0316", "exponential", "finalist", 0.0316, 0.071),
        ("Adam at 0.001", "constant", "baseline", 0.001, 0.085),
        ("SGD at 0.01", "constant", "baseline", 0.01, 0.095),
    ]
    return [make_training(*one, seed, metric) for one in series for seed in SEEDS]


def make_row(scheme: str, initial_lr: float, mean: float, verdict: str, **fields: object) -> LeaderboardRow:
    """A row whose interval is a tenth of its mean to either side, `difference` counted from 0.0571."""
    values: dict[str, object] = {
        "scheme": scheme,
        "initial_lr": initial_lr,
        "optimizer": "sgd",
        "batch_size": 50,
        "params": {},
        "objective": Interval(mean=mean, low=0.9 * mean, high=1.1 * mean),
        "val_loss": Interval(mean=mean, low=0.9 * mean, high=1.1 * mean),
        "val_accuracy": 1 - mean / 3,
        "difference": Interval(mean=mean - 0.0571, low=mean - 0.0621, high=mean - 0.0521, level=0.9833),
        "seeds": SEEDS,
        "verdict": verdict,
    }
    return LeaderboardRow.model_validate(values | fields)


def make_basin(centre: float, width: float) -> Basin:
    """A parabola round `centre` that is within noise for `width` decades in all, tried at five rates."""
    distances = np.array([-0.6, -0.3, 0.0, 0.3, 0.6])
    return Basin(
        lr_low=centre * 10 ** (-width / 2),
        lr_high=centre * 10 ** (width / 2),
        decades=width,
        noise=0.004,
        rates=tuple(centre * 10**distances),
        values=tuple(0.12 + 0.004 * (2 * distances / width) ** 2),
    )


def make_search() -> SearchResult:
    """Cosine wins in a tie with one_cycle; Adam at 0.001 is beaten, SGD at 0.01 is not."""
    adam = make_row("constant", 0.001, 0.0853, "worse", optimizer="adam")
    sgd = make_row("constant", 0.01, 0.0602, "tie")
    return SearchResult(
        winner=Winner(
            scheme="cosine", initial_lr=0.0562, optimizer="sgd", batch_size=50, params={"final_fraction": 0.01}
        ),
        leaderboard=(
            make_row("cosine", 0.0562, 0.0571, "tie", params={"final_fraction": 0.01}, basin=make_basin(0.0562, 0.65)),
            make_row("one_cycle", 0.1, 0.0584, "tie", basin=make_basin(0.1, 0.4)),
            make_row(
                "exponential",
                0.0316,
                0.0764,
                "worse",
                params={"decay_rate": 0.666666666},
                basin=make_basin(0.0316, 0.9),
            ),
            adam,
            sgd,
        ),
        ties=("one_cycle",),
        basin=make_basin(0.0562, 0.65),
        baselines=(
            Baseline(
                name="Adam at 0.001",
                row=adam,
                gain=Interval(mean=0.0282, low=0.0204, high=0.036),
                accuracy_gain=Interval(mean=0.0094, low=0.0041, high=0.0147),
            ),
            Baseline(
                name="SGD at 0.01",
                row=sgd,
                gain=Interval(mean=0.0031, low=-0.0019, high=0.0081),
                accuracy_gain=Interval(mean=0.0012, low=-0.002, high=0.0044),
            ),
        ),
        cost=Cost(seconds=141.2, epochs=58.5, examples=187_200),
        reason="Cosine has the best mean validation loss of 5 candidates on 3 fresh seeds.",
        lr_low=0.0032,
        lr_high=0.32,
        widened=(Widening(optimizer="sgd", batch_size=50, scheme="step", side="high", before=0.15, after=0.32),),
        trials=20,
        spaces=(Space(optimizer="sgd", batch_size=50, suggested_lr=0.05, lr_low=0.0064, lr_high=0.16),),
        diverged=2,
        audits=Audits(
            agreement=(
                Agreement(epochs=5 / 9, candidates=5, correlation=0.7),
                Agreement(epochs=5 / 3, candidates=5, correlation=None),
            ),
            seed_noise=0.0042,
            diverged_share=0.1,
            importance={"rate": 0.62, "scheme": 0.3, "parameters": 0.08},
            ledger={
                "range test": Cost(seconds=20.0, epochs=12.5, examples=40_000),
                "trials": Cost(seconds=61.2, epochs=33.0, examples=105_600),
                "blind search": Cost(seconds=180.0, epochs=100.0, examples=320_000),
            },
        ),
    )


def make_transfer() -> SearchResult:
    """A search whose winner is tied at half the budget and beaten at double."""
    names = ("cosine", "one_cycle", "SGD at 0.01")
    loss, level = Interval(mean=0.08, low=0.07, high=0.09), 0.975
    half = Transfer(
        factor=0.5,
        epochs=3,
        verdict="tie",
        rivals=("one_cycle", "SGD at 0.01"),
        objective=loss,
        difference=Interval(mean=0, low=0, high=0.0051, level=level),
        candidates=names,
        seeds=SEEDS,
    )
    beaten = Interval(mean=0.004, low=0, high=0.0062, level=level)
    double = half.model_copy(
        update={"factor": 2.0, "epochs": 12.0, "verdict": "worse", "rivals": ("one_cycle",), "difference": beaten}
    )
    suggestion = RateSuggestion(batch_size=100, initial_lr=0.1124, rule="linear")
    return make_search().model_copy(update={"transfer": (half, double), "suggestions": (suggestion,)})


def make_sweep() -> Sweep:
    """A loss that stays, falls from a rate of 0.002 on, and explodes past 0.6."""
    rates = np.geomspace(1e-5, 3, 240)
    position = np.log10(rates)
    clean = 0.35 + 1.95 / (1 + np.exp(4 * (position + 1.9))) + np.exp(13 * (position + 0.05))
    noise = np.random.default_rng(7).normal(0, 0.07, (3, rates.size))
    losses = clean * np.exp(noise)
    losses[:, -4:] = np.nan
    median = np.where(np.isnan(losses[0]), np.nan, clean)
    return Sweep(rates, losses, median, median * 0.93, median * 1.07)


def make_refinement() -> Refinement:
    """Three short trainings, one of which diverged, and three whole ones whose best lies at 0.0562."""
    short = [(0.178, 0.6), (0.0562, 0.8), (0.562, inf)]
    whole = [(0.178, 0.44), (0.0562, 0.36), (0.0178, 0.43)]
    return Refinement(
        scheme="cosine",
        start_lr=0.178,
        seeds=(0,),
        tried=tuple(
            Tried(lr=lr, share=share, val_loss=loss)
            for share, tried in ((0.125, short), (1.0, whole))
            for lr, loss in tried
        ),
        fit=Valley(lr=0.055, val_loss=0.36, curvature=0.76),
        cost=3.375,
        updates=1_620,
        seconds=9.1,
    )


def make_range_test() -> RangeTestResult:
    """A range test that suggests 0.0562."""
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
        updates=240,
        seconds=11.4,
        refinement=make_refinement(),
    )


def make_trials() -> pd.DataFrame:
    """Twenty trials of five schemes, two of them diverged."""
    chance = np.random.default_rng(3)
    schemes = ["cosine", "one_cycle", "exponential", "step", "constant"] * 4
    rates = 10 ** chance.uniform(-2.5, -0.5, 20)
    losses = 0.1 + 0.4 * (np.log10(rates) + 1.3) ** 2 * np.exp(chance.normal(0, 0.3, 20))
    diverged = np.arange(20) >= 18
    return pd.DataFrame(
        {
            "number": range(20),
            "optimizer": ["sgd"] * 20,
            "batch_size": [50] * 20,
            "scheme": schemes,
            "initial_lr": rates,
            "params": ["{}"] * 20,
            "budget": [2.0] * 20,
            "val_loss": np.where(diverged, np.inf, losses),
            "state": np.where(diverged, "diverged", "complete"),
            "seconds": chance.uniform(2, 4, 20),
        }
    )


def make_report(**changes: object) -> Report:
    """A whole classification report; `changes` replaces its fields."""
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
    """A regression: losses only, and the mean absolute error of each training."""
    report = make_report()
    assert report.search is not None
    seeds = tuple(score.model_copy(update={"test_accuracy": None}) for score in report.train.seeds)
    rows = tuple(row.model_copy(update={"val_accuracy": None}) for row in report.search.leaderboard)
    baselines = tuple(
        b.model_copy(update={"accuracy_gain": None, "row": b.row.model_copy(update={"val_accuracy": None})})
        for b in report.search.baselines
    )
    return make_report(
        prepare=report.prepare.model_copy(update={"task": "regression", "num_outputs": 1, "classes": ()}),
        train=report.train.model_copy(update={"test_accuracy": None, "seeds": seeds}),
        search=report.search.model_copy(update={"leaderboard": rows, "baselines": baselines}),
        trainings=make_trainings("mae"),
    )


def make_maximised() -> Report:
    """The report of a search for the highest gain, which is 1 less the loss; two trials of it diverged."""
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
    """A training with a scheme given by the user: no range test, no search."""
    winners = [training for training in make_trainings() if training.role == "winner"]
    return make_report(range_test=None, range_tests=[], search=None, sweep=None, trials=None, trainings=winners)


@pytest.fixture
def report() -> Report:
    """A whole classification report."""
    return make_report()


@pytest.fixture(scope="session")
def rendered() -> str:
    """Return the page of the classification report, drawn once for all tests."""
    return render(make_report())


@pytest.fixture
def change() -> Callable[..., Report]:
    """Build a report with fields of your own."""
    return make_report


@pytest.fixture
def regression() -> Report:
    """A whole regression report."""
    return make_regression()


@pytest.fixture
def transferred() -> Report:
    """A report of a search that looked at other budgets."""
    return make_report(search=make_transfer())


@pytest.fixture
def maximised() -> Report:
    """A whole report whose objective is a gain, to be maximised."""
    return make_maximised()


@pytest.fixture
def given() -> Report:
    """A report of a training with a scheme given by the user."""
    return make_given()
