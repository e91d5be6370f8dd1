"""Early stops, the best weights, and rates that are rewritten on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.schedules import Value, curve, rewriter
from tests.training.networks import STEPS, digest, digits, trainer

RISING = np.repeat([0.05, -0.02], [3 * STEPS, 5 * STEPS])
"""Three epochs that learn, then five that climb the gradient once the momentum is spent."""


class TestValidations:
    def test_none_leaves_no_validation_values(self) -> None:
        """One part, measured on the training set only."""
        history = trainer("plain").train(np.full(9, 0.01), 1, validations=0).history
        assert {name: len(values) for name, values in history.items()} == {"loss": 1, "accuracy": 1}

    def test_they_do_not_touch_the_training(self) -> None:
        """With more or fewer validations the weights come out the same."""
        engine = trainer("plain")
        losses = [engine.train(np.full(60, 0.05), 1, validations=count).losses for count in (0, 1, 6)]
        assert all(np.array_equal(losses[0], other) for other in losses[1:])

    @pytest.mark.parametrize(
        ("updates", "options", "message"),
        [
            (10, {"validations": 3}, "received 3, expected a divisor of the 10 updates"),
            (10, {"validations": 20}, "received 20, expected a divisor of the 10 updates"),
            (0, {"validations": 0}, "expected a divisor of the 0 updates"),
            (10, {"validations": 0, "patience": 1}, "received 0, expected 1 or more"),
            (10, {"validations": 0, "keep_best": True}, "received 0, expected 1 or more"),
            (10, {"validations": 0, "rewrite": lambda rates, done, losses: rates}, "received 0, expected 1 or more"),
        ],
    )
    def test_impossible_numbers_are_refused(self, updates: int, options: dict[str, Any], message: str) -> None:
        """Before anything is trained."""
        with pytest.raises(ValueError, match=message):
            trainer("plain").train(np.full(updates, 0.1), 1, **options)


class TestPatience:
    def test_it_counts_validations_without_a_better_loss(self) -> None:
        """Two validations after the best, the training ends, and its record with it."""
        whole = trainer("plain").train(RISING, 1, validations=8).history["val_loss"]
        best = int(np.argmin(whole))
        assert 1 < best < 5
        training = trainer("plain").train(RISING, 1, validations=8, patience=2)
        assert list(training.history["val_loss"]) == list(whole[: best + 3])
        assert len(training.losses) == len(training.rates) == (best + 3) * STEPS
        assert training.examples == (best + 3) * 200
        assert training.diverged == ""


class TestKeepBest:
    def test_the_best_validation_is_what_remains(self) -> None:
        """The weights are those of the training that ended there, and measure as they did."""
        engine, data = trainer("plain"), digits()
        training = engine.train(RISING, 1, validations=8, keep_best=True)
        kept = engine.model.get_weights()
        loss = engine.model.evaluate(data.x_val / np.float32(16), data.y_val, batch_size=100, verbose=0)[0]
        values = training.history["val_loss"]
        assert len(values) == 8
        assert loss == pytest.approx(min(values), rel=1e-5)
        assert loss < values[-1] - 1e-3
        epochs = int(np.argmin(values)) + 1
        engine.train(RISING[: epochs * STEPS], 1, validations=epochs)
        assert all(np.array_equal(ours, then) for ours, then in zip(kept, engine.model.get_weights(), strict=True))

    def test_without_it_the_last_weights_remain(self) -> None:
        """The model measures as its last validation did."""
        engine, data = trainer("plain"), digits()
        training = engine.train(RISING, 1, validations=8)
        loss = engine.model.evaluate(data.x_val / np.float32(16), data.y_val, batch_size=100, verbose=0)[0]
        assert loss == pytest.approx(training.history["val_loss"][-1], rel=1e-5)


class TestRewrite:
    def test_a_plateau_reduces_the_rates_that_were_then_used(self) -> None:
        """No loss improves by 100, so every second validation halves the rate, and the weights follow those rates."""
        engine = trainer("rich")
        params: dict[str, Value] = {"factor": 0.5, "patience": 2.0, "min_delta": 100.0, "unit": "epoch"}
        flat = curve("reduce_on_plateau", steps=6 * STEPS, steps_per_epoch=STEPS, initial_lr=0.08, params=params)
        training = engine.train(flat, 1, validations=6, rewrite=rewriter("reduce_on_plateau", params))
        expected = np.repeat([0.08, 0.04, 0.02], [3 * STEPS, 2 * STEPS, STEPS]).astype(np.float32)
        np.testing.assert_array_equal(training.rates, expected)
        reacted = digest(engine, training)
        assert digest(engine, engine.train(expected.astype(np.float64), 1, validations=6)) == reacted
        assert digest(engine, engine.train(flat, 1, validations=6)) != reacted

    def test_it_is_asked_after_every_validation_and_cannot_change_the_past(self) -> None:
        """It sees the curve, the updates done and all losses so far; changes to rates already used are ignored."""
        asked: list[tuple[int, list[float]]] = []

        def rewrite(rates: NDArray[np.float64], done: int, losses: Sequence[float]) -> NDArray[np.float64]:
            asked.append((done, list(losses)))
            return np.full_like(rates, rates[done - 1] / 2)

        training = trainer("rich").train(np.full(3 * STEPS, 0.08), 1, validations=3, rewrite=rewrite)
        np.testing.assert_array_equal(training.rates, np.repeat([0.08, 0.04, 0.02], STEPS).astype(np.float32))
        values = list(training.history["val_loss"])
        assert asked == [(STEPS, values[:1]), (2 * STEPS, values[:2]), (3 * STEPS, values)]
