"""Stage `train`: the winner at full budget on several seeds, the test set opened once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import TrainOptions
from pipeline.datasets import head, named
from pipeline.errors import InputError
from pipeline.evaluation import Evaluation, Training
from pipeline.objective import Objective
from pipeline.reporting.training_figures import lr_curve
from pipeline.results import SeedScore, TrainResult, Winner
from pipeline.schedules import keras_source, parse_params, rewriter, torch_source
from pipeline.stages.context import Context
from pipeline.stages.network import require_metric, trainer
from pipeline.tracking import TrainingLog
from pipeline.tracking.files import write_text
from pipeline.tracking.models import log_model, register_if_better
from pipeline.tracking.trainings import read_metrics, read_training
from pipeline.training import Trainer

WEIGHTS = "network.weights.h5"
"""The artifact of each final training from which an interrupted `train` goes on."""


@dataclass(frozen=True)
class _Final:
    """One final training with its scores, its loss by the objective, and the weights it ended with."""

    evaluation: Evaluation
    training: Training
    score: SeedScore
    loss: float
    weights: list[NDArray[np.generic]]


def summary(result: TrainResult) -> str:
    """What came out, in one line."""
    accuracy = "" if result.test_accuracy is None else f"test accuracy {result.test_accuracy:.2%}, "
    return f"{accuracy}test loss {result.test_loss:.4f} over {len(result.seeds)} seeds"


def run(context: Context[TrainOptions]) -> TrainResult:
    """Train, test, log the best seed's model, and register it if it beats the incumbent."""
    winner = _winner(context)
    engine = trainer(context.options, context.upstream.splits, winner.optimizer, winner.batch_size)
    require_metric(engine, context.options.judged_by)
    log = TrainingLog(context.store, context.run, context.trainings, lr_curve)
    if not context.options.fresh:
        log.keep()
    finals = _train_all(context, winner, engine, log)
    best = min(finals, key=lambda final: final.loss)
    engine.model.set_weights(best.weights)
    log.log_onto(context.run, best.evaluation, best.training, _mean_scores(finals))
    serving = engine.serving_model()
    serving.save(context.run.folder / "model.keras")
    _write_schedule(context, best.evaluation, best.training)
    context.status.begin("logging the model")
    model_uri = log_model(serving, named(head(context.upstream.splits.x_train, 5)))
    means = _mean_scores(finals)
    data = context.upstream.prepare
    return TrainResult(
        test_loss=means["test_loss"],
        test_accuracy=means.get("test_accuracy"),
        val_loss=means["val_loss"],
        seeds=tuple(final.score for final in finals),
        winner=winner,
        registered=register_if_better(model_uri, data.data, data.digests, means["val_loss"]),
    )


def _winner(context: Context[TrainOptions]) -> Winner:
    options = context.options
    if options.scheme is not None and options.initial_lr is not None:
        return Winner(
            scheme=options.scheme,
            initial_lr=options.initial_lr,
            optimizer=options.optimizer,
            batch_size=options.batch_sizes[0],
            params=parse_params(options.scheme_params),
        )
    search = context.upstream.search
    assert search is not None  # the chain runs the search unless a scheme is given
    return search.winner


def _train_all(context: Context[TrainOptions], winner: Winner, engine: Trainer, log: TrainingLog) -> list[_Final]:
    context.status.expect(context.options.seeds)
    finals = []
    for seed in range(context.options.seed, context.options.seed + context.options.seeds):
        evaluation = Evaluation(
            winner.optimizer,
            winner.scheme,
            winner.initial_lr,
            winner.params,
            context.options.epochs,
            seed,
            winner.batch_size,
        )
        context.status.begin(evaluation.name)
        finals.append(_train_one(evaluation, engine, log, context.options.judged_by))
        context.status.advance()
    return finals


def _train_one(evaluation: Evaluation, engine: Trainer, log: TrainingLog, objective: Objective) -> _Final:
    """Train and test, or take both from an interrupted run."""
    kept = log.recall(evaluation)
    if kept is not None:
        engine.model.load_weights(kept / WEIGHTS)
        return _final(evaluation, read_training(kept), read_metrics(kept), engine, objective)
    training = engine.train(
        evaluation.curve(engine.steps_per_epoch),
        evaluation.seed,
        validations=evaluation.validations(engine.steps_per_epoch),
        rewrite=rewriter(evaluation.scheme, evaluation.params),
    )
    test = {f"test_{name}": value for name, value in engine.evaluate_test().items()}
    log.log(
        "train", evaluation, training, metrics=test, save=lambda folder: engine.model.save_weights(folder / WEIGHTS)
    )
    return _final(evaluation, training, test, engine, objective)


def _final(
    evaluation: Evaluation, training: Training, test: Mapping[str, float], engine: Trainer, objective: Objective
) -> _Final:
    val_loss = training.final("val_loss")
    if val_loss is None:
        raise InputError(
            f"scheme: {evaluation.name} diverged ({training.diverged}), expected a smaller initial_lr or another scheme"
        )
    score = SeedScore(
        seed=evaluation.seed,
        val_loss=val_loss,
        test_loss=test["test_loss"],
        test_accuracy=test.get("test_accuracy"),
        train_seconds=training.seconds,
    )
    return _Final(evaluation, training, score, training.loss_by(objective), engine.model.get_weights())


def _mean_scores(finals: list[_Final]) -> dict[str, float]:
    scores = [final.score for final in finals]
    means = {
        "test_loss": float(np.mean([score.test_loss for score in scores])),
        "val_loss": float(np.mean([score.val_loss for score in scores])),
    }
    accuracies = [score.test_accuracy for score in scores if score.test_accuracy is not None]
    return {**means, "test_accuracy": float(np.mean(accuracies))} if accuracies else means


def _write_schedule(context: Context[TrainOptions], evaluation: Evaluation, training: Training) -> None:
    """`schedule.json` for programs, `schedule.py` for people: plain Keras without this project, or PyTorch."""
    steps, steps_per_epoch = len(training.rates), training.steps_per_epoch
    schedule = Winner(
        scheme=evaluation.scheme,
        initial_lr=evaluation.initial_lr,
        optimizer=evaluation.optimizer,
        batch_size=evaluation.batch_size,
        params=dict(evaluation.params),
    )
    fields = {**schedule.model_dump(), "steps": steps, "steps_per_epoch": steps_per_epoch}
    write_text(context.run.folder / "schedule.json", json.dumps(fields, indent=2))
    forms = {"schedule.py": keras_source}
    if context.options.torch_schedule:
        forms["schedule_torch.py"] = torch_source
    for name, source in forms.items():
        text = source(
            evaluation.scheme,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
            initial_lr=evaluation.initial_lr,
            params=evaluation.params,
            rates=training.rates.astype(np.float64),  # of a reactive scheme only what happened can be written down
        )
        write_text(context.run.folder / name, text)
