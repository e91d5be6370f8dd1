"""Stage `train`: the winner at full budget on several seeds, the test set opened once."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipeline import user_code
from pipeline.config import TrainOptions
from pipeline.datasets import Splits, head
from pipeline.errors import InputError, describe
from pipeline.evaluation import Ask, Candidate, Evaluation, Training, answers
from pipeline.files import write_text
from pipeline.lr_pipeline_model import VALUES, Outputs, tensors
from pipeline.lr_pipeline_model.columns import load_columns
from pipeline.optimizers import in_code, note, own_files, unwrapped
from pipeline.predictions import PREDICTIONS, STORED
from pipeline.reporting import wording
from pipeline.results import SeedScore, TrainResult
from pipeline.schedules import keras_source, parse_params, torch_source
from pipeline.stages.asking import asking
from pipeline.stages.context import CODE, COLUMNS, Context
from pipeline.stages.guessing import Answered, against_guessing
from pipeline.stages.predicting import as_served, predictions
from pipeline.statistics import accuracy_interval
from pipeline.tracking import Label
from pipeline.tracking.models import About, Scores, log_model, register
from pipeline.training import InProcess, single_outputs, to_probabilities
from pipeline.training.keras_internals import excludes_weights


def summary(result: TrainResult) -> str:
    """Return the result in one line."""
    return _in_words(result.test_accuracy, result.test_loss, len(result.seeds))


def _in_words(accuracy: float | None, loss: float, seeds: int) -> str:
    return f"{'' if accuracy is None else f'test accuracy {accuracy:.2%}, '}test loss {loss:.4f} over {seeds} seeds"


def run(context: Context[TrainOptions]) -> TrainResult:
    """Train and test on every seed, then log and register the best model of those on the prepared split."""
    options, upstream, winner = context.options, context.upstream, _winner(context)
    seeds = range(options.seed, options.seed + options.seeds)
    asked = Evaluation(winner, options.epochs, options.seed, test=True, weights=True).spread(seeds, options.splits)
    context.status.expect(len(asked))
    trainer = asking(context, lambda evaluation: Label("train", evaluation.name, "final"), tested=True)
    trainer.executor.require_metric(options.judged_by, asked[0])
    trainings = answers(_shown(trainer.ask, context.status.stands), asked)
    scores = [_score(evaluation, training) for evaluation, training in zip(asked, trainings, strict=True)]
    # Losses on different validation sets cannot be compared.
    comparable = [at for at, evaluation in enumerate(asked) if not evaluation.split]
    best = min(comparable, key=lambda at: trainings[at].loss_by(options.judged_by))
    means = _mean_scores(scores)
    accuracies = [score.test_accuracy for score in scores if score.test_accuracy is not None]
    others = _mean_metrics(trainings)
    trainer.finish(tested := _in_words(means.get("test_accuracy"), means["test_loss"], len(asked)))
    # Without the mean of `val_loss`: the chart has the kept training's, and its line would jump at the end.
    logged = {name: value for name, value in means.items() if name != "val_loss"}
    logged |= {f"test_{name}": value for name, value in others.items()}
    trainer.log.log_onto(context.run, asked[best], trainings[best], logged)
    multipliers = trainer.executor.lr_multipliers
    _write_schedule(context, winner, trainings[best], trainer.executor.compiled(winner).optimizer, multipliers)
    context.status.begin("saving the model")
    losses = {score.seed: score.val_loss for score in scores}  # whatever the objective: all models must compare
    measured = {**upstream.prepare.digests, **trainer.executor.objective(winner)}
    if options.splits > 1:
        measured["splits"] = str(options.splits)
    serving = trainer.executor.served(trainings[best])
    _keep_predictions(context, serving, asked[best].seed)
    trained = _in_registry(winner, trainings[best], tested, multipliers)
    about = About(trained, winner, len(trainings[best].rates), means)
    kept = _keep(context, serving, trainer.unsavable, Scores(measured, losses), about)
    guess = against_guessing(
        Answered(asked[best], "test", means["test_loss"], means.get("test_accuracy"), trainings[best]),
        trainer.executor,
        upstream.splits,
    )
    for line in wording.guessing(guess, "test", means["test_loss"], means.get("test_accuracy")):
        context.status.note(line)
    return TrainResult(
        test_loss=means["test_loss"],
        test_accuracy=means.get("test_accuracy"),
        test_accuracy_interval=accuracy_interval(accuracies, upstream.prepare.test_examples) if accuracies else None,
        test_metrics=others,
        val_loss=means["val_loss"],
        seeds=tuple(scores),
        winner=winner,
        splits=options.splits,
        **kept,
        scaling=trainer.executor.scaling,
        recomputed=trainings[best].recomputed,
        guess=guess,
        label_scaling=trainer.executor.label_scaling,
        lr_multipliers=multipliers,
    )


def _shown(ask: Ask, tell: Callable[[str], object]) -> Ask:
    """Return `ask`, which also tells the mean and the standard deviation over the seeds that are trained so far."""

    def asking(evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        losses: list[float] = []
        for evaluation, training in ask(evaluations):
            losses.append(training.val_loss)
            if np.isfinite(losses).all():
                noise = f" ± {np.std(losses, ddof=1):.2g} between seeds" if len(losses) > 1 else ""
                tell(f"val_loss so far {np.mean(losses):.3g}{noise}")
            yield evaluation, training

    return asking


def _in_registry(winner: Candidate, training: Training, tested: str, multipliers: Mapping[str, float]) -> str:
    """Return what the registry says of a model: how it was trained, and how it did."""
    steps = len(training.rates)
    schedule = f"{winner.name} over {steps} updates ({steps / training.steps_per_epoch:g} epochs)"
    layers = f" Layers train at multiples of the rate: {wording.params(multipliers)}." if multipliers else ""
    return f"Trained with {winner.optimizer} in batches of {winner.batch_size}: {schedule}.{layers}\n\nMean {tested}."


def _keep(
    context: Context[TrainOptions], serving: Any, unsavable: str, scores: Scores, about: About
) -> dict[str, str | None]:
    """Save, log and register the model; where that fails, keep its weights and the reason: the answer still counts."""
    upstream, folder = context.upstream, context.run.folder
    if not unsavable:
        try:
            serving.save(folder / "model.keras")
            given, modules = _example(serving, upstream.splits), user_code.local_modules(context.options.model)
            outputs = _outputs(serving, upstream.splits, tensors(given))
            columns = upstream.folder("prepare") / COLUMNS
            raw = (load_columns(columns).example, columns) if columns.exists() else (given, None)
            model_uri = log_model(serving, raw[0], outputs, modules, raw[1], about)
            registered, champion = register(model_uri, upstream.prepare.data, scores, about)
        except Exception as error:  # of the user's layers, of Keras, or of the store
            unsavable = describe(error)
        else:
            return {"registered": registered, "champion": champion}
    serving.save_weights(folder / "model.weights.h5")
    return {"registered": None, "unsaved": unsavable}


def _keep_predictions(context: Context[TrainOptions], serving: Any, seed: int) -> None:
    """Write what the model that is kept predicts for the test set, for the report; the answer does without it."""
    splits, targets = context.upstream.splits, context.options.target.split(",")
    try:
        outputs = _outputs(serving, splits, tensors(_example(serving, splits)))
        found = predictions(serving, outputs, splits, seed, targets)
    except Exception as error:  # of the user's layers
        context.status.note(f"the report does not show where the model errs: {describe(error)}")
        return
    write_text(context.run.folder / PREDICTIONS, STORED.dump_json(found).decode())


def _example(serving: Any, splits: Splits) -> Any:
    return as_served(head(splits.x_train, 5), serving)


def _outputs(serving: Any, splits: Splits, inputs: Any) -> Outputs | dict[str, Outputs]:
    """Return what the network's outputs are, or that of each by name if there are several."""
    found = {
        name: Outputs(own.classes, to_probabilities(network, inputs, own.task)) if own.classes else VALUES
        for name, (network, own) in single_outputs(serving, splits).items()
    }
    return found.get("", found)


def _winner(context: Context[TrainOptions]) -> Candidate:
    options = context.options
    if options.scheme is not None and options.initial_lr is not None:
        return Candidate(
            scheme=options.scheme,
            initial_lr=options.initial_lr,
            optimizer=options.optimizer,
            batch_size=options.batch_sizes[0],
            params=parse_params(options.scheme_params),
        )
    search = context.upstream.search
    assert search is not None  # the chain runs the search unless a scheme is given
    return search.winner


def _score(evaluation: Evaluation, training: Training) -> SeedScore:
    val_loss, test = training.final("val_loss"), training.test
    if val_loss is None or test is None:
        raise InputError(
            f"scheme: {evaluation.name} diverged ({training.diverged}), expected a smaller initial_lr or another scheme"
        )
    return SeedScore(
        seed=evaluation.seed,
        split=evaluation.split,
        val_loss=val_loss,
        test_loss=test["loss"],
        test_accuracy=test.get("accuracy"),
        train_seconds=training.seconds,
    )


def _mean_scores(scores: list[SeedScore]) -> dict[str, float]:
    means = {
        "test_loss": float(np.mean([score.test_loss for score in scores])),
        "val_loss": float(np.mean([score.val_loss for score in scores])),
    }
    accuracies = [score.test_accuracy for score in scores if score.test_accuracy is not None]
    return {**means, "test_accuracy": float(np.mean(accuracies))} if accuracies else means


def _mean_metrics(trainings: Sequence[Training]) -> dict[str, float]:
    """Return the means of the metrics on the test set that no `SeedScore` has."""
    tests = [training.test for training in trainings if training.test is not None]
    return {
        name: float(np.mean([test[name] for test in tests])) for name in tests[0] if name not in ("loss", "accuracy")
    }


def keras_code(winner: Candidate, training: Training, optimizer: Any, multipliers: Mapping[str, float]) -> str:
    """Return the schedule of a training as Keras code, with the call that makes its optimizer."""
    undecayed = excludes_weights(unwrapped(optimizer))
    call, said = in_code(optimizer, multipliers), note(optimizer, multipliers, undecayed=undecayed)
    return _in_code(partial(keras_source, optimizer=call, note=said), winner, training)


def keras_code_of(
    winner: Candidate, epochs: float, known: Sequence[tuple[Evaluation, Training]], executor: InProcess
) -> str:
    """Return the schedule of one of the known trainings of the winner, as Keras code; "" if none has this length."""
    asked = (winner, float(epochs))
    training = next((training for one, training in known if (one.candidate, float(one.epochs)) == asked), None)
    if training is None:
        return ""
    return keras_code(winner, training, executor.compiled(winner).optimizer, executor.lr_multipliers)


def _in_code(source: Callable[..., str], winner: Candidate, training: Training) -> str:
    return source(
        winner.scheme,
        steps=len(training.rates),
        steps_per_epoch=training.steps_per_epoch,
        initial_lr=winner.initial_lr,
        params=winner.params,
        rates=training.rates.astype(np.float64),  # a reactive scheme can only be written as it happened
    )


def _write_schedule(
    context: Context[TrainOptions],
    winner: Candidate,
    training: Training,
    optimizer: Any,
    multipliers: Mapping[str, float],
) -> None:
    """Write `schedule.json`, and the schedule as Keras code that runs without this project, or as PyTorch code.

    What the Keras code imports of this project is copied beside it.
    """
    fields = {**winner.model_dump(), "steps": len(training.rates), "steps_per_epoch": training.steps_per_epoch}
    if multipliers:
        fields["lr_multipliers"] = multipliers
    write_text(context.run.folder / "schedule.json", json.dumps(fields, indent=2))
    for own in own_files(optimizer, multipliers):
        shutil.copyfile(own, context.run.folder / own.name)
    write_text(context.run.folder / CODE, keras_code(winner, training, optimizer, multipliers))
    if context.options.torch_schedule:
        decay = "" if winner.weight_decay is None else _TORCH_DECAY.format(winner.weight_decay)
        source = partial(torch_source, note=f"{decay}{_TORCH_GROUPS if multipliers else ''}")
        write_text(context.run.folder / "schedule_torch.py", _in_code(source, winner, training))


_TORCH_DECAY = """
The weights decayed by {} times the rate at each update: give the optimizer that as its weight_decay.
"""

_TORCH_GROUPS = """
The layers of the network were trained at multiples of the rate, which schedule.json names: give the parameters of each
a group with its own, such as {"params": layer.parameters(), "lr_multiplier": 0.1}.
"""
