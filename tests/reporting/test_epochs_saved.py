from dataclasses import replace
from math import nan

import pytest

from pipeline.objective import VAL_LOSS, Objective
from pipeline.reporting.answer import compose
from pipeline.reporting.epochs_saved import passing
from pipeline.reporting.report_inputs import Report
from pipeline.reporting.training_figures import NamedTraining, Role
from tests.reporting.conftest import make_training

ADAM = "Adam at 0.001"


def _trained(name: str, role: Role, seed: int, values: list[float], metric: str = "val_loss") -> NamedTraining:
    made = make_training(name, "constant", role, 0.1, 0.1, seed)
    return replace(made, training=replace(made.training, history={metric: values}, validation_steps=32))


def _pair(seed: int, winner: list[float], baseline: list[float], metric: str = "val_loss") -> list[NamedTraining]:
    given: list[tuple[str, Role, list[float]]] = [("cosine", "winner", winner), (ADAM, "baseline", baseline)]
    return [_trained(name, role, seed, values, metric) for name, role, values in given]


def test_the_epoch_is_that_of_the_first_validation_as_good_seed_by_seed() -> None:
    """Two validations an epoch; equal is as good; the median and the range are those of the seeds."""
    trainings = [
        *_pair(0, [0.9, 0.5, 0.2, 0.1], [0.9, 0.9, 0.9, 0.5]),
        *_pair(1, [0.9, 0.8, 0.7, 0.1], [0.9, 0.2, 0.2, 0.6]),
        *_pair(2, [0.4, 0.8, 0.7, 0.1], [0.9, 0.2, 0.2, 0.6]),
        _trained("SGD at 0.01", "baseline", 0, [9.0, 9.0, 9.0, 9.0]),
    ]
    found = passing(trainings, ADAM, VAL_LOSS)
    assert found is not None
    assert found.epochs == (1.0, 2.0, 0.5)
    assert found.text == "after epoch 1 of 6, median of 3 seeds, 0.5 to 2"


def test_seeds_on_which_it_is_never_as_good_are_counted() -> None:
    """They have no epoch, and the median is said to be of the others."""
    reached = _pair(0, [0.9, 0.5], [0.9, 0.5])
    assert "after epoch 1 of 6, on 1 of 2 seeds" in str(
        (found := passing([*reached, *_pair(1, [0.9, 0.9], [0.9, 0.5])], ADAM, VAL_LOSS)) and found.text
    )
    none = passing(_pair(1, [0.9, 0.9], [0.9, 0.5]), ADAM, VAL_LOSS)
    assert none is not None
    assert none.text == "on none of 1 seed"


def test_higher_can_be_better() -> None:
    """The objective says which."""
    found = passing(_pair(0, [0.1, 0.6], [0.9, 0.5], "val_gain"), ADAM, Objective("val_gain", "max"))
    assert found is not None
    assert found.epochs == (1.0,)


@pytest.mark.parametrize("baseline", [[0.9, nan], []])
def test_nothing_is_said_without_a_pair(baseline: list[float]) -> None:
    """The baseline diverged, or shares no seed with the winner."""
    assert passing(_pair(0, [0.9, 0.5], baseline), ADAM, VAL_LOSS) is None
    apart = [_pair(0, [0.9], [0.9])[0], _pair(1, [0.9], [0.9])[1]]
    assert passing(apart, ADAM, VAL_LOSS) is None


def test_the_answer_says_it_in_a_sentence_and_on_a_tile(report: Report) -> None:
    """Of each baseline, with the seeds that it was compared on."""
    answer = compose(report)
    assert answer.gains[0].text.endswith(
        "The winner reaches this baseline's final validation loss after epoch 4 of 6, on 3 seeds."
    )
    assert answer.gains[0].tile.details[-1] == "as good after epoch 4 of 6, on 3 seeds"
    assert [tile.label for tile in answer.tiles] == [
        "How sure", "Test accuracy", "Against Adam at 0.001", "Against SGD at 0.01", "Cost", "Rates as good",
    ]  # fmt: skip
    assert (answer.tiles[0].value, answer.tiles[0].details) == (
        "tie of 3", ("at 95%, of 5 compared on 3 seeds and 1 split of the data",),
    )  # fmt: skip
    assert (answer.tiles[4].value, answer.tiles[4].details) == (
        "3 min 02 s", ("of training, as many epochs as 14.6 full trainings",),
    )  # fmt: skip
