"""From Python: `find` runs range test, search and confirmation on your own network and data.

from pipeline import find

answer = find(model, (x, y), epochs=10, budget=15)
print(answer)
answer.compile(model)
model.fit(x, y, epochs=10, batch_size=answer.winner.batch_size)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any
from uuid import uuid4

import keras

from pipeline import datasets, keras_settings, optimizers, range_test, search
from pipeline.config import RUN_CONTROL, SearchOptions, validated
from pipeline.console import Status
from pipeline.datasets import InputShape, Splits
from pipeline.errors import refusal
from pipeline.evaluation import Ask, Evaluation, Training
from pipeline.files import write_text
from pipeline.found import Found
from pipeline.models import Builder, built_by
from pipeline.range_test import Conducted
from pipeline.reporting import report_page
from pipeline.reporting.report_inputs import Report, Sweep
from pipeline.reporting.training_figures import lr_curve
from pipeline.results import History, RangeTestResult, SearchResult
from pipeline.stages import given_data, history
from pipeline.stages import range_test as range_test_stage
from pipeline.stages import search as search_stage
from pipeline.stages import train as train_stage
from pipeline.stages.asking import Asking, Describe
from pipeline.stages.context import PAGE, environment
from pipeline.stages.report import costs, named
from pipeline.tracking import TrainingLog
from pipeline.tracking.calls import Tracked, tracked
from pipeline.tracking.store import RESULT
from pipeline.training import InProcess, executor_for, fitted
from pipeline.training.copies import copying
from pipeline.training.own_model import random_states_kept

GIVEN = RUN_CONTROL | {"data", "target", "in_memory_mb", "model", "model_args"}
"""Options of `search` about data, network and runs: `find` is given the first two, which are of this process only."""


def find(
    model: keras.Model | Callable[..., keras.Model],
    data: Any,
    *,
    validation_data: Any = None,
    scale: str | None = None,
    track: Any = None,
    progress: bool = True,
    **options: Any,
) -> Found:
    """Find the initial rate and the decay scheme that suit a network and its data, within a budget of trainings.

    It is the search of `main`, with the same options, seeds and numbers. Your model and the random states of the
    process are left as they were. Ctrl-C ends it with the best answer so far, once a training has finished.

    Args:
        model: a built Keras model, whose weights every training starts from, or a function that returns a new one, of
            `(input_shape, num_outputs)` or of nothing. If compiled, its losses, metrics and optimizer settings count.
        data: what a data function may return: `(x, y)` or `(x, y, weights)`, a `tf.data.Dataset` or `PyDataset`, or a
            pair of these for training and test. Of several inputs x is a dictionary, or a list in the order of a given
            model's inputs; y of several outputs likewise. A DataFrame with text, gaps, dates or categories is encoded;
            `inputs` of what is returned does the same. A fifth of data without a test set is set aside for your own
            test, as in `main`.
        validation_data: one more of these, in place of a share of the training data, all of which is then trained on.
        scale: what is done to the inputs: none, so that rates hold for your data as they are, or auto, as in `main`,
            which is the default for a DataFrame that is encoded.
        track: where runs are logged, as the stages log theirs: `mlflow.active_run()`, below which they then are, or the
            URI of an MLflow store; by default nowhere.
        progress: whether to show what is being done.
        options: those of `search`, such as epochs, budget (in full trainings), minutes, tolerance, batch_size,
            optimizer, schemes, objective and seed. The optimizer is by default that of a compiled model.

    Raises:
        InputError: if an option, the model, the data or the store cannot be used.

    """
    with random_states_kept():
        if wrong := sorted(GIVEN & options.keys()):
            accepted = "data and model as the first two arguments, to train in this process"
            raise refusal(f"option {wrong[0]}", repr(options[wrong[0]]), accepted)
        chosen = validated(SearchOptions, options if "optimizer" in options else options | {"weight_decay": "fixed"})
        history.refuse_without_store(chosen, track)
        if chosen.splits > 1 and validation_data is not None:
            received = f"{chosen.splits} with validation_data"
            raise refusal("splits", received, "1, or data from which it can be drawn anew")
        if chosen.deterministic and not keras_settings.is_deterministic():
            needed = " ".join(f"{name}={value}" for name, value in keras_settings.DETERMINISTIC.items())
            raise refusal("deterministic", "True", f"it with {needed} in the environment before Python starts")
        splits = given_data.split_given(model, data, validation_data, scale, chosen)
        status = Status("find", quiet=not progress)
        for line in given_data.about(splits, chosen):
            status.note(line)
        splits, build = fitted(splits, partial(_builder, model, splits))
        if "optimizer" not in options:  # only now is it known what it can be searched with
            chosen = validated(SearchOptions, options | {"optimizer": _own_optimizer(build())})
        executor = executor_for(chosen, splits, build)
        with tracked(track, "find", chosen.experiment_name, _params(chosen) | executor.params) as place:
            asked = history.of_network(chosen, build()) if place else None
            return _Finding(chosen, splits, executor, place, asked).run(status)


def _builder(model: Any, splits: Splits, shape: InputShape) -> Builder:
    """Return a function that builds the network anew for this shape, or copies the model that was given."""
    if isinstance(model, keras.Model):
        if not model.built:
            raise refusal("model", "one without weights", "a built one, or a function that returns a new one")
        function: Callable[..., Any] = copying(model)
    elif callable(model):
        function = model
    else:
        raise refusal("model", type(model).__name__, "a Keras model, or a function that returns a new one")
    name, texts = getattr(model, "__name__", "your model"), datasets.text_inputs(splits.x_train)
    return built_by(function, name, shape, splits.num_outputs, splits.task, texts=texts, outputs=splits.outputs)


def _own_optimizer(model: keras.Model) -> str:
    """Return the name of the optimizer that a model was compiled with; SGD's if it is not compiled."""
    if not model.compiled:
        return str(SearchOptions().optimizer)
    own = optimizers.unwrapped(model.optimizer)
    if (name := optimizers.name_of(own)) is None:
        raise refusal("model's optimizer", type(own).__name__, f"one of {', '.join(optimizers.OPTIMIZERS)}")
    return name


@dataclass(eq=False)
class _Finding:
    """One call of `find`: what it is about, and the trainings that the report shows."""

    options: SearchOptions
    splits: Splits
    executor: InProcess
    place: Tracked | None
    asked: history.Searched | None
    full: list[tuple[Evaluation, Training]] = field(default_factory=list)

    def run(self, status: Status) -> Found:
        """Sweep, search, and gather what was found."""
        options, prepared = self.options, datasets.prepared("your data", self.splits, {}, self.splits.columns)
        steps_per_epoch, interrupted = prepared.steps_per_epoch, False
        with status:
            for line in filter(None, (*self.executor.remarks, self.executor.class_weights)):
                status.note(line)
            tested = [self._tested(one, steps_per_epoch, status) for one in self._settings()]
            tests = tuple(result for result, _ in tested)
            earlier = self._earlier(status)
            correction = earlier.correction if earlier else 1.0
            plan = search.planned(options, tests, steps_per_epoch, prepared.validation_examples, correction=correction)
            status.note(search_stage.announced(plan, options.budget, tests, steps_per_epoch))
            first = search.candidate(plan.spaces[0], "constant", plan.spaces[0].suggested_lr)
            self.executor.require_metric(plan.objective, Evaluation(first, plan.epochs, plan.trial_seed))
            with self._part("search", options, partial(search_stage.label, plan), status) as (ask, place):
                try:
                    watched = search.Watched(plan, ask, status.stands)
                    result, trials = search.conduct(plan, watched, status.note)
                except search.Interrupted as stopped:
                    result, trials, interrupted = stopped.result, stopped.trials, True
                result = search_stage.concluded(
                    result, tests, prepared, self.executor, self.splits, options, status.note
                ).model_copy(update={"history": earlier})
                if place is not None and self.asked is not None:
                    search_stage.write(result, trials, place[1].folder)
                    _keep(place, result, search_stage.summary(result))
                    if not interrupted:
                        history.tag(*place, self.asked, result, tests)
        own = next((one for one in tested if search.same_setting(one[0], result.winner)), tested[0])
        report = Report(
            prepare=prepared,
            range_test=own[0],
            range_tests=tests,
            search=result,
            train=None,
            sweep=own[1],
            trials=search_stage.trials_frame(trials, result.objective),
            trainings=tuple(
                named(evaluation, training, result)
                for evaluation, training in self.full
                if evaluation.epochs == plan.epochs and evaluation.seed in plan.fresh_seeds
            ),
            options=options.model_dump(exclude=set(GIVEN)),
            environment=environment(),
            costs=costs(prepared, tests, result, None, options.epochs),
            generated=datetime.now(UTC).isoformat(timespec="seconds"),
            command=_command(options),
            code=train_stage.keras_code_of(result.winner, options.epochs, self.full, self.executor),
            interrupted=interrupted,
        )
        if self.place is not None:
            write_text(self.place[1].folder / PAGE, report_page.render(report))
        steps = options.epochs * steps_per_epoch(result.winner.batch_size)
        return Found(result, tests, steps, interrupted, report, self.executor, self.splits.encoder)

    def _earlier(self, status: Status) -> History | None:
        """Return and say what the search starts from, if it is to start from an earlier answer and there is one."""
        if self.place is None or self.asked is None or self.options.history == "off":
            return None
        known = history.known_searches(self.place[0])
        run_id = next(history.most_related(known, self.asked), None)
        earlier = history.told(run_id, known[run_id]) if run_id else None
        status.note(history.line(earlier))
        return earlier

    def _settings(self) -> Iterator[SearchOptions]:
        """Yield the options for each optimizer with each batch size, the first as given."""
        for optimizer, size in product(self.options.optimizers, self.options.batch_sizes):
            yield self.options.model_copy(update={"optimizer": optimizer, "batch_size": str(size)})

    def _tested(
        self, options: SearchOptions, steps_per_epoch: Callable[[int], int], status: Status
    ) -> tuple[RangeTestResult, Sweep | None]:
        if (known := range_test.not_swept(options)) is not None:
            status.note(known.reason)
            return known, None
        with self._part("range_test", options, range_test_stage.label, status) as (ask, place):
            tested = range_test.conduct(range_test.planned(options, steps_per_epoch), ask)
            if place is not None:
                range_test_stage.write(tested, *place)
                _keep(place, tested.result, range_test_stage.summary(tested.result))
        return tested.result, _sweep(tested)

    @contextmanager
    def _part(
        self, stage: str, options: SearchOptions, describe: Describe, status: Status
    ) -> Iterator[tuple[Ask, Tracked | None]]:
        """Yield how a stage's work asks for trainings, and where it is tracked if it is."""
        if self.place is None:
            yield (
                partial(self._remembered, lambda asked: self.executor.ask(asked, lambda one: status.begin(one.name))),
                None,
            )
            return
        store, parent = self.place
        key = uuid4().hex  # a model and data in memory have no digest, so nothing is found again
        tags = {"pipeline.stage": stage, "pipeline.fingerprint": key}
        name = f"{stage} {options.optimizer} batch={options.batch_size}"
        with store.part_run(name, parent, tags, _params(options) | self.executor.params) as run:
            asking = Asking(self.executor, TrainingLog(store, run, key, lr_curve, status.note), describe, status)
            yield partial(self._remembered, asking.ask), (store, run)
            asking.finish(f"{stage} has ended")

    def _remembered(self, ask: Ask, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        for evaluation, training in ask(evaluations):
            if not evaluation.is_sweep:
                self.full.append((evaluation, training))
            yield evaluation, training


def _keep(place: Tracked, result: RangeTestResult | SearchResult, summary: str) -> None:
    store, run = place
    write_text(run.folder / RESULT, result.model_dump_json(indent=2))
    store.summarise(run, summary)


def _sweep(tested: Conducted) -> Sweep:
    curves = tested.found.analysis
    return Sweep(tested.found.rates, tested.found.losses, curves.median, curves.band_low, curves.band_high)


def _params(options: SearchOptions) -> dict[str, object]:
    return {name: value for name, value in options.model_dump(exclude=set(GIVEN)).items() if value is not None}


def _command(options: SearchOptions) -> str:
    """Return the call, with every option that differs from its default."""
    default, given = SearchOptions(), options.model_dump(exclude=set(GIVEN))
    changed = [f"{name}={value!r}" for name, value in given.items() if value != getattr(default, name)]
    return f"find({', '.join(['model', 'data', *changed])})"
