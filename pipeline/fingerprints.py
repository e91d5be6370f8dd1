"""What a stage's result depends on: its options, its inputs, the code it runs, the locked packages."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import grimp

from pipeline.config import RUN_CONTROL, PrepareOptions

_PACKAGE = Path(__file__).resolve().parent
_LOCK = _PACKAGE.parent / "requirements.lock"


def fingerprint(
    stage: str, options: PrepareOptions, inputs: Mapping[str, str], only: frozenset[str] | None = None
) -> str:
    """SHA-256 of a stage's effective options, or `only` some, the digests of its inputs, its code and the lock file."""
    chosen = set(type(options).model_fields) if only is None else set(only)
    parts = {
        "stage": stage,
        "options": options.model_dump(mode="json", include=chosen - RUN_CONTROL),
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
    packages = {name.rsplit(".", depth)[0] for name in modules for depth in range(1, name.count(".") + 1)}
    files = {file for name in modules | packages for file in _files(name)}
    return _digest(sorted(files))


def user_code_digest(model: str) -> str:
    """SHA-256 of the file of a user's `module:function`, found as the import will find it; "" for the built-in ones."""
    module, colon, _ = model.partition(":")
    name = Path(*module.split("."))
    folders = [Path.cwd(), *map(Path, sys.path)] if colon else []
    files = [folder / form for folder in folders for form in (name / "__init__.py", name.with_suffix(".py"))]
    found = [file for file in files if file.is_file()][:1]
    return _digest(found) if found else ""


@cache
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph("pipeline", cache_dir=None)


def _files(module: str) -> list[Path]:
    """A module's source; where it names a file that lies beside it and is no module, such as a template, all those."""
    path = _PACKAGE.parent.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    beside = [file for file in source.parent.iterdir() if file.is_file() and file.suffix != ".py"]
    text = source.read_text(encoding="utf-8")
    return [source, *(beside if any(file.name in text for file in beside) else ())]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
