"""Keys of results. A key covers everything that affects the numbers, and nothing else."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import grimp

from pipeline import user_code
from pipeline.config import RUN_CONTROL, PrepareOptions

_PACKAGE = Path(__file__).resolve().parent

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux's names for native bfloat16 arithmetic on x86 and ARM."""

_TRAINING_PACKAGES = ("tensorflow", "keras", "numpy")
"""The packages whose versions affect the numbers of a training."""

_STAGE_PACKAGES = (
    *_TRAINING_PACKAGES, "optuna", "scipy", "scikit-learn", "pandas", "pyarrow", "mlxtend", "matplotlib", "jinja2",
)  # fmt: skip
"""The packages whose versions affect the result of a stage."""

_WITHOUT_EFFECT = (
    "pipeline.cluster", "pipeline.config", "pipeline.console", "pipeline.files", "pipeline.fingerprints",
    "pipeline.interruption", "pipeline.loading", "pipeline.stages.context", "pipeline.tracking",
)  # fmt: skip
"""Modules that do not affect results. The values of options are part of the keys themselves."""

_TRAININGS = "pipeline.training.executor"


def fingerprint(stage: str, options: PrepareOptions, inputs: Mapping[str, str]) -> str:
    """Return the key of a stage's result: SHA-256 of options, inputs, code, versions, and the machine's kind."""
    chosen = set(type(options).model_fields) - RUN_CONTROL
    return _key(
        stage=stage,
        options=options.model_dump(mode="json", include=chosen),
        inputs=dict(inputs),
        code=code_digest(f"pipeline.stages.{stage}"),
        machine=machine_kind() if "precision" in chosen else "",  # for stages that train
        versions=_versions(_STAGE_PACKAGES),
    )


def training_key(inputs: Mapping[str, str], conditions: Mapping[str, str]) -> str:
    """Return the key of everything that affects the numbers of trainings besides the evaluations.

    Args:
        inputs: the digests of the data and of the user's model.
        conditions: how an executor trains: the precision that `auto` resolved to, the kind of device, and so on.

    """
    return _key(
        inputs=dict(inputs),
        conditions=dict(conditions),
        code=code_digest(_TRAININGS),
        versions=_versions(_TRAINING_PACKAGES),
    )


def training_code() -> dict[str, str]:
    """Return the digest of the code and the versions of the packages that affect the numbers of trainings, by name."""
    return {"lr-pipeline": f"code {code_digest(_TRAININGS)[:12]}", **_versions(_TRAINING_PACKAGES)}


def machine_kind() -> str:
    """Return the kind of machine, which affects the numbers of trainings: "GPU", "CPU with bfloat16" or "CPU".

    TensorFlow is not asked, since looking up a finished stage must not take seconds.
    """
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return "GPU"
    described = Path("/proc/cpuinfo")
    flags = described.read_text(encoding="utf-8").split() if described.is_file() else []
    return "CPU with bfloat16" if BFLOAT16_FLAGS.intersection(flags) else "CPU"


def code_digest(module: str) -> str:
    """Return the SHA-256 of the code that affects a module's results (`code_files`)."""
    return _digest(code_files(module))


def code_files(module: str) -> list[Path]:
    """Return the source of a module and of all it imports, and the files beside them that they name, such as templates.

    Modules that only pass on, show or store results are left out, and so is what only they import.
    """
    modules = {module, *_imports().find_upstream_modules(module)}
    packages = {name.rsplit(".", depth)[0] for name in modules for depth in range(1, name.count(".") + 1)}
    return sorted({file for name in modules | packages for file in _files(name)})


def model_digest(model: str, arguments: str = "") -> str:
    """Return what identifies a network: its name and, for a user's, the arguments and the digest of its source.

    A model whose source cannot be read gets a new digest every time, so nothing that depends on it is reused.
    """
    if not user_code.is_function(model):
        return model
    # The digest covers a whole module, in which several functions may each return another network.
    named = f"{model} {arguments}".strip()
    return f"{named} {user_code.digest(model) or f'unknown {uuid.uuid4()}'}"


@cache
def _imports() -> grimp.ImportGraph:
    graph = grimp.build_graph("pipeline", cache_dir=None)
    for module in [name for name in graph.modules if name.startswith(_WITHOUT_EFFECT)]:
        graph.remove_module(module)
    return graph


def _files(module: str) -> list[Path]:
    """Return the source of a module, and all other files of its folder if it names one of them."""
    path = _PACKAGE.parent.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    beside = [file for file in source.parent.iterdir() if file.suffix != ".py" and file.is_file()]
    text = source.read_text(encoding="utf-8")
    return [source, *(beside if any(file.name in text for file in beside) else ())]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {package: version(package) for package in packages}


def _key(**parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
