"""The stages, and which earlier ones each of them needs."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import ModuleType
from typing import Any

from pipeline import config, datasets
from pipeline.articles.experiment import refuse_unusable
from pipeline.articles.table import searches
from pipeline.config import PrepareOptions, ReproduceOptions, SearchOptions, TrainOptions
from pipeline.console import native_messages_hidden
from pipeline.datasets import PrepareResult
from pipeline.errors import refusal
from pipeline.fingerprints import fingerprint
from pipeline.loading import quick_imports
from pipeline.stages.context import ARTICLES, CODE, OPTIMIZER_FILES, REPORTS, inputs
from pipeline.stages.publishing import Published
from pipeline.tracking import Finished
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
        """Return this stage's options, taken from those of a later stage; what only this one has keeps its default."""
        names = (name for name in self.options.model_fields if name in type(options).model_fields)
        return self.options(**{name: getattr(options, name) for name in names})

    def key(self, options: PrepareOptions, runs: Runs) -> str:
        """Return the fingerprint. Prepared data count only by content, not by how they were prepared."""
        earlier = {key: run.fingerprint for key, run in runs.items() if key != "prepare"}
        return fingerprint(self.name, options, {**self.inputs(options, runs), **earlier})


def _prepared(options: PrepareOptions) -> Iterator[Need]:
    def check(prepared: Finished) -> None:
        splits = getattr(options, "splits", 1)
        if splits > 1 and PrepareResult.model_validate_json(prepared.result).validation_given:
            received = f"{splits} for data with a validation set of their own"
            raise refusal("splits", received, "1, or data from which it can be drawn anew")

    yield Need("prepare", "prepare", options, check=check)


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


def _shown(options: TrainOptions) -> Iterator[Need]:
    """Yield all stages, or none if the runs to compare are given; as part of a chain, none are."""
    if getattr(options, "runs", None) is None:
        yield from _trained(options)


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
        Stage(
            "train",
            "train {model} on {data}",
            config.TrainOptions,
            _searched,
            inputs,
            published=(REPORTS, (CODE, *OPTIMIZER_FILES)),
        ),
        Stage(
            "report",
            "report {model} on {data}",
            config.ReportOptions,
            _shown,
            inputs,
            repeatable=lambda options: options.runs is None,  # other programs may go on logging to theirs
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
