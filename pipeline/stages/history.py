"""Starting a search from the answer of an earlier one: which of the store's it is, and what it says.

The earlier winner's rate, divided by the rate that its range test suggested, says by how much range tests may be off
for such a network. Where the trials begin, the suggestion of the new range test is multiplied by the square root of
this ratio: the whole of it costs too much where the earlier answer misleads (reports/trust.md, f).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, sqrt
from typing import Any

from pydantic import ValidationError

from pipeline.config import SearchOptions
from pipeline.errors import refusal
from pipeline.fingerprints import model_digest
from pipeline.reporting import wording
from pipeline.results import History, RangeTestResult, Result, SearchResult
from pipeline.tracking import StageRun, Store

EARLIER = "history"
"""The key of the earlier search among the runs that a search depends on."""

QUESTION = "pipeline.question"
"""The tag of a search that is equal for searches which differ only in what they start from."""

SEARCHED = "pipeline.searched"
"""The tag of a finished search with its `Searched`, as JSON."""

STARTED_FROM = "pipeline.history"
"""The tag of a search with the id of the run from whose answer it started."""

_LONGEST = 1_000
"""The most characters of a name in a tag."""


class Searched(Result):
    """What a search was about, and the ratio of its winner's rate to the rate that its range test suggested.

    `model` names the function that returns the network, and `network` is a digest of it with its arguments and source.
    """

    model: str
    network: str
    optimizer: str
    batch_size: str
    epochs: int
    data: str
    ratio: float | None = None


Known = Mapping[str, Mapping[str, str]]
"""The tags of the finished searches of a store by the ids of their runs, the oldest first."""


def known_searches(store: Store) -> Known:
    """Return the finished searches of a store."""
    return {run.info.run_id: run.data.tags for run in reversed(store.finished("search"))}


def searched(options: SearchOptions, model: str = "", network: str = "") -> Searched:
    """Return what a search is about; `model` and `network` are given for a network that no option names."""
    return Searched(
        model=(model or options.model)[:_LONGEST],
        network=hashlib.sha256((network or model_digest(options.model, options.model_args)).encode()).hexdigest(),
        optimizer=options.optimizer,
        batch_size=options.batch_size,
        epochs=options.epochs,
        data=options.data[:_LONGEST],
    )


def of_network(options: SearchOptions, model: Any) -> Searched:
    """Return what a search on a built Keras model is about: its kind is that of its layers, whatever their names."""
    kinds = dict.fromkeys(type(layer).__name__ for layer in model.layers)
    shapes = [(type(layer).__name__, [tuple(one.shape) for one in layer.weights]) for layer in model.layers]
    about = searched(options, f"a network of {', '.join(kinds)}", repr(shapes))
    return about.model_copy(update={"data": "your data"})


def kinship(one: Searched, other: Searched) -> tuple[bool, ...] | None:
    """Return how related two searches are, the larger the more; None if their networks are of different kinds.

    What matters most comes first: the same network, then optimizer, batch size, epochs and data.
    """
    if one.model != other.model:
        return None
    names = ("network", "optimizer", "batch_size", "epochs", "data")
    return tuple(getattr(one, name) == getattr(other, name) for name in names)


def most_related(known: Known, asked: Searched, question: str = "") -> Iterator[str]:
    """Yield the ids of the searches that a search may start from, the most related first; of equals, the oldest first.

    Searches for the same `question`, and those that started from one, directly or not, are none of them: an answer
    never confirms itself, and the same command finds the same earlier answer again. A call from Python has no question
    that comes again.
    """
    related: list[tuple[tuple[bool, ...], str]] = []
    for run_id, tags in known.items():
        other = _searched(tags)
        close = kinship(asked, other) if other and other.ratio is not None else None
        if close is not None and (not question or question not in _questions(run_id, known)):
            related.append((close, run_id))
    yield from (run_id for _, run_id in sorted(related, key=lambda one: one[0], reverse=True))


def _searched(tags: Mapping[str, str]) -> Searched | None:
    try:
        return Searched.model_validate_json(tags.get(SEARCHED, ""))
    except ValidationError:
        return None  # none of this version's


def _questions(run_id: str, known: Known) -> Iterator[str]:
    """Yield the questions of a search and of all that it started from."""
    while run_id in known:
        yield known[run_id].get(QUESTION, "")
        run_id = known[run_id].get(STARTED_FROM, "")


def told(run_id: str, tags: Mapping[str, str]) -> History:
    """Return what an earlier search that `most_related` named says, by its tags."""
    known = Searched.model_validate_json(tags[SEARCHED])
    shown = known.model_dump(exclude={"network", "ratio"})
    return History(run_id=run_id, correction=sqrt(known.ratio or 1.0), **shown)


def ratio(result: SearchResult, tests: Sequence[RangeTestResult]) -> float | None:
    """Return the winner's rate divided by that of its range test; None if either found no rate."""
    winner = result.winner
    own = (test for test in tests if (test.optimizer, test.batch_size) == (winner.optimizer, winner.batch_size))
    suggested = next((test.suggested_lr for test in own), None)
    row = next(row for row in result.leaderboard if row.only == winner)
    if not suggested or not isfinite(row.objective.mean):
        return None
    return winner.initial_lr / suggested


def tag(store: Store, run: StageRun, asked: Searched, result: SearchResult, tests: Sequence[RangeTestResult]) -> None:
    """Tag the run of a search so that later ones find it, and with what it started from."""
    known = asked.model_copy(update={"ratio": ratio(result, tests)})
    store.client.set_tag(run.run_id, SEARCHED, known.model_dump_json())
    if result.history is not None:
        store.client.set_tag(run.run_id, STARTED_FROM, result.history.run_id)


def line(earlier: History | None) -> str:
    """Return what to say of what a search starts from."""
    if earlier is None:
        return "no earlier answer is related: the trials begin at the range test's rate"
    return wording.started_from(earlier)


def refuse_without_store(options: SearchOptions, track: object) -> None:
    """Refuse to start from an earlier answer where no store can know one.

    Raises:
        InputError: if that is asked for.

    """
    if options.history != "off" and track is None:
        raise refusal("history", f"{options.history!r} without track", "off, or track: the store of earlier searches")
