"""How stages obtain trainings: recalled from the store or trained, recorded, and shown as progress."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline import cluster, user_code
from pipeline.config import RangeTestOptions
from pipeline.console import Status
from pipeline.datasets import Splits, described, far_labels
from pipeline.evaluation import Evaluation, Training
from pipeline.fingerprints import training_key
from pipeline.lr_pipeline_model import definitions
from pipeline.reporting.training_figures import lr_curve
from pipeline.stages.context import SPLITS, Context, Options, inputs
from pipeline.tracking import Label, StageRun, Store, TrainingLog
from pipeline.tracking.data_sets import copy_data_sets
from pipeline.tracking.processes import PROJECT
from pipeline.training import Checkpoints, InProcess, executor_for

if TYPE_CHECKING:  # loads Dask
    from pipeline.cluster.executor import Workers

Trained = TypeVar("Trained", bound=RangeTestOptions)

RECOMPUTED = (
    "the trainings are too short for BatchNormalization's moving averages:"
    " its statistics are recomputed on training batches before validations (batch_norm=keras: never)"
)

SHARED = "another command trains the same at this time: each training is made once, for both"

STREAMED = "trainings on data in streams have no checkpoints: read again, they may come in another order"

CHECKPOINTS = PROJECT / ".lr-pipeline" / "checkpoints"
"""The folder for the states of trainings at work."""

_TRAINING = ("range_test", "search", "train")
"""Stages that say what there is to say of network and data, each command once."""

Describe = Callable[[Evaluation], Label]
"""Returns the name and tags for the run of a training."""


@dataclass(frozen=True)
class Asking:
    """Answers evaluations for a stage, so that its callers need neither Keras nor MLflow.

    Attributes:
        executor: knows the network and its data, and trains in this process.
        log: recalls and records trainings.
        describe: names the runs of trainings.
        status: shows progress.
        cost: the steps of progress for which one training counts.
        unsavable: why the network cannot be saved as a model; "" if it can.
        checkpoints: where trainings keep their state until they have been recorded, if they do.
        workers: train in place of this process.

    """

    executor: InProcess
    log: TrainingLog
    describe: Describe
    status: Status
    cost: int = 1
    unsavable: str = ""
    checkpoints: Checkpoints | None = None
    workers: "Workers | None" = None
    _said: set[str] = field(default_factory=set)

    def ask(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Yield each evaluation with its training as it becomes known, recalled ones first.

        What another command trains at this time comes last: it is waited for, and recalled.
        """
        trains = self.workers or self.executor
        unknown = yield from self._recalled(evaluations)
        while unknown:
            elsewhere: list[Evaluation] = []
            claimed = self._claimed(unknown, elsewhere)
            for evaluation, training in trains.ask(claimed, self._begin, self.checkpoints):
                self.log.log(evaluation, training, self.describe(evaluation))
                if self.checkpoints is not None:
                    self.checkpoints.of(evaluation).remove()
                self._advance(evaluation, training)
                yield evaluation, training
            if elsewhere:
                self._note_once(SHARED)
                self._begin(elsewhere[0])
                self.log.await_other(elsewhere[0])
            unknown = yield from self._recalled(elsewhere)

    def finish(self, answer: str) -> None:
        """See that all trainings are in the store, before the stage writes its `answer` there."""
        self.log.finish(answer)

    def _recalled(
        self, evaluations: Sequence[Evaluation]
    ) -> Generator[tuple[Evaluation, Training], None, list[Evaluation]]:
        """Yield the evaluations that are known, and return the others."""
        unknown = []
        for evaluation in evaluations:
            training = self.log.recall(evaluation)
            if training is None:
                unknown.append(evaluation)
                continue
            self._advance(evaluation, training)
            yield evaluation, training
        return unknown

    def _claimed(self, unknown: Sequence[Evaluation], elsewhere: list[Evaluation]) -> Iterator[Evaluation]:
        """Yield what is to be trained here; what another command has claimed goes to `elsewhere`."""
        for evaluation in unknown:
            if self.log.claim(evaluation):
                yield evaluation
            else:
                elsewhere.append(evaluation)

    def _advance(self, evaluation: Evaluation, training: Training) -> None:
        """Show that a training is done, and say once where its statistics were recomputed, or checkpoints were due."""
        self.status.advance(self.cost)
        if not evaluation.is_sweep:
            self.status.trained(self.describe(evaluation).name, training.val_loss, training.seconds)
        if training.recomputed:
            self._note_once(RECOMPUTED)
        if self.executor.streamed and self.checkpoints is not None and training.seconds > self.checkpoints.seconds:
            self._note_once(STREAMED)

    def _note_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.status.note(line)

    def _begin(self, evaluation: Evaluation) -> None:
        waiting = f" ({self.log.waiting} wait to be logged)" if self.log.waiting else ""
        self.status.begin(f"{self.describe(evaluation).name}{waiting}")


def asking(context: Context[Trained], describe: Describe, *, tested: bool = False) -> Asking:
    """Set up a stage's executor for the user's network and data, with its log and progress.

    Args:
        context: that of the stage.
        describe: names the runs of trainings.
        tested: whether the trainings open the test set, which MLflow then shows among their data sets.

    """
    options, upstream = context.options, context.upstream
    executor = executor_for(options, upstream.splits)
    modules = user_code.local_modules(options.model)
    unsavable = executor.unsavable(definitions(modules)) if modules else ""
    for name, value in executor.params.items():
        context.store.client.log_param(context.run.run_id, name, value)
    if not has_trained(context.store, context.run):
        for line in _remarks(options, upstream.splits, executor, unsavable):
            context.status.note(line)
    digests = inputs(options, upstream.runs)
    parts = ("training", "validation", *(("test",) if tested else ()))
    copy_data_sets(context.store.client, upstream.runs["prepare"].run_id, context.run.run_id, parts)
    log = training_log(context, context.run, executor, digests)
    return Asking(
        executor,
        log,
        describe,
        context.status,
        unsavable=unsavable,
        checkpoints=checkpoints(context, executor, digests),
        workers=workers(context, options, executor, lambda: upstream.folder("prepare") / SPLITS),
    )


def has_trained(store: Store, run: StageRun) -> bool:
    """Return whether the command that a stage's run belongs to has run a stage that trains, not reused one."""
    parent = store.client.get_run(run.run_id).data.tags.get("mlflow.parentRunId", run.run_id)
    below = store.pages(f"tags.`mlflow.parentRunId` = '{parent}' and attributes.status = 'FINISHED'")
    tags = (one.data.tags for one in below)
    return any(one.get("pipeline.stage") in _TRAINING and "pipeline.cached" not in one for one in tags)


def _remarks(options: RangeTestOptions, splits: Splits, executor: InProcess, unsavable: str) -> Iterator[str]:
    """Yield what users should know of their network and data before trainings."""
    if executor.scaling != splits.scaling:
        yield f"inputs {', '.join(described(executor.scaling))}"
    if not options.scale_labels and (far := far_labels(splits)):
        yield far
    if executor.class_weights:
        yield executor.class_weights
    if user_code.is_function(options.model):
        yield from executor.remarks
    if unsavable:
        yield f"the network cannot be saved as a model, so only its weights will be: {unsavable}"


def training_log(
    context: Context[Options], run: StageRun, executor: InProcess, digests: Mapping[str, str]
) -> TrainingLog:
    """Return the log of an executor's trainings below a run; `digests` are those of data and of the user's model."""
    log = TrainingLog(context.store, run, training_key(digests, executor.conditions()), lr_curve, context.status.note)
    if not context.options.fresh:
        log.look_up()
    return log


def workers(
    context: Context[Options], settings: RangeTestOptions, executor: InProcess, data: Callable[[], Path]
) -> "Workers | None":
    """Return what trains in place of an executor of this process, if the options ask for that.

    Args:
        context: that of the stage.
        settings: those that the executor was set up with.
        executor: knows the network and its data.
        data: returns the file with these data.

    """
    options = context.options
    if options.workers == 1 and options.scheduler is None:
        return None
    return cluster.workers_for(options, cluster.job_for(settings, data(), executor), context.status.note)


def checkpoints(context: Context[Options], executor: InProcess, digests: Mapping[str, str]) -> Checkpoints | None:
    """Return where an executor's trainings keep their state, as the options ask; None if nowhere."""
    minutes, key = context.options.checkpoint, training_key(digests, executor.conditions())
    return Checkpoints(CHECKPOINTS, key, 60 * minutes, context.status.note) if minutes else None
