from math import inf

from pipeline.reporting.report_inputs import Report, entries
from pipeline.results import Interval


def test_each_candidate_is_listed_once_in_order_of_its_loss(report: Report) -> None:
    """Baselines that the search also ranked appear under their own names only."""
    assert report.search is not None
    assert [(entry.label, entry.role, entry.standing) for entry in entries(report.search)] == [
        ("cosine 0.0562", "winner", "tie, chosen"),
        ("one cycle 0.1", "finalist", "tie"),
        ("SGD at 0.01", "baseline", "tie"),
        ("exponential 0.0316", "finalist", "worse"),
        ("Adam at 0.001", "baseline", "worse"),
    ]


def test_baselines_outside_the_leaderboard_are_added(report: Report) -> None:
    """A search that ranks finalists only still shows what they are compared with."""
    assert report.search is not None
    search = report.search.model_copy(update={"leaderboard": report.search.leaderboard[:1]})
    assert [entry.label for entry in entries(search)] == ["cosine 0.0562", "SGD at 0.01", "Adam at 0.001"]


def test_diverged_candidates_come_last(report: Report) -> None:
    """A mean that is not finite is worse than any number."""
    assert report.search is not None
    lost = report.search.leaderboard[0].model_copy(
        update={"scheme": "step", "objective": Interval(mean=inf, low=inf, high=inf), "verdict": "diverged"}
    )
    search = report.search.model_copy(update={"leaderboard": (lost, *report.search.leaderboard)})
    last = entries(search)[-1]
    assert (last.row.scheme, last.diverged) == ("step", True)


def test_a_winner_that_is_itself_a_baseline_stays_the_winner(report: Report) -> None:
    """A constant rate may win; it is not listed a second time."""
    assert report.search is not None
    sgd = report.search.baselines[1].row
    winner = report.search.winner.model_copy(update={"scheme": "constant", "initial_lr": 0.01, "params": {}})
    search = report.search.model_copy(update={"winner": winner, "leaderboard": (sgd,)})
    assert [(e.label, e.role) for e in entries(search)] == [("constant 0.01", "winner"), ("Adam at 0.001", "baseline")]


def test_the_batch_size_of_a_scheme_is_named(report: Report) -> None:
    """If there were several batch sizes; finalists that differ in nothing else are separate lines."""
    assert report.search is not None
    first, *others = report.search.leaderboard
    twin = first.model_copy(update={"batch_size": 128})
    spaces = tuple(report.search.spaces[0].model_copy(update={"batch_size": size}) for size in (50, 128))
    search = report.search.model_copy(update={"leaderboard": (first, twin, *others), "spaces": spaces})
    labels = [(entry.label, entry.role) for entry in entries(search)]
    assert labels[:2] == [("batch=50 cosine 0.0562", "winner"), ("batch=128 cosine 0.0562", "finalist")]


def test_a_searched_weight_decay_is_named(report: Report) -> None:
    """Finalists that differ in nothing else are separate lines."""
    assert report.search is not None
    first, *others = report.search.leaderboard
    twin = first.model_copy(update={"weight_decay": 0.0123})
    search = report.search.model_copy(update={"leaderboard": (first, twin, *others)})
    labels = [(entry.label, entry.role) for entry in entries(search)]
    assert labels[:2] == [("cosine 0.0562", "winner"), ("cosine 0.0562 decay=0.0123", "finalist")]


def test_where_more_is_better_the_highest_comes_first(report: Report, maximised: Report) -> None:
    """In the same order as by the loss, of which the gain is the opposite."""
    assert report.search is not None
    assert maximised.search is not None
    labels, means = zip(*((e.label, e.row.objective.mean) for e in entries(maximised.search)), strict=True)
    assert labels == tuple(entry.label for entry in entries(report.search))
    assert list(means) == sorted(means, reverse=True)
