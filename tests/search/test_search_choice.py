"""The choice among ties, and the reason given."""

from collections.abc import Mapping, Sequence

import pytest

from pipeline import statistics
from pipeline.results import Basin
from pipeline.search.choice import Evidence, choose, explain
from tests.search.surface import make_evaluation

A = [0.10, 0.12, 0.11, 0.13]
B = [0.11, 0.11, 0.12, 0.125]
WORSE = [0.50, 0.53, 0.51, 0.54]


def evidence(losses: Mapping[str, Sequence[float]], widths: Mapping[str, float]) -> Evidence:
    """Return the evidence on finalists, which have a width of basin, and on baselines, which have none."""
    finalists = {name: make_evaluation(name) for name in widths}
    basins = {
        name: Basin(lr_low=0.1, lr_high=0.1 * 10**width, decades=width, noise=0.01, rates=(0.1,), values=(0.2,))
        for name, width in widths.items()
    }
    return Evidence(finalists, losses, statistics.verdicts(losses), basins)


@pytest.mark.parametrize(
    ("widths", "chosen", "why"),
    [
        (
            {"cosine": 0.50, "one_cycle": 1.21},
            "one_cycle",
            "one_cycle is chosen because its basin is the widest, 1.2 decades",
        ),
        ({"one_cycle": 0.52, "cosine": 0.48}, "cosine", "cosine is chosen as the simplest of those with the widest"),
        (
            {"cosine": 0.52, "linear": 0.48},
            "cosine",
            "cosine is chosen for its mean, the best of the simplest schemes with the widest basin",
        ),
    ],
)
def test_of_ties_the_widest_basin_then_the_simplest_then_the_lowest_mean(
    widths: Mapping[str, float], chosen: str, why: str
) -> None:
    """Widths that differ by less than a tenth of a decade are alike; the reason says what decided."""
    names = list(widths)
    losses = {names[0]: A, names[1]: B, "SGD at 0.01": WORSE}
    known = evidence(losses, widths)
    assert choose(known) == chosen
    reason = explain(known, chosen)
    assert why in reason
    assert reason.startswith(f"4 seeds do not distinguish {chosen} from {names[1 - names.index(chosen)]}; ")
    assert "it is at most 0.0" in reason
    assert " behind the best in validation loss; " in reason
    assert f"seeds would distinguish {names[0]} from {names[1]}" in reason


def test_wide_basin_does_not_help_a_worse_scheme() -> None:
    """Only schemes that may be the best can be chosen."""
    known = evidence({"cosine": A, "step": WORSE}, {"cosine": 0.2, "step": 2.0})
    assert choose(known) == "cosine"
    expected = "cosine beat every other finalist and baseline in validation loss on 4 seeds"
    assert explain(known, "cosine") == f"{expected}, with 95% confidence over all comparisons"


def test_wide_basin_does_not_help_a_scheme_that_is_tied_by_noise_alone() -> None:
    """Tied, but more than a standard error behind, as its seeds differ much: t = 1.4 on three degrees of freedom."""
    known = evidence({"cosine": A, "constant": [0.30, 0.11, 0.45, 0.10]}, {"cosine": 0.2, "constant": 2.0})
    assert known.tied == ["cosine", "constant"]
    assert choose(known) == "cosine"
    assert "cosine is chosen because its mean is best by more than a standard error" in explain(known, "cosine")


def test_a_baseline_with_the_lowest_mean_is_named_first() -> None:
    """Also where it is only tied."""
    known = evidence({"cosine": B, "Adam at 0.001": A}, {"cosine": 0.5})
    reason = explain(known, choose(known))
    assert reason.startswith(
        "Adam at 0.001 has the best mean validation loss; 4 seeds do not distinguish cosine from Adam"
    )


def test_a_baseline_that_beats_all_finalists() -> None:
    """The best of the finalists is still named, and that it is worse."""
    known = evidence({"cosine": WORSE, "Adam at 0.001": A}, {"cosine": 0.5})
    assert choose(known) == "cosine"
    reason = explain(known, "cosine")
    assert reason == "every scheme is worse in validation loss than Adam at 0.001; cosine is the best of the schemes"


def test_three_that_are_tied_are_all_named() -> None:
    """In one phrase."""
    known = evidence({"cosine": A, "linear": B, "step": A[::-1]}, {"cosine": 0.9, "linear": 0.1, "step": 0.1})
    assert "do not distinguish cosine from linear and step" in explain(known, "cosine")
