"""A search interrupted twice, in another folder, gives the same result as an uninterrupted one."""

import signal
from collections import Counter

import pandas as pd
import pytest
from mlflow.entities import Run

from pipeline.results import SearchResult
from tests.e2e.project import PATIENCE, Project, command, kill_tree

pytestmark = pytest.mark.slow


def finished_trials(project: Project) -> list[Run]:
    """Return the trainings of all searches that have finished, without runs that stand for others."""
    runs = project.runs("trial", status="FINISHED")
    return [
        run
        for run in runs
        if run.data.tags["pipeline.role"] not in ("sweep", "refinement") and "pipeline.cached" not in run.data.tags
    ]


@pytest.fixture(scope="module")
def after_sigterm(elsewhere: Project) -> Project:
    """Return a project whose `main` got SIGTERM once its search had finished two trainings, with its output."""
    elsewhere.here("range_test")
    process = elsewhere.start(*command("main"))
    elsewhere.wait_for_trials(process, 2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err.split("lr-pipeline: interrupted")[-1]
    (elsewhere.folder / "output").write_text(out, encoding="utf-8")
    return elsewhere


@pytest.fixture(scope="module")
def stopped(after_sigterm: Project) -> tuple[Project, dict[str, str], int]:
    """Return the project, the status of each of its runs after SIGTERM, and how many trainings it had finished."""
    runs = [run for stage in ("main", "prepare", "range_test", "search") for run in after_sigterm.runs(stage)]
    status = {run.data.tags["pipeline.stage"]: run.info.status for run in runs}
    assert "RUNNING" not in after_sigterm.statuses()
    return after_sigterm, status, len(finished_trials(after_sigterm))


@pytest.fixture(scope="module")
def continued(stopped: tuple[Project, dict[str, str], int]) -> Project:
    """Return the project after its search was killed, and ran to its end when it was started again."""
    project, _, done = stopped
    process = project.start(*command("search"))
    project.wait_for_trials(process, done + 2)
    kill_tree(process)
    assert "RUNNING" in project.statuses()  # no process was left to change that
    project.here("search")
    return project


def test_sigterm_marks_the_runs_killed_and_keeps_what_was_done(stopped: tuple[Project, dict[str, str], int]) -> None:
    """Finished stages and trainings stay finished; those at work mark themselves KILLED at once."""
    _, status, done = stopped
    assert status == {"main": "KILLED", "prepare": "FINISHED", "range_test": "FINISHED", "search": "KILLED"}
    assert done >= 1


def test_an_interrupted_search_gives_the_best_answer_so_far(after_sigterm: Project) -> None:
    """In the terminal and as a report, with what is known of it; the run keeps it too."""
    said = (after_sigterm.folder / "output").read_text(encoding="utf-8")
    first = "This is the best answer so far: the chain was interrupted. The same command continues it."
    assert f"\n{first}\nTrain SGD with " in said
    assert "Report: reports/report.html" in said
    page = after_sigterm.folder / "reports" / "report.html"
    assert first in page.read_text(encoding="utf-8")
    run = after_sigterm.runs("search")[0]
    kept = SearchResult.model_validate_json((after_sigterm.artifacts(run) / "result.json").read_text(encoding="utf-8"))
    assert kept.reason.startswith("interrupted after ")


def test_no_run_stays_running(continued: Project) -> None:
    """Runs that `kill -9` left RUNNING are marked KILLED by the next command."""
    assert continued.statuses() == {"FINISHED", "KILLED"}
    assert [run.info.status for run in continued.runs("search")] == ["KILLED", "KILLED", "FINISHED"]


def test_no_training_is_repeated(continued: Project, project: Project) -> None:
    """Each was trained once; the finished search has the same trainings as an uninterrupted one."""
    search = continued.runs("search")[-1]
    made = Counter(run.data.tags["pipeline.fingerprint"] for run in finished_trials(continued))
    assert set(made.values()) == {1}
    shown = continued.runs("trial", search.info.run_id, "FINISHED")
    (whole,) = project.runs("search", project.runs("main")[0].info.run_id)
    assert Counter(run.data.tags["pipeline.fingerprint"] for run in shown) == Counter(
        run.data.tags["pipeline.fingerprint"] for run in project.runs("trial", whole.info.run_id, "FINISHED")
    )
    assert {run.data.tags["pipeline.cached"] for run in continued.runs("prepare")[1:]} == {
        continued.runs("prepare")[0].info.run_id
    }


def test_same_seed_gives_the_same_numbers_elsewhere_however_often_interrupted(
    continued: Project, project: Project
) -> None:
    """Sweeps, trials and leaderboard equal those of the uninterrupted chain elsewhere, to the last digit."""
    for stage, file, timed in (
        ("range_test", "range_test.csv", []),
        ("search", "trials.csv", ["seconds"]),
        ("search", "leaderboard.csv", []),
    ):
        here, there = (
            pd.read_csv(one.artifacts(one.runs(stage, status="FINISHED")[at]) / file)
            for one, at in ((continued, -1 if stage == "search" else 0), (project, 0))
        )
        pd.testing.assert_frame_equal(here.drop(columns=timed), there.drop(columns=timed), check_exact=True)
