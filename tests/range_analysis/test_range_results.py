"""What is stored of a range test: the sweep's answer, and that of the trainings that refined it."""

import numpy as np
import pytest
from pipeline.range_test.result import summarize, with_refinement

from pipeline.range_test import explore
from pipeline.range_test.refinement import Refinement, Train, refine, starting_rate
from pipeline.results import RangeTestResult
from tests.range_analysis.curves import Array, descent


def sweeping(*centres: float) -> RangeTestResult:
    """A sweep whose seeds learn around these rates and diverge a decade and a half above."""

    def measure(rates: Array, seed: int) -> Array:
        return descent(rates, centres[seed % len(centres)], 30 * centres[seed % len(centres)])

    found = explore(measure, range(3), 1e-6, 10.0, 250)
    return summarize(found, "sgd", 32, 2.0)


def refined(swept: RangeTestResult, train: Train, start: float) -> tuple[RangeTestResult, Refinement]:
    """What `train` makes of a start, as a result and as it was found."""
    found = refine(train, start)
    result = with_refinement(swept, found, scheme="cosine", start=start, seeds=(0,), updates=900, seconds=3.0)
    return result, found


def test_trainings_replace_rate_and_interval_and_are_counted() -> None:
    """The sweep's own readings stay; what it cost is added."""
    swept = sweeping(1e-2)
    result, found = refined(swept, lambda rate, seed, share: 1 + np.log10(rate / 1e-3) ** 2, 1e-2)
    assert (result.suggested_lr, result.lr_low, result.lr_high) == (found.suggested_lr, found.lr_low, found.lr_high)
    assert result.suggestions == {**swept.suggestions, "refined": found.suggested_lr}
    assert (result.updates, result.seconds) == (swept.updates + 900, 5.0)
    assert "5 short and 2 whole trainings moved the rate from 0.01 to" in result.reason
    assert RangeTestResult.model_validate_json(result.model_dump_json()) == result


def test_they_decide_where_the_sweep_refused() -> None:
    """The seeds disagree, the trainings do not."""
    swept = sweeping(1e-3, 1e-1)
    assert swept.verdict == "refused"
    result, _ = refined(swept, lambda rate, seed, share: 1 + np.log10(rate / 1e-3) ** 2, 1e-2)
    assert result.verdict == "ok"
    assert result.reason.startswith("The seeds disagree")


def test_where_all_diverge_the_sweep_is_not_trusted_either() -> None:
    """A refusal that says so, with what was tried."""
    result, _ = refined(sweeping(1e-2), lambda rate, seed, share: np.nan, 1e-2)
    assert (result.verdict, result.suggested_lr, result.lr_low, result.lr_high) == ("refused", None, None, None)
    assert result.suggestions == {}
    assert "diverged at every rate" in result.reason
    assert result.refinement is not None
    assert {tried.val_loss for tried in result.refinement.tried} == {np.inf}


@pytest.mark.parametrize(("best", "ends_there"), [(0.1, True), (3.0, False)])
def test_the_interval_ends_where_the_sweep_diverged(best: float, ends_there: bool) -> None:
    """Unless whole trainings were well even there."""
    swept = sweeping(1e-2)
    assert swept.divergence_lr == pytest.approx(0.3, rel=0.1)
    result, found = refined(swept, lambda rate, seed, share: 1 + 0.1 * np.log10(rate / best) ** 2, 0.1)
    assert found.lr_high > 0.3  # type: ignore[operator]
    assert result.lr_high == (swept.divergence_lr if ends_there else found.lr_high)


def test_without_an_answer_there_is_no_start() -> None:
    """A refusal because of an edge is no place to train from."""
    found = explore(lambda rates, seed: descent(rates, 1e3, 1e5), range(3), 1e-6, 10.0, 250, widenings=0)
    assert found.analysis.edge == "high"
    assert starting_rate(found.analysis) is None
