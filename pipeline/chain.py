"""The chain: a stage runs only if no finished run of it can be reused."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline import config
from pipeline.config import Layered, PrepareOptions
from pipeline.config.layers import EFFECTIVE
from pipeline.console import Status
from pipeline.files import write_text
from pipeline.results import ReportResult, TrainResult
from pipeline.stages import history
from pipeline.stages.context import CODE, ORIGINS, PAGE, REPORTS, Context, Upstream
from pipeline.stages.publishing import place_of, publish
from pipeline.stages.table import STAGES, Need, Runs, Stage
from pipeline.tracking import Finished, StageRun, Store
from pipeline.tracking.delivery import store_in_order
from pipeline.tracking.projects import Handover, launch, take_handover
from pipeline.tracking.store import RESULT
from pipeline.tracking.views import artifact_page, note_newest

Tell = Callable[[Sequence[str], Mapping[str, str]], None]
"""Is given the answer, and where what it leaves is: the report, the schedule as code, the registered model."""


def run_main(given: Layered[Any], tell: Tell) -> None:
    """Run the whole chain; every stage becomes a child of this run, reused or not.

    Args:
        given: the options of the command.
        tell: is given the answer, and where report, schedule and model are, as soon as they are known: what fails
            later, or the report itself, does not keep them from the user. If the chain is interrupted, it is given the
            best answer so far.

    """
    options: config.MainOptions = given.options
    main, store = STAGES["main"], store_in_order(options.experiment_name)
    with store.stage_run("main", main.titled(options), _params(options), system_metrics=options.system_metrics) as run:
        runs: dict[str, Finished] = {}
        _keep(given, store, run)
        try:
            _obtain_all(main, options, store, run, runs)
        except (Exception, KeyboardInterrupt) as error:
            with suppress(Exception):  # what ended the chain is what the user must know
                _tell_so_far(options, store, run, runs, tell, interrupted=isinstance(error, KeyboardInterrupt))
            raise
        result = ReportResult.model_validate_json(runs["report"].result)
        tell(result.answer, _places(runs))
        store.copy_metrics(runs["train"], run.run_id)
        store.summarise(run, result.answer[0])
        write_text(run.folder / RESULT, runs["report"].result)
        report, trained = store.client.get_run(runs["report"].run_id).info, _trained(runs)
        page = artifact_page(report.experiment_id, report.run_id, PAGE)
        note_newest(store.client, run.experiment_id, result.answer[0], page, trained.registered)


def _trained(runs: Runs) -> TrainResult:
    return TrainResult.model_validate_json(runs["train"].result)


def _places(runs: Runs) -> dict[str, str]:
    """Return where report and schedule are, and the model, if it could be registered."""
    places = {"Report": place_of(PAGE, REPORTS, runs["report"]), "Schedule": place_of(CODE, REPORTS, runs["train"])}
    registered = _trained(runs).registered
    return places if registered is None else {**places, "Model": f"models:/{registered.replace(' version ', '/')}"}


def _tell_so_far(
    options: config.MainOptions, store: Store, run: StageRun, runs: Runs, tell: Tell, *, interrupted: bool
) -> None:
    """Tell the answer of a chain that ends early, if there is one: if it was interrupted, with a report."""
    stage, known = STAGES["report"], dict(runs)
    if interrupted and "search" not in runs and (search := store.find_child(run, "search", "KILLED")):
        known["search"] = search
    if not {"search", "train"} & known.keys():
        return
    context = Context(stage.narrowed(options), Upstream(known), "", run, store, Status(stage.name, quiet=options.quiet))
    if not interrupted:
        tell(stage.module.answer(context), {})
        return
    answer = stage.module.so_far(context)
    publish(run.folder, stage.published)
    tell(answer, {"Report": place_of(PAGE, REPORTS, run)})


def run_stage(name: str, given: Layered[Any]) -> None:
    """Run one stage in this process, and first any stage it depends on that has no finished run."""
    options: PrepareOptions = given.options
    stage, store = STAGES[name], store_in_order(options.experiment_name)
    with store.stage_run(name, stage.titled(options), _params(options), system_metrics=options.system_metrics) as run:
        handover = _handover(store)
        if not handover:  # those of a chain are with its own run
            _keep(given, store, run)
        runs, key = handover or (_with_earlier(stage, options, store, _obtain_all(stage, options, store, run, {})), "")
        key = key or stage.key(options, runs)
        store.set_fingerprint(run, key)
        if name == "search":
            store.client.set_tag(run.run_id, history.QUESTION, _question(options, runs))
        with Status(name, quiet=options.quiet, verbose=options.verbose) as status:
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
        own = _with_earlier(STAGES[need.stage], need.options, store, _upstream(need, runs))
        runs[need.key] = obtain(need, own, store, run)
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


def _with_earlier(stage: Stage, options: PrepareOptions, store: Store, runs: Runs) -> Runs:
    """Add the earlier search that a search is to start from, if one is related: its key then covers that one too."""
    if stage.name != "search" or not isinstance(options, config.SearchOptions) or options.history == "off":
        return runs
    related = history.most_related(history.known_searches(store), history.searched(options), _question(options, runs))
    earlier = next((run for run_id in related if (run := store.get(run_id)) is not None), None)
    return runs if earlier is None else {**runs, history.EARLIER: earlier}


def _question(options: PrepareOptions, runs: Runs) -> str:
    """Return the key that a search has without an earlier answer, which is the same whatever it starts from."""
    stage, own = STAGES["search"], {key: run for key, run in runs.items() if key != history.EARLIER}
    return stage.key(stage.narrowed(options).model_copy(update={"history": "off"}), own)


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
    with Status(stage.name, quiet=options.quiet) as status:
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


def _keep(given: Layered[Any], store: Store, run: StageRun) -> None:
    """Keep a command's options with its run, whose parameters are those of the entry point if `mlflow run` began it."""
    write_text(run.folder / EFFECTIVE, given.as_yaml())
    if given.untyped:
        store.client.set_tag(run.run_id, "pipeline.options", given.untyped)
    store.client.set_tag(run.run_id, ORIGINS, json.dumps(dict(given.origins)))


def _params(options: PrepareOptions) -> dict[str, object]:
    return options.model_dump(exclude={"experiment_name", "fresh"})
