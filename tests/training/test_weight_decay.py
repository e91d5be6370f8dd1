"""Weight decays that a search sets: those of a plain `fit`, by one program for all of them."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from pipeline import optimizers
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.training import InProcess, Problem
from tests.training.networks import BATCH, digits, plain
from tests.training.test_training_conformance import (
    CURVE,
    EPOCHS,
    SEED,
    assert_same,
    compiled,
    engine_for,
    plain_fit,
)

DECAY = 0.3
OWN = Evaluation(
    Candidate(scheme="linear", initial_lr=0.05, optimizer="adamw", batch_size=BATCH, params={}), 1, 0, weights=True
)


def made(name: str, **settings: float) -> Callable[[], keras.optimizers.Optimizer]:
    """Return a function that makes an optimizer with other settings than its own."""

    def make() -> keras.optimizers.Optimizer:
        own = optimizers.create(name, 0.01, 0.0)
        return type(own).from_config({**own.get_config(), **settings})

    return make


@pytest.mark.parametrize("name", ["adamw", "muon", "schedule_free_adamw"])
def test_trains_as_a_plain_fit_with_that_decay(name: str) -> None:
    """Weights and losses are those of `fit` after a training with another decay; each decays in its own way."""
    both = {"adam_weight_decay": DECAY} if name == "muon" else {}
    ours = engine_for(compiled(plain, made(name)), digits(), name)
    for decay in (5.0, DECAY):
        ours.decay_by(decay)
        training = ours.train(CURVE, SEED, validations=EPOCHS)
    model, expected = plain_fit(compiled(plain, made(name, weight_decay=DECAY, **both)), digits())
    assert_same(ours, training.history, model, expected)
    assert ours.model.optimizer.weight_decay == DECAY


def test_the_optimizers_own_decay_stays_what_it_is() -> None:
    """Trainings with others change neither its numbers nor its settings, and all others share an engine."""
    executor = InProcess(Problem(plain, digits(), momentum=0.9, precision="float32"))
    decayed = [OWN.trying(weight_decay=decay) for decay in (0.004, 9.0)]
    first, same, more, again = answers(executor.ask, [OWN, *decayed, OWN.trying(params={})])
    assert again is first
    norms = [sum(float(np.square(part).sum()) for part in one.weights or ()) for one in (first, same, more)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    assert norms[2] < 0.9 * norms[0]
    assert len(executor._engines) == 2
    assert executor.compiled(OWN.candidate).optimizer.weight_decay == 0.004
    assert "weight_decay=9.0" in optimizers.in_code(executor.compiled(decayed[1].candidate).optimizer)


def test_a_program_with_its_own_decay_takes_no_other() -> None:
    """It was traced with a number in it, so a change would have no effect."""
    ours = engine_for(plain, digits(), "adamw")
    ours.train(CURVE[:7], SEED, validations=1)
    with pytest.raises(ValueError, match=r"received 0\.3 after trainings with the optimizer's own"):
        ours.decay_by(DECAY)
