"""What the chain costs beyond computing: processes, imports, tracking, finding what can be reused.

    python -m benchmarks.startup [--runs 3] [OPTIONS OF main]

Runs the whole chain in an empty copy of the project, then again with everything to reuse. Computing is the seconds of
all sweeps and trainings; what is left of the wall time is the overhead. Without options a small search on digits.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from mlflow.tracking import MlflowClient

ROOT = Path(__file__).resolve().parents[1]
FILES = ("MLproject", "conda.yaml", "requirements.lock")
SMALL = (
    "--data digits --model mlp --epochs 3 --schemes constant,cosine --trials 3 --top-k 2 --confirm-seeds 2 --seeds 2"
)


def main() -> None:
    """Print the seconds to the help text, and the chain's wall time, computing and overhead."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    options, chain = parser.parse_known_args()
    chain = chain or SMALL.split()
    helps = [_seconds([sys.executable, "-m", "pipeline", "--help"], ROOT) for _ in range(5)]
    print(f"python -m pipeline --help: median {median(helps):.2f} s of {len(helps)}")
    print(f"main {' '.join(chain)}, {options.runs} runs each")
    cold, cached = [], []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            project = _copy(Path(folder))
            command = [sys.executable, "-m", "pipeline", "main", *chain]
            wall = _seconds(command, project)
            computing = _computing(project)
            cold.append(wall - computing)
            cached.append(_seconds(command, project))
            print(f"  cold: {wall:.1f} s, of which computing {computing:.1f} s, overhead {cold[-1]:.1f} s", end="; ")
            print(f"cached: {cached[-1]:.1f} s", flush=True)
    print(f"median overhead: cold {median(cold):.1f} s, cached {median(cached):.1f} s")


def _copy(folder: Path) -> Path:
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    # With its byte code, as a folder has it in which the project was used before.
    shutil.copytree(ROOT / "pipeline", folder / "pipeline")
    return folder


def _seconds(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def _computing(project: Path) -> float:
    """Seconds of all sweeps and trainings, as the runs tell them."""
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    stages = {run.info.run_id: run.data.tags["pipeline.stage"] for run in runs}
    seconds = 0.0
    for run in runs:
        if stages.get(run.data.tags.get("mlflow.parentRunId", "")) in ("search", "train"):
            seconds += run.data.metrics["train_seconds"]
        if stages[run.info.run_id] == "range_test":
            result = Path(run.info.artifact_uri.removeprefix("file://")) / "result.json"
            seconds += json.loads(result.read_text(encoding="utf-8"))["seconds"]
    return seconds


if __name__ == "__main__":
    main()
