"""Files that repeat information from elsewhere agree with it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Set
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipeline.cli import COMMANDS, command_fields
from pipeline.config import OptimizerName
from pipeline.optimizers import OPTIMIZERS
from pipeline.range_test.exploration import BOUNDS
from pipeline.usages import USAGES
from scripts import render_project_files

ROOT = Path(__file__).resolve().parents[1]
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
LOCK, DEV_LOCK = (
    (ROOT / name).read_text(encoding="utf-8").splitlines() for name in ("requirements.lock", "requirements-dev.lock")
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

MLFLOW_TYPES = dict.fromkeys(("seed", "seeds", "splits", "epochs", "in_memory_mb", "workers"), "int") | dict.fromkeys(
    ("momentum", "budget", "tolerance", "checkpoint"), "float"
)
"""Options with a number as default; all others are strings to MLflow, which has no better type."""


def pinned(lock: list[str]) -> dict[str, Requirement]:
    """Return a lock's packages by name."""
    packages = [Requirement(line) for line in lock if line and not line.startswith("#")]
    return {canonicalize_name(package.name): package for package in packages}


def test_rendered_files_are_up_to_date() -> None:
    """MLproject, conda.yaml and the reference of options are what `make lock` writes."""
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == render_project_files.options_reference()
    assert (ROOT / "MLproject").read_text(encoding="utf-8") == render_project_files.mlproject()
    assert (ROOT / "conda.yaml").read_text(encoding="utf-8") == render_project_files.conda_yaml()


def test_entry_points_are_the_commands() -> None:
    """Every command can be started by `mlflow run -e`, and nothing else."""
    assert set(MLPROJECT["entry_points"]) == set(COMMANDS)
    assert MLPROJECT["conda_env"] == "conda.yaml"


@pytest.mark.parametrize("name", COMMANDS)
def test_entry_point_has_the_options_of_its_command(name: str) -> None:
    """Names, types and defaults agree, and the command passes each on; MLflow chooses the experiment itself.

    Stages leave out what they share with others, which MLflow passes on too if it is given.
    """
    model, fields = COMMANDS[name][0], command_fields(COMMANDS[name][0])
    entry = MLPROJECT["entry_points"][name]
    if name in ("main", "doctor"):
        assert set(entry["parameters"]) == set(fields) - {"experiment_name"}
    assert set(entry["parameters"]) <= set(fields) - {"experiment_name"}
    assert set(entry["parameters"]) >= set(model.subjects().get(model.subject, ())) - {"experiment_name"}
    for option, parameter in entry["parameters"].items():
        default = fields[option].default
        expected = {"None": "", "False": "false", "True": "true"}.get(str(default), default)
        assert parameter["default"] == expected
        assert type(parameter["default"]) is type(expected)
        assert parameter["type"] == ("string" if default is None else MLFLOW_TYPES.get(option, "string"))
    values = {option: f"<{option}>" for option in entry["parameters"]}
    words = entry["command"].format(**values).split()
    assert words[:4] == ["python", "-m", "pipeline", name]
    flags = [word.removeprefix("--").replace("-", "_") for word in words[4::2]]
    assert dict(zip(flags, words[5::2], strict=True)) == values


def test_conda_environment_is_the_lock() -> None:
    """Only `python=3.11` without a range and the list under pip survive MLflow's translation for uv."""
    python, pip, packages = CONDA["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert packages == {"pip": [line for line in LOCK if line and not line.startswith("#")]}


@pytest.mark.parametrize("lock", [LOCK, DEV_LOCK], ids=["runtime", "dev"])
def test_lock_pins_every_package_exactly(lock: list[str]) -> None:
    """Each line is a name and one version: no URL, no index, no pip option."""
    for line in lock:
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [^#@]+)?", line), line
    assert len(pinned(lock)) == len(lock)


def test_development_uses_the_versions_of_the_runtime() -> None:
    """Its lock holds all packages of the other one, in the same versions, and those of the checks, which that lacks."""
    runtime, dev = ({name: one.specifier for name, one in pinned(lock).items()} for lock in (LOCK, DEV_LOCK))
    assert runtime.items() < dev.items()
    assert {"pytest", "mypy", "ruff", "ipykernel", "psycopg2-binary"} <= dev.keys() - runtime.keys()


RUNTIME = [
    *PYPROJECT["project"]["dependencies"],
    *PYPROJECT["project"]["optional-dependencies"]["scale"],
    *PYPROJECT["project"]["optional-dependencies"]["uv"],
]
DEPENDENCIES = [*RUNTIME, *PYPROJECT["dependency-groups"]["dev"]]
OF_BENCHMARKS = {
    "configspace",
    "fastai",
    "jax",
    "keras-lr-finder",
    "keras-tuner",
    "lightning",
    "optax",
    "prodigyopt",
    "schedulefree",
    "smac",
    "torch",
    "torch-lr-finder",
}
"""Packages that benchmarks and scripts compare with, in environments of their own, listed in files beside them."""


def undeclared(declared: Set[str], *folders: str) -> set[str]:
    """Return the packages that files in these folders import anywhere, but that are not declared."""
    distributions, found = packages_distributions(), set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            tops = {name.partition(".")[0] for name in names} - {"pipeline", "tests", "benchmarks", "scripts"}
            found |= tops - sys.stdlib_module_names
    return {top for top in found if declared.isdisjoint(map(canonicalize_name, distributions.get(top, [top])))}


def test_what_is_imported_is_declared() -> None:
    """The pipeline imports only its own dependencies, never what another package happens to need."""
    project = PYPROJECT["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["scale"]]
    runtime = {canonicalize_name(Requirement(one).name) for one in needed}
    declared = {canonicalize_name(Requirement(one).name) for one in DEPENDENCIES}
    assert undeclared(runtime, "pipeline") == set()
    assert undeclared(declared | OF_BENCHMARKS, "tests", "benchmarks", "scripts", "examples") == set()


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_lock_holds_every_dependency_within_its_range(dependency: str) -> None:
    """The locked versions are within the ranges of pyproject.toml."""
    asked = Requirement(dependency)
    (pin,) = pinned(LOCK if dependency in RUNTIME else DEV_LOCK)[canonicalize_name(asked.name)].specifier
    assert pin.operator == "=="
    assert asked.specifier.contains(pin.version)


def test_supported_pythons_include_that_of_the_environment() -> None:
    """pyproject.toml supports 3.11 to 3.13; conda.yaml uses one of them."""
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert [minor for minor in range(9, 16) if supported.contains(f"3.{minor}")] == [11, 12, 13]


def test_no_tracked_file_names_a_package_registry() -> None:
    """The package index is the user's choice."""
    hosts = ("pypi" + ".org", "files.python" + "hosted.org", "conda" + ".anaconda.org", "registry.npm" + "js.org")
    settings = ("--index" + "-url", "--extra-index" + "-url", "--find" + "-links")
    words = [*hosts, *settings]
    pattern = re.compile("|".join(map(re.escape, words)))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert ROOT / "requirements.lock" in files
    assert pattern.search("https://" + hosts[0] + "/simple")
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()}
    assert [file.name for file, text in texts.items() if pattern.search(text)] == []


def test_pictures_of_the_documentation_load_fast() -> None:
    """None has more than a quarter of a megabyte."""
    sizes = {picture.name: picture.stat().st_size for picture in (ROOT / "docs").glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > 250_000} == {}
    assert len(sizes) >= 4


def test_every_optimizer_has_all_it_needs() -> None:
    """Each is in the table of optimizers, has bounds of sweeps or rates of its own, and is among the options."""
    unswept = {name for name, used in USAGES.items() if used.rates}
    assert set(BOUNDS) | unswept == set(OPTIMIZERS) == set(get_args(OptimizerName))
    assert not set(BOUNDS) & unswept
    for low, high in BOUNDS.values():
        assert 0 < low < high / 1e3
