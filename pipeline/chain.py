"""Dependencies between stages. A stage runs only if no finished run can be reused."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline import config, datasets
from pipeline.articles.experiment import refuse_unusable
from pipeline.articles.table import searches
from pipeline.config import PrepareOptions, ReproduceOptions, SearchOptions, TrainOptions
from pipeline.console import Status, native_messages_hidden
from pipeline.datasets import PrepareResult
from pipeline.fingerprints import fingerprint
from pipeline.loading import quick_imports
from pipeline.results import ReportResult
from pipeline.stages.context import ARTICLES, PAGE, REPORTS, Context, Upstream, inputs
from pipeline.stages.publishing import Published, place_of, publish
from pipeline.tracking import Finished, StageRun, Store
from pipeline.tracking.integrity import write_text
from pipeline.tracking.projects import Handover, launch, take_handover
from pipeline.tracking.store import RESULT

Runs = Mapping[str, Finished]


@dataclass(frozen=True)
class Need:
    """An earlier stage that another one depends on.

    Attributes:
        key: the key under which the dependent stage finds its run.
        stage: the name of the stage.
        options: its options, and possibly others.
        label: a prefix of its run's name and of the keys of its own dependencies.
        check: raises InputError if its run cannot be used.

    """

    key: str
    stage: str
    options: PrepareOptions
    label: str = ""
    check: Callable[[Finished], None] = lambda run: None


@dataclass(frozen=True)
class Stage:
    """One entry point.

    Attributes:
        title: the name of its runs, a format string with options as fields.
        options: the type of its options.
        needs: the stages it depends on, in order.
        inputs: the digests of what its result depends on besides options and code.
        repeatable: whether running it again would give the same result; if not, a request for it always runs it.
        shows_needs: whether the stages it depends on become children of its run, reused or not.
        published: the folder where users look for its pages, and the patterns of the artifacts copied there.

    """

    name: str
    title: str
    options: type[PrepareOptions]
    needs: Callable[[Any], Iterable[Need]]
    inputs: Callable[[Any, Runs], Mapping[str, str]]
    repeatable: Callable[[Any], bool] = lambda options: True
    shows_needs: bool = False
    published: Published = None

    @property
    def module(self) -> ModuleType:
        """The stage's module, imported only when the stage runs: no stage waits for the imports of another."""
        with native_messages_hidden(), quick_imports():
            return importlib.import_module(f"pipeline.stages.{self.name}")

    def titled(self, options: PrepareOptions) -> str:
        """Return the name of a run."""
        return self.title.format(**options.model_dump())

    def narrowed(self, options: PrepareOptions) -> PrepareOptions:
        """Return this stage's options, taken from those of a later stage."""
        return self.options(**{name: getattr(options, name) for name in self.options.model_fields})

    def key(self, options: PrepareOptions, runs: Runs) -> str:
        """Return the fingerprint. Prepared data count only by content, not by how they were prepared."""
        earlier = {key: run.fingerprint for key, run in runs.items() if key != "prepare"}
        return fingerprint(self.name, options, {**self.inputs(options, runs), **earlier})


def _prepared(options: PrepareOptions) -> Iterator[Need]:
    yield Need("prepare", "prepare", options)


def _range_tested(options: SearchOptions) -> Iterator[Need]:
    """Yield a range test for each optimizer with each batch size."""
    yield from _prepared(options)
    for place, (optimizer, size) in enumerate(product(options.optimizers, options.batch_sizes)):
        own = options.model_copy(update={"optimizer": optimizer, "batch_size": str(size)})
        yield Need(f"range_test {optimizer} {size}" if place else "range_test", "range_test", own)


def _searched(options: TrainOptions) -> Iterator[Need]:
    """Yield range tests and the search, or only the data if the user gives the scheme."""
    if options.scheme is not None:
        yield from _prepared(options)
        return
    yield from _range_tested(options)
    yield Need("search", "search", options)


def _trained(options: TrainOptions) -> Iterator[Need]:
    yield from _searched(options)
    yield Need("train", "train", options)


def _reported(options: TrainOptions) -> Iterator[Need]:
    yield from _trained(options)
    yield Need("report", "report", options)


def _answered(options: ReproduceOptions) -> Iterator[Need]:
    """Yield the range test and the search behind each of this project's answers to the articles."""

    def check(prepared: Finished) -> None:
        refuse_unusable(PrepareResult.model_validate_json(prepared.result), options.article)

    yield Need("prepare", "prepare", options, check=check)
    for answer, search in searches(options).items():
        for name in ("range_test", "search"):
            yield Need(f"{answer}/{name}", name, search, answer)


_source_digest = cache(datasets.source_digest)  # reading a large file takes seconds


def _source(options: PrepareOptions, runs: Runs) -> dict[str, str]:
    return {"source": _source_digest(options.data) or "unknown"}


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "prepare",
            "prepare {data}",
            config.PrepareOptions,
            lambda options: (),
            _source,
            repeatable=lambda options: _source_digest(options.data) is not None,  # a function may give other data
        ),
        Stage(
            "range_test",
            "range_test {optimizer} batch={batch_size} on {data}",
            config.RangeTestOptions,
            _prepared,
            inputs,
        ),
        Stage("search", "search {optimizer} on {data}", config.SearchOptions, _range_tested, inputs),
        Stage("train", "train {model} on {data}", config.TrainOptions, _searched, inputs),
        Stage(
            "report",
            "report {model} on {data}",
            config.ReportOptions,
            _trained,
            inputs,
            published=(REPORTS, ("*.html", "*.png")),
        ),
        Stage(
            "reproduce",
            "articles on {data}",
            config.ReproduceOptions,
            _answered,
            inputs,
            shows_needs=True,
            published=(ARTICLES, ("*.html", "*.md", "*.png", RESULT)),
        ),
        Stage("main", "{model} on {data}", config.MainOptions, _reported, inputs, shows_needs=True),
    )
}


def run_main(options: config.MainOptions, tell: Callable[[Sequence[str], Path | None], None]) -> None:
    """Run the whole chain; every stage becomes a child of this run, reused or not.

    Args:
        options: those of the command.
        tell: is given the answer, and where the report is, as soon as they are known: what fails later, or the report
            itself, does not keep them from the user.

    """
    main, report, store = STAGES["main"], STAGES["report"], Store(options.experiment_name)
    store.end_dead_runs()
    with store.stage_run("main", main.titled(options), _params(options)) as run:
        runs: dict[str, Finished] = {}
        try:
            _obtain_all(main, options, store, run, runs)
        except Exception:
            if "train" in runs:
                with Status("report") as status:
                    context = Context(report.narrowed(options), Upstream(runs), "", run, store, status)
                    tell(report.module.answer(context), None)
            raise
        result = ReportResult.model_validate_json(runs["report"].result)
        tell(result.answer, place_of(PAGE, REPORTS, runs["report"].folder))
        store.copy_metrics(runs["train"], run.run_id)
        store.summarise(run, result.answer[0])
        write_text(run.folder / RESULT, runs["report"].result)


def run_stage(name: str, options: PrepareOptions) -> None:
    """Run one stage in this process, and first any stage it depends on that has no finished run."""
    stage, store = STAGES[name], Store(options.experiment_name)
    store.end_dead_runs()
    with store.stage_run(name, stage.titled(options), _params(options)) as run:
        handover = _handover(store)
        runs, key = handover or (_obtain_all(stage, options, store, run, {}), "")
        key = key or stage.key(options, runs)
        store.set_fingerprint(run, key)
        with Status(name) as status:
            found = None if handover or options.fresh or not stage.repeatable(options) else store.find(name, key)
            if found is not None:
                store.mark_reused(run, found)
                status.done(found.summary, reused=True)
            else:
                result = stage.module.run(Context(options, Upstream(runs), key, run, store, status))
                write_text(run.folder / RESULT, result.model_dump_json(indent=2))
                store.summarise(run, summary := stage.module.summary(result))
                status.done(summary)
        publish(found.folder if found else run.folder, stage.published)


def _obtain_all(
    stage: Stage, options: PrepareOptions, store: Store, run: StageRun, runs: dict[str, Finished]
) -> dict[str, Finished]:
    """Find or run every stage that this one depends on; `runs` is filled with them."""
    for need in stage.needs(options):
        obtain = _obtain_shown if stage.shows_needs else _obtain
        runs[need.key] = obtain(need, _upstream(need, runs), store, run)
        need.check(runs[need.key])
    return runs


def _upstream(need: Need, runs: Runs) -> dict[str, Finished]:
    """Return the runs that a needed stage itself depends on, under its own keys for them."""
    keys = [earlier.key for earlier in STAGES[need.stage].needs(need.options)]
    return {key: runs[own] if (own := f"{need.label}/{key}") in runs else runs[key] for key in keys}


def _obtain(need: Need, runs: Runs, store: Store, run: StageRun) -> Finished:
    """Return the newest finished run of a stage, or run the stage below this run."""
    stage = STAGES[need.stage]
    options = stage.narrowed(need.options)
    key = stage.key(options, runs)
    return store.find(stage.name, key) or _launch(stage, options, key, runs, store, run)


def _obtain_shown(need: Need, runs: Runs, store: Store, run: StageRun) -> Finished:
    """Reuse a finished run of a repeatable stage and show it below this run; otherwise run the stage there."""
    stage = STAGES[need.stage]
    options = stage.narrowed(need.options)
    key, name = stage.key(options, runs), f"{need.label} {stage.titled(options)}".lstrip()
    found = None if options.fresh or not stage.repeatable(options) else store.find(stage.name, key)
    if found is None:
        launched = _launch(stage, options, key, runs, store, run)
        if need.label:
            store.rename(launched, name)
        return launched
    store.log_reuse(name, found, run)
    publish(found.folder, stage.published)
    with Status(stage.name) as status:
        status.done(found.summary, reused=True)
    return found


def _launch(stage: Stage, options: PrepareOptions, key: str, runs: Runs, store: Store, run: StageRun) -> Finished:
    known = Handover({name: earlier.run_id for name, earlier in runs.items()}, key)
    launch(stage.name, options.model_dump(mode="json", exclude={"experiment_name"}), run.experiment_id, known)
    finished = store.find_child(run, stage.name)
    if finished is None:
        raise RuntimeError(f"{stage.name} succeeded, but its run cannot be found in the tracking store")
    return finished


def _handover(store: Store) -> tuple[dict[str, Finished], str] | None:
    """Return the runs this stage depends on, and its key, if the process that started it passed them."""
    given = take_handover()
    if given is None:
        return None
    runs = {name: store.get(run_id) for name, run_id in given.runs.items()}
    whole = {name: run for name, run in runs.items() if run is not None}
    return (whole, given.key) if len(whole) == len(runs) else None


def _params(options: PrepareOptions) -> dict[str, object]:
    return options.model_dump(exclude={"experiment_name", "fresh"})
