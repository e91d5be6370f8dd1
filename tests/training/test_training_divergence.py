"""When a training stops itself, and what it then returns."""

import numpy as np
import pytest

from tests.training.networks import STEPS, digest, trainer

SOUND = np.full(60, 0.05)


class TestDivergence:
    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    @pytest.mark.parametrize("network", ["plain", "cnn"])
    def test_a_huge_rate_stops_after_the_first_call(self, network: str, optimizer: str) -> None:
        """NaN or huge, the loss is noticed after the first call, and the losses until then are kept."""
        engine = trainer(network, optimizer)
        training = engine.train(np.full(150, 1e6), 1, validations=0)
        assert training.diverged.startswith("loss is ")
        assert len(training.losses) == len(training.rates) == 50
        assert training.losses[0] == pytest.approx(np.log(10), rel=0.5)
        assert not training.losses[1] < 1e3

    def test_it_leaves_nothing_to_the_next_training(self) -> None:
        """What follows a diverged training is what it would have been without."""
        engine = trainer("plain")
        before = digest(engine, engine.train(SOUND, 1, validations=1))
        assert engine.train(np.full(150, 1e6), 1, validations=3, keep_best=True).diverged
        assert digest(engine, engine.train(SOUND, 1, validations=1)) == before

    @pytest.mark.parametrize("update", [1, 5, 50, 57])
    def test_a_nan_is_reported_with_its_update(self, update: int) -> None:
        """A rate of NaN makes the next update's loss NaN, in any call."""
        curve = np.full(150, 0.01)
        curve[update - 1] = np.nan
        training = trainer("plain").train(curve, 1, validations=0)
        assert training.diverged == f"loss is nan at update {update}"
        assert np.isfinite(training.losses[:update]).all()
        assert np.isnan(training.losses[update])
        assert len(training.losses) == (50 if update < 50 else 100)

    def test_a_late_rise_is_noticed(self) -> None:
        """A loss far above its start stops the training in the call in which it rises."""
        training = trainer("cnn").train(np.where(np.arange(200) < 100, 0.01, 1e6), 1, validations=0)
        assert training.diverged
        assert len(training.losses) == 150


class TestNoDivergence:
    def test_a_plateau_does_not_stop(self) -> None:
        """Rates that do nothing keep the loss at its start, to the end."""
        training = trainer("plain").train(np.zeros(180), 1, validations=0)
        assert (training.diverged, len(training.losses)) == ("", 180)

    def test_without_a_limit_only_what_is_not_finite_stops(self) -> None:
        """A training that is to run to its end may have any finite loss."""
        engine = trainer("cnn", "adam")
        training = engine.train(np.full(150, 0.5), 1, validations=0, diverged_at=np.inf)
        assert (training.diverged, len(training.losses)) == ("", 150)
        assert training.losses.max() > 4 * training.losses[0]
        curve = np.where(np.arange(150) < 100, 0.01, np.nan)
        assert engine.train(curve, 1, validations=0, diverged_at=np.inf).diverged == "loss is nan at update 101"

    def test_single_examples_do_not_look_like_divergence(self) -> None:
        """With one example a batch the losses differ by far more than a factor without anything being wrong."""
        engine = trainer("table", batch_size=1)
        for seed in (14, 16, 38):
            training = engine.train(np.full(50, 1e-6), seed, validations=0)
            assert np.median(training.losses) / np.median(training.losses[:3]) > 20
            assert training.diverged == ""

    def test_a_negative_loss_may_become_positive(self) -> None:
        """Multiples of a negative start mean nothing, so such a loss counts as diverged only when it is not finite."""
        training = trainer("signed").train(np.full(10 * STEPS, -0.01), 1, validations=0)
        assert training.losses[0] == pytest.approx(-1)
        assert training.losses[-1] > 0
        assert training.diverged == ""
