"""How `reproduce` conducts one experiment: a run with a training for each seed below it, or one done before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from pipeline import datasets
from pipeline.articles.experiment import Article, Experiment
from pipeline.articles.splitting import split_as_articles
from pipeline.config import TRAINING, RangeTestOptions, ReproduceOptions
from pipeline.datasets import Raw, Splits
from pipeline.evaluation import Evaluation, Training
from pipeline.fingerprints import fingerprint
from pipeline.reporting.training_figures import lr_curve
from pipeline.results import Candidate, ExperimentResult, SeedScore
from pipeline.schedules import rewriter
from pipeline.stages.context import Context
from pipeline.stages.network import trainer
from pipeline.tracking import StageRun, TrainingLog
from pipeline.tracking.experiments import log_scores, part_run
from pipeline.tracking.files import write_text
from pipeline.tracking.store import RESULT
from pipeline.tracking.trainings import read_metrics, read_training
from pipeline.training import Trainer

HISTORY = "history.csv"
"""The artifact of an experiment with the losses and metrics of each epoch and seed."""


@dataclass(frozen=True)
class Conducted:
    """An experiment with its result, and its history: columns seed, epoch, loss, val_loss and so on."""

    experiment: Experiment
    result: ExperimentResult
    history: pd.DataFrame


class Laboratory:
    """Networks and data, set up once for all experiments that share them."""

    def __init__(self, context: Context[ReproduceOptions], raw: Raw) -> None:
        self._context = context
        self._raw = raw
        self._splits: dict[Article, Splits] = {}
        self._trainers: dict[str, Trainer] = {}

    def splits(self, article: Article) -> Splits:
        """The data as an article splits it."""
        if article not in self._splits:
            self._splits[article] = split_as_articles(self._raw, article, self._context.options.seed)
        return self._splits[article]

    def conduct(self, experiment: Experiment, epochs: int, seeds: int) -> Conducted:
        """Train on every seed, or take the result from a finished run of the same experiment."""
        status, store = self._context.status, self._context.store
        status.begin(experiment.name)
        candidate = self._candidate(experiment)
        if candidate is None:
            reason = "the range test gave no interval"
            result = ExperimentResult(id=experiment.id, candidate=None, epochs=0, scores=(), reason=reason)
            return Conducted(experiment, result, pd.DataFrame())
        settings = self._settings(experiment, candidate, epochs, seeds)
        inputs = {"patience": str(experiment.patience), **datasets.digests(self.splits(experiment.article))}
        own = {"experiment": experiment.id, "candidate": candidate.model_dump_json()}  # shortened, two may be alike
        key = fingerprint("experiments", settings, {**own, **inputs})
        found = None if self._context.options.fresh else store.find("reproduce", key)
        if found is None:
            known = fingerprint(
                "experiments", settings, inputs, only=TRAINING
            )  # on more seeds, train the new ones only
            return self._run(experiment, candidate, settings, key, known)
        store.log_reuse(experiment.name, found, self._context.run)
        result = ExperimentResult.model_validate_json(found.result)
        status.advance(experiment.cost * result.epochs * len(result.scores))
        return Conducted(experiment, result, pd.read_csv(found.folder / HISTORY))

    def _candidate(self, experiment: Experiment) -> Candidate | None:
        """Scheme and rate: the article's, the search's, or within the range test's interval, if it has one."""
        settings: dict[str, Any] = {"optimizer": experiment.optimizer, "batch_size": experiment.batch_size}
        params = dict(experiment.params)
        if experiment.rates_from == "article":
            return Candidate(scheme=experiment.scheme, initial_lr=experiment.initial_lr, params=params, **settings)
        found, searched = self._context.upstream.behind(experiment.found_by)
        if experiment.rates_from == "search":
            return Candidate(**searched.winner.model_dump(include=set(Candidate.model_fields)))
        if found.lr_low is None or found.lr_high is None:
            return None
        params["base_fraction"] = found.lr_low / found.lr_high
        return Candidate(scheme=experiment.scheme, initial_lr=found.lr_high, params=params, **settings)

    def _run(
        self, experiment: Experiment, candidate: Candidate, settings: RangeTestOptions, key: str, known: str
    ) -> Conducted:
        """Train in a run of its own; `key` is the fingerprint of the experiment, `known` what its trainings share."""
        context = self._context
        tags = {
            "pipeline.stage": "reproduce",
            "pipeline.fingerprint": key,
            "pipeline.experiment": experiment.id,
            "pipeline.scheme": candidate.scheme,
            "pipeline.optimizer": candidate.optimizer,
            "mlflow.note.content": experiment.claim,
        }
        shown = ("model", "momentum", "epochs", "seeds")
        params = {**candidate.model_dump(exclude={"params"}), **{name: getattr(settings, name) for name in shown}}
        params |= {f"scheme.{name}": value for name, value in candidate.params.items()}
        with part_run(context.store, experiment.name, context.run, tags, params) as run:
            log = TrainingLog(context.store, run, known, lr_curve)
            if not context.options.fresh:
                log.keep()
            engine = self._trainer(experiment, settings)
            outcomes = [
                self._train(experiment, _evaluation(candidate, settings.epochs, settings.seed + i), engine, log)
                for i in range(settings.seeds)
            ]
            scores = tuple(score for score, _ in outcomes)
            result = ExperimentResult(id=experiment.id, candidate=candidate, epochs=settings.epochs, scores=scores)
            history = _history(outcomes)
            self._write(run, result, history)
            context.store.summarise(run, f"{experiment.claim}. Here: {_in_words(scores)}")
        context.status.note(f"{experiment.name}: {_in_words(scores)}")
        return Conducted(experiment, result, history)

    def _train(
        self, experiment: Experiment, evaluation: Evaluation, engine: Trainer, log: TrainingLog
    ) -> tuple[SeedScore, Training]:
        """Train and test, or take both from an interrupted run."""
        kept, epochs = log.recall(evaluation), round(evaluation.epochs)
        if kept is not None:
            self._context.status.advance(experiment.cost * epochs)
            training = read_training(kept)
            return _score(experiment, evaluation.seed, training, read_metrics(kept)), training
        self._context.status.begin(f"{experiment.name}, seed {evaluation.seed}")
        advance = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self._context.status.advance(experiment.cost)
        )
        training = engine.train(
            evaluation.curve(engine.steps_per_epoch),
            evaluation.seed,
            validations=epochs,
            rewrite=rewriter(evaluation.scheme, evaluation.params),
            patience=math.ceil(experiment.patience * epochs) or None,
            keep_best=experiment.patience > 0,
            diverged_at=math.inf,  # the articles' trainings go on to their end, whatever becomes of them
            callbacks=[advance],
        )
        test = {f"test_{name}": value for name, value in engine.evaluate_test().items()}
        log.log("reproduce", evaluation, training, metrics=test, tags={"pipeline.role": "experiment"})
        return _score(experiment, evaluation.seed, training, test), training

    def _settings(self, experiment: Experiment, candidate: Candidate, epochs: int, seeds: int) -> RangeTestOptions:
        return RangeTestOptions(
            model=experiment.model,
            optimizer=candidate.optimizer,
            momentum=experiment.momentum,
            batch_size=str(experiment.batch_size),
            precision="float32",  # as the articles had it
            epochs=epochs,
            seed=self._context.options.seed,
            seeds=seeds,
        )

    def _trainer(self, experiment: Experiment, options: RangeTestOptions) -> Trainer:
        own = options.model_dump_json(exclude={"epochs", "seeds"}) + experiment.article
        if own not in self._trainers:
            self._trainers[own] = trainer(
                options, self.splits(experiment.article), options.optimizer, experiment.batch_size
            )
        return self._trainers[own]

    def _write(self, run: StageRun, result: ExperimentResult, history: pd.DataFrame) -> None:
        write_text(run.folder / RESULT, result.model_dump_json(indent=2))
        history.to_csv(run.folder / HISTORY, index=False)
        log_scores(self._context.store, run, _means(result.scores))


def _evaluation(candidate: Candidate, epochs: int, seed: int) -> Evaluation:
    return Evaluation(
        candidate.optimizer,
        candidate.scheme,
        candidate.initial_lr,
        candidate.params,
        epochs,
        seed,
        candidate.batch_size,
    )


def _score(experiment: Experiment, seed: int, training: Training, test: dict[str, float]) -> SeedScore:
    """The scores of one seed; the losses of one that ended in NaN are infinite."""
    val_loss = training.best("val_loss") if experiment.patience else training.final("val_loss")
    return SeedScore(
        seed=seed,
        val_loss=math.inf if val_loss is None else val_loss,
        test_loss=test["test_loss"] if math.isfinite(test["test_loss"]) else math.inf,
        test_accuracy=test["test_accuracy"],
        train_seconds=training.seconds,
    )


def _history(outcomes: Sequence[tuple[SeedScore, Training]]) -> pd.DataFrame:
    frames = [pd.DataFrame(dict(training.history)) for _, training in outcomes]
    for frame, (score, _) in zip(frames, outcomes, strict=True):
        frame.insert(0, "seed", score.seed)
        frame.insert(1, "epoch", np.arange(1, len(frame) + 1))
    return pd.concat(frames, ignore_index=True)


def _means(scores: Sequence[SeedScore]) -> dict[str, float]:
    names = ("test_loss", "test_accuracy", "val_loss", "train_seconds")
    return {name: float(np.mean([getattr(score, name) for score in scores])) for name in names}


def _in_words(scores: Sequence[SeedScore]) -> str:
    means = _means(scores)
    seconds = sum(score.train_seconds for score in scores)
    return f"test accuracy {means['test_accuracy']:.2%}, test loss {means['test_loss']:.4f}, {seconds:.0f} s"
