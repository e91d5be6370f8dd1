"""`report` with `runs` compares trainings, of this project and of others."""

import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def theirs(project: Project) -> str:
    """Return the id of a training that was logged by plain MLflow, once an epoch, as Keras names its metrics."""
    client = project.client
    run_id = str(client.create_run(client.create_experiment("theirs"), run_name="plain-keras").info.run_id)
    client.log_param(run_id, "units", 64)
    for epoch in range(3):
        found = {"learning_rate": 0.1 * 0.5**epoch, "loss": 1.0 / (epoch + 1), "val_loss": 1.1 / (epoch + 1)}
        for name, value in found.items():
            client.log_metric(run_id, name, value, step=epoch)
    client.set_terminated(run_id)
    return run_id


def test_trainings_of_any_program_are_compared(project: Project, theirs: str) -> None:
    """The page is an artifact and among the reports, the printed line says where; a chain stands for its training."""
    main, trial = (project.runs(stage)[0].info.run_id for stage in ("main", "trial"))
    ended = project.here("report", runs=f"{theirs},{main},{trial}", experiment_name="compared")
    assert "reports/comparison.html" in ended.stdout
    page = (project.folder / "reports" / "comparison.html").read_text(encoding="utf-8")
    for text in ("3 trainings compared", "plain-keras", "train mlp on digits", "Each step of plain-keras is taken for"):
        assert text in page
    client = project.client
    experiment = client.get_experiment_by_name("compared")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "comparison of 3 trainings"
    assert (project.artifacts(run) / "comparison.html").read_text(encoding="utf-8") == page


def test_what_cannot_be_compared_is_refused_in_a_line(project: Project, theirs: str) -> None:
    """An unknown run, one without a rate, and a training that is given twice."""
    main, train, prepare = (project.runs(stage)[0].info.run_id for stage in ("main", "train", "prepare"))
    for runs, fault in (
        (f"{theirs},{'0' * 32}", f"{'0' * 32}, which is not in this store"),
        (f"{theirs},{prepare}", f"{prepare}, which has no metric lr or learning_rate"),
        (f"{main},{train}", f"{main}, {train}, which are the same training"),
    ):
        ended = project.here("report", code=2, runs=runs, experiment_name="refused")
        assert ended.stderr.splitlines()[-1].startswith(f"lr-pipeline: runs: received {fault}; accepted: ")
