"""Fingerprints: what a result depends on changes them, nothing else does."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import MainOptions, PrepareOptions, TrainOptions
from pipeline.fingerprints import fingerprint, user_code_digest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("prepare", "range_test", "search", "train", "report")
INPUTS = {"source": "digits"}

PRINT = f"""
import json
from pipeline.chain import STAGES
from pipeline.fingerprints import fingerprint
print(json.dumps({{name: fingerprint(name, STAGES[name].options(), {INPUTS!r}) for name in {STAGES!r}}}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a copy of the package and the lock."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", folder)
    return folder


@pytest.fixture(scope="module")
def prints(copy: Path) -> Callable[[], dict[str, str]]:
    """Give a function that computes the fingerprints of all stages in an interpreter of its own."""

    def compute() -> dict[str, str]:
        ended = subprocess.run(
            [sys.executable, "-c", PRINT], cwd=copy, capture_output=True, text=True, timeout=120, check=True
        )
        answer: dict[str, str] = json.loads(ended.stdout)
        return answer

    return compute


@pytest.fixture(scope="module")
def before(prints: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Give the fingerprints of the copy as it is."""
    return prints()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("pipeline/datasets/splits.py", set(STAGES)),
        ("pipeline/datasets/__init__.py", set(STAGES)),
        ("pipeline/__init__.py", set(STAGES)),
        ("requirements.lock", set(STAGES)),
        ("pipeline/search/race.py", {"search"}),
        ("pipeline/stages/train.py", {"train"}),
        ("pipeline/training/engine.py", {"range_test", "search", "train"}),
        ("pipeline/reporting/report.html.j2", {"report"}),
        ("pipeline/reporting/report.css", {"report"}),
        ("pipeline/reporting/report_page.py", {"report"}),
        ("pipeline/cli.py", set()),
    ],
)
def test_code_changes_what_runs_it(
    file: str, changed: set[str], copy: Path, prints: Callable[[], dict[str, str]], before: dict[str, str]
) -> None:
    """A changed file changes the stages that import or read it, directly or not, and no other."""
    path = copy / file
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(f"{text}\n# changed\n", encoding="utf-8")
        after = prints()
    finally:
        path.write_text(text, encoding="utf-8")
    assert {stage for stage in STAGES if after[stage] != before[stage]} == changed


def test_copies_have_the_same_fingerprints(before: dict[str, str]) -> None:
    """Content counts, not the folder it lies in; no two stages share one."""
    assert before["prepare"] == fingerprint("prepare", PrepareOptions(), INPUTS)
    assert len(set(before.values())) == len(STAGES)


@pytest.mark.parametrize("name", sorted(set(MainOptions.model_fields) - {"experiment_name", "fresh"}))
def test_every_option_changes_it(name: str) -> None:
    """Two runs that differ in an option are never taken for each other."""
    values = {
        **{"data": "digits", "model": "mlp", "optimizer": "adam", "precision": "float32", "schemes": "cosine"},
        **{"sampler": "random", "spacing": "linear", "refine": "off", "objective": "val_accuracy"},
        **{"torch_schedule": True, "transfer": True, "target": "label", "momentum": 0.5},
        **{"scheme": "cosine", "initial_lr": 0.2, "scheme_params": "warmup=0.1"},
    }
    given = {"scheme": "linear", "initial_lr": 0.1}
    default = TrainOptions.model_validate(given)
    other = TrainOptions.model_validate({**given, name: values.get(name, 7)})
    assert fingerprint("train", default, {}) != fingerprint("train", other, {})


def test_where_and_whether_a_stage_runs_does_not_change_it() -> None:
    """The experiment's name and `fresh` leave a result as it is."""
    other = PrepareOptions(experiment_name="other", fresh=True)
    assert fingerprint("prepare", other, INPUTS) == fingerprint("prepare", PrepareOptions(), INPUTS)


def test_inputs_change_it() -> None:
    """Other data, or another earlier stage's result."""
    options = PrepareOptions()
    inputs: list[dict[str, str]] = [{"source": "a"}, {"source": "b"}, {"other": "a"}, {}]
    assert len({fingerprint("prepare", options, given) for given in inputs}) == 4


def test_user_code_counts_wherever_it_is_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the working directory or on the path, as module or package; the working directory comes first."""
    here, path = tmp_path / "here", tmp_path / "path"
    for folder in (here, path / "networks"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(path))
    assert user_code_digest("cnn") == user_code_digest("nowhere:build") == ""
    (path / "networks" / "__init__.py").write_text("A = 1", encoding="utf-8")
    (path / "networks" / "deep.py").write_text("A = 2", encoding="utf-8")
    package, module = user_code_digest("networks:build"), user_code_digest("networks.deep:build")
    assert len({package, module, ""}) == 3
    (path / "networks" / "deep.py").write_text("A = 3", encoding="utf-8")
    assert user_code_digest("networks.deep:build") != module
    assert user_code_digest("networks:build") == package
    (here / "networks.py").write_text("A = 4", encoding="utf-8")
    assert user_code_digest("networks:build") != package
