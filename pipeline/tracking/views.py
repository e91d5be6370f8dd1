"""What MLflow's UI shows of an experiment: a saved view of its trainings, which the menu "Views" lists, and a note."""

import json
import time
from contextlib import suppress
from urllib.parse import quote

import mlflow
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.redaction import redacted

TRAININGS = "lr-pipeline-trainings"
"""The key of the view."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The tag without which MLflow's UI expects prompts."""

_KEPT = "mlflow.sharedViewState."
"""What the tag of a view begins with: since 3.15, MLflow's UI keeps views as tags of their experiment."""

_NOTE, _NEWEST = "mlflow.note.content", "**Newest answer:**"
"""The tag with an experiment's note, in Markdown, and how this project's begins."""

_NAME = "attributes.`Run Name`"
_COLUMNS = (
    "tags.`pipeline.stage`",
    "params.`scheme`",
    "params.`initial_lr`",
    "params.`optimizer`",
    "params.`batch_size`",
    "params.`seed`",
    "metrics.`val_loss`",
    "metrics.`test_accuracy`",
    "metrics.`test_loss`",
)
"""What tells trainings apart, and how well they went, as MLflow's UI names columns."""

_WIDTHS = {_NAME: 240, "tags.`pipeline.stage`": 115, "metrics.`test_accuracy`": 130}
"""Pixels in which names and titles fit."""

_SELECTION = "1"
"""The column of check boxes, which would otherwise follow the columns that are put in order."""

_NOT_SWEEPS = " AND ".join(f"tags.`pipeline.role` != '{role}'" for role in ("sweep", "refinement"))
"""Trainings of full length; runs without a role are no trainings, and match no comparison."""

_SECTION = "lr-pipeline"


def trainings_page(experiment_id: str) -> str:
    """Return where a tracking server shows the trainings of an experiment, relative to the server's address."""
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={TRAININGS}"


def run_page(experiment_id: str, run_id: str) -> str:
    """Return where a tracking server shows a run, relative to the server's address."""
    return f"/#/experiments/{experiment_id}/runs/{run_id}"


def server_address() -> str:
    """Return the address of the tracking server, without credentials; "" where the store is used without one."""
    address = str(mlflow.get_tracking_uri())
    return redacted(address).rstrip("/") if address.startswith(("http://", "https://")) else ""


def artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """Return where a tracking server shows an artifact of a run, relative to the server's address."""
    return f"/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{path}?workflowType=machine_learning"


def furnish(client: MlflowClient, experiment: Experiment) -> None:
    """Give an experiment the tags that MLflow's UI needs to show trainings; those that it has stay as they are."""
    wanted = _KIND | {f"{_KEPT}{TRAININGS}": _kept("lr-pipeline: trainings", _trainings())}
    for key, value in wanted.items():
        if key not in experiment.tags:
            with suppress(MlflowException):  # another process sets it at the same moment, or users may not
                client.set_experiment_tag(experiment.experiment_id, key, value)


def note_newest(client: MlflowClient, experiment_id: str, answer: str, report: str, model: str | None) -> None:
    """Say in the note of an experiment, which the UI shows above its runs, what was found last; others' notes stay.

    Args:
        client: of the store.
        experiment_id: where the chain ran.
        answer: in a sentence.
        report: `artifact_page` of the report.
        model: the registered model, as `NAME version NUMBER`, if there is one.

    """
    if not client.get_experiment(experiment_id).tags.get(_NOTE, _NEWEST).startswith(_NEWEST):
        return
    links = [f"[report]({report.removeprefix('/')})"]
    if model is not None:
        name, _, number = model.rpartition(" version ")
        links.append(f"[model](#/models/{quote(name)}/versions/{number})")
    with suppress(MlflowException):  # users may not
        client.set_experiment_tag(experiment_id, _NOTE, f"{_NEWEST} {answer} {', '.join(links)}")


def _kept(name: str, state: object) -> str:
    """Return a view as MLflow's UI keeps it; the state is text within the text."""
    return json.dumps({"name": name, "createdAt": int(time.time() * 1000), "state": json.dumps(state)})


def _trainings() -> dict[str, object]:
    """Return the state of the page: a table of all trainings, the best first, and charts of those selected."""
    parallel = {"selectedParams": ["scheme", "initial_lr"], "selectedMetrics": ["val_loss"]}
    return {
        "searchFilter": _NOT_SWEEPS,
        "orderByKey": "metrics.`val_loss`",
        "orderByAsc": True,
        "selectedColumns": _COLUMNS,
        "columnOrder": (_SELECTION, _NAME, *_COLUMNS),
        "columnWidths": _WIDTHS,
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,  # else sections are put in the order of their names
        "compareRunSections": [{"uuid": _SECTION, "name": _SECTION, "display": True, "isReordered": True}],
        "compareRunCharts": [*map(_line, ("lr", "val_loss", "loss")), _chart("PARALLEL", "parallel") | parallel],
    }


def _line(metric: str) -> dict[str, object]:
    shown = {"metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step", "lineSmoothness": 0}
    return _chart("LINE", metric) | shown


def _chart(kind: str, name: str) -> dict[str, object]:
    return {"type": kind, "uuid": f"{_SECTION}-{name}", "metricSectionId": _SECTION}
