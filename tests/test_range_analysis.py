"""Range-test curves, synthetic with known answers and recorded from real networks (`scripts/record_sweeps.py`)."""

import csv
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.range_analysis import METHODS, Analysis, analyse, consensus, minimum, slide, smooth, steep, sweep, valley
from pipeline.range_analysis.curves import divergence

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).parent / "range_analysis"
SOUND = (
    "mlp_mnist_sgd", "mlp_mnist_momentum", "mlp_mnist_adam", "mlp_digits_sgd", "mlp_digits_momentum",
    "mlp_digits_adam", "cnn_mnist_momentum", "cnn_mnist_adam", "cnn_batch_of_128", "regression_nan",
)  # fmt: skip
REFUSED = {
    "random_labels": (None, "at no rate"),
    "batch_of_4": (None, "too noisy"),
    "ends_early": ("high", "lowest at the highest rate"),
    "all_too_small": ("high", "too small"),
    "starts_late": ("low", "already falls at the lowest rates"),
    "starts_beyond": ("low", "smaller rates"),
}


def recorded(name: str) -> tuple[Array, Array]:
    """Rates float64[updates] and losses float64[seeds, updates] of a recorded sweep."""
    table = np.genfromtxt(FOLDER / f"{name}.csv", delimiter=",", skip_header=1)
    return table[:, 0], table[:, 1:].T


def synthetic(centre: float = 1e-2, breaks_at: float = 1.0, noise: float = 0.0, seeds: int = 3) -> tuple[Array, Array]:
    """A fall from 2.3 to 0.3, logistic in log10 rate and steepest at `centre`, that explodes at `breaks_at`."""
    rates = sweep(1e-6, 10.0, 280)
    curve = 0.3 + 2.0 / (1 + np.exp(4 * np.log10(rates / centre)))
    curve[rates >= breaks_at] += 10.0
    return rates, curve + np.random.default_rng(1).normal(0.0, noise, (seeds, rates.size))


def grid() -> dict[tuple[str, str], dict[float, float]]:
    """Validation losses of whole trainings: (sweep, schedule) -> {initial rate: loss}."""
    losses: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    with (FOLDER / "grid.csv").open() as file:
        for row in csv.DictReader(file):
            losses[row["name"], row["schedule"]][float(row["rate"])] = float(row["val_loss"])
    return losses


class TestSweep:
    @given(st.floats(1e-9, 1.0), st.floats(1.5, 1e6), st.integers(2, 400), st.sampled_from(["exponential", "linear"]))
    def test_it_rises_evenly_from_bound_to_bound(self, low: float, factor: float, updates: int, spacing: str) -> None:
        """Exactly the two bounds at the ends, equal steps in log rate or in rate between."""
        rates = sweep(low, low * factor, updates, spacing)  # type: ignore[arg-type]
        assert (rates[0], rates[-1], rates.size) == (low, low * factor, updates)
        steps = np.diff(np.log(rates) if spacing == "exponential" else rates)
        assert steps == pytest.approx(np.full(updates - 1, steps.mean()), rel=1e-6)

    @pytest.mark.parametrize(
        ("low", "high", "updates", "spacing"),
        [(0.0, 1.0, 9, "linear"), (1.0, 0.1, 9, "linear"), (0.1, np.inf, 9, "linear"), (np.nan, 1.0, 9, "linear"),
         (0.1, 1.0, 1, "linear"), (0.1, 1.0, 9, "cubic")],
    )  # fmt: skip
    def test_impossible_sweeps_are_refused(self, low: float, high: float, updates: int, spacing: str) -> None:
        """Bounds in the wrong order, no positive start, too few updates, an unknown spacing."""
        with pytest.raises(InputError, match="received"):
            sweep(low, high, updates, spacing)  # type: ignore[arg-type]


class TestSmooth:
    def test_it_is_the_normalised_weighted_mean(self) -> None:
        """Value t is the mean of losses 0..t with weights beta ** (t - i)."""
        losses, beta = np.random.default_rng(0).normal(2.0, 1.0, (3, 40)), 0.9
        expected = [
            [np.average(row[: t + 1], weights=beta ** np.arange(t, -1, -1)) for t in range(row.size)] for row in losses
        ]
        assert smooth(losses, beta) == pytest.approx(np.array(expected), rel=1e-10)

    def test_a_loss_that_is_not_finite_is_neither_averaged_nor_shown(self) -> None:
        """NaN at its own place, and the next value is as if it had not been."""
        assert smooth([1.0, np.nan, 3.0, np.inf], 0.5) == pytest.approx([1.0, np.nan, 7 / 3, np.nan], nan_ok=True)

    @pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
    def test_impossible_weights_are_refused(self, beta: float) -> None:
        """Beta must lie in [0, 1)."""
        with pytest.raises(ValueError, match="beta"):
            smooth([1.0], beta)


def reference_steep(rates: Array, losses: Array) -> float:
    """Walk the curve and keep the step with the greatest fall for its length in log rate."""
    falls = [(losses[i] - losses[i + 1]) / np.log(rates[i + 1] / rates[i]) for i in range(len(losses) - 1)]
    return float(rates[falls.index(max(falls))])


def reference_minimum(rates: Array, losses: Array) -> float:
    """Divide the rate of the lowest loss by ten."""
    return float(min(zip(losses, rates, strict=True))[1]) / 10


def reference_valley(rates: Array, losses: Array) -> float:
    """Find the longest decreasing subsequence by dynamic programming, and step half-way into its middle third."""
    best_length, best_end, lengths = 1, 0, [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i] and lengths[j] + 1 > lengths[i]:
                lengths[i] = lengths[j] + 1
        if lengths[i] > best_length:
            best_length, best_end = lengths[i], i
    third = best_length / 3
    return float(rates[best_end - best_length + int(third) + int(third / 2)])


def reference_slide(rates: Array, losses: Array, gap: int = 15, threshold: float = 0.005) -> float:
    """Move a window of `gap` updates left from the end until the gradients at its two sides agree."""
    gradient = np.gradient(losses)
    right = len(losses) - 1
    chosen = rates[right - gap]
    while right - gap >= 0 and abs(gradient[right] - gradient[right - gap]) > threshold:
        chosen = rates[right - gap]
        right -= 1
    return float(chosen)


class TestMethods:
    @pytest.mark.parametrize("name", SOUND)
    def test_they_agree_with_independent_implementations(self, name: str) -> None:
        """On each seed's recorded curve up to its minimum and a little beyond, and on the whole of it."""
        rates, losses = recorded(name)
        for row in smooth(losses, 0.9):
            whole = np.isfinite(row).sum()
            for end in (min(int(np.nanargmin(row)) + 20, whole), whole):
                x, y = rates[10:end], row[10:end]
                assert steep(x, y) == reference_steep(x, y)
                assert valley(x, y) == reference_valley(x, y)
                assert slide(x, y) == reference_slide(x, y)
                assert minimum(x, y) == pytest.approx(reference_minimum(x, y))

    def test_where_a_method_does_not_apply_it_says_so(self) -> None:
        """None on an empty curve for all; on a rising one for those that read a descent."""
        rising = np.arange(1.0, 6.0)
        assert [method(rising[:0], rising[:0]) for method in METHODS.values()] == [None] * 4
        assert (steep(rising, rising), valley(rising, rising), slide(rising, rising)) == (None, None, None)

    def test_consensus_is_the_median_in_log_space(self) -> None:
        """Of an even number, the geometric mean of the middle two."""
        assert consensus([1e-4, 1e-3, 1e-1, 1.0]) == pytest.approx(1e-2)


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

    def test_a_running_mean_is_not_a_batch_loss(self) -> None:
        """The mean since the start, which Keras reports, lags so far behind that it finds too large a rate."""
        rates, losses = recorded("mlp_mnist_momentum")
        means = np.cumsum(losses, axis=1) / np.arange(1, rates.size + 1)
        lowest_batch = float(np.median(rates[losses.argmin(axis=1)]))

        def near_the_lowest_batch(curve: Array) -> bool:
            return float(rates[np.median(curve, axis=0).argmin()]) < 1.5 * lowest_batch

        assert near_the_lowest_batch(smooth(losses, 0.9))
        assert not near_the_lowest_batch(means)


def assert_sound(found: Analysis) -> None:
    """What a verdict promises, whatever the curve."""
    answers = (found.suggested_lr, found.lr_low, found.lr_high)
    assert found.reason.endswith(".")
    if found.verdict == "refused":
        assert (answers, found.suggestions) == ((None, None, None), {})
        return
    assert found.suggested_lr is not None
    assert found.lr_low is not None
    assert found.lr_high is not None
    assert found.edge is None
    assert found.rates[0] <= found.lr_low <= found.suggested_lr <= found.lr_high < found.rates[-1]
    limit = found.divergence_lr or np.inf
    assert found.lr_high < limit
    assert all(0 < rate < limit for rate in found.suggestions.values())


class TestRecordedSweeps:
    @pytest.mark.parametrize("name", SOUND)
    def test_a_sound_sweep_gives_a_rate_and_an_interval(self, name: str) -> None:
        """Every method answers, and the interval is wide enough to search and narrow enough to help."""
        found = analyse(*recorded(name))
        assert found.verdict == "ok"
        assert_sound(found)
        assert set(found.suggestions) == {*METHODS, "consensus", "landmarks"}
        assert 1.0 < np.log10(found.lr_high / found.lr_low) < 4.0  # type: ignore[operator]

    @pytest.mark.parametrize("name", REFUSED)
    def test_a_problematic_sweep_is_refused_with_its_reason(self, name: str) -> None:
        """Nothing to learn, too much noise, or a minimum outside the sweep on either side."""
        edge, reason = REFUSED[name]
        found = analyse(*recorded(name))
        assert (found.verdict, found.edge) == ("refused", edge)
        assert reason in found.reason
        assert_sound(found)

    @pytest.mark.parametrize("name", SOUND)
    def test_stopping_at_divergence_changes_nothing(self, name: str) -> None:
        """What a sweep does after its divergence is not read: cut off there, it gives the same answer."""
        rates, losses = recorded(name)
        whole = analyse(rates, losses)
        stopped = losses.copy()
        for row, curve in zip(stopped, smooth(losses, 0.9), strict=True):
            row[divergence(row, curve) :] = np.nan
        again = analyse(rates, stopped)
        assert (again.suggested_lr, again.lr_low, again.lr_high) == (whole.suggested_lr, whole.lr_low, whole.lr_high)
        assert (again.divergence_lr, again.suggestions) == (whole.divergence_lr, whole.suggestions)

    @pytest.mark.parametrize("name", SOUND)
    def test_one_seed_alone_comes_close(self, name: str) -> None:
        """The suggestion is no accident of one seed."""
        found = analyse(*recorded(name))
        ratios = [seed / found.suggested_lr for seed in found.seed_suggestions]  # type: ignore[operator]
        assert len(ratios) == 3
        assert 0.3 < min(ratios) <= max(ratios) < 3.0


class TestAgainstWholeTrainings:
    """`grid.csv` holds what whole trainings made of each initial rate, constant or with a cosine decay."""

    @pytest.mark.parametrize("case", grid(), ids="-".join)
    def test_the_best_rate_is_inside_the_interval(self, case: tuple[str, str]) -> None:
        """A search inside the interval can find it."""
        losses = grid()[case]
        found = analyse(*recorded(case[0]))
        assert found.lr_low <= min(losses, key=losses.__getitem__) <= found.lr_high  # type: ignore[operator]

    def test_the_suggestion_costs_little(self) -> None:
        """Mean excess of log loss over the best rate: as small as `steep`, and far smaller than the other methods."""
        excess: dict[str, list[float]] = defaultdict(list)
        for (name, _), losses in grid().items():
            log_rates, log_losses = np.log(list(losses)), np.log(list(losses.values()))
            for method, rate in analyse(*recorded(name)).suggestions.items():
                excess[method].append(float(np.interp(np.log(rate), log_rates, log_losses) - log_losses.min()))
        means = {method: np.mean(values) for method, values in excess.items()}
        assert means["landmarks"] < 0.25
        assert means["landmarks"] < means["steep"] + 0.02
        assert all(means["landmarks"] < 0.75 * means[name] for name in ("valley", "slide", "minimum", "consensus"))

    def test_the_suggestion_depends_less_on_the_seed_than_the_steepest_slope(self) -> None:
        """Mean spread between seeds: under 0.15 decades, and under half of the spread of `steep`."""
        ours, steepest = [], []
        for name in SOUND:
            rates, losses = recorded(name)
            ours.append(np.ptp(np.log10(np.array(analyse(rates, losses).seed_suggestions, np.float64))))
            steepest.append(np.ptp(np.log10([analyse(rates, row).suggestions["steep"] for row in losses])))
        assert np.mean(ours) < 0.15
        assert np.mean(ours) < 0.5 * np.mean(steepest)


class TestVerdicts:
    def test_a_clean_curve_gives_its_landmarks(self) -> None:
        """Closed form of the logistic: a tenth of the fall is done at log10(rate / centre) = -ln(9) / 4."""
        rates, losses = synthetic(centre=1e-2, breaks_at=1.0)
        found = analyse(rates, losses, smoothing=0.0)
        assert found.divergence_lr == pytest.approx(1.0, rel=0.06)
        assert found.lr_low == pytest.approx(1e-2 * 10 ** (-np.log(9) / 4), rel=0.06)
        assert found.suggested_lr == pytest.approx((1e-2 * 1.0 / 2 * 1.0 / 8) ** (1 / 3), rel=0.06)
        assert found.lr_high == pytest.approx(1.0, rel=0.06)

    def test_without_divergence_it_is_left_out(self) -> None:
        """A loss that rises by less than half of its fall."""
        rates, losses = synthetic(breaks_at=np.inf)
        losses[:, rates > 1.0] += 0.5
        found = analyse(rates, losses, smoothing=0.0)
        assert (found.verdict, found.divergence_lr) == ("ok", None)
        assert found.suggested_lr == pytest.approx((1e-2 * 1.0 / 2) ** 0.5, rel=0.06)
        assert "nothing diverged" in found.reason

    def test_seeds_far_apart_are_refused(self) -> None:
        """One seed learns two decades later than the others; `max_spread` allows it."""
        rates, losses = synthetic(centre=1e-3, breaks_at=0.01)
        losses[2] = synthetic(centre=1e-1, breaks_at=1.0)[1][0]
        losses[:2, rates > 0.01] = np.nan
        found = analyse(rates, losses)
        assert (found.verdict, found.edge) == ("refused", None)
        assert "2 decades apart" in found.reason
        assert analyse(rates, losses, max_spread=2.5).verdict == "ok"

    def test_a_seed_that_does_not_learn_is_a_disagreement(self) -> None:
        """Two of three fall, one stays where it is."""
        rates, losses = synthetic(noise=0.02)
        losses[1] = 2.3 + np.random.default_rng(2).normal(0.0, 0.02, rates.size)
        found = analyse(rates, losses)
        assert "2 of 3 seeds" in found.reason
        assert found.seed_suggestions[1] is None

    @pytest.mark.parametrize(
        ("losses", "reason"),
        [(np.full((3, 100), np.nan), "not a number"), (np.full((1, 10), 2.3), "at least 20")],
        ids=["all NaN", "ten updates"],
    )
    def test_too_little_to_read_is_refused(self, losses: Array, reason: str) -> None:
        """A verdict, not a crash."""
        found = analyse(sweep(1e-6, 1.0, losses.shape[1]), losses)
        assert found.verdict == "refused"
        assert reason in found.reason

    def test_divergence_at_once_asks_for_smaller_rates(self) -> None:
        """NaN at the third update."""
        losses = np.full((2, 100), 2.3)
        losses[:, 2:] = np.nan
        found = analyse(sweep(1.0, 10.0, 100), losses)
        assert found.edge == "low"
        assert found.divergence_lr == sweep(1.0, 10.0, 100)[2]
        assert "diverged at once" in found.reason

    def test_the_band_is_for_plotting(self) -> None:
        """Median between lowest and highest, NaN only where no seed got to."""
        rates, losses = recorded("regression_nan")
        found = analyse(rates, losses)
        reached = np.isfinite(losses).any(axis=0)
        assert np.array_equal(np.isfinite(found.median), reached)
        assert (found.band_low[reached] <= found.median[reached]).all()
        assert (found.median[reached] <= found.band_high[reached]).all()

    def test_one_seed_may_come_as_a_row(self) -> None:
        """float[updates] is float[1, updates]."""
        rates, losses = synthetic(noise=0.02, seeds=1)
        assert analyse(rates, losses[0]).suggested_lr == analyse(rates, losses).suggested_lr

    @pytest.mark.parametrize(
        ("rates", "shape"),
        [(np.arange(1.0, 30), (3, 30)), (np.arange(30.0), (1, 30)), (-np.arange(-30.0, 0), (1, 30)), ([], (1, 0))],
        ids=["lengths differ", "rate of zero", "falling", "empty"],
    )
    def test_misshapen_input_is_an_error(self, rates: npt.ArrayLike, shape: tuple[int, int]) -> None:
        """A fault of the caller, not of the sweep."""
        with pytest.raises(ValueError, match="rates"):
            analyse(rates, np.ones(shape))

    @given(st.floats(1e-4, 0.1), st.floats(5, 100), st.floats(0.0, 0.3), st.floats(0.01, 100), st.floats(0.01, 100))
    def test_units_do_not_matter(self, centre: float, gap: float, noise: float, loss_unit: float, unit: float) -> None:
        """Losses in another unit give the same rates, rates in another unit the same answer in that unit; all sound."""
        rates, losses = synthetic(centre, centre * gap, noise)
        found = analyse(rates, losses)
        assert_sound(found)
        scaled = analyse(rates * unit, losses * loss_unit)
        assert scaled.verdict == found.verdict
        assert scaled.edge == found.edge
        if found.suggested_lr is not None:
            assert scaled.suggested_lr == pytest.approx(found.suggested_lr * unit)

    @given(st.lists(st.lists(st.floats(-5, 5) | st.just(np.nan), min_size=25, max_size=25), min_size=1, max_size=3))
    def test_any_losses_give_a_sound_verdict(self, losses: list[list[float]]) -> None:
        """Nonsense in, a refusal or a rate within bounds out, never an exception."""
        assert_sound(analyse(sweep(1e-5, 1.0, 25), losses))


def test_importing_it_loads_numpy_alone() -> None:
    """Analysis is for every machine and fast to start: no SciPy, no TensorFlow, no pydantic."""
    code = "import sys, pipeline.range_analysis; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent.parent
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"scipy", "tensorflow", "keras", "pydantic", "pandas", "mlflow", "optuna", "matplotlib"}
