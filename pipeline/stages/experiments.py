"""How `reproduce` conducts an experiment: in a run of its own, with a training per seed below it, or by reusing one."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import datasets
from pipeline.articles.experiment import Article, Experiment, ExperimentResult, split_as_articles
from pipeline.config import RangeTestOptions, ReproduceOptions
from pipeline.datasets import Raw, Splits
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.files import write_text
from pipeline.fingerprints import fingerprint, model_digest
from pipeline.results import SeedScore
from pipeline.stages.asking import Asking, checkpoints, training_log, workers
from pipeline.stages.context import Context
from pipeline.tracking import Label, StageRun
from pipeline.tracking.store import RESULT
from pipeline.tracking.trainings import candidate_params, candidate_tags
from pipeline.training import InProcess, executor_for

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
        self._executors: dict[str, InProcess] = {}
        self._files: dict[Article, Path] = {}

    def splits(self, article: Article) -> Splits:
        """Return the data as an article splits them."""
        if article not in self._splits:
            options = self._context.options
            self._splits[article] = split_as_articles(
                self._raw, article, options.seed, options.scale, hash_text=options.hash_text
            )
        return self._splits[article]

    def _file(self, article: Article) -> Path:
        """Return a temporary file with the data as an article splits them."""
        if article not in self._files:
            path = self._files[article] = Path(tempfile.mkdtemp()) / f"{article}.npz"
            datasets.save(self.splits(article), path, **self._context.options.source)
        return self._files[article]

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
        # Shortened experiments may be identical; each still gets a run of its own.
        own = {"experiment": experiment.id, "candidate": candidate.model_dump_json()}
        key = fingerprint(
            "experiments", settings, {**own, "patience": str(experiment.patience), **self._digests(experiment)}
        )
        found = None if self._context.options.fresh else store.find("reproduce", key)
        if found is None:
            return self._run(experiment, candidate, settings, key)
        store.log_reuse(experiment.name, found, self._context.run)
        result = ExperimentResult.model_validate_json(found.result)
        status.advance(experiment.cost * result.epochs * len(result.scores))
        return Conducted(experiment, result, pd.read_csv(found.folder / HISTORY))

    def _candidate(self, experiment: Experiment) -> Candidate | None:
        """Return the candidate of the article, the search, or the range test; None if that found no interval."""
        if experiment.rates_from == "search":
            _, searched = self._context.upstream.behind(experiment.found_by)
            return searched.winner
        own = experiment.candidate
        if experiment.rates_from == "article":
            return own
        found, _ = self._context.upstream.behind(experiment.found_by)
        if found.lr_low is None or found.lr_high is None:
            return None
        params = {**own.params, "base_fraction": found.lr_low / found.lr_high}
        return own.model_copy(update={"initial_lr": found.lr_high, "params": params})

    def _run(self, experiment: Experiment, candidate: Candidate, settings: RangeTestOptions, key: str) -> Conducted:
        """Train in a run of its own; `key` is the fingerprint of the experiment."""
        context = self._context
        tags = {
            "pipeline.stage": "reproduce",
            "pipeline.fingerprint": key,
            "pipeline.experiment": experiment.id,
            **candidate_tags(candidate),
            "mlflow.note.content": experiment.claim,
        }
        shown = {name: str(getattr(settings, name)) for name in ("model", "momentum", "epochs", "seeds")}
        with context.store.part_run(
            experiment.name, context.run, tags, {**candidate_params(candidate), **shown}
        ) as run:
            asked = _evaluations(experiment, candidate, settings)
            asking = self._asking(experiment, settings, run)
            trainings = answers(asking.ask, asked)
            scores = tuple(_score(*one) for one in zip(asked, trainings, strict=True))
            asking.finish(f"{experiment.name}: {_in_words(scores)}")
            result = ExperimentResult(id=experiment.id, candidate=candidate, epochs=settings.epochs, scores=scores)
            history = _history(asked, trainings)
            self._write(run, result, history)
            context.store.summarise(run, f"{experiment.claim}. Here: {_in_words(scores)}")
        context.status.note(f"{experiment.name}: {_in_words(scores)}")
        return Conducted(experiment, result, history)

    def _asking(self, experiment: Experiment, settings: RangeTestOptions, run: StageRun) -> Asking:
        """Set up how an experiment trains; experiments with the same network and data share an executor."""
        same = f"{settings.model} {settings.momentum} {experiment.article}"
        if same not in self._executors:
            self._executors[same] = executor_for(settings, self.splits(experiment.article))
        executor = self._executors[same]
        context, digests = self._context, self._digests(experiment)
        return Asking(
            executor,
            training_log(context, run, executor, digests),
            lambda one: Label("reproduce", one.name, "experiment"),
            context.status,
            experiment.cost * settings.epochs,
            checkpoints=checkpoints(context, executor, digests),
            workers=workers(context, settings, executor, partial(self._file, experiment.article)),
        )

    def _digests(self, experiment: Experiment) -> dict[str, str]:
        """Return the digests of the data and of the network of an experiment."""
        data = datasets.digests(self.splits(experiment.article))
        return {**data, "model": model_digest(experiment.model)}

    def _settings(self, experiment: Experiment, candidate: Candidate, epochs: int, seeds: int) -> RangeTestOptions:
        return RangeTestOptions(
            model=experiment.model,
            optimizer=candidate.optimizer,
            momentum=experiment.momentum,
            batch_size=str(candidate.batch_size),
            precision="float32",  # as the articles had it
            epochs=epochs,
            scale=self._context.options.scale,
            deterministic=self._context.options.deterministic,
            seed=self._context.options.seed,
            seeds=seeds,
        )

    def _write(self, run: StageRun, result: ExperimentResult, history: pd.DataFrame) -> None:
        write_text(run.folder / RESULT, result.model_dump_json(indent=2))
        history.to_csv(run.folder / HISTORY, index=False)
        self._context.store.show_scores(run, _means(result.scores))


def _evaluations(experiment: Experiment, candidate: Candidate, settings: RangeTestOptions) -> list[Evaluation]:
    """Return the question for each seed. As in the articles, no training is stopped because its loss is too high."""
    return [
        Evaluation(
            candidate,
            settings.epochs,
            settings.seed + at,
            validations=settings.epochs,
            patience=experiment.patience,
            diverged_at=math.inf,
            test=True,
        )
        for at in range(settings.seeds)
    ]


def _score(evaluation: Evaluation, training: Training) -> SeedScore:
    """Return the scores of one seed; a loss of NaN counts as infinite."""
    val_loss, test = training.best("val_loss") if evaluation.patience else training.final("val_loss"), training.test
    assert test is not None
    return SeedScore(
        seed=evaluation.seed,
        val_loss=math.inf if val_loss is None else val_loss,
        test_loss=test["loss"] if math.isfinite(test["loss"]) else math.inf,
        test_accuracy=test["accuracy"],
        train_seconds=training.seconds,
    )


def _history(asked: Sequence[Evaluation], trainings: Sequence[Training]) -> pd.DataFrame:
    frames = [pd.DataFrame(dict(training.history)) for training in trainings]
    for frame, evaluation in zip(frames, asked, strict=True):
        frame.insert(0, "seed", evaluation.seed)
        frame.insert(1, "epoch", np.arange(1, len(frame) + 1))
    return pd.concat(frames, ignore_index=True)


def _means(scores: Sequence[SeedScore]) -> dict[str, float]:
    names = ("test_loss", "test_accuracy", "val_loss", "train_seconds")
    return {name: float(np.mean([getattr(score, name) for score in scores])) for name in names}


def _in_words(scores: Sequence[SeedScore]) -> str:
    means = _means(scores)
    seconds = sum(score.train_seconds for score in scores)
    return f"test accuracy {means['test_accuracy']:.2%}, test loss {means['test_loss']:.4f}, {seconds:.0f} s"
