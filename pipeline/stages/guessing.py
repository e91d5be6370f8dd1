"""How an answer compares with guessing, and what is known of why it is no better."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline import datasets
from pipeline.config import SearchOptions
from pipeline.datasets import Splits
from pipeline.evaluation import Evaluation, Training
from pipeline.reporting import wording
from pipeline.results import Guess, SearchResult
from pipeline.statistics import guessing
from pipeline.training import InProcess

_FEW_UPDATES = 300
"""Updates after which most networks have learnt something."""


_GUESSES = {
    "classification": guessing.guess_classes,
    "multi_label": guessing.guess_labels,
    "regression": guessing.guess_values,
}


@dataclass(frozen=True)
class Answered:
    """An answer to compare: its mean loss and accuracy on a part of the data, and its last training where known."""

    evaluation: Evaluation
    part: Literal["val", "test"]
    loss: float
    accuracy: float | None
    training: Training | None = None


def against_guessing(answered: Answered, executor: InProcess, splits: Splits) -> Guess:
    """Compare an answer with guessing."""
    if executor.label_scaling is not None and splits.num_outputs > 1:  # their losses stay in the scaled units
        splits = datasets.with_scaled_labels(splits)
    found = _guess(splits, answered.part, executor.objective(answered.evaluation.candidate))
    if guessing.beats(found, answered.loss, answered.accuracy, len(getattr(splits, f"y_{answered.part}"))):
        return found
    return found.model_copy(update={"beaten": False, "why": tuple(_causes(answered, executor, splits, found))})


def _guess(splits: Splits, part: str, objective: Mapping[str, str]) -> Guess:
    """Return the result of guessing the labels of a part of the data, each output's by itself."""
    if splits.outputs:
        losses = json.loads(objective["loss"])
        guesses = {
            name: _guess(own, part, {**objective, "loss": json.dumps(losses[name])})
            for name, own in datasets.by_output(splits).items()
            if losses[name] is not None
        }
        return guessing.combined(guesses, json.loads(objective["weights"]))
    loss = guessing.compared_loss(objective["loss"]) if objective["penalised"] == "[]" else ""
    judged, weights = (getattr(splits, f"{letter}_{part}") for letter in "yw")
    return _GUESSES[splits.task](splits.y_train, judged, loss, (splits.w_train, weights))


def compared(result: SearchResult, executor: InProcess, splits: Splits, options: SearchOptions) -> SearchResult:
    """Add to a search how its winner compares with guessing, on the validation examples."""
    row = next(row for row in result.leaderboard if row.only == result.winner)
    asked = Evaluation(result.winner, options.epochs, options.seed)
    answered = Answered(asked, "val", row.val_loss.mean, row.val_accuracy)
    return result.model_copy(update={"guess": against_guessing(answered, executor, splits)})


def _causes(answered: Answered, executor: InProcess, splits: Splits, guess: Guess) -> list[str]:
    """Return what is known of why an answer is no better than guessing, each with what to try."""
    causes, evaluation = [], answered.evaluation
    if executor.label_scaling is None and (far := datasets.far_labels(splits)):
        causes.append(far)
    steps = -(-len(splits.x_train) // evaluation.candidate.batch_size)
    updates = evaluation.updates(steps)
    if executor.lags(evaluation.candidate, updates):
        causes.append("the moving averages of BatchNormalization have not arrived: batch_norm=auto recomputes them")
    last = answered.training.history["loss"][-1] if answered.training else None
    if last is not None and guess.loss is not None and last < guess.loss:
        causes.append(
            f"the training loss fell to {wording.loss(last)}, so what was learnt holds for the training examples only:"
            " more data or regularisation, fewer epochs, and check that all sets are of one kind"
        )
    elif updates < _FEW_UPDATES:
        causes.append(f"it had {updates} updates only: more epochs, or smaller batches")
    return causes or [
        "nothing was learnt from these inputs: check that each label belongs to its input, that a loss of your own fits"
        " the outputs (logits need from_logits=True), and that the network is large enough"
    ]
