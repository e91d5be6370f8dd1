"""The audits: what a search reports about itself is what happened in it."""

from math import inf
from statistics import mean

import numpy as np
import pytest

from pipeline.search import conduct
from pipeline.search.audits import importance
from tests.search.surface import FULL, SEARCHABLE, Surface, make_plan, run_trials


def test_noise_is_that_between_seeds() -> None:
    """The noise between the finalists' seeds is close to that of the surface."""
    result, _ = conduct(make_plan(confirm_seeds=40), Surface(noise=0.03))
    assert result.audits is not None
    assert result.audits.seed_noise == pytest.approx(0.03, rel=0.4)


def test_share_of_diverged_trials() -> None:
    """Each trial counts."""
    result, trials = conduct(make_plan(trials=12), Surface(diverges_above=0.11))
    assert result.audits is not None
    assert result.audits.diverged_share == mean(trial.outcome.loss == inf for trial in trials) > 0


def test_ledger_holds_what_each_part_cost() -> None:
    """The parts sum to the whole; a blind search costs as many full trainings as there were trials."""
    surface = Surface()
    result, _ = conduct(make_plan(trials=9), surface)
    assert result.audits is not None
    ledger = result.audits.ledger
    assert list(ledger) == ["trials", "confirmation", "one training", "blind search"]
    parts = [ledger[name].epochs for name in ("trials", "confirmation")]
    assert sum(parts) == pytest.approx(result.cost.epochs) == sum(training.epochs for training in surface.answered())
    assert ledger["one training"].epochs == pytest.approx(FULL)
    assert ledger["blind search"].epochs == pytest.approx(9 * FULL)


def test_what_decides_the_loss_is_important() -> None:
    """The scheme matters if floors differ much, the rate if they do not; shares sum to 1."""
    plan = make_plan(trials=40, schemes=("constant", "cosine"))
    by_rate = Surface(floor={"constant": 0.1, "cosine": 0.1})
    by_scheme = Surface(floor={"constant": 90.0, "cosine": 0.1})
    for surface, expected in ((by_rate, "rate"), (by_scheme, "scheme")):
        trials = run_trials(plan, surface)
        shares = importance(plan, trials)
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.__getitem__) == expected
        assert shares == importance(plan, trials)


def test_importance_covers_every_scheme() -> None:
    """The parameters of all schemes count together; few trials give no importance."""
    plan = make_plan(trials=len(SEARCHABLE) + 9, schemes=SEARCHABLE)
    surface = Surface(floor={scheme: 0.01 * at for at, scheme in enumerate(SEARCHABLE)})
    trials = run_trials(plan, surface)
    assert set(importance(plan, trials)) >= {"rate", "scheme", "parameters"}
    assert importance(plan, trials[:5]) == {}


def test_importance_of_many_trials_is_that_of_an_even_choice() -> None:
    """Some hundred trials of all schemes would take minutes."""
    plan = make_plan(schemes=SEARCHABLE, trials=40)
    trials = run_trials(plan, Surface(noise=0.1, floor=dict.fromkeys(SEARCHABLE, 0.1)))
    many = [trial for trial in trials if trial.outcome.loss < inf for _ in range(10)]
    even = [many[at] for at in np.linspace(0, len(many) - 1, 64).round().astype(int)]
    assert importance(plan, many) == importance(plan, even)
