"""Seconds from a cold start until a search first reaches a validation loss: ours, KerasTuner's and Optuna's.

    python -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers_search.txt
    PEERS/bin/python -m benchmarks.search_speed [--tools ours optuna_tpe ...] [--seeds 5] [--limit 120]

Every search is a separate process with nothing cached, on the same splits, network, schemes and epochs. The clock
runs from the start of the process, imports included, to the end of the first epoch (ours: training) with a validation
loss at the target. Targets are multiples of the final loss of a cosine decay from 0.1 on the same split, averaged over
three seeds; a peer ends at the lowest target or at the limit. Searches are kept in a folder, so a second call measures
only what is missing and prints the whole table.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.evaluation import Candidate, Evaluation, answers

ROOT = Path(__file__).resolve().parents[1]
BATCH_SIZE = 50
REFERENCE_LR, REFERENCE_SEEDS = 0.1, (900_000, 900_001, 900_002)
TARGETS = (1.05, 1.0, 0.95)
"""Multiples of the mean final loss of a cosine decay from that rate, on seeds that no search uses."""


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        progress: seconds since the start and validation loss of everything that it trained, in order.
        trainings: the number of trainings that it began.
        ended: seconds to its end.
        stopped: whether it was stopped at its limit.

    """

    progress: list[tuple[float, float]]
    trainings: int
    ended: float
    stopped: bool = False

    def reached(self, target: float) -> float | None:
        """Return the seconds to the target; None if it was not reached."""
        return next((seconds for seconds, val_loss in self.progress if val_loss <= target), None)


@dataclass(frozen=True)
class Question:
    """The task of a search, and how long it may take."""

    seed: int
    lowest: float
    options: argparse.Namespace

    @property
    def arguments(self) -> list[str]:
        """The arguments of every command."""
        given = {"data": self.options.data, "model": self.options.model, "epochs": self.options.epochs}
        given |= {"batch-size": BATCH_SIZE, "seed": self.seed}
        return [text for name, value in given.items() for text in (f"--{name}", str(value))]


def reference(seed: int, options: argparse.Namespace) -> float:
    """Return the validation loss that sets the targets on the split of this seed."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from pipeline import datasets
    from pipeline.models import builder
    from pipeline.training import InProcess, Problem

    splits = datasets.split(datasets.load(options.data), seed)
    build = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executor = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    cosine = Candidate(scheme="cosine", initial_lr=REFERENCE_LR, optimizer="sgd", batch_size=BATCH_SIZE, params={})
    asked = [Evaluation(cosine, options.epochs, each, validations=1) for each in REFERENCE_SEEDS]
    return statistics.mean(training.val_loss for training in answers(executor.ask, asked))


def ours(tool: str, question: Question, folder: Path) -> Search:
    """Run `python -m pipeline search`, which prepares and range-tests first, in a fresh copy; read its own runs."""
    for file in ("MLproject", "conda.yaml", "requirements.lock"):
        shutil.copy(ROOT / file, folder)
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    started = time.time()
    stopped = _run(
        [sys.executable, "-m", "pipeline", "search", *question.arguments], folder, question.options.own_limit
    )
    ended = time.time() - started
    trainings = sorted(_trainings(folder), key=lambda run: run.info.end_time)
    progress = [
        (run.info.end_time / 1000 - started, run.data.metrics["best_val_loss"])
        for run in trainings
        if "best_val_loss" in run.data.metrics
    ]
    return Search(progress, len(trainings), ended, stopped)


def in_log(tool: str, question: Question, folder: Path) -> Search:
    """Run a search that keeps a log and ends at the lowest target."""
    log, own = folder / "log.jsonl", tool == "ours_one_process"
    command = [sys.executable, "-m", "benchmarks.search_tools", "ours" if own else tool, *question.arguments]
    command += ["--target", str(question.lowest), "--log", str(log)]
    started = time.time()
    stopped = _run(command, ROOT, question.options.own_limit if own else question.options.limit)
    ended = time.time() - started
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    progress = [(line["time"] - started, line["val_loss"]) for line in lines if "val_loss" in line]
    return Search(progress, len(lines) - len(progress), ended, stopped)


TOOLS: dict[str, Callable[[str, Question, Path], Search]] = {
    "ours": ours,
    "ours_one_process": in_log,
    "hyperband": in_log,
    "random_search": in_log,
    "optuna_tpe": in_log,
}
TITLES = {
    "ours": "ours, `python -m pipeline search`",
    "ours_one_process": "ours, the same functions in one process",
    "hyperband": "KerasTuner Hyperband",
    "random_search": "KerasTuner RandomSearch",
    "optuna_tpe": "Optuna TPE, MedianPruner",
}


def _run(command: list[str], folder: Path, limit: float | None) -> bool:
    """Run a command to its end or to the limit, and return whether it was stopped there."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON"))}
    environment = {**kept, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, timeout=limit, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return False


def _trainings(folder: Path) -> list[Run]:
    """Return the runs of trainings; none if the search was stopped before it began."""
    if not (folder / "mlflow.db").exists():
        return []
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("lr-pipeline")
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], "tags.`pipeline.stage` = 'trial'", max_results=1000))


class Searches:
    """The searches measured so far and the references of their targets, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        known = json.loads(path.read_text()) if path.exists() else {"references": {}, "searches": {}}
        self.references: dict[str, float] = known["references"]
        self._searches = {key: Search(**values) for key, values in known["searches"].items()}

    def measure(self, tool: str, seed: int, options: argparse.Namespace) -> None:
        """Run one search from a cold start, unless it is known."""
        if f"{tool} {seed}" in self._searches:
            return
        question = Question(seed, min(TARGETS) * self.references[str(seed)], options)
        with tempfile.TemporaryDirectory() as folder:
            found = TOOLS[tool](tool, question, Path(folder))
        self._searches[f"{tool} {seed}"] = found
        self.save()
        print(f"{tool}, seed {seed}: {found.trainings} trainings, {found.ended:.0f} s", file=sys.stderr, flush=True)

    def times(self, tool: str, target: float) -> list[tuple[bool, float]]:
        """Return for each seed whether the search missed the target, and the seconds to the target or to the end."""
        times = []
        for seed, value in self.references.items():
            if search := self._searches.get(f"{tool} {seed}"):
                reached = search.reached(target * value)
                times.append((reached is None, search.ended if reached is None else reached))
        return times

    def ends(self, tool: str) -> list[float]:
        """Return the seconds to the end of each search of a tool that was not stopped."""
        known = [search for key, search in self._searches.items() if key.rsplit(" ", 1)[0] == tool]
        return [search.ended for search in known if not search.stopped]

    def save(self) -> None:
        """Write the file."""
        searches = {key: asdict(search) for key, search in self._searches.items()}
        self._path.write_text(json.dumps({"references": self.references, "searches": searches}))


def table(searches: Searches) -> list[str]:
    """Return one row per tool, two columns per target; a search that missed counts as longer than all that did not."""
    heads = [f"to {target:g} x reference, s | each seed" for target in TARGETS]
    lines = [f"| search | {' | '.join(heads)} | to the end, s |", "| --- |" + " --- |" * (2 * len(TARGETS) + 1)]
    for tool, title in TITLES.items():
        if not searches.times(tool, TARGETS[0]):
            continue
        cells = []
        for target in TARGETS:
            times = searches.times(tool, target)
            cells += [_shown(*sorted(times)[len(times) // 2]), ", ".join(_shown(*each) for each in times)]
        ends = searches.ends(tool) if tool == "ours" else []
        end = f"{statistics.median(ends):.0f}" if ends else "-"
        lines.append(f"| {title} | {' | '.join(cells)} | {end} |")
    return lines


def _shown(missed: bool, seconds: float) -> str:
    return f"{'> ' if missed else ''}{seconds:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a peer's search is stopped")
    parser.add_argument("--own-limit", type=float, help="the same for ours; default: each runs to its end")
    folder = Path(tempfile.gettempdir()) / "search_speed_benchmark"
    parser.add_argument("--folder", type=Path, default=folder, help="where finished searches are kept")
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    searches = Searches(options.folder / f"{options.data}-{options.model}-{options.epochs}.json")
    for seed in range(options.seeds):
        if str(seed) not in searches.references:
            searches.references[str(seed)] = reference(seed, options)
            searches.save()
    for seed in range(options.seeds):
        for tool in options.tools:
            searches.measure(tool, seed, options)
    references = ", ".join(f"{value:.4f}" for value in searches.references.values())
    print(f"{options.model} on {options.data}, {options.epochs} epochs; reference losses by seed: {references}\n")
    print("\n".join(table(searches)))
    print(f"\nPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
