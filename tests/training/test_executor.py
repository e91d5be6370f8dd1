"""Trainings in this process: one copy of the data, one network for a seed, the whole answer."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.datasets import Scaling
from pipeline.errors import InputError
from pipeline.evaluation import SWEEP, Candidate, Evaluation, answers
from pipeline.objective import VAL_LOSS, Objective
from pipeline.training import InProcess, Problem, engine, executor
from pipeline.training.executor import train
from tests.training.networks import BATCH, STEPS, constant, digits, image_cnn, rich
from tests.training.test_training_disk import streamed

SETTINGS = [("sgd", BATCH), ("adam", BATCH), ("sgd", 50)]


def asked(optimizer: str = "sgd", batch_size: int = BATCH, **changes: Any) -> Evaluation:
    """Ask for two passes with a cosine, scores and weights."""
    candidate = Candidate(scheme="cosine", initial_lr=0.05, optimizer=optimizer, batch_size=batch_size, params={})
    return dataclasses.replace(Evaluation(candidate, 2, seed=3, test=True, weights=True), **changes)


class Counted:
    """A builder that counts its calls."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self) -> keras.Model:
        self.built += 1
        return rich()


@pytest.fixture(scope="module")
def build() -> Counted:
    """Return the network of `ours`."""
    return Counted()


@pytest.fixture(scope="module")
def ours(build: Counted) -> InProcess:
    """Return an executor that has answered for every setting, twice with one seed and once with another."""
    made = InProcess(Problem(build, digits(), momentum=0.9, precision="float32"))
    for seed in (3, 4, 3):
        answers(made.ask, [asked(*setting, seed=seed) for setting in SETTINGS])
    return made


class TestOneCopy:
    def test_all_engines_gather_from_the_same_tensors(self, ours: InProcess) -> None:
        """They also validate and test on the same data sets."""
        engines = [ours._engine(asked(*setting).candidate) for setting in SETTINGS]
        assert len({id(one) for one in engines}) == len(SETTINGS)
        inputs, labels = (
            [tf.nest.flatten(one._feed._parts)[position] for one in engines]  # type: ignore[attr-defined]
            for position in (0, 1)
        )
        assert all(part is inputs[0] for part in inputs)
        assert all(part is labels[0] for part in labels)
        assert inputs[0].shape == (200, 8, 8, 1)
        assert len({id(one._source.validation) for one in engines}) == 1
        assert len({id(one._source.test) for one in engines}) == 1

    def test_the_network_is_built_once_for_each_engine_and_each_further_seed(
        self, ours: InProcess, build: Counted
    ) -> None:
        """Three engines and three seeds besides 0; the first engine gets the network that was built first."""
        assert ours._network is ours._network
        assert build.built == len(SETTINGS) + 3
        answers(ours.ask, [asked(*setting, seed=4) for setting in SETTINGS])
        assert build.built == len(SETTINGS) + 3

    @pytest.mark.parametrize(("optimizer", "batch_size"), SETTINGS)
    def test_answers_are_those_of_an_engine_alone(self, optimizer: str, batch_size: int, ours: InProcess) -> None:
        """To the last digit, after trainings with other settings."""
        evaluation = asked(optimizer, batch_size)
        alone = engine(rich, digits(), optimizer=optimizer, momentum=0.9, batch_size=batch_size, precision="float32")
        expected, [training] = train(alone, evaluation), answers(ours.ask, [evaluation])
        assert training.losses.tobytes() == expected.losses.tobytes()
        assert training.rates.tobytes() == expected.rates.tobytes()
        assert (dict(training.history), training.test) == (dict(expected.history), expected.test)
        assert training.weights is not None
        assert expected.weights is not None
        assert [part.tobytes() for part in training.weights] == [part.tobytes() for part in expected.weights]

    def test_one_program_for_each_setting(self, ours: InProcess) -> None:
        """Nothing was traced again for another seed."""
        assert [ours._engine(asked(*setting).candidate).traces() for setting in SETTINGS] == [1, 1, 1]


class TestAnswers:
    def test_they_come_as_they_finish_and_each_start_is_announced(self, ours: InProcess) -> None:
        """Each training begins when its answer is asked for, so that the one before can be recorded first."""
        started: list[Evaluation] = []
        evaluations = [asked(seed=seed) for seed in (5, 6)]
        given = ours.ask(evaluations, started=started.append)
        assert isinstance(given, Iterator)
        assert started == []
        for count, (evaluation, _) in enumerate(given, start=1):
            assert started == evaluations[:count]
            assert evaluation is started[-1]

    def test_scores_and_weights_are_there_where_asked_for(self, ours: InProcess) -> None:
        """And not in the other answers."""
        [bare] = answers(ours.ask, [asked(test=False, weights=False)])
        [full] = answers(ours.ask, [asked()])
        assert (bare.test, bare.weights) == (None, None)
        assert full.test is not None
        assert set(full.test) == {"loss", "accuracy"}
        assert bare.answers(asked(test=False, weights=False))
        assert not bare.answers(asked())
        assert full.answers(asked())

    def test_the_weights_are_those_that_were_scored(self, ours: InProcess) -> None:
        """A network with them has the answer's test accuracy; with patience, its lowest validation loss too."""
        evaluation = asked(epochs=6, patience=0.5).trying(initial_lr=0.3)
        [training] = answers(ours.ask, [evaluation])
        model, data = ours._network.fresh(seed=0), digits()
        assert training.weights is not None
        assert training.test is not None
        model.set_weights(training.weights)
        probabilities = model.predict(data.x_val / np.float32(16), verbose=0)
        loss = -np.log(probabilities[np.arange(100), data.y_val]).mean() + penalty(model, data.x_val)
        assert loss == pytest.approx(min(training.history["val_loss"]), rel=1e-4)
        probabilities = model.predict(data.x_test / np.float32(16), verbose=0)
        assert training.test["accuracy"] == pytest.approx((probabilities.argmax(1) == data.y_test).mean())

    def test_sweeps_are_answered_by_the_same_engine(self, ours: InProcess) -> None:
        """Its rates grow, and there is no validation."""
        params: dict[str, Any] = {"lr_max": 0.1, "spacing": "exponential"}
        candidate = asked().candidate.model_copy(update={"scheme": SWEEP, "initial_lr": 1e-3, "params": params})
        [training] = answers(ours.ask, [Evaluation(candidate, 20 / STEPS, seed=3, validations=0)])
        np.testing.assert_array_equal(training.rates, np.geomspace(1e-3, 0.1, 20).astype(np.float32))
        assert "val_loss" not in training.history
        assert ours._engine(asked().candidate).traces() == 1

    def test_a_served_model_takes_raw_inputs(self, ours: InProcess) -> None:
        """With the weights of the answer, not those of the engine's last training."""
        [training] = answers(ours.ask, [asked()])
        answers(ours.ask, [asked(seed=4)])
        assert training.weights is not None
        network = ours._network.fresh(seed=0)
        network.set_weights(training.weights)
        served = ours.served(training)
        assert not served.compiled
        raw = digits().x_test
        np.testing.assert_allclose(served(raw), network(raw / np.float32(16)), rtol=1e-5, atol=1e-6)

    def test_nothing_is_served_without_weights(self, ours: InProcess) -> None:
        """A fault of the caller, who did not ask for them."""
        [training] = answers(ours.ask, [asked(weights=False)])
        with pytest.raises(ValueError, match="received a training without weights"):
            ours.served(training)


class TestConditions:
    """What decides the numbers besides evaluation, data, model and code."""

    def test_they_are_known_before_anything_is_trained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The precision that `auto` chose, the momentum as given, the kind of device, TensorFlow's settings."""
        for native, expected in ((True, "mixed_bfloat16"), (False, "float32")):
            monkeypatch.setattr("pipeline.training.network.native_bfloat16", lambda native=native: native)
            made = InProcess(Problem(image_cnn, digits(), momentum=0.9, precision="auto"))
            assert made.conditions()["precision"] == expected
            assert not made._engines
        monkeypatch.setattr(executor, "device_kind", lambda: "TPU")
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        scaling, factors = (made.conditions().pop(name) for name in ("scaling", "lr_multipliers"))
        assert set(json.loads(factors)) == {1.0}
        assert Scaling.model_validate_json(scaling) == digits().scaling
        others = {
            "precision": "float32",
            "device": "TPU",
            "arithmetic": "TF_ENABLE_ONEDNN_OPTS=0",
            "momentum": "0.9",
            "order": "shuffled",
            "batch_norm": "recomputed",
            "labels": "as they are",
            "class_weights": "None",
        }
        assert made.conditions() == {**others, "scaling": scaling, "lr_multipliers": factors}

    def test_recomputed_statistics_are_one_of_them(self) -> None:
        """They decide the validation loss, and so which trainings are known."""
        made = InProcess(Problem(constant, digits(), momentum=0.9, precision="float32", recompute=False))
        assert made.conditions()["batch_norm"] == "averaged"

    def test_data_in_passes_have_an_order_of_their_own(self) -> None:
        """They are shuffled within windows, and so trained with other batches."""
        made = InProcess(Problem(constant, streamed(digits()), momentum=0.9, precision="float32"))
        assert made.conditions()["order"] == "shuffled within windows"


class TestRequireMetric:
    def test_what_the_network_measures_may_be_asked_for(self, ours: InProcess) -> None:
        """Its own metric, and the validation loss without any training."""
        ours.require_metric(Objective("val_accuracy", "max"), asked())
        made = InProcess(Problem(constant, digits(), momentum=0.9, precision="float32"))
        made.require_metric(VAL_LOSS, asked())
        assert not made._engines

    def test_another_is_refused_with_those_there_are(self, ours: InProcess) -> None:
        """After one update."""
        with pytest.raises(InputError, match=r"received .val_auc., expected a metric of the model: .*val_accuracy"):
            ours.require_metric(Objective("val_auc", "max"), asked())


def penalty(model: keras.Model, x: Any) -> float:
    """Return what the network adds to the loss of these examples."""
    model(x / np.float32(16))
    return float(sum(model.losses))
