"""The experiments are the articles', to the letter."""

import keras
import numpy as np
import pytest

from pipeline.articles.table import EXPERIMENTS, LAST_PRINTED, chosen, epochs_of, printed_rates, searches, seeds_of
from pipeline.config import ReproduceOptions
from pipeline.schedules import ARTICLE_FORMS, curve, validate

FIXED_B = {
    "B1": (0.001, 0.02863448634357819, 0.9919000267982483),
    "B2": (0.5, 2.3188612442016603, 0.10100000351667404),
    "B3": (0.01, 0.045392444870159344, 0.9887999892234802),
    "B4": (0.00001, 0.17123142351806164, 0.9513999819755554),
    "B5": (0.0000001, 2.2723510555267334, 0.16249999403953552),
}


@pytest.mark.parametrize("name", FIXED_B)
def test_fixed_rates_of_article_b(name: str) -> None:
    """Rate and figures as printed, the rest the same for all five."""
    row = EXPERIMENTS[name]
    assert row.published is not None
    assert (row.initial_lr, row.published.test_loss, row.published.test_accuracy) == FIXED_B[name]
    assert (row.model, row.optimizer, row.batch_size, row.epochs, row.scheme) == ("cnn", "adam", 250, 25, "constant")


def test_experiment_of_article_a() -> None:
    """SGD without momentum, batches of 32, 15 epochs."""
    row = EXPERIMENTS["A1"]
    assert (row.model, row.optimizer, row.momentum, row.batch_size, row.epochs) == ("mlp", "sgd", 0.0, 32, 15)
    assert row.params["decay_length"] == 1000
    assert row.params["staircase"] is True


def test_printed_rates_are_those_of_keras() -> None:
    """To the last digit, at the start of each of 15 epochs of 1,875 updates, and at the end, as the article prints."""
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.96, staircase=True)
    assert printed_rates() == tuple(float(decay(epoch * 1875)) for epoch in range(16))
    assert printed_rates()[-1] == LAST_PRINTED == 0.031885575503110886


def test_training_uses_the_printed_rates() -> None:
    """Up to the rounding of float32."""
    row = EXPERIMENTS["A1"]
    rates = curve(row.scheme, steps=28_126, steps_per_epoch=1_875, initial_lr=row.initial_lr, params=row.params)
    np.testing.assert_allclose(rates[::1_875], printed_rates(), rtol=1e-6)


def test_every_scheme_is_one_of_ours_with_parameters_it_knows() -> None:
    """Every row can be trained."""
    for row in EXPERIMENTS.values():
        if row.scheme:
            validate(row.scheme, row.params)
        assert (row.rates_from == "article") == bool(row.initial_lr)
        assert row.check.than in {"", *EXPERIMENTS}
        assert row.found_by in {"", *EXPERIMENTS}


def test_both_articles_schemes_are_all_trained() -> None:
    """Article a's five and its experiment; on article b's network its four and article a's, where they differ."""
    decays = [row.id for row in EXPERIMENTS.values() if row.group == "decay"]
    assert decays == [*(f"A{i}" for i in range(1, 7)), *(f"B{i}" for i in range(6, 14))]
    of_b = [(row.scheme, row.params) for row in EXPERIMENTS.values() if row.group == "decay" and row.article == "b"]
    for name, form in ARTICLE_FORMS.items():
        assert (form in of_b) == (name != "geeksforgeeks_experiment")  # which counts updates of another batch size


def test_options_choose_experiments() -> None:
    """By article, and with or without answers; the articles' own experiments need no search."""
    everything = chosen(ReproduceOptions())
    assert everything == tuple(EXPERIMENTS.values())
    assert {row.article for row in chosen(ReproduceOptions(article="a"))} == {"a"}
    alone = ReproduceOptions(article="b", answers=False)
    assert [row.id for row in chosen(alone)] == [f"B{i}" for i in range(1, 16)]
    assert searches(alone) == {}


def test_options_shorten_and_never_lengthen() -> None:
    """The articles' epochs at most; answers, and what they are compared with, get two seeds more."""
    options = ReproduceOptions(epochs=12, seeds=2)
    assert epochs_of(EXPERIMENTS["B1"], options) == 12
    assert epochs_of(EXPERIMENTS["S3"], options) == 10
    assert epochs_of(EXPERIMENTS["B1"], ReproduceOptions()) == 25
    assert seeds_of(EXPERIMENTS["B2"], options) == 2
    for answer in ("S1", "S2", "S3", "S4"):
        assert seeds_of(EXPERIMENTS[answer], options) == 4
        assert EXPERIMENTS[answer].check.than in ("", "A1", "B1")
    assert seeds_of(EXPERIMENTS["A1"], options) == seeds_of(EXPERIMENTS["B1"], options) == 4


def test_each_answer_has_a_search_with_its_network_and_budget() -> None:
    """The cyclical training shares the search on article b's network."""
    found = searches(ReproduceOptions(data="digits", seed=5, deterministic=True))
    assert {name: (s.model, s.epochs, s.batch_size, s.momentum) for name, s in found.items()} == {
        "S1": ("mlp", 15, "32", 0.0),
        "S2": ("cnn", 25, "250", 0.9),
        "S3": ("cnn", 10, "250", 0.9),
        "S4": ("pipeline.models:keras_example", 12, "128", 0.9),
    }
    assert {(s.data, s.seed, s.deterministic) for s in found.values()} == {("digits", 5, True)}
