"""Starting from an earlier answer: which search of the store it is, and by how much it corrects a range test."""

from pathlib import Path

import keras
import pytest

from pipeline import chain
from pipeline.config import SearchOptions
from pipeline.results import RangeTestResult, SearchResult
from pipeline.stages import history
from pipeline.stages.history import EARLIER, Searched, kinship, most_related
from pipeline.stages.table import STAGES
from pipeline.tracking import Finished
from tests.reporting.searches import make_search
from tests.search.test_search_budget import TESTED

ASKED = Searched(model="own:net", network="a", optimizer="sgd", batch_size="32", epochs=10, data="digits")


def earlier(question: str, start: str = "", ratio: float | None = 1.5, **differs: object) -> dict[str, str]:
    """Return the tags of a finished search that `differs` from the one that is asked."""
    about = ASKED.model_copy(update={"ratio": ratio, **differs})
    started = {history.STARTED_FROM: start} if start else {}
    return {history.QUESTION: question, history.SEARCHED: about.model_dump_json(), **started}


RANKS: list[dict[str, object]] = [
    {},
    {"data": "iris"},
    {"epochs": 20},
    {"epochs": 20, "data": "iris"},
    {"batch_size": "64"},
    {"batch_size": "64", "epochs": 20, "data": "iris"},
    {"optimizer": "adam"},
    {"optimizer": "adam", "batch_size": "64", "epochs": 20, "data": "iris"},
    {"network": "b"},
    {"network": "b", "optimizer": "adam", "batch_size": "64", "epochs": 20, "data": "iris"},
]
"""What other searches differ in, the most related first."""


def test_the_network_counts_most_then_optimizer_batch_size_epochs_and_data() -> None:
    """A network of another kind is not related at all, whatever else is the same."""
    ranks = [kinship(ASKED, ASKED.model_copy(update=differs)) or () for differs in RANKS]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)
    assert kinship(ASKED, ASKED.model_copy(update={"model": "own:other"})) is None


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, []),
        ({"other kind": earlier("q1", model="cnn")}, []),
        ({"no rate": earlier("q1", ratio=None)}, []),
        ({"of another version": {history.SEARCHED: '{"model": "own:net"}'}, "untagged": {}}, []),
        ({"iris": earlier("q1", data="iris"), "longer": earlier("q2", epochs=20)}, ["iris", "longer"]),
        ({"adam": earlier("q1", optimizer="adam"), "iris": earlier("q2", data="iris")}, ["iris", "adam"]),
        ({"oldest": earlier("q1", data="iris"), "newest": earlier("q2", data="wine")}, ["oldest", "newest"]),
        ({"own": earlier("asked"), "iris": earlier("q1", data="iris")}, ["iris"]),
        ({"own": earlier("asked"), "from it": earlier("q1", "own"), "from that": earlier("q2", "from it")}, []),
        ({"from a deleted one": earlier("q1", "deleted")}, ["from a deleted one"]),
    ],
    ids=lambda given: " and ".join(given),
)
def test_which_searches_may_be_started_from(known: dict[str, dict[str, str]], found: list[str]) -> None:
    """The most related first, of equals the oldest; never the same question, nor what started from its answer."""
    assert list(most_related(known, ASKED, "asked")) == found


def test_the_key_covers_what_a_search_starts_from(tmp_path: Path) -> None:
    """With another earlier answer in the store it is another search, though of the same question."""
    options = SearchOptions(history="related")
    runs = [{EARLIER: Finished("id", tmp_path, digit, "")} for digit in "01"]
    keys = [STAGES["search"].key(options, earlier) for earlier in ({}, *runs)]
    assert len({*keys, chain._question(options, {})}) == 4
    assert len({chain._question(options, earlier) for earlier in ({}, *runs)}) == 1


def test_what_is_told_names_the_earlier_search() -> None:
    """With the square root of its ratio as the correction."""
    told = history.told("id", earlier("q1", ratio=2.25, data="iris"))
    assert (told.run_id, told.data, told.model, told.epochs, told.correction) == ("id", "iris", "own:net", 10, 1.5)


def test_ratio_compares_the_winner_with_its_own_range_test() -> None:
    """There is none where either found no rate."""
    search, test = make_search(), TESTED.model_copy(update={"batch_size": 50})
    others = [TESTED, test.model_copy(update={"optimizer": "adam", "suggested_lr": 9.0})]
    assert history.ratio(search, [*others, test]) == pytest.approx(0.562)
    refused: RangeTestResult = test.model_copy(update={"suggested_lr": None})
    assert history.ratio(search, [refused]) is None
    assert history.ratio(_diverged(search), [test]) is None


def _diverged(search: SearchResult) -> SearchResult:
    row = search.leaderboard[0]
    lost = row.model_copy(update={"objective": row.objective.model_copy(update={"mean": float("inf")})})
    return search.model_copy(update={"leaderboard": (lost, *search.leaderboard[1:])})


def test_networks_without_a_name_are_known_by_their_layers() -> None:
    """Not by what Keras calls them, which counts up; of another width it is another network of the same kind."""

    def about(*widths: int) -> Searched:
        dense = [keras.layers.Dense(width) for width in widths]
        return history.of_network(SearchOptions(), keras.Sequential([keras.Input((3,)), *dense]))

    assert about(4, 2) == about(4, 2)
    assert about(4, 2).model == about(8, 2).model == "a network of Dense"
    assert about(4, 2).network != about(8, 2).network
    assert about(4, 2).data == "your data"
