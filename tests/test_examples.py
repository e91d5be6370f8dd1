"""The examples do what their first lines say, here for one epoch."""

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cli
from tests.bad_input.harness import own_signals

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
COMMANDS = {
    file.stem: found[1].replace("\\\n", "")
    for file in sorted(EXAMPLES.glob("*.py"))
    if (
        found := re.search(
            r"^python -m pipeline main (.+(?:(?<=\\)\n.+)*)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    )
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work in a folder of its own, from which the examples can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.syspath_prepend(str(EXAMPLES))
        yield
    for name in COMMANDS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", COMMANDS)
def test_example_is_prepared_and_trained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file writes the data, if they are a file; its command's options then lead to a tested model."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    data = re.findall(r"--(?:data|target)\s\S+", COMMANDS[name])
    short = ["--scheme=constant", "--initial-lr=0.001", "--epochs=1", "--seeds=1"]
    with own_signals():
        assert cli.main(["prepare", *" ".join(data).split()]) == 0
        assert cli.main(["train", *COMMANDS[name].split(), *short]) == 0
    assert re.search(r"✓ train .*test (accuracy|loss)", capsys.readouterr().out, re.MULTILINE)


def test_series_is_forecast_better_than_by_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule found for the past serves a network that is tested on the future."""
    scores = runpy.run_path(str(EXAMPLES / "series.py"))["main"](budget=3)
    assert scores["test_loss"] < scores["no change"]
    assert "Train Adam" in capsys.readouterr().out
