"""The choice among ties, and the reason given."""

from collections.abc import Mapping, Sequence

from pipeline import statistics
from pipeline.search.choice import Evidence, choose, explain

A = [0.10, 0.12, 0.11, 0.13]
B = [0.11, 0.11, 0.12, 0.125]
WORSE = [0.50, 0.53, 0.51, 0.54]


def evidence(
    losses: Mapping[str, Sequence[float]],
    expected: Mapping[str, float],
    tolerance: float = 0.0,
    reserves: Sequence[str] = (),
) -> Evidence:
    """Return the evidence on finalists, which have expectations, and on baselines, which have none."""
    return Evidence(losses, statistics.verdicts(losses, tolerance=tolerance), expected, reserves=reserves)


def test_the_most_robust_of_the_tied_schemes_is_chosen() -> None:
    """The lower mean on these seeds does not count; the reason says why, and how far behind the choice may be."""
    known = evidence({"cosine": A, "one_cycle": B, "SGD at 0.01": WORSE}, {"cosine": 0.12, "one_cycle": 0.05})
    assert choose(known) == "one_cycle"
    reason = explain(known, "one_cycle", 17)
    assert reason.startswith("4 seeds do not distinguish one_cycle from cosine; one_cycle is chosen because")
    assert "according to all 17 trainings, its validation loss is expected to suffer least" in reason
    assert "it is at most 0.0" in reason
    assert " behind the best in validation loss; " in reason
    assert "seeds would distinguish cosine from one_cycle" in reason


def test_expectations_do_not_help_a_worse_scheme() -> None:
    """Only schemes that may be the best can be chosen."""
    known = evidence({"cosine": A, "step": WORSE}, {"cosine": 0.2, "step": 0.0})
    assert choose(known) == "cosine"
    expected = "cosine beat every other finalist and baseline in validation loss on 4 seeds"
    assert explain(known, "cosine", 9) == f"{expected}, with 95% confidence over all comparisons"


def test_the_chosen_one_itself_beat_the_beaten_baselines() -> None:
    """Of the tied schemes, one that beat every beaten baseline is chosen."""
    noisy = [0.30, 0.11, 0.45, 0.10]
    losses = {"cosine": A, "constant": noisy, "SGD at 0.01": [0.16, 0.182, 0.168, 0.191]}
    known = evidence(losses, {"cosine": 0.3, "constant": 0.1})
    assert known.verdicts.rows["SGD at 0.01"].verdict == "worse"
    assert known.tied == ["cosine", "constant"]
    assert known.eligible == ["cosine"]
    assert choose(known) == "cosine"


def test_what_is_within_the_tolerance_is_equivalent() -> None:
    """The reason says that the candidates differ by less than the tolerance, at the confidence of all verdicts."""
    known = evidence({"cosine": A, "linear": B}, {"cosine": 0.0, "linear": 0.1}, tolerance=0.9)
    assert {row.verdict for row in known.verdicts.rows.values()} == {"equivalent"}
    assert explain(known, choose(known), 9) == (
        "cosine and linear differ in validation loss by less than the tolerance, with 95% confidence"
    )


def test_a_baseline_with_the_lowest_mean_is_named_first() -> None:
    """Even if it is only tied, the reason starts with it."""
    known = evidence({"cosine": B, "Adam at 0.001": A}, {"cosine": 0.5})
    reason = explain(known, choose(known), 9)
    assert reason.startswith(
        "Adam at 0.001 has the best mean validation loss; 4 seeds do not distinguish cosine from Adam"
    )


def test_a_baseline_that_beats_all_finalists() -> None:
    """The reason names the best finalist, and says that it is worse."""
    known = evidence({"cosine": WORSE, "Adam at 0.001": A}, {"cosine": 0.5})
    assert choose(known) == "cosine"
    reason = explain(known, "cosine", 9)
    assert (
        reason == "every scheme is worse in validation loss than Adam at 0.001; cosine is the best of what was searched"
    )


def test_a_baseline_of_the_searched_optimizer_is_chosen_if_it_beats_all_finalists() -> None:
    """The search missed the good rates, which the reason says; a tied finalist still goes first."""
    known = evidence({"cosine": WORSE, "SGD at 0.01": A, "Adam at 0.001": B}, {"cosine": 0.5}, reserves=["SGD at 0.01"])
    assert choose(known) == "SGD at 0.01"
    assert explain(known, "SGD at 0.01", 9) == (
        "every scheme is worse in validation loss than SGD at 0.01, which 4 seeds do not distinguish from Adam at"
        " 0.001; good rates may lie beyond those tried (lr_min, lr_max)"
    )
    assert choose(evidence({"cosine": B, "SGD at 0.01": A}, {"cosine": 0.5}, reserves=["SGD at 0.01"])) == "cosine"


def test_a_beaten_baseline_may_be_the_best_of_what_was_searched() -> None:
    """If another optimizer's baseline beat it as well, the reason names that one."""
    losses = {"cosine": WORSE, "SGD at 0.01": [0.30, 0.33, 0.31, 0.34], "Adam at 0.001": A}
    known = evidence(losses, {"cosine": 0.5}, reserves=["SGD at 0.01"])
    assert choose(known) == "SGD at 0.01"
    assert explain(known, "SGD at 0.01", 9) == (
        "every scheme is worse in validation loss than Adam at 0.001; SGD at 0.01 is the best of what was searched"
    )


def test_three_that_are_tied_are_all_named() -> None:
    """The reason lists them in one phrase."""
    known = evidence({"cosine": A, "linear": B, "step": A[::-1]}, {"cosine": 0.0, "linear": 0.1, "step": 0.1})
    assert "do not distinguish cosine from linear and step" in explain(known, "cosine", 9)
