"""User code: found as an import finds it, digested with what it imports, and named in its errors."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import user_code
from pipeline.errors import InputError
from pipeline.fingerprints import model_digest

FILES = {
    "own_networks.py": "import numpy\nfrom own_blocks import dense\n\ndef build(shape, n):\n    import own_late\n",
    "own_blocks.py": "import deep.inner as inner\nfrom deep import named\n\ndense = inner.WIDTH\n",
    "own_late.py": "A = 1\n",
    "own_unrelated.py": "A = 1\n",
    "deep/__init__.py": "",
    "deep/inner.py": "from .beside import WIDTH\n",
    "deep/beside.py": "WIDTH = 8\n",
    "deep/named.py": "A = 1\n",
    "deep/unused.py": "A = 1\n",
    "spaced/loading.py": "from spaced import more\n",
    "spaced/more.py": "A = 1\n",
}
UNUSED = ("own_unrelated.py", "deep/unused.py", "spaced/loading.py", "spaced/more.py")
"""A user's folder. Its `own_networks` imports everything but `own_unrelated`, `deep.unused` and the folder `spaced`."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the folder the working directory; forget its modules afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    known, path = set(sys.modules), list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def edited(folder: Path, file: str) -> None:
    """Change a file but not its behaviour."""
    with (folder / file).open("a", encoding="utf-8") as text:
        text.write("# edited\n")


@pytest.mark.parametrize(
    "file",
    [
        "own_networks.py",
        "own_blocks.py",
        "own_late.py",
        "deep/__init__.py",
        "deep/inner.py",
        "deep/beside.py",
        "deep/named.py",
    ],
)
def test_an_edit_of_what_it_imports_changes_the_digest(folder: Path, file: str) -> None:
    """Imports count directly or indirectly, at the top or in a function, by absolute or relative name."""
    before = user_code.digest("own_networks:build")
    assert before is not None
    edited(folder, file)
    assert user_code.digest("own_networks:build") != before


def test_what_it_imports_is_known_without_running_it(folder: Path) -> None:
    """Directly or not, as long as only local modules are in between."""
    assert user_code.imports("own_networks:build", "numpy")
    assert user_code.imports("own_networks:build", "deep")
    assert not user_code.imports("own_networks:build", "keras")
    assert not user_code.imports("own_networks.py", "numpy")


@pytest.mark.parametrize("file", UNUSED)
def test_an_edit_of_anything_else_does_not(folder: Path, file: str) -> None:
    """The folder of the code does not change the digest either."""
    before = user_code.digest("own_networks:build")
    edited(folder, file)
    assert user_code.digest("own_networks:build") == before


def test_nothing_of_it_is_run(folder: Path) -> None:
    """A module with side effects is digested without them."""
    (folder / "own_networks.py").write_text("raise SystemExit('run')\n", encoding="utf-8")
    assert user_code.digest("own_networks:build") is not None
    assert "own_networks" not in sys.modules


def test_packages_without_init_are_found(folder: Path) -> None:
    """The digest finds them as an import does."""
    before = user_code.digest("spaced.loading:load")
    assert before is not None
    edited(folder, "spaced/more.py")
    assert user_code.digest("spaced.loading:load") != before


def test_unfinished_code_is_digested_too(folder: Path) -> None:
    """Its errors are reported when it is imported."""
    (folder / "own_networks.py").write_text("def build(:\n", encoding="utf-8")
    assert user_code.digest("own_networks:build") is not None
    with pytest.raises(InputError, match="module own_networks failed: received SyntaxError"):
        user_code.load("own_networks:build", "a function")


def test_the_working_directory_comes_last(folder: Path) -> None:
    """A file named like an installed module replaces it neither in the digest nor in the import."""
    (folder / "keras.py").write_text("raise RuntimeError('shadowed')\n", encoding="utf-8")
    before = user_code.digest("keras:Sequential")
    edited(folder, "keras.py")
    assert user_code.digest("keras:Sequential") == before
    assert user_code.load("keras:Sequential", "a class").__module__.startswith("keras.")


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An import hook that makes a module `woven` out of nothing."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find `woven` alone."""
        return importlib.machinery.ModuleSpec(name, self, origin="woven") if name == "woven" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Use Python's default."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Add a function to the module."""
        vars(module)["build"] = lambda shape, outputs: None


@pytest.mark.parametrize("reference", ["woven:build", "weaver:build", "math:sqrt", "nowhere:build"])
def test_code_without_source_has_no_digest(folder: Path, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    """Code from an import hook, or built in, has no digest: its key is always new, so nothing is reused."""
    (folder / "weaver.py").write_text("from woven import build\n", encoding="utf-8")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    assert user_code.digest(reference) is None
    assert model_digest(reference) != model_digest(reference)
    assert callable(user_code.load("woven:build", "a function"))


@pytest.mark.usefixtures("folder")
def test_networks_differ_by_name_and_source() -> None:
    """Functions of one module share its source, and built-in networks have none of their own."""
    assert (model_digest("cnn"), model_digest("mlp")) == ("cnn", "mlp")
    assert model_digest("own_networks:build") == model_digest("own_networks:build")
    assert len({model_digest(f"own_networks:{name}") for name in ("build", "deep", "wide")}) == 3
    assert model_digest("own_networks:build", "width=8") != model_digest("own_networks:build")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("own_netwroks:build", "no such module: received own_netwroks:build; .* did you mean 'own_networks'?"),
        (
            "own_networks:biuld",
            "no such function: received own_networks:biuld; .* own_networks has .*'build'; did you mean 'build'?",
        ),
        (
            "own_unrelated:A",
            "no such function: received own_unrelated:A; accepted: a function; own_unrelated has none",
        ),
    ],
)
def test_a_wrong_name_shows_the_nearest(folder: Path, reference: str, message: str) -> None:
    """The error is one line, with what was received."""
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        user_code.load(reference, "a function")


def test_modules_behind_a_reference_are_listed_once_imported(folder: Path) -> None:
    """Only local modules are listed: they are stored with a model that is used elsewhere."""
    assert user_code.local_modules("own_networks:build") == []
    user_code.load("own_networks:build", "a function")
    names = sorted(module.__name__ for module in user_code.local_modules("own_networks:build"))
    assert names == ["deep", "deep.beside", "deep.inner", "deep.named", "own_blocks", "own_networks"]
    assert user_code.local_modules("pipeline.models:cnn") == []
