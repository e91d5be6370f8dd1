"""User code given as `module:function`: finding, digesting and importing it, and reporting its errors.

Models and data functions share this module, so that the code digested is the code imported.
"""

import ast
import hashlib
import importlib
import importlib.machinery
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.containment import contained, working_directory_importable
from pipeline.errors import InputError, describe, listed, refusal

_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
_PLACE = "a module on PYTHONPATH or in the working directory"


class _NoSourceError(Exception):
    """A module has no source that can be digested."""


@dataclass(frozen=True)
class _Source:
    """A local module: its name, its file, and whether it is a package."""

    name: str
    file: Path
    is_package: bool


def is_function(reference: str) -> bool:
    """Return whether a text has the form `module:function`; the module's name may have dots."""
    module, colon, function = reference.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def digest(reference: str) -> str | None:
    """Return the SHA-256 of the source of a `module:function` and of all local modules it imports, directly or not.

    No user code is run. None if there is no source to read, as with an import hook, a built-in or a compiled module:
    changes would go unnoticed, so nothing that depends on it may be reused.
    """
    try:
        sources = _sources(reference)
    except _NoSourceError:
        return None
    parts = [f"{source.name} {hashlib.sha256(source.file.read_bytes()).hexdigest()}" for source in sources]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def imports(reference: str, package: str) -> bool:
    """Return whether the module of a `module:function`, or a local one that it imports, imports a package anywhere."""
    try:
        found = _sources(reference) if is_function(reference) else []
    except _NoSourceError:
        return False
    return any(name.partition(".")[0] == package for source in found for name in _imported(source))


def local_modules(reference: str) -> list[ModuleType]:
    """Return the modules behind a `module:function`, local ones only, and only if they have been imported.

    There are none behind a built-in model.
    """
    if not is_function(reference):
        return []
    try:
        sources = _sources(reference)
    except _NoSourceError:
        return []
    own = __name__.partition(".")[0]
    names = [source.name for source in sources if source.name.partition(".")[0] != own]
    return [sys.modules[name] for name in names if name in sys.modules]


def distributions(modules: Iterable[ModuleType]) -> set[str]:
    """Return the names of the installed distributions that modules import."""
    sources = (_Source(one.__name__, Path(one.__file__), hasattr(one, "__path__")) for one in modules if one.__file__)
    imported = {name.partition(".")[0] for source in sources for name in _imported(source)}
    if not imported:  # as for a built-in model: the files of all installed distributions take seconds to look through
        return set()
    known = packages_distributions()
    return {distribution for name in imported for distribution in known.get(name, ())}


def load(reference: str, accepted: str) -> Callable[..., Any]:
    """Import a `module:function`, found on PYTHONPATH or in the working directory.

    Args:
        reference: the text that the user gave.
        accepted: a description of the function that is expected.

    Raises:
        InputError: if there is no such module or function, or the module raises something.

    """
    name, _, attribute = reference.partition(":")
    module: ModuleType | None = None
    with contained(), blaming(f"module {name}", accepted):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only the named module or a parent of it: an import that fails inside it is the module's own fault.
            if not f"{name}.".startswith(f"{error.name}."):
                raise
    if module is None:
        raise refusal("no such module", reference, f"{accepted}, in {_PLACE}{nearest(name, _neighbours())}")
    function = getattr(module, attribute, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        known = f"{name} has {listed(public) or 'none'}{nearest(attribute, public)}"
        raise refusal("no such function", reference, f"{accepted}; {known}")
    return function  # type: ignore[no-any-return]


@contextmanager
def blaming(what: str, accepted: str) -> Iterator[None]:
    """Turn whatever user code raises, SystemExit included, into an InputError that names the line it comes from.

    Raises:
        InputError: which says that `what` failed, and what would be accepted.

    """
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, GeneratorExit) and not _frames(error):  # a pass over the data is given up
            raise
        raise refusal(f"{what} failed", describe_with_line(error), accepted) from error


def describe_with_line(error: BaseException) -> str:
    """Return an exception in one line of text, with the last line of user code that it passed through, if any."""
    own = _frames(error)
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return describe(error) + place


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of user code that an exception passed through."""
    foreign = (str(Path(__file__).parent), "<frozen ", *_INSTALLED)
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(foreign)]


def _sources(reference: str) -> list[_Source]:
    """Return the named module, and the local modules that it imports, directly or not."""
    found: dict[str, _Source | None] = {}  # None for what is not local, which most modules import again
    with working_directory_importable():
        waiting = _with_packages(reference.partition(":")[0])
        required = set(waiting)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            source = found[name] = _source(name, required=name in required)
            if source is not None:
                waiting += [one for imported in _imported(source) for one in _with_packages(imported)]
    return [source for source in found.values() if source is not None]


def _with_packages(name: str) -> list[str]:
    """Return a dotted name and the names of its parent packages, whose code an import runs too."""
    parts = name.split(".")
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def _source(name: str, *, required: bool) -> _Source | None:
    """Return the source of a local module; None for an installed one, or a name that is not a module."""
    spec = _spec(name)
    if spec is None or spec.origin in ("built-in", "frozen"):
        if required:
            raise _NoSourceError(name)
        return None
    if spec.origin is None and spec.loader is None:
        return None  # a namespace package, which has no code
    if spec.origin is None:
        raise _NoSourceError(name)
    if not required and spec.origin.startswith(_INSTALLED):
        return None
    if not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
        raise _NoSourceError(name)
    return _Source(name, Path(spec.origin), spec.submodule_search_locations is not None)


def _spec(name: str) -> ModuleSpec | None:
    """Find a module's spec as an import would, without importing its parent packages."""
    path: Any = None
    spec: ModuleSpec | None = None
    for package in _with_packages(name):
        spec = next(filter(None, (_found_by(finder, package, path) for finder in sys.meta_path)), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations or []
    return spec


def _found_by(finder: Any, name: str, path: Any) -> ModuleSpec | None:
    spec: ModuleSpec | None = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
    return spec


def _imported(source: _Source) -> Iterator[str]:
    """Yield the names imported anywhere in a module. A name imported from a module may be a submodule, so it counts."""
    try:
        tree = ast.parse(source.file.read_bytes())
    except (SyntaxError, ValueError):  # importing it will report that
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            yield from (name for name in (base, *(f"{base}.{alias.name}" for alias in node.names)) if name)


def _absolute(source: _Source, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that a `from` import names."""
    if not node.level:
        return node.module or ""
    above = source.name.split(".")
    package = above[: len(above) - node.level + source.is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def _neighbours() -> list[str]:
    return [file.stem for file in Path.cwd().glob("*.py")]


def nearest(name: str, known: list[str]) -> str:
    """Return a hint that suggests the nearest known name, or ""."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
