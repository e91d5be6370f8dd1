"""Faults of other range tests: each is written out, and fails the assertion that our code passes."""

import numpy as np
import pytest

from pipeline.range_test import Analysis, analyse
from pipeline.range_test.landmarks import divergence, smooth, steep, valley
from pipeline.schedules import Array, sweep
from tests.range_test.curves import recorded, synthetic
from tests.range_test.test_range_methods import reference_steep


class TestFaultsSeenElsewhere:
    """Each fault is written out, and fails the assertion that our code passes."""

    def test_smoothing_is_not_biased_at_its_start(self) -> None:
        """A constant stays constant; uncorrected, or corrected without the zero start, it does not."""
        losses, beta = np.full(30, 2.3), 0.98

        def constant(curve: Array) -> bool:
            return bool(np.allclose(curve, 2.3))

        def from_zero_uncorrected() -> Array:
            average, curve = 0.0, []
            for loss in losses:
                average = beta * average + (1 - beta) * loss
                curve.append(average)
            return np.array(curve)

        def from_first_loss_yet_corrected() -> Array:
            average, curve = losses[0], []
            for step, loss in enumerate(losses, start=1):
                average = beta * average + (1 - beta) * loss
                curve.append(average / (1 - beta**step))
            return np.array(curve)

        assert constant(smooth(losses, beta))
        assert not constant(from_zero_uncorrected())
        assert not constant(from_first_loss_yet_corrected())
        assert from_first_loss_yet_corrected()[0] == pytest.approx(50 * 2.3)

    def test_nan_ends_a_sweep(self) -> None:
        """A NaN is a divergence; a comparison with it never stops, and argmin then finds the NaN itself."""
        rates, losses = synthetic()
        first = 200  # a rate of 0.1, below the explosion at 1
        losses[:, first:] = np.nan

        def before_the_nan(rate: float | None) -> bool:
            return rate is not None and rate < rates[first]

        def compared_with_nan() -> float:
            best = np.inf
            for step, loss in enumerate(losses[0]):
                if loss > 4 * best:
                    return float(rates[step - 1])
                best = min(best, loss)
            return float(rates[losses[0].argmin()])

        found = analyse(rates, losses)
        assert before_the_nan(found.suggested_lr)
        assert before_the_nan(found.lr_high)
        assert found.divergence_lr == rates[first]
        assert not before_the_nan(compared_with_nan())

    def test_an_index_stays_with_the_array_it_was_taken_on(self) -> None:
        """The start is skipped in rates and losses alike: the steepest rate is where it is."""
        rates, losses = synthetic(centre=1e-2)

        def near_the_centre(rate: float) -> bool:
            return bool(abs(np.log10(rate / 1e-2)) < 0.05)

        def trimmed_index_on_untrimmed_rates(skip: int = 14) -> float:
            return float(rates[np.gradient(losses[0, skip:200], np.log(rates[skip:200])).argmin()])

        assert near_the_centre(analyse(rates, losses, smoothing=0.0).suggestions["steep"])
        assert not near_the_centre(trimmed_index_on_untrimmed_rates())

    def test_divergence_is_looked_for_after_the_minimum(self) -> None:
        """The minimum is found on the trimmed curve; its index there would land on the descent, far above it."""
        losses = np.repeat([2.0, 0.5, 5.0], [50, 10, 40])
        trimmed = int(losses[5:].argmin())
        assert divergence(losses, losses) == 60
        assert trimmed + int(np.flatnonzero(losses[trimmed:] > 0.5 + 0.75)[0]) != 60

    def test_the_gradient_is_taken_against_the_log_rate(self) -> None:
        """Against the rate itself, the small rates of an exponential sweep always look steepest."""
        rates, losses = synthetic(centre=1e-2, noise=0.01, seeds=1)
        x, y = rates[:200], smooth(losses[0], 0.8)[:200]

        def near_the_centre(rate: float | None) -> bool:
            return rate is not None and abs(np.log10(rate / 1e-2)) < 0.4

        assert near_the_centre(steep(x, y))
        assert not near_the_centre(float(x[np.gradient(y, x).argmin()]))

    def test_smoothing_comes_before_the_gradient(self) -> None:
        """Of single batch losses the steepest step is noise."""
        rates, losses = recorded("mlp_digits_momentum")

        def seeds_agree(suggested: list[float | None]) -> bool:
            found = [rate for rate in suggested if rate is not None]
            return bool(max(found) / min(found) < 3)

        end = 200
        assert seeds_agree([steep(rates[20:end], row[20:end]) for row in smooth(losses, 0.9)])
        assert not seeds_agree([steep(rates[20:end], row[20:end]) for row in losses])

    @pytest.mark.parametrize("name", ["mlp_mnist_momentum", "mlp_mnist_sgd", "mlp_digits_adam"])
    def test_no_suggestion_lies_beyond_divergence(self, name: str) -> None:
        """After an explosion the loss falls steeply again; a method that reads on suggests a rate that diverges."""
        rates, losses = recorded(name)
        found = analyse(rates, losses)
        assert found.divergence_lr is not None

        def safe(rate: float) -> bool:
            return rate < found.divergence_lr  # type: ignore[operator]

        assert all(safe(rate) for rate in found.suggestions.values())
        assert not safe(reference_steep(rates, np.median(smooth(losses, 0.9), axis=0)))

    def test_no_answer_is_a_refusal_with_a_reason(self) -> None:
        """On a curve that never falls others return None, or the rate where noise falls most."""
        rates = sweep(1e-6, 1.0, 250)
        losses = 2.3 + np.random.default_rng(3).normal(0, 0.01, (3, 250)) + np.linspace(0, 0.5, 250)

        def informed(answer: object) -> bool:
            return isinstance(answer, Analysis) and answer.verdict == "refused" and answer.suggested_lr is None

        found = analyse(rates, losses)
        assert informed(found)
        assert "never fell" in found.reason
        assert not informed(valley(rates, np.linspace(2.3, 2.8, 250)))
        assert not informed(steep(rates, smooth(losses[0], 0.9)))

    def test_a_running_mean_is_not_a_batch_loss(self) -> None:
        """The mean since the start, which Keras reports, lags so far behind that it finds too large a rate."""
        rates, losses = recorded("mlp_mnist_momentum")
        means = np.cumsum(losses, axis=1) / np.arange(1, rates.size + 1)
        lowest_batch = float(np.median(rates[losses.argmin(axis=1)]))

        def near_the_lowest_batch(curve: Array) -> bool:
            return float(rates[np.median(curve, axis=0).argmin()]) < 1.5 * lowest_batch

        assert near_the_lowest_batch(smooth(losses, 0.9))
        assert not near_the_lowest_batch(means)
