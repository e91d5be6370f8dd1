"""What MLflow's UI shows of an experiment: a saved view of its trainings, which the menu "Views" lists."""

import json
import time
from contextlib import suppress

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

TRAININGS = "lr-pipeline-trainings"
"""The key of the view."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The tag without which MLflow's UI expects prompts."""

_KEPT = "mlflow.sharedViewState."
"""What the tag of a view begins with: since 3.15, MLflow's UI keeps views as tags of their experiment."""

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


def furnish(client: MlflowClient, experiment: Experiment) -> None:
    """Give an experiment the tags that MLflow's UI needs to show trainings; those that it has stay as they are."""
    wanted = _KIND | {f"{_KEPT}{TRAININGS}": _kept("lr-pipeline: trainings", _trainings())}
    for key, value in wanted.items():
        if key not in experiment.tags:
            with suppress(MlflowException):  # another process sets it at the same moment, or users may not
                client.set_experiment_tag(experiment.experiment_id, key, value)


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
