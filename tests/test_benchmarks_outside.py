"""Benchmarks of what others have published: trainings whose truth is known, and optimizers without a schedule."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmarks import outside, outside_batches, outside_data, schedule_free
from benchmarks.outside_data import Table
from pipeline.articles.recorded import Recorded, recorded
from pipeline.reporting.wording import loss, percent
from pipeline.tracking.processes import PROJECT

RATES, SIZES = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1), (8, 16, 32, 64)


def _table(exponent: float) -> Table:
    """Return runs of 30 networks, whose best rate is proportional to a power of the batch size."""
    rng = np.random.default_rng(0)
    centre = rng.normal(-2.4, 0.2, (30, 1, 1, 1, 1)) + exponent * np.log10(SIZES)[:, None, None, None]
    level = np.array([0.0, 0.1])[:, None, None]
    losses = np.exp(level + (np.log10(RATES)[:, None] - centre) ** 2 + rng.normal(0, 0.03, (30, 4, 2, 6, 4)))
    return Table("made", losses, SIZES, ("cosine", "constant"), RATES)


def test_pickles_hold_plain_values_only(tmp_path: Path) -> None:
    """A table is read; one that names something to import is refused before it is imported."""
    path = tmp_path / "table.pkl"
    path.write_bytes(pickle.dumps({f"{one}{two}": {"loss": [one, two]} for one in range(2) for two in range(3)}))
    assert outside_data._read(path, (2, 3, 2), "loss")[1, 2].tolist() == [1.0, 2.0]
    path.write_bytes(pickle.dumps({"00": {"loss": Path("anything")}}))
    with pytest.raises(pickle.UnpicklingError, match="more than plain values: pathlib"):
        outside_data._read(path, (1, 1, 1), "loss")


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_exponent_of_a_table(exponent: float) -> None:
    """The slope over all networks, and what the search measures from one run of each candidate at two sizes."""
    for row in outside_batches.exponents(_table(exponent)):
        assert float(row.split("|")[4].split()[0]) == pytest.approx(exponent, abs=0.05)
    (row,) = outside_batches.scaled(_table(exponent), searches=8)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert float(cells[3]) == pytest.approx(exponent, abs=0.2)  # 24 trainings leave some of the prior
    assert cells[5] == "100"  # of the intervals hold it
    unchanged, root, linear, measured = map(float, cells[-4:])
    assert max(measured, unchanged if exponent == 0 else root) < linear


def test_verdicts_and_choices_of_a_table() -> None:
    """The lowest mean always names a winner, the verdicts rarely; the methods cost what their rows say."""
    ours, _, lowest = [row.strip("|").split("|") for row in outside.verdicts(_table(0.5), 40)]
    assert float(lowest[3]) == 100.0
    assert float(ours[3]) < 50.0
    assert float(ours[6]) < float(lowest[6])
    rows = [row.strip("|").split("|") for row in outside.choices(_table(0.5), 6, 2)]
    costs = {row[1].strip(): float(row[3]) for row in rows}
    assert costs["all, 2 runs each, lowest mean"] == 24.0
    assert costs["ours"] == 16.0
    assert costs["WilcoxonPruner"] <= 36.0


def test_optimizers_without_a_schedule_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is printed is in the record, for the articles' page."""
    x, y = load_digits(return_X_y=True)
    images, data, record = (
        (x * 15).astype(np.uint8).reshape(-1, 8, 8),
        tmp_path / "digits.npz",
        tmp_path / "record.json",
    )
    np.savez(data, x_train=images[:1400], y_train=y[:1400], x_test=images[1400:], y_test=y[1400:])
    brief = ["--epochs", "3", "--seeds", "1", "--budget", "3", "--record", str(record)]
    schedule_free.main(["--data", str(data), *brief])
    found, printed = Recorded.model_validate_json(record.read_text(encoding="utf-8")), capsys.readouterr().out
    assert (found.train_examples, found.epochs) == (1400, 3)
    assert found.command.endswith(" ".join(brief))
    assert [(row.candidate.optimizer, row.found) for row in found.contenders] == [
        ("schedule_free_adamw", False),
        ("prodigy", False),
        ("adamw", True),
    ]
    for row in found.contenders:
        (accuracy,) = row.accuracies
        assert 0.3 < accuracy <= 1
        assert f"{percent(accuracy)} ({percent(accuracy)}), loss {row.loss:.4f}" in printed


def test_data_without_a_test_set_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line: the figures are of test images."""
    with pytest.raises(SystemExit) as ended:
        schedule_free.main(["--data", "digits"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("--data: digits has no test set of its own")


def test_report_shows_what_is_recorded() -> None:
    """The table of the report on problems from outside, and the one of the articles' page, are the same."""
    report = (PROJECT / "reports" / "outside.md").read_text(encoding="utf-8")
    page = (PROJECT / "reports" / "articles" / "README.md").read_text(encoding="utf-8")
    known = recorded()
    assert f"`{known.command}`" in page
    assert f"\n{known.command}\n" in report
    for row in known.contenders:
        accuracies = f"{percent(float(np.mean(row.accuracies)))} ({', '.join(map(percent, row.accuracies))})"
        for text in (report, page):
            assert f" {accuracies} | {loss(row.loss)} |" in text
