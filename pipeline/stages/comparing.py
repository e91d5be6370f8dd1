"""How `report` compares trainings that are given by the ids of their runs, whoever has logged them."""

from datetime import UTC, datetime

from pipeline.comparison import Comparison
from pipeline.config import ReportOptions
from pipeline.files import write_text
from pipeline.reporting import comparison_page
from pipeline.results import ReportResult
from pipeline.stages.context import REPORTS, Context
from pipeline.tracking.logged import read_logged

PAGE = "comparison.html"
"""The comparison's file, among the reports and the artifacts."""


def compared(context: Context[ReportOptions]) -> ReportResult:
    """Read the runs, and write the page that compares them."""
    context.status.begin("reading runs")
    runs = read_logged(context.store, context.options.run_ids)
    context.store.rename(context.run, f"comparison of {len(runs)} trainings")
    context.status.begin("rendering")
    comparison = Comparison(runs, datetime.now(UTC).isoformat(timespec="seconds"))
    write_text(context.run.folder / PAGE, comparison_page.render(comparison))
    return ReportResult(report=str(REPORTS / PAGE), answer=tuple(comparison.remarks()))
