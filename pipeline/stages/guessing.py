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
    objective = executor.objective(answered.evaluation.candidate)
    guesses = _guesses(splits, answered.part, objective)
    found = guessing.combined(guesses, json.loads(objective["weights"])) if splits.outputs else guesses[""]
    if guessing.beats(found, answered.loss, answered.accuracy, len(getattr(splits, f"y_{answered.part}"))):
        return found.model_copy(update={"why": tuple(_lost(guesses, answered.training))})
    return found.model_copy(update={"beaten": False, "why": tuple(_causes(answered, executor, splits, found))})


def _guesses(splits: Splits, part: str, objective: Mapping[str, str]) -> dict[str, Guess]:
    """Return the result of guessing the labels of each output that has a loss, by name; "" names a single one."""
    losses, guesses = json.loads(objective["loss"]), {}
    for name, own in datasets.by_output(splits).items():
        if name and losses[name] is None:
            continue
        given = json.dumps(losses[name] if name else losses)
        loss = guessing.compared_loss(given) if objective["penalised"] == "[]" else ""
        judged, weights = (getattr(own, f"{letter}_{part}") for letter in "yw")
        guesses[name] = _GUESSES[own.task](own.y_train, judged, loss, (own.w_train, weights))
    return guesses


def _lost(guesses: Mapping[str, Guess], training: Training | None) -> list[str]:
    """Say which of several outputs are no better than guessing on the test set, though all together are."""
    tested = {} if training is None else training.test or {}
    losses = {name: tested.get(f"{name}_loss") for name in guesses if name}
    return [
        f"output {name!r} alone is no better than predicting {guesses[name].what} for every example:"
        f" test loss {wording.loss(loss)} against {wording.loss(guess)}"
        for name, loss in losses.items()
        if loss is not None and (guess := guesses[name].loss) is not None and loss >= guess
    ]


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
