"""The trained model: logged, registered, and compared with the champion of its data."""

import hashlib
import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any

import mlflow
import mlflow.pyfunc
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
from mlflow.exceptions import MlflowException
from mlflow.models import Model, get_model_info, infer_signature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import AnyType, ColSpec, Schema
from mlflow.utils.logging_utils import suppress_logs

from pipeline import lr_pipeline_model, user_code
from pipeline.containment import contained
from pipeline.errors import describe
from pipeline.evaluation import Candidate
from pipeline.lr_pipeline_model import VALUES, Outputs
from pipeline.statistics import paired_difference
from pipeline.tracking.trainings import candidate_params

ALIAS = "champion"
_PREFIX = "lr-pipeline-"
_LOSSES, _COMPARABLE, _REASON = "pipeline.losses", "pipeline.comparable", "pipeline.champion"

_PROGRESS = re.compile("Validating input example")
"""What MLflow says while it logs a model."""


@dataclass(frozen=True)
class Scores:
    """The scores by which models are compared.

    Attributes:
        comparable: what must be equal for losses to be comparable: the digests of the split data and of the loss, and
            the number of splits. Two networks with the same loss on the same validation sets are comparable; a loss
            with a network's own penalties is comparable only with itself.
        losses: the validation loss at the end of the training of each seed.

    """

    comparable: Mapping[str, str]
    losses: Mapping[int, float]

    @property
    def tags(self) -> dict[str, str]:
        """The tags that keep the scores on a model version."""
        text = json.dumps(dict(self.comparable), sort_keys=True)
        losses = {str(seed): loss for seed, loss in self.losses.items()}
        return {_COMPARABLE: hashlib.sha256(text.encode()).hexdigest(), _LOSSES: json.dumps(losses)}


@dataclass(frozen=True)
class About:
    """What MLflow's pages on a model say of its training.

    Attributes:
        description: in words, as Markdown.
        candidate: what it was trained with.
        steps: the number of updates.
        scores: the metrics of the active run that are the model's.

    """

    description: str
    candidate: Candidate
    steps: int
    scores: Mapping[str, float]


def log_model(
    network: Any,
    example: Any,
    outputs: Outputs | Mapping[str, Outputs] = VALUES,
    modules: Sequence[ModuleType] = (),
    columns: Path | None = None,
    about: About | None = None,
) -> str:
    """Log a Keras model on the active run, with signature and input example.

    Args:
        network: uncompiled.
        example: a few raw inputs.
        outputs: what its outputs are.
        modules: the user's modules, stored with the model so that it can be loaded where they are not installed.
        columns: as of `lr_pipeline_model.save`; the example is then rows of the table, as they were given.
        about: its training, if it is known.

    Returns:
        the URI of the logged model.

    """
    needed = {"keras", "tensorflow", "numpy", "pandas"} | user_code.distributions(modules)
    needed |= {"scikit-learn", "skops"} if columns else set()
    with warnings.catch_warnings(), suppress_logs("mlflow.pyfunc", _PROGRESS), TemporaryDirectory() as temporary:
        warnings.simplefilter("ignore")  # MLflow warns about integer columns, which are right for images
        (folder := Path(temporary, "model")).mkdir()
        lr_pipeline_model.save(folder, network, outputs, [module.__name__ for module in modules], columns)
        signature = infer_signature(example, lr_pipeline_model.load(folder).predict(example))
        if columns is not None:  # MLflow would refuse whole numbers in a column of decimals, and gaps
            signature.inputs = Schema([ColSpec(AnyType(), name) for name in example])
        info = Model.log(
            name="model",
            artifact_path=None,
            flavor=SimpleNamespace(save_model=_save),
            flavor_name="tensorflow",
            data_path=str(folder),
            signature=signature,
            input_example=example,
            code_paths=[lr_pipeline_model.__path__[0], *_code_paths(modules)],
            pip_requirements=[f"{name}=={version(name)}" for name in sorted(needed)],
            params=candidate_params(about.candidate) if about else None,
            step=about.steps if about else 0,  # at which no metric is: MLflow would show all that are, as the model's
        )
    if about:
        _show_scores(info.model_id, about.scores)
    return str(info.model_uri)


def _show_scores(model_id: str, scores: Mapping[str, float]) -> None:
    """Show scores of the active run on a model too: the very points, so that the run does not get any more."""
    client, run_id = MlflowClient(), mlflow.active_run().info.run_id
    points = [point for name in scores for point in client.get_metric_history(run_id, name)]
    shown = [
        Metric(point.key, point.value, point.timestamp, point.step, model_id=model_id, run_id=run_id)
        for point in points
        if point.value == scores[point.key]
    ]
    client.log_batch(run_id, shown)


def _save(path: str, mlflow_model: Model, data_path: str, **options: Any) -> None:
    """Save a model as `mlflow.pyfunc` does, but so that `mlflow.tensorflow` can load its network too.

    `mlflow.tensorflow.save_model` would pickle the user's layers, and takes no tables.
    """
    layout = {"data": f"data/{Path(data_path).name}", "model_type": "keras", "save_format": "tf"}
    mlflow_model.add_flavor("tensorflow", code="code", **layout)
    mlflow.pyfunc.save_model(
        path,
        loader_module=lr_pipeline_model.__name__.rpartition(".")[2],
        data_path=data_path,
        mlflow_model=mlflow_model,
        **options,
    )


def register(model_uri: str, data: str, scores: Scores, about: About | None = None) -> tuple[str, str]:
    """Register a model, and make it the champion of its data if it is better than the current one.

    It is better where the 95% interval of the paired difference of losses, on the seeds that both were trained on,
    excludes zero. If there is no champion, or it can no longer be loaded, the model becomes champion. A champion whose
    losses are not comparable stays: the user must then decide which of the two to use.

    Args:
        model_uri: the URI of the logged model.
        data: the data's name; each has a registered model of its own.
        scores: the scores by which the model is compared.
        about: its training, if it is known.

    Returns:
        the registered name and version, and why it is the champion or not.

    """
    client, name = MlflowClient(), f"{_PREFIX}{re.sub(r'[^A-Za-z0-9]+', '-', data).strip('-')}"
    better, reason = _judge(_champion(client, name), scores)
    with redirect_stderr(StringIO()):  # MLflow announces every version there
        registered = mlflow.register_model(model_uri, name, tags={**scores.tags, _REASON: reason})
    description = f"{ALIAS if better else 'no ' + ALIAS}: {reason}" + (f"\n\n{about.description}" if about else "")
    client.update_model_version(name, registered.version, description=description)
    if better:
        client.set_registered_model_alias(name, ALIAS, registered.version)
    return f"{name} version {registered.version}", reason


def champions(client: MlflowClient) -> list[ModelVersion]:
    """Return the champions of all data."""
    names: list[str] = []
    token = None
    while True:
        page = client.search_registered_models(f"name LIKE '{_PREFIX}%'", page_token=token)
        names += [model.name for model in page if ALIAS in model.aliases]
        token = page.token
        if not token:
            return [client.get_model_version_by_alias(name, ALIAS) for name in names]


def why_unloadable(registered: ModelVersion) -> str:
    """Return why a registered model cannot be loaded; "" if it can. The user's code in it is run, but no pickle."""
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION.set(False)  # of models that earlier versions have logged
    try:
        with contained(), _forgotten(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            mlflow.pyfunc.load_model(f"models:/{registered.name}/{registered.version}", suppress_warnings=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever MLflow, Keras and the user's layers raise, SystemExit included
        return describe(error)
    return ""


@contextmanager
def _forgotten() -> Iterator[None]:
    """Forget on exit the code that came with a model: another one's modules may have the same names."""
    before = list(sys.path)
    try:
        yield
    finally:
        added = tuple(path for path in sys.path if path not in before)
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            if added and (getattr(module, "__file__", None) or "").startswith(added):
                del sys.modules[name]


def _code_paths(modules: Sequence[ModuleType]) -> list[str]:
    """Return the files of modules, and the folders of whole packages."""
    tops = [sys.modules[name] for name in {module.__name__.partition(".")[0] for module in modules}]
    return sorted(str(top.__path__[0] if hasattr(top, "__path__") else top.__file__) for top in tops)


def _judge(champion: ModelVersion | None, scores: Scores) -> tuple[bool, str]:
    """Return whether a model with these scores becomes the champion, and why."""
    if champion is None:
        return True, "there was no loadable champion"
    tags, who = champion.tags, f"version {champion.version}"
    if tags.get(_COMPARABLE) != scores.tags[_COMPARABLE]:
        return False, f"{who} stays: it was trained on other data or with another loss, so losses are not comparable"
    earlier = {int(seed): float(loss) for seed, loss in json.loads(tags[_LOSSES]).items()}
    common = [seed for seed in scores.losses if seed in earlier]
    if len(common) < 2:
        return False, f"{who} stays: {len(common)} seeds in common are too few to compare"
    gain = paired_difference([earlier[seed] for seed in common], [scores.losses[seed] for seed in common])
    bounds = f"{gain.mean:.3g} (95% interval {gain.low:.3g} to {gain.high:.3g}) on {len(common)} paired seeds"
    if gain.low > 0:
        return True, f"better than {who} by {bounds}"
    return False, f"{who} stays: the gain over it is {bounds}, which does not exclude zero"


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """Return the champion; None if there is none, or its files are gone."""
    try:
        champion = client.get_model_version_by_alias(name, ALIAS)
        get_model_info(f"models:/{name}/{champion.version}")
    except (MlflowException, OSError):
        return None
    return champion
