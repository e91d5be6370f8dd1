"""A sample of the faults that `make faults` tries, on a command of two stages."""

from random import Random

import pytest

from tests.faults import kills
from tests.faults.disturbed import Bench

pytestmark = pytest.mark.slow

TRAIN = {"epochs": "1", "seeds": "2", "scheme": "constant", "initial_lr": "0.01"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Give projects to disturb, and what they must find."""
    return Bench(tmp_path_factory.mktemp("bench"), "train", TRAIN)


def test_killed_command_finishes_with_the_same_answer(bench: Bench) -> None:
    """It is killed before its first stage and within it, and no stage goes on without it."""
    kill = kills.KILLS["SIGKILL of the command"]
    found = list(kills.journey(kill, ("main", "prepare"), bench, Random(0)))
    assert [(outcome.lost, outcome.repeated) for outcome in found] == [("", 0)] * 2


def test_mlflow_that_is_killed_while_its_command_sets_up_the_store(bench: Bench) -> None:
    """The same command works afterwards, and only the store is left beside it."""
    kills.while_set_up(kills.KILLS["SIGKILL of `mlflow run`"], bench, Random(0))
