"""Our range test and search in one process and without a tracking store, ending at the target.

    python -m benchmarks.search_speed_ours --seed 0 --target 0.1 --log log.jsonl

What `python -m pipeline search` adds to this are the processes of the stages and what they log. Every training ends
with a line of the log that gives the time of day and its best validation loss.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.our_search import find
from pipeline import datasets
from pipeline.config import SearchOptions
from pipeline.evaluation import Evaluation
from pipeline.models import builder
from pipeline.search import Outcome
from pipeline.training import Trainer


class Engines:
    """Trains evaluations, with one engine an optimizer, until one reaches the target."""

    def __init__(self, options: SearchOptions, target: float, log: Path) -> None:
        self._options, self._target, self._log = options, target, log
        self._splits = datasets.split(datasets.load(options.data), options.seed)
        self._engines: dict[str, Trainer] = {}

    def engine(self, optimizer: str) -> Trainer:
        """The engine of an optimizer, set up when first needed."""
        if optimizer not in self._engines:
            splits, options = self._splits, self._options
            self._engines[optimizer] = Trainer(
                builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task),
                splits,
                optimizer=optimizer,
                momentum=options.momentum,
                batch_size=options.batch_sizes[0],
                precision="auto",
            )
        return self._engines[optimizer]

    def evaluate(self, evaluation: Evaluation) -> Outcome:
        """Train once, and end the process at the target."""
        engine = self.engine(evaluation.optimizer)
        self._write({"time": time.time()})
        steps = engine.steps_per_epoch
        training = engine.train(evaluation.curve(steps), evaluation.seed, validations=evaluation.validations(steps))
        best = training.best("val_loss")
        if best is not None:
            self._write({"time": time.time(), "val_loss": best})
            if best <= self._target:
                sys.exit()
        final = training.final("val_loss")
        epochs = len(training.rates) / steps
        loss = float("inf") if final is None else final
        return Outcome(loss, loss, None, training.seconds, epochs, training.examples, training.diverged)

    def _write(self, line: dict[str, float]) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")


def main() -> None:
    """Search until the target is reached or the search has ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refine", default="cosine")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float, required=True, help="validation loss")
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    options = SearchOptions.model_validate({k: v for k, v in vars(given).items() if k not in ("target", "log")})
    engines = Engines(options, given.target, given.log)
    engine = engines.engine(options.optimizer)
    find(
        options,
        engine.steps_per_epoch,
        lambda rates, seed: engine.train(rates, seed, validations=0).losses,
        engines.evaluate,
    )


if __name__ == "__main__":
    main()
