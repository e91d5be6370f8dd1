"""Results of a search, small but complete."""

import numpy as np
import pandas as pd

from pipeline.evaluation import Candidate
from pipeline.results import (
    Audits,
    Baseline,
    Basin,
    Cost,
    Interval,
    LeaderboardRow,
    RateSuggestion,
    SearchResult,
    Space,
    Transfer,
)

SEEDS = (100, 101, 102)


def make_row(scheme: str, initial_lr: float, mean: float, verdict: str, **fields: object) -> LeaderboardRow:
    """Return a row whose interval extends a tenth of its mean to either side; `difference` is that to 0.0571."""
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
    """Return a parabola around `centre`, within noise for `width` decades in total, tried at five rates."""
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
    """Return a search that cosine wins in a tie with one_cycle; Adam at 0.001 is beaten, SGD at 0.01 is not."""
    adam = make_row("constant", 0.001, 0.0853, "worse", optimizer="adam")
    sgd = make_row("constant", 0.01, 0.0602, "tie")
    return SearchResult(
        winner=Candidate(
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
        trials=20,
        spaces=(Space(optimizer="sgd", batch_size=50, suggested_lr=0.05, lr_low=0.0064, lr_high=0.16),),
        diverged=2,
        audits=Audits(
            seed_noise=0.0042,
            diverged_share=0.1,
            importance={"rate": 0.62, "scheme": 0.3, "parameters": 0.08},
            ledger={
                "range test": Cost(seconds=20.0, epochs=12.5, examples=40_000),
                "trials": Cost(seconds=61.2, epochs=33.0, examples=105_600, trainings=6.6),
                "blind search": Cost(seconds=180.0, epochs=100.0, examples=320_000),
            },
        ),
    )


def make_transfer() -> SearchResult:
    """Return a search whose winner is tied at half the budget and beaten at double."""
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


def make_trials() -> pd.DataFrame:
    """Return twenty trials of five schemes, two of them diverged."""
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
