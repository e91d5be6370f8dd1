"""Each benchmark in its smallest form runs and prints its table; what it measures is for the reports."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    memory,
    overhead,
    performance,
    performance_forms,
    performance_settings,
    precision,
    range_test,
    range_test_peers,
    scale,
    scale_ui,
    scale_workers,
    search_speed,
    search_tools,
    soak,
    trust,
    trust_history,
    trust_methods,
    trust_regret,
    trust_splits,
    weight_decay,
    wider_space,
)
from benchmarks.range_test_problems import PROBLEMS, Problem, build_of, splits_of
from benchmarks.trust_regret_methods import Setting
from pipeline import datasets
from pipeline.training import examples
from scripts.browser import chromium

SMALL = ["--data", "digits", "--model", "mlp", "--epochs", "1"]
ONCE = ["--trials", "1", "--rounds", "1"]

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """Load each data set once for all benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", cache(datasets.load))
        yield


def needs(package: str, requirements: str) -> None:
    """Skip where a peer is not installed."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed; benchmarks/{requirements} lists the environment that has it")


def rows(printed: str) -> list[list[str]]:
    """Return the cells of the tables in Markdown, without their heads."""
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    return [cells for cells, below in zip(lines, [*lines[1:], [""]], strict=True) if "---" not in cells[0] + below[0]]


class TestPerformance:
    def test_compares_the_forms_of_each_row(self, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every form has a time, and every one but the first a ratio to it."""
        monkeypatch.setattr(performance_forms, "_MATRIX", 256)
        performance.main(["article-a", "trials-mlp", "--data", "mnist-5k", "--examples", "500", *ONCE])
        found = rows(capsys.readouterr().out)
        forms = ["plain fit", "ours", "loop by hand", "loop by hand, XLA", "plain fit", "ours"]
        assert [cells[1] for cells in found] == forms
        assert all(float(cells[2]) > 0 for cells in found)

    @pytest.mark.slow
    def test_measures_a_setting_in_a_process_of_its_own(self, capsys: Printed) -> None:
        """A separate process measures the unchanged engine, with which settings are compared."""
        performance_settings.main(["as it is", "--rounds", "1", "--updates", "2", "1"])
        ((name, *cells),) = rows(capsys.readouterr().out)
        assert name == "as it is"
        assert all(cell.endswith("1.00 (1.00 to 1.00)") for cell in cells)

    @pytest.mark.parametrize("name", [name for name in performance_settings.SETTINGS if "threads" not in name])
    def test_settings_change_what_they_name(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A setting replaces something that exists, and restores it afterwards."""
        monkeypatch.setattr(performance_settings, "setattr", monkeypatch.setattr, raising=False)
        performance_settings.SETTINGS[name]()

    def test_passes_batches_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The feed that the engine's is compared with can train too."""
        monkeypatch.setattr(examples, "MemoryFeed", performance_settings.Passing)
        found = performance_settings.measured({"mlp": 2, "cnn": 1})
        assert all(milliseconds > 0 for milliseconds in found.values())

    def test_compares_precisions_in_pairs(self, capsys: Printed) -> None:
        """The difference of the losses comes with its interval."""
        precision.main([*SMALL, "--seeds", "2"])
        assert re.search(r"bfloat16 - float32: \S+ \(95% interval", capsys.readouterr().out)


class TestOverhead:
    @pytest.mark.slow
    def test_of_a_stage(self, capsys: Printed) -> None:
        """Overhead is the time not spent computing; it is lower if everything is reused."""
        overhead.main(["chain", "--runs", "1", "--stage", "prepare", "--data", "digits"])
        found = re.search(
            r"cold: \S+ s, of which computing 0.0 s, overhead (\S+) s; cached: (\S+) s", capsys.readouterr().out
        )
        assert found is not None
        assert float(found[1]) > float(found[2])

    def test_of_many_trainings(self, capsys: Printed) -> None:
        """Each row has all its measurements; the store is created outside the project and removed again."""
        before = Path.cwd()
        soak.main(["--trainings", "2", "--every", "1"])
        found = rows(capsys.readouterr().out)
        assert [cells[0] for cells in found] == ["1", "2"]
        assert all(float(cell) > 0 for cells in found for cell in cells)
        assert Path.cwd() == before

    def test_of_logging(self, capsys: Printed) -> None:
        """A pair is timed; its store is created outside the project and removed again."""
        before = Path.cwd()
        overhead.main(["logging", *SMALL, "--pairs", "1"])
        assert "in the logging call" in capsys.readouterr().out
        assert Path.cwd() == before


class TestScale:
    def test_of_simulated_workers(self, capsys: Printed) -> None:
        """Four workers need less time than one, for as many trainings."""
        scale.main(["workers", "--workers", "1", "4", "--budgets", "14", "--repeats", "1"])
        one, four = rows(capsys.readouterr().out)
        assert float(four[2]) < float(one[2])
        assert one[4] == four[4]

    def test_of_the_controller(self, capsys: Printed) -> None:
        """It counts the workers that proposals and logging keep at work, more of them where trainings are longer."""
        scale.main(["controller", "--trials", "12", "--workers", "4", "--logged", "2"])
        counts = [float(cells[1]) for cells in rows(capsys.readouterr().out)[-3:]]
        assert 0 < counts[0] < counts[1] < counts[2]

    @pytest.mark.slow
    def test_of_workers(self, capsys: Printed) -> None:
        """An evaluation that trains nothing costs more by way of Dask than in this process."""
        scale_workers.main(["overhead", "--evaluations", "5", "--workers", "1"])
        here, there = rows(capsys.readouterr().out)
        assert float(here[1]) < float(there[1])

    @pytest.mark.slow
    def test_of_the_ui(self, capsys: Printed) -> None:
        """A real browser shows table and charts of the trainings."""
        if chromium() is None:
            pytest.skip("there is no Chromium to look at the UI with")
        scale_ui.main(["--runs", "3", "--repeats", "1"])
        (cells,) = rows(capsys.readouterr().out)
        assert cells[0] == "3"
        assert all(float(cell) > 0 for cell in cells)


class TestMemory:
    @pytest.mark.slow
    def test_measures_in_a_process_of_its_own(self, tmp_path: Path, capsys: Printed) -> None:
        """A source has a peak memory; a factor of 1 gives one size."""
        memory.main(["--mib", "1", "--factor", "1", "--folder", str(tmp_path), "--sources", "mapped .npy"])
        assert re.search(r"mapped .npy +\d+ +\d+", capsys.readouterr().out)

    def test_trains_on_every_source(self, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
        """All sources hold the same training images."""
        memory.write(tmp_path, 1_000)
        monkeypatch.chdir(tmp_path)
        for kind in memory.KINDS:
            memory.measure(kind, epochs=1)
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len({each["digest"] for each in found[:3]}) == 1
        assert all(np.isfinite(each["loss"]) for each in found)


class TestRangeTest:
    def test_judges_ours_by_whole_trainings(self, tmp_path: Path, capsys: Printed) -> None:
        """Three forms of our range test are judged; a second call trains nothing and prints the same."""
        asked = ["digits mlp, SGD", "--repeats", "1", "--epochs", "1", "--schemes", "cosine", "--folder", str(tmp_path)]
        range_test.main(asked)
        first = rows(capsys.readouterr().out)
        assert [cells[0] for cells in first[:3]] == ["ours, one seed", "ours", "ours, refined"]
        range_test.main(asked)
        assert rows(capsys.readouterr().out) == first

    @pytest.mark.parametrize(
        "problem", [p for p in PROBLEMS[4:] if p.optimizer == "sgd"], ids=lambda problem: problem.name
    )
    def test_problems_can_be_built(self, problem: Problem) -> None:
        """Each problem's network accepts its data."""
        splits = splits_of(problem)
        outputs = build_of(problem, splits)()(splits.x_train[:2].astype(np.float32))
        assert outputs.shape == (2, splits.num_outputs)

    @pytest.mark.parametrize(
        ("package", "style"), [("fastai", "fastai"), ("lightning", "lightning"), ("keras_lr_finder", "keras")]
    )
    def test_peers_read_a_sweep(self, package: str, style: str) -> None:
        """Each library reads a sweep of its own kind."""
        needs(package, "peers_range_test.txt")
        rates = np.geomspace(1e-5, 1.0, 100)
        losses = 2.3 - 2 / (1 + (0.05 / rates) ** 2) + (rates > 0.3) * 20 * rates
        curve = {"style": style, "rates": rates.tolist(), "losses": losses.tolist(), "steps_per_epoch": 20}
        for library in range_test_peers.STYLES[style]:
            assert all(answer["updates"] > 0 for answer in library(curve).values())


class TestSearchSpeed:
    @pytest.mark.slow
    def test_measures_searches_from_a_cold_start(self, tmp_path: Path, capsys: Printed) -> None:
        """Our search stops at its limit; the peer has a row too."""
        asked = [*SMALL, "--seeds", "1", "--own-limit", "1", "--folder", str(tmp_path), "--tools", "ours", "optuna_tpe"]
        search_speed.main([*asked, "--limit", "60"])
        ours, peer = rows(capsys.readouterr().out)
        assert ours[1] == "> 1"
        assert peer[0] == search_speed.TITLES["optuna_tpe"]

    @pytest.mark.parametrize("tool", search_tools.TOOLS)
    def test_tools_end_at_the_target(self, tool: str, tmp_path: Path) -> None:
        """A target that the first training reaches ends the search, and is in the log."""
        if tool in ("hyperband", "random_search"):
            needs("keras_tuner", "peers_search.txt")
        log = tmp_path / "log.jsonl"
        with pytest.raises(SystemExit):
            search_tools.main([tool, *SMALL, "--target", "1000", "--log", str(log)])
        began, reached = map(json.loads, log.read_text().splitlines())
        assert "val_loss" not in began
        assert reached["val_loss"] < 1000


class TestTrust:
    def test_counts_verdicts_whose_truth_is_known(self, tmp_path: Path, capsys: Printed) -> None:
        """Every surface and the trainings on digits have a line for each limit."""
        kept = tmp_path / "kept.npz"
        np.savez(kept, allow_pickle=False, **dict.fromkeys(trust.CANDIDATES, np.linspace(0.1, 0.2, 10)))
        trust.main(["--repeats", "1", "--digits-repeats", "1", "--digits-seeds", "10", "--remembered", str(kept)])
        found = rows(capsys.readouterr().out)
        assert len(found) == (len(list(trust.surfaces())) + 1) * len(trust.LIMITS)

    def test_covers_fresh_splits(self, tmp_path: Path, capsys: Printed) -> None:
        """There is a line for one split and for several; trainings are kept, and where splits are equal, all hold."""
        asked = ["--problems", "digits", "--count", "3", "--seeds", "2", "--repeats", "5", "--folder", str(tmp_path)]
        trust_splits.main(asked)
        first = rows(capsys.readouterr().out)
        assert [cells[:2] for cells in first] == [["digits", "1"], ["digits", "2"]]
        (kept,) = tmp_path.iterdir()
        np.save(kept, np.broadcast_to([[[1.0, 1.001]], [[2.0, 2.001]], [[3.0, 3.001]]], (3, 3, 2)))
        trust_splits.main(asked)
        assert all(cells[2:4] == ["100.0%", "100.0%"] for cells in rows(capsys.readouterr().out))

    def test_measures_what_a_wider_space_is_worth(
        self, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every variant has a line, on both judgements; the best of the usual ones is what they are above."""
        monkeypatch.setattr(wider_space, "GRID_RATES", (0.02, 0.05))
        monkeypatch.setattr(wider_space, "JUDGES", (1,))
        wider_space.main(["digits", "--epochs", "1", "--folder", str(tmp_path)])
        found = rows(capsys.readouterr().out)
        assert [cells[0].split()[0] for cells in found] == [
            name for name, _ in [*wider_space.USUAL, *wider_space.WIDER]
        ]
        usual = [cells[1].split(" / ") for cells in found[: len(wider_space.USUAL)]]
        assert all(min(map(float, figures)) == 0 for figures in zip(*usual, strict=True))

    def test_measures_what_a_searched_weight_decay_is_worth(
        self, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Answers and losses are kept, so that the same line is printed without a training."""
        monkeypatch.setattr(weight_decay, "JUDGES", (1,))
        monkeypatch.setitem(weight_decay.ALL, "digits", replace(weight_decay.ALL["digits"], epochs=1))
        asked = ["digits", "--budgets", "9", "--repeats", "2", "--folder", str(tmp_path)]
        weight_decay.main(asked)
        first = rows(capsys.readouterr().out)
        assert [cells[:2] for cells in first] == [["digits", "9"]]
        monkeypatch.setattr(Setting, "train", None)
        monkeypatch.setattr(weight_decay, "find", None)
        weight_decay.main(asked)
        assert rows(capsys.readouterr().out) == first

    def test_trains_on_digits_once(self, tmp_path: Path) -> None:
        """The losses are kept; only additional seeds are trained."""
        kept = tmp_path / "kept.npz"
        first = trust.losses_on_digits(kept, 1)
        written = kept.stat().st_mtime_ns
        assert trust.losses_on_digits(kept, 1) == first
        assert kept.stat().st_mtime_ns == written

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ("--repeats", "ours: the same, moderated variances"),
            ("--worst", "limit 30, 400 problems"),
            ("--counts", "at 0.25"),
        ],
    )
    def test_compares_methods(self, asked: str, said: str, capsys: Printed) -> None:
        """The table, the worst cases and those of the counts are printed."""
        trust_methods.main([asked, "20"])
        assert said in capsys.readouterr().out

    @pytest.mark.parametrize(
        "methods",
        [
            ["ours", "Optuna TPE", "one epoch for all", "range test, linear", "linear, five rates"],
            ["KerasTuner Hyperband"],
        ],
        ids=["ours and others", "Hyperband"],
    )
    def test_measures_regret(
        self, methods: list[str], tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every answer is judged against the best of the grid, on two budgets, and kept for the next run."""
        if "KerasTuner Hyperband" in methods:
            needs("keras_tuner", "peers_search.txt")
        monkeypatch.setattr(trust_regret, "JUDGES", trust_regret.JUDGES[:2])
        monkeypatch.setattr(trust_regret, "GRID_RATES", trust_regret.GRID_RATES[::4])
        monkeypatch.setattr(trust_regret, "GRID_ROUNDS", ((1, 4), (2, 2)))
        asked = ["digits", "--repeats", "1", "--epochs", "1", "--folder", str(tmp_path), "--budgets", "3", "5"]
        figure = tmp_path / "regret.svg"
        trust_regret.main([*asked, "--methods", *methods, "--figure", str(figure)])
        printed = capsys.readouterr().out
        found = [row for row in rows(printed) if row[0] == "digits"]
        assert [row[1] for row in found] == 2 * methods  # for each judgement
        assert all(re.fullmatch(r"-?\d+\.\d% \(-?\d+\.\d%\)", cell) for row in found for cell in row[2:])
        assert float(re.findall(r"differ by (\S+),", printed)[0]) < 1e-4
        assert "Median regret" in figure.read_text()
        trust_regret.main([*asked, "--methods", *methods, "--known"])
        assert [row for row in rows(capsys.readouterr().out) if row[0] == "digits"] == found

    def test_measures_earlier_answers(self, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row for each correction, kept for the next run."""
        short = replace(trust_regret.PROBLEMS["digits"], epochs=1)
        monkeypatch.setitem(trust_regret.PROBLEMS, "digits", short)
        monkeypatch.setattr(trust_history, "PAIRS", {"pair": trust_history.Pair("digits", short, 2.0)})
        monkeypatch.setattr(trust_history, "SEEDS", 1)
        monkeypatch.setattr(trust_history, "BUDGET", 4.0)
        monkeypatch.setattr(trust_history, "AFTER", (1, 2))
        printed = []
        for _ in range(2):
            trust_history.main(["pair", "--repeats", "2", "--folder", str(tmp_path)])
            printed.append(rows(capsys.readouterr().out))
        assert [row[1] for row in printed[0]][1:-1] == list(trust_history.CORRECTIONS)
        assert printed[0] == printed[1]
