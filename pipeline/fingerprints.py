"""What a stage's result depends on: its options, its inputs, the code it runs, the locked packages."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import grimp

from pipeline.config import RUN_CONTROL, PrepareOptions

_PACKAGE = Path(__file__).resolve().parent
_LOCK = _PACKAGE.parent / "requirements.lock"


def fingerprint(stage: str, options: PrepareOptions, inputs: Mapping[str, str]) -> str:
    """SHA-256 of a stage's effective options, the digests of its inputs, its code and the lock file."""
    parts = {
        "stage": stage,
        "options": options.model_dump(mode="json", exclude=set(RUN_CONTROL)),
        "inputs": dict(inputs),
        "code": code_digest(stage),
        "lock": _digest([_LOCK]),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_digest(stage: str) -> str:
    """SHA-256 of every module that a stage imports, directly or not, and of the files that lie beside them."""
    graph = _imports()
    module = f"pipeline.stages.{stage}"
    modules = {module, *graph.find_upstream_modules(module)}
    files = {file for name in modules for file in _files(name)}
    return _digest(sorted(files))


def user_code_digest(model: str) -> str:
    """SHA-256 of the file of a user's `module:function` found in the working directory; "" for the built-in ones."""
    name = Path(*model.partition(":")[0].split("."))
    files = [file for file in (name.with_suffix(".py"), name / "__init__.py") if ":" in model and file.is_file()]
    return _digest(files) if files else ""


@cache
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph("pipeline", cache_dir=None)


def _files(module: str) -> list[Path]:
    """A module's source; for a package also its files that are no modules, such as templates."""
    path = _PACKAGE.parent.joinpath(*module.split("."))
    if path.is_dir():
        return [file for file in path.iterdir() if file.is_file() and (file.suffix != ".py" or file.stem == "__init__")]
    return [path.with_suffix(".py")]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
