"""Keys change with what a result depends on, and with nothing else."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline import fingerprints
from pipeline.config import RUN_CONTROL, MainOptions, PrepareOptions, TrainOptions
from pipeline.fingerprints import fingerprint, training_key

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("prepare", "range_test", "search", "train", "report", "reproduce")
INPUTS = {"source": "digits"}
CONDITIONS = {"precision": "float32", "device": "CPU"}

TRAINING = {"range_test", "search", "train", "reproduce"}
"""Stages that train."""

EDITS: dict[str, tuple[set[str], bool]] = {
    "pipeline/training/engine.py": (TRAINING, True),
    "pipeline/models.py": (TRAINING, True),
    "pipeline/optimizers/__init__.py": (TRAINING, True),
    "pipeline/usages.py": ({"range_test", "search", "report"}, False),
    "pipeline/evaluation.py": ({*TRAINING, "report"}, True),
    "pipeline/schedules/decays.py": ({*TRAINING, "report"}, True),
    "pipeline/datasets/splits.py": ({*TRAINING, "prepare"}, True),
    "pipeline/datasets/__init__.py": ({*TRAINING, "prepare", "report"}, True),
    "pipeline/user_code.py": ({*TRAINING, "prepare"}, True),
    "pipeline/lr_pipeline_model/columns.py": ({*TRAINING, "prepare"}, True),
    "pipeline/__init__.py": (set(STAGES), True),
    "pipeline/results/search.py": (set(STAGES) - {"prepare"}, False),
    "pipeline/rivals.py": ({"search", "report"}, False),
    "pipeline/search/plan.py": ({"search"}, False),
    "pipeline/range_test/landmarks.py": ({"range_test"}, False),
    "pipeline/statistics/intervals.py": ({"search", "train", "report", "reproduce"}, False),
    "pipeline/reporting/style.py": ({*TRAINING, "report"}, False),
    "pipeline/reporting/report.css": ({"report", "reproduce"}, False),
    "pipeline/reporting/report.html.j2": ({"report", "reproduce"}, False),
    "pipeline/articles/table.py": ({"reproduce"}, False),
    "pipeline/stages/train.py": ({"train"}, False),
    "pipeline/stages/asking.py": (TRAINING, False),
    "pipeline/cluster/executor.py": (set(), False),
    "pipeline/config/search.py": (set(), False),
    "pipeline/tracking/store.py": (set(), False),
    "pipeline/console.py": (set(), False),
    "pipeline/chain.py": (set(), False),
    "pipeline/stages/table.py": (set(), False),
    "pipeline/cli.py": (set(), False),
    "requirements.lock": (set(), False),
}
"""A file -> the stages that run again after an edit of it, and whether their trainings do."""

PRINT = f"""
import json, pathlib
from pipeline.stages.table import STAGES
from pipeline.fingerprints import fingerprint, training_key

def keys():
    found = {{name: fingerprint(name, STAGES[name].options(), {INPUTS!r}) for name in {STAGES!r}}}
    return {{**found, "trainings": training_key({INPUTS!r}, {CONDITIONS!r})}}

before, after = keys(), {{}}
for name in {list(EDITS)!r}:
    path = pathlib.Path(name)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\\n# changed\\n", encoding="utf-8")
    after[name] = keys()
    path.write_text(text, encoding="utf-8")
print(json.dumps({{"before": before, "after": after}}))
"""


@dataclass(frozen=True)
class Keys:
    """The keys of a project as it is, and after an edit of each file."""

    before: dict[str, str]
    after: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return the keys of a copied project as it is, and after an edit of each of the files."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", folder)
    ended = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(ended.stdout)
    return Keys(found["before"], found["after"])


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_runs_again_what_it_changes(file: str, keys: Keys) -> None:
    """An edit reruns the stages that use the file, directly or not, and trainings if it affects their numbers."""
    before, after = keys.before, keys.after[file]
    stages, trainings = EDITS[file]
    assert {stage for stage in STAGES if after[stage] != before[stage]} == stages
    assert (after["trainings"] != before["trainings"]) is trainings


def test_every_package_is_edited_above() -> None:
    """A new package must say what an edit of it runs again."""
    packages = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert packages <= {Path(file).parent.name for file in EDITS}


def test_copies_have_the_same_fingerprints(keys: Keys) -> None:
    """Content counts, not the folder; no two stages share a fingerprint."""
    before = keys.before
    assert before["prepare"] == fingerprint("prepare", PrepareOptions(), INPUTS)
    assert before["trainings"] == training_key(INPUTS, CONDITIONS)
    assert len(set(before.values())) == len(STAGES) + 1


@pytest.mark.parametrize("changed", ["precision", "device"])
def test_trainings_under_other_conditions_are_others(changed: str) -> None:
    """Trainings in float32 and bfloat16, on a CPU and on a GPU, are never taken for the same."""
    assert training_key(INPUTS, CONDITIONS) != training_key(INPUTS, {**CONDITIONS, changed: "other"})


@pytest.mark.parametrize("package", ["tensorflow", "keras", "numpy"])
def test_other_versions_give_other_trainings(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed versions count, whatever the lock file says; other packages have no effect."""
    before = training_key(INPUTS, CONDITIONS)
    monkeypatch.setattr(fingerprints, "version", lambda name: "0.0" if name == package else version(name))
    assert training_key(INPUTS, CONDITIONS) != before
    assert fingerprint("search", TrainOptions(), INPUTS) != ""
    monkeypatch.setattr(fingerprints, "version", lambda name: "0.0" if name == "mlflow" else version(name))
    assert training_key(INPUTS, CONDITIONS) == before


def test_stages_that_train_depend_on_the_kind_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other stages do not: prepared data are the same everywhere."""
    before = {
        name: fingerprint(name, options(), INPUTS)
        for name, options in (("prepare", PrepareOptions), ("train", TrainOptions))
    }
    monkeypatch.setattr(fingerprints, "machine_kind", lambda: "another")
    assert fingerprint("prepare", PrepareOptions(), INPUTS) == before["prepare"]
    assert fingerprint("train", TrainOptions(), INPUTS) != before["train"]


@pytest.mark.parametrize("name", sorted(set(MainOptions.model_fields) - RUN_CONTROL))
def test_every_option_changes_it(name: str) -> None:
    """Two runs that differ in an option are never taken for each other."""
    values = {
        **{"data": "digits", "model": "mlp", "optimizer": "adam", "precision": "float32", "schemes": "cosine"},
        **{
            "sampler": "random",
            "space": "wide",
            "history": "related",
            "weight_decay": "search",
            "spacing": "linear",
            "rivals": "lion",
            "refine": "cosine",
            "objective": "val_accuracy",
        },
        **{"torch_schedule": True, "transfer": True, "target": "label", "momentum": 0.5, "scale": "none"},
        **{"batch_transfer": True},
        **{"batch_norm": "keras", "tolerance": 0.01, "scale_labels": True, "deterministic": True},
        **{"scheme": "cosine", "initial_lr": 0.2, "scheme_params": "warmup=0.1", "model_args": "width=8"},
        **{"image_size": "64", "color_mode": "rgb", "text_columns": "hash"},
        **{"task": "regression", "class_weight": "balanced"},
    }
    given = {"scheme": "linear", "initial_lr": 0.1, "optimizer": "adamw", "model": "own_networks:build"}
    default = TrainOptions.model_validate(given)
    other = TrainOptions.model_validate({**given, name: values.get(name, 7)})
    assert fingerprint("train", default, {}) != fingerprint("train", other, {})


def test_where_and_whether_a_stage_runs_does_not_change_it() -> None:
    """Where, whether and how long a stage may run, and what it logs beside, leave a result as it is."""
    for other in (
        PrepareOptions(experiment_name="other", fresh=True, checkpoint=0, workers=8, system_metrics=True),
        PrepareOptions(scheduler="tcp://host:8786", training_minutes=60),
    ):
        assert fingerprint("prepare", other, INPUTS) == fingerprint("prepare", PrepareOptions(), INPUTS)


def test_inputs_change_it() -> None:
    """Other data or another result of an earlier stage change the fingerprint."""
    options = PrepareOptions()
    inputs: list[dict[str, str]] = [{"source": "a"}, {"source": "b"}, {"other": "a"}, {}]
    assert len({fingerprint("prepare", options, given) for given in inputs}) == 4
