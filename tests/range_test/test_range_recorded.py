"""Sweeps of real networks, and whole trainings at the rates read off them."""

from collections import defaultdict

import numpy as np
import pytest

from pipeline.range_test import analyse
from pipeline.range_test.landmarks import METHODS, divergence, smooth
from tests.range_test.curves import REFUSED, SOUND, assert_sound, grid, recorded


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
        """The suggestion does not depend on one seed."""
        found = analyse(*recorded(name))
        ratios = [seed / found.suggested_lr for seed in found.seed_suggestions]  # type: ignore[operator]
        assert len(ratios) == 3
        assert 0.3 < min(ratios) <= max(ratios) < 3.0


class TestAgainstWholeTrainings:
    """`grid.csv` holds the losses of whole trainings at each initial rate, constant or with a cosine decay."""

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
