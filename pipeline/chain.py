"""Which stage needs which, and find-or-run: a stage runs only where no finished run answers already."""

import importlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType

from pipeline import config, datasets
from pipeline.articles.splitting import refuse_unusable
from pipeline.articles.table import searches
from pipeline.config import TRAINING, PrepareOptions, RangeTestOptions, ReproduceOptions, TrainOptions
from pipeline.console import Status, native_messages_hidden
from pipeline.errors import InputError
from pipeline.fingerprints import fingerprint, user_code_digest
from pipeline.loading import quick_imports
from pipeline.results import PrepareResult, ReportResult
from pipeline.stages.context import ARTICLES, REPORTS, Context, Upstream
from pipeline.tracking import Finished, StageRun, Store
from pipeline.tracking.files import write_text
from pipeline.tracking.projects import launch
from pipeline.tracking.store import RESULT


@dataclass(frozen=True)
class Stage:
    """One entry point: the title of its runs, its options, and the stages it builds upon, in order."""

    name: str
    title: str
    options: type[PrepareOptions]
    needs: tuple[str, ...] = ()

    @property
    def module(self) -> ModuleType:
        """Its code, imported only where the stage runs: no stage pays for what another needs."""
        with native_messages_hidden(), quick_imports():
            return importlib.import_module(f"pipeline.stages.{self.name}")

    def titled(self, options: PrepareOptions) -> str:
        """What tells one of its runs from another."""
        return self.title.format(**options.model_dump())

    def needed(self, options: PrepareOptions) -> tuple[str, ...]:
        """What it builds upon with these options: a scheme given by the user needs no search."""
        if isinstance(options, TrainOptions) and options.scheme is not None:
            return tuple(name for name in self.needs if name not in ("range_test", "search"))
        return self.needs


STAGES: dict[str, Stage] = {
    "prepare": Stage("prepare", "prepare {data}", config.PrepareOptions),
    "range_test": Stage(
        "range_test", "range_test {optimizer} batch={batch_size} on {data}", config.RangeTestOptions, ("prepare",)
    ),
    "search": Stage("search", "search {optimizer} on {data}", config.SearchOptions, ("prepare", "range_test")),
    "train": Stage("train", "train {model} on {data}", config.TrainOptions, ("prepare", "range_test", "search")),
    "report": Stage(
        "report", "report {model} on {data}", config.ReportOptions, ("prepare", "range_test", "search", "train")
    ),
    "reproduce": Stage("reproduce", "articles on {data}", config.ReproduceOptions, ("prepare",)),
}

PUBLISHED = {"report": (REPORTS, ("*.html", "*.png")), "reproduce": (ARTICLES, ("*.html", "*.md", "*.png", RESULT))}
"""The stages that leave pages for people: where in the working directory, and which of their artifacts."""

MAIN = Stage("main", "{model} on {data}", config.MainOptions, ("prepare", "range_test", "search", "train", "report"))


def run_main(options: config.MainOptions) -> ReportResult:
    """Run the whole chain; every stage becomes a child of this run, reused or not."""
    store = Store(options.experiment_name)
    store.sweep()
    with store.stage_run("main", MAIN.titled(options), _params(options)) as run:
        runs: dict[str, Finished] = {}
        for key, stage, own in _needed(MAIN, options):
            runs[key] = _obtain_child(stage, own, runs, store, run)
        store.copy_metrics(runs["train"], run.run_id)
        result = ReportResult.model_validate_json(runs["report"].result)
        store.summarise(run, result.answer[0])
        write_text(run.folder / RESULT, runs["report"].result)
    return result


def run_stage(name: str, options: PrepareOptions) -> None:
    """Run one stage in this process, after the stages it builds upon where these have no finished run."""
    if name == "range_test":
        _refuse_several(options)
    stage, store = STAGES[name], Store(options.experiment_name)
    store.sweep()
    with store.stage_run(name, stage.titled(options), _params(options)) as run:
        upstream: dict[str, Finished] = {}
        for need, earlier, own in _needed(stage, options):
            upstream[need] = _obtain_upstream(earlier, own, upstream, store, run)
        if isinstance(options, ReproduceOptions):
            upstream |= _obtain_searches(options, upstream["prepare"], store, run)
        key = _key(stage, options, upstream)
        store.set_fingerprint(run, key)
        with Status(name) as status:
            found = _reusable(stage, options, key, store)
            if found is not None:
                store.mark_reused(run, found)
                status.done(found.summary, reused=True)
            else:
                trainings = _trainings_key(stage, options, upstream)
                result = stage.module.run(Context(options, Upstream(upstream), key, trainings, run, store, status))
                write_text(run.folder / RESULT, result.model_dump_json(indent=2))
                store.summarise(run, summary := stage.module.summary(result))
                status.done(summary)
        _publish(name, found.folder if found else run.folder)


def _needed(stage: Stage, options: PrepareOptions) -> Iterator[tuple[str, Stage, PrepareOptions]]:
    """What a stage builds upon: a key, the stage and its options.

    The range test comes once for each optimizer with each batch size.
    """
    for name in stage.needed(options):
        if name == "range_test" and isinstance(options, RangeTestOptions):
            for place, (optimizer, size) in enumerate(product(options.optimizers, options.batch_sizes)):
                own = options.model_copy(update={"optimizer": optimizer, "batch_size": str(size)})
                yield f"{name} {optimizer} {size}" if place else name, STAGES[name], own
        else:
            yield name, STAGES[name], options


def _refuse_several(options: PrepareOptions) -> None:
    """A range test alone has one optimizer and one batch size."""
    for name in ("optimizer", "batch_size"):
        if "," in (received := getattr(options, name)):
            raise InputError(f"{name}: received {received!r}, expected one; the search tests each of several")


def _obtain_child(
    stage: Stage, options: PrepareOptions, runs: Mapping[str, Finished], store: Store, run: StageRun, label: str = ""
) -> Finished:
    """Reuse or run a stage below this run; `label` tells stages of the same title apart."""
    own = _narrowed(stage, options)
    name = f"{label} {stage.titled(own)}".lstrip()
    found = _reusable(stage, own, _key(stage, own, runs), store)
    if found is None:
        launched = _launch(stage, own, store, run)
        if label:
            store.rename(launched, name)
        return launched
    store.log_reuse(name, found, run)
    _publish(stage.name, found.folder)
    with Status(stage.name) as status:
        status.done(found.summary, reused=True)
    return found


def _obtain_upstream(
    stage: Stage, options: PrepareOptions, runs: Mapping[str, Finished], store: Store, run: StageRun
) -> Finished:
    own = _narrowed(stage, options)
    key = _key(stage, own, runs)
    return store.find(stage.name, key) or _launch(stage, own, store, run)


def _obtain_searches(options: ReproduceOptions, prepared: Finished, store: Store, run: StageRun) -> dict[str, Finished]:
    """The range test and the search behind each of this project's answers to the articles."""
    refuse_unusable(PrepareResult.model_validate_json(prepared.result), options.article)
    obtained: dict[str, Finished] = {}
    for answer, search in searches(options).items():
        runs = {"prepare": prepared}
        for need in ("range_test", "search"):
            runs[need] = _obtain_child(STAGES[need], search, runs, store, run, answer)
            obtained[f"{answer}/{need}"] = runs[need]
    return obtained


def _launch(stage: Stage, options: PrepareOptions, store: Store, run: StageRun) -> Finished:
    launch(stage.name, options.model_dump(mode="json", exclude={"experiment_name"}), run.experiment_id)
    finished = store.find_child(run, stage.name)
    if finished is None:
        raise RuntimeError(f"{stage.name} ended well, but its run cannot be found in the tracking store")
    return finished


def _reusable(stage: Stage, options: PrepareOptions, key: str, store: Store) -> Finished | None:
    """A finished run that answers already; never for data from a function, which may give other data each time."""
    if options.fresh or (stage.name == "prepare" and datasets.source_digest(options.data) is None):
        return None
    return store.find(stage.name, key)


def _narrowed(stage: Stage, options: PrepareOptions) -> PrepareOptions:
    return stage.options(**{name: getattr(options, name) for name in stage.options.model_fields})


def _key(stage: Stage, options: PrepareOptions, runs: Mapping[str, Finished]) -> str:
    """The fingerprint of a stage; of prepared data only the content counts, not how it came about."""
    if stage.name == "prepare":
        return fingerprint(stage.name, options, {"source": datasets.source_digest(options.data) or "unknown"})
    keys = {key for key, _, _ in _needed(stage, options)}
    if isinstance(options, ReproduceOptions):
        keys |= set(runs)  # the articles' searches, which its options name
    upstream = {key: run.fingerprint for key, run in runs.items() if key in keys and key != "prepare"}
    return fingerprint(stage.name, options, {**_inputs(options, runs), **upstream})


def _trainings_key(stage: Stage, options: PrepareOptions, runs: Mapping[str, Finished]) -> str:
    """The fingerprint of what a stage's trainings share, whatever else the stage is asked."""
    return fingerprint(stage.name, options, _inputs(options, runs), only=TRAINING)


def _inputs(options: PrepareOptions, runs: Mapping[str, Finished]) -> dict[str, str]:
    """The digests of the prepared data and of the user's model, where a stage has them."""
    data = PrepareResult.model_validate_json(runs["prepare"].result).digests if "prepare" in runs else {}
    return {**data, "model": user_code_digest(getattr(options, "model", ""))}


def _publish(stage: str, folder: Path) -> None:
    """Copy a page and its pictures to where people look for them."""
    if stage not in PUBLISHED:
        return
    place, kinds = PUBLISHED[stage]
    place.mkdir(parents=True, exist_ok=True)
    for file in (file for kind in kinds for file in folder.glob(kind)):
        shutil.copyfile(file, place / file.name)


def _params(options: PrepareOptions) -> dict[str, object]:
    return options.model_dump(exclude={"experiment_name", "fresh"})
