"""Stage `reproduce`: the two articles' experiments, their claims judged, and what this project finds instead."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zlib import crc32

import numpy as np

from pipeline import datasets
from pipeline.articles.experiment import PUBLISHED_EXAMPLES, ClaimResult, Experiment, ReproduceResult, as_published
from pipeline.articles.judging import Judgement, judge, loss_difference
from pipeline.articles.table import chosen, epochs_of, printed_rates, seeds_of
from pipeline.config import ReproduceOptions
from pipeline.datasets import Raw
from pipeline.files import write_text
from pipeline.reporting import articles_page
from pipeline.reporting.articles_page import Panel
from pipeline.reporting.report_inputs import Sweep, read_sweep
from pipeline.reporting.style import WIDE
from pipeline.results import RangeTestResult, SeedScore
from pipeline.schedules import Array, curve
from pipeline.stages.context import Context, command, environment
from pipeline.stages.experiments import Conducted, Laboratory
from pipeline.statistics import mean_interval

_ANSWER_ON_B = "S2"

_MNIST = 0xEE8604D9
"""CRC-32 of the labels of MNIST's test set: results on other data of its size are not comparable with the articles'."""


def summary(result: ReproduceResult) -> str:
    """Return the result in one line."""
    counts = Counter(row.verdict for row in result.experiments)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(result.experiments)} experiments, claims: {verdicts}; reports/articles/index.html"


def run(context: Context[ReproduceOptions]) -> ReproduceResult:
    """Conduct every requested experiment, judge the claims, and write the page."""
    options, status = context.options, context.status
    experiments = chosen(options)
    status.expect(sum(e.cost * epochs_of(e, options) * seeds_of(e, options) for e in experiments))
    raw = datasets.load(**options.source, limit=options.in_memory_mb * 2**20, task=options.task)
    laboratory = Laboratory(context, raw)
    conducted = [laboratory.conduct(e, epochs_of(e, options), seeds_of(e, options)) for e in experiments]
    scores = {one.experiment.id: one.result.scores for one in conducted if one.result.scores}
    classes = laboratory.splits(experiments[0].article).num_outputs
    judgements = judge([one.experiment for one in conducted if one.experiment.id in scores], scores, classes)
    result = ReproduceResult(
        data=options.data,
        train_examples=len(raw.y_train),
        as_published=_as_published(raw, experiments, options),
        experiments=tuple(_claim(one, scores, judgements.get(one.experiment.id)) for one in conducted),
        printed_rates=printed_rates(),
    )
    _write(context, result, conducted)
    return result


def _as_published(raw: Raw, experiments: Sequence[Experiment], options: ReproduceOptions) -> bool:
    whole = all(epochs_of(experiment, options) == experiment.epochs for experiment in experiments)
    return whole and as_published(raw) and len(raw.y_train) == PUBLISHED_EXAMPLES and _is_mnist(raw)


def _is_mnist(raw: Raw) -> bool:
    labels = raw.y_test
    return labels is not None and labels.dtype.kind in "iu" and crc32(labels.astype(np.uint8).tobytes()) == _MNIST


def _claim(one: Conducted, scores: Mapping[str, Sequence[SeedScore]], judgement: Judgement | None) -> ClaimResult:
    """Return the row of an experiment; without a `judgement` it was not run."""
    experiment, own = one.experiment, one.result.scores
    judgement = judgement or Judgement("not run", one.result.reason)
    other = scores.get(experiment.check.than) if own else None
    published = experiment.published
    return ClaimResult(
        id=experiment.id,
        title=experiment.title,
        claim=experiment.claim,
        published_accuracy=published.test_accuracy if published else None,
        published_loss=published.test_loss if published else None,
        test_accuracy=mean_interval([score.test_accuracy or 0.0 for score in own]) if own else None,
        test_loss=mean_interval([score.test_loss for score in own]) if own else None,
        compared_with=experiment.check.than if other else "",
        difference=loss_difference(own, other) if other else None,
        verdict=judgement.verdict,
        remark=judgement.remark,
        trained=one.result,
    )


def _write(context: Context[ReproduceOptions], result: ReproduceResult, conducted: Sequence[Conducted]) -> None:
    """Write `index.html`, and `README.md` with its pictures."""
    context.status.begin("drawing")
    folder = context.run.folder
    page = articles_page.Articles(
        result=result,
        curves=_curves([one.experiment for one in conducted]),
        panels={
            one.experiment.id: Panel(one.experiment.name, one.history) for one in conducted if not one.history.empty
        },
        sweep=_sweep(context),
        environment=environment(),
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command(context.options, "reproduce"),
    )
    for picture in articles_page.pictures(page):
        picture.draw(WIDE).savefig(folder / f"{picture.name}.png")
    write_text(folder / "index.html", articles_page.html(page))
    write_text(folder / "README.md", articles_page.markdown(page))


def _curves(experiments: Sequence[Experiment]) -> dict[str, dict[str, Array]]:
    """Return the decay schemes of each article, with one rate per epoch over all epochs of the article."""
    drawn: dict[str, dict[str, Array]] = {}
    for experiment in experiments:
        if experiment.group == "decay":
            drawn.setdefault(experiment.article, {})[experiment.name] = _per_epoch(experiment)
    return drawn


def _per_epoch(experiment: Experiment) -> Array:
    steps_per_epoch = PUBLISHED_EXAMPLES // experiment.batch_size
    rates = curve(
        experiment.scheme,
        steps=experiment.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        initial_lr=experiment.initial_lr,
        params=experiment.params,
    )
    return np.asarray(rates[::steps_per_epoch])


def _sweep(context: Context[ReproduceOptions]) -> tuple[RangeTestResult, Sweep] | None:
    source = f"{_ANSWER_ON_B}/range_test"
    if source not in context.upstream.runs:
        return None
    found, _ = context.upstream.behind(_ANSWER_ON_B)
    sweep = read_sweep(context.upstream.folder(source))
    return None if sweep is None else (found, sweep)
