"""Trainings that any program has logged to MLflow, read for a comparison."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipeline.comparison import LR, Curve, LoggedRun, usual_name
from pipeline.errors import refusal
from pipeline.tracking.failures import is_away
from pipeline.tracking.metrics import without_system
from pipeline.tracking.store import Store

_ACCEPTED = "ids of training runs of this store, separated by commas"


def read_logged(store: Store, run_ids: Sequence[str]) -> tuple[LoggedRun, ...]:
    """Read runs, in this order; for a chain of this project, that of its final training.

    Raises:
        InputError: if a run is unknown, is no training that logged its rate, or is given twice.

    """
    runs = [_logged(store, _training(store, run_id)) for run_id in run_ids]
    times, named = Counter(run.run_id for run in runs), Counter(run.name for run in runs)
    for given, run in zip(run_ids, runs, strict=True):
        if LR not in run.curves:
            raise refusal("runs", f"{given}, which has no metric lr or learning_rate", _ACCEPTED)
        if times[run.run_id] > 1:
            same = ", ".join(one for one, other in zip(run_ids, runs, strict=True) if other.run_id == run.run_id)
            raise refusal("runs", f"{same}, which are the same training", _ACCEPTED)
    return tuple(replace(run, name=f"{run.name} ({run.run_id[:6]})") if named[run.name] > 1 else run for run in runs)


def _training(store: Store, run_id: str) -> Run:
    run = _run(store, run_id)
    if run.data.tags.get("pipeline.stage") == "main":
        below = store.children(run_id, "train")
        if not below:
            raise refusal("runs", f"{run_id}, a chain without a final training", _ACCEPTED)
        run = below[-1]
    source = run.data.tags.get("pipeline.cached")  # a stage that reused another has none of its curves
    return run if source is None or "pipeline.role" in run.data.tags else _run(store, source)


def _run(store: Store, run_id: str) -> Run:
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):
            raise
        raise refusal("runs", f"{run_id}, which is not in this store", _ACCEPTED) from error


def _logged(store: Store, run: Run) -> LoggedRun:
    own, tags = without_system(run.data.metrics), run.data.tags
    for name in [name for name in own if name.startswith("validation_")]:  # MLflow's callback logs these twice
        if name.replace("validation_", "val_", 1) in own:
            del own[name]
    curves = dict(_curves(store, run, sorted(own)))
    return LoggedRun(
        name=str(run.info.run_name),
        run_id=run.info.run_id,
        experiment=store.client.get_experiment(run.info.experiment_id).name,
        status=run.info.status,
        is_ours="pipeline.stage" in tags,
        params={**_params_of_stage(store, run), **run.data.params},
        finals={usual_name(name): value for name, value in own.items()},
        curves={name: curve for name, curve in curves.items() if name != "epoch"},
        epoch_at=curves.get("epoch"),
        data_sets=tuple(sorted(f"{one.dataset.name} {one.dataset.digest}" for one in run.inputs.dataset_inputs)),
        key=_key(store, run),
    )


def _curves(store: Store, run: Run, names: Sequence[str]) -> Iterator[tuple[str, Curve]]:
    for name in names:
        points = store.client.get_metric_history(run.info.run_id, name)
        last = {point.step: point.value for point in sorted(points, key=lambda point: (point.step, point.timestamp))}
        if len(last) > 1 or usual_name(name) == LR:
            yield usual_name(name), Curve(np.array(list(last)), np.array(list(last.values()), np.float64))


def _params_of_stage(store: Store, run: Run) -> dict[str, str]:
    """Return the parameters of the stage that a training of this project belongs to, such as data and model."""
    parent = run.data.tags.get("mlflow.parentRunId")
    if "pipeline.role" not in run.data.tags or parent is None:
        return {}
    return dict(store.client.get_run(parent).data.params)


def _key(store: Store, run: Run) -> str:
    """Return what the keys of a training, or of the trainings below a final one, have in common."""
    trainings = [run, *store.children(run.info.run_id, "train")] if "pipeline.stage" in run.data.tags else []
    keys = (one.data.tags.get("pipeline.fingerprint", "").rpartition("-")[0] for one in trainings)
    return next(filter(None, keys), "")
