"""Every command in the documentation would be accepted as it stands there."""

import subprocess
from pathlib import Path

import pytest

from tests.docs.checking import CHECKS, ONLY_SYNTAX, WrongCommandError, check
from tests.docs.pages import PAGES, PROGRAMS, REPORTS, ROOT, Page, plain

PLACEHOLDERS = {
    "python -m pipeline": "names the command",
    "python -m pipeline STAGE --help": "stands for the help of any stage",
}
"""Commands that cannot be checked, and why."""

EVERY = [*PAGES, *REPORTS]


def faults(page: Page) -> dict[str, str]:
    """Return each command of a page that would be refused, and what would be said."""
    found = {}
    for command in page.commands:
        if plain(command) not in PLACEHOLDERS:
            try:
                check(command)
            except WrongCommandError as error:
                found[plain(command)] = str(error)
    return found


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_accepted(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the shell, and by the programs that read its options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "options.yaml").write_text("budget: 40\n")
    page = Page(path)
    syntax = subprocess.run(["bash", "-n"], input=page.shell, capture_output=True, text=True, check=False)
    assert syntax.stderr == ""
    assert faults(page) == {}


def test_commands_are_found_where_they_are() -> None:
    """In blocks, fenced or not, code spans and comments of Python; what cannot be checked is still there."""
    found = {path: Page(path).commands for path in EVERY}
    all_of_them = {plain(command) for commands in found.values() for command in commands}
    assert ["make", "run", "ARGS=--transfer"] in found[ROOT / "README.md"]
    assert "mlflow run . -e search -P optimizer=adam -P budget=40 --env-manager local" in all_of_them
    assert "python -m pipeline main --data ./pets --image_size 64x48 --color_mode grayscale" in all_of_them
    assert "python -m pipeline main --data my_data:load" in all_of_them
    assert "make test ARGS=-m 'not slow'" in all_of_them
    assert all_of_them >= PLACEHOLDERS.keys()
    assert len(all_of_them) > 80
    assert CHECKS.keys() | ONLY_SYNTAX.keys() == PROGRAMS


@pytest.mark.parametrize(
    "wrong",
    [
        "python -m pipeline search --optimiser adam",
        "python -m pipeline search --optimizer adm",
        "python -m pipeline serach",
        "lr-pipeline main --budget none",
        "python -m piplines main",
        "python -m benchmarks.trust_methods --count 20000",
        "python examples/tables.py",
        'make run ARGS="--worker 2"',
        "make runs",
        "mlflow run . --env-manger local",
        "mlflow run . -e serach",
        "mlflow run . -P buget=40",
        "mlflow model serve -m models:/a@champion",
        "mlflow models serve --prot 5001",
        "dask workers scheduler.json",
        "dask worker scheduler.json --threads 1",
        "pip install '.[scales]'",
        "pip install -r requirement.lock",
        "make setup && maek run",
    ],
)
def test_a_wrong_command_is_found(wrong: str, tmp_path: Path) -> None:
    """A misspelt option, value, command, module, target, file or extra."""
    page = tmp_path / "page.md"
    page.write_text(f"Type:\n\n    {wrong}\n\nor `{wrong}`.\n", encoding="utf-8")
    assert len(faults(Page(page))) == 1
