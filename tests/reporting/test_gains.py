"""What a decay and the search are worth, in words: a sentence each, or why it is not known."""

from collections.abc import Callable

from pipeline.reporting.answer import compose
from pipeline.reporting.report_inputs import Report
from pipeline.results import Baseline, Comparison, Interval, LeaderboardRow
from pipeline.rivals import RECIPE
from tests.reporting.searches import make_row

CONSTANT = make_row("constant", 0.0316, 0.061, "tie")
DECAY = Baseline(name="constant", row=CONSTANT, gain=Interval(mean=0.004, low=-0.001, high=0.009), accuracy_gain=None)


def compared(report: Report, change: Callable[..., Report], *comparisons: Comparison, **changes: object) -> list[str]:
    """Return the answer of the report with these comparisons."""
    assert report.search is not None
    search = report.search.model_copy(update={"comparisons": comparisons, **changes})
    return compose(change(search=search)).lines()


def test_each_question_has_a_sentence(report: Report, change: Callable[..., Report]) -> None:
    """The gain over a baseline that answers a question is not said twice."""
    assert report.search is not None
    adam, sgd = report.search.baselines
    recipe = adam.model_copy(update={"name": RECIPE})
    lines = compared(
        report,
        change,
        Comparison(question="decay", name="cosine", over=DECAY),
        Comparison(question="search", name="cosine", over=recipe),
        baselines=(recipe, sgd),
    )
    starts = [line.partition(" in validation loss")[0] for line in lines if line.startswith("Gain")]
    assert starts == [
        "Gain of cosine over the best constant rate, 0.0316: 0.004",
        "Gain of the search over the AdamW recipe: 0.0282",
        "Gain over SGD at 0.01: 0.0031",
    ]
    assert not any("not known" in line for line in lines)


def test_what_is_not_known_is_said(report: Report, change: Callable[..., Report]) -> None:
    """Once for each reason; not where the answer already says that nothing was compared."""
    unknown = Comparison(question="decay", unknown="so it is"), Comparison(question="search", unknown="so it is")
    expected = (
        "It is not known what a decay is worth compared with the best constant rate,"
        " nor what the search is worth compared with the AdamW recipe: so it is."
    )
    assert expected in compared(report, change, *unknown)
    assert report.search is not None
    alone = LeaderboardRow.model_validate({**report.search.leaderboard[0].model_dump(), "seeds": ()})
    lines = compared(report, change, *unknown, leaderboard=(alone,), baselines=(), reason="not compared: no budget")
    assert not any("worth" in line for line in lines)
