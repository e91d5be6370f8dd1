"""Networks with several outputs: labels, losses and weights by name, from the data to the served model."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from pipeline import find
from pipeline.config import SearchOptions, validated
from pipeline.datasets import (
    Raw,
    Splits,
    digests,
    far_labels,
    few_values,
    load_splits,
    read_returned,
    resplit,
    save,
    split,
)
from pipeline.datasets.labels import same_labels
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.lr_pipeline_model import load
from pipeline.lr_pipeline_model import save as save_model
from pipeline.models import Builder, builder, built_by
from pipeline.reporting import wording
from pipeline.stages.given_data import by_name
from pipeline.stages.guessing import Answered, against_guessing
from pipeline.stages.train import _outputs
from pipeline.training import InProcess, executor_for

CANDIDATE = Candidate(scheme="cosine", initial_lr=0.01, optimizer="adam", batch_size=32, params={})
ASKED = Evaluation(CANDIDATE, 4, 0, test=True, weights=True)
WEIGHTS = {"kind": 0.5, "size": 2.0, "odd": 1.0}


@cache
def arrays() -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return 300 examples of 6 features: a class of three by name, a value, and whole numbers of two classes."""
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6)).astype(np.float32)
    scores = x @ random.normal(size=(6, 3)) / 2
    labels = {
        "kind": np.array(["cat", "dog", "owl"])[scores.argmax(axis=1)],
        "size": scores[:, 0].astype(np.float32),
        "odd": (scores[:, 1] > 0).astype(np.int64),
    }
    return x, labels


def raw(y: Any, **given: Any) -> Raw:
    """Return the data with these labels."""
    return Raw(arrays()[0], y, **given)


@cache
def data() -> Splits:
    """Return them split."""
    return split(raw(arrays()[1]), 0)


def network(
    *, as_list: bool = False, kind: str | None = "softmax", units: int = 2, **compiled: Any
) -> Callable[..., keras.Model]:
    """Return a function that builds a network, compiled if there is something to compile it with."""

    def build(input_shape: tuple[int, ...], num_outputs: dict[str, int]) -> keras.Model:
        x = keras.Input(input_shape)
        shared = layers.Dense(16, activation="relu")(x)
        outputs = {
            "size": layers.Dense(num_outputs["size"], name="size")(shared),
            "odd": layers.Dense(units, "softmax" if units == 2 else "sigmoid", name="odd")(shared),
            "kind": layers.Dense(num_outputs["kind"], kind, name="kind")(shared),
        }
        model = keras.Model(x, list(outputs.values()) if as_list else outputs)
        if compiled:
            model.compile("adam", **compiled)
        return model

    return build


def trained(
    build: Callable[..., keras.Model], splits: Splits | None = None, **options: Any
) -> tuple[InProcess, Training]:
    """Train a network."""
    splits = splits or data()
    made = executor_for(validated(SearchOptions, {"precision": "float32", **options}), splits, built(build, splits))
    return made, answers(made.ask, [ASKED])[0]


@cache
def uncompiled() -> tuple[InProcess, Training]:
    """Train a network that gives logits, and has one unit for two classes."""
    return trained(network(as_list=True, kind=None, units=1))


def built(build: Callable[..., keras.Model], splits: Splits) -> Builder:
    """Return the builder for these data."""
    return built_by(build, "mine", splits.x_train.shape[1:], splits.num_outputs, splits.task, outputs=splits.outputs)


SPARSE = {"kind": "sparse_categorical_crossentropy", "size": "mse", "odd": "sparse_categorical_crossentropy"}
IN_ORDER = ["mse", "sparse_categorical_crossentropy", "categorical_crossentropy"]


@pytest.mark.parametrize(
    ("as_list", "losses", "weights", "examples"),
    [
        (False, SPARSE, WEIGHTS, "weighted"),
        (True, SPARSE, WEIGHTS, "weighted"),
        (True, IN_ORDER, [2.0, 1.0, 0.5], "equal"),
        (False, {**SPARSE, "kind": keras.losses.CategoricalCrossentropy()}, WEIGHTS, "equal"),
    ],
    ids=["dictionary", "list", "losses in order", "one-hot"],
)
def test_the_loss_is_the_weighted_sum_of_those_of_the_outputs(
    as_list: bool, losses: Any, weights: Any, examples: str
) -> None:
    """Computed by hand from what the network answers, whatever form its outputs and what it is compiled with have."""
    counts = np.linspace(0.5, 1.5, 300).astype(np.float32)
    splits = split(raw(arrays()[1], w_train=counts if examples == "weighted" else None), 0)
    build = network(as_list=as_list, loss=losses, loss_weights=weights, metrics={"kind": ["accuracy"], "size": ["mae"]})
    executor, training = trained(build, splits)
    expected = losses_by_hand(executor, training, splits)
    assert training.test is not None
    assert training.test["loss"] == pytest.approx(sum(WEIGHTS[name] * expected[name] for name in WEIGHTS), rel=1e-3)
    for name in WEIGHTS:
        assert training.test[f"{name}_loss"] == pytest.approx(expected[name], rel=1e-3)
    assert {"val_loss", "val_kind_accuracy", "val_size_mae", "val_odd_loss"} <= training.history.keys()
    assert len(training.losses) == 4 * 6


def losses_by_hand(executor: InProcess, training: Training, splits: Splits) -> dict[str, float]:
    """Return the weighted mean loss of each output on the test set."""
    found = executor.served(training).predict(splits.x_test, verbose=0)
    rows = np.arange(len(splits.x_test))
    errors = {name: -np.log(found[name][rows, splits.y_test[name]]) for name in ("kind", "odd")}
    errors["size"] = np.square(found["size"][:, 0] - splits.y_test["size"])
    w = 1 if splits.w_test is None else splits.w_test
    return {name: float((values * w).mean()) for name, values in errors.items()}


def test_what_is_not_compiled_gets_what_fits_each_output() -> None:
    """It is said in one line; the metrics have their names in Keras, and there is no accuracy of all."""
    executor, training = uncompiled()
    assert executor.remarks == [
        "the model is not compiled: kind is trained with the loss sparse_categorical_crossentropy (from logits) and the"
        " metric accuracy, size is trained with the loss mean_squared_error and the metric mae,"
        " odd is trained with the loss binary_crossentropy and the metric accuracy"
    ]
    assert training.test is not None
    assert {"kind_accuracy", "size_mae", "odd_accuracy"} < training.test.keys()
    assert "accuracy" not in training.test


def compiled() -> tuple[InProcess, Training]:
    """Train a network that was compiled with weights of its losses."""
    return trained(network(loss=SPARSE, loss_weights=WEIGHTS))


@pytest.mark.parametrize(
    ("train", "weights"),
    [(uncompiled, dict.fromkeys(WEIGHTS, 1.0)), (compiled, WEIGHTS)],
    ids=["uncompiled", "compiled"],
)
def test_guessing_adds_up_as_the_losses_do(
    train: Callable[[], tuple[InProcess, Training]], weights: dict[str, float]
) -> None:
    """Each output by its own labels, times the weight of its loss."""
    splits, (executor, training) = data(), train()
    assert training.test is not None
    guess = against_guessing(Answered(ASKED, "test", training.test["loss"], None), executor, splits)
    expected = {"size": np.square(splits.y_test["size"] - splits.y_train["size"].mean()).mean()}
    for name in ("kind", "odd"):
        shares = np.bincount(splits.y_train[name]) / len(splits.y_train)
        expected[name] = -np.log(shares[splits.y_test[name]]).mean()
    assert guess.loss == pytest.approx(sum(weights[name] * expected[name] for name in weights), rel=1e-4)
    assert guess.beaten
    assert guess.what.startswith("the most frequent class (kind) and the mean of the training labels (size) and")
    lost = against_guessing(Answered(ASKED, "test", 99.0, None), executor, splits)
    assert not lost.beaten


def test_an_output_that_has_learnt_nothing_is_named() -> None:
    """Though the sum of losses beats guessing; what has no loss at all is pointed out before the training."""
    tossed = np.random.default_rng(1).integers(0, 2, 300)
    splits = split(raw({**arrays()[1], "odd": tossed}), 0)
    executor, training = trained(network(loss={**SPARSE, "size": None}), splits)
    guess = against_guessing(Answered(ASKED, "test", 0.1, None, training), executor, splits)
    assert guess.beaten
    [said] = wording.guessing(guess, "test", 0.1, None)
    assert said.startswith("Output 'odd' alone is no better than predicting the most frequent class for every example")
    assert executor.remarks == ["output 'size' has no loss, so its own layers learn nothing"]


def test_losses_with_other_weights_are_not_comparable() -> None:
    """So that no champion is chosen by them."""
    one, other = (
        executor_for(SearchOptions(), data(), built(network(loss=SPARSE, loss_weights=weights), data()))
        for weights in (WEIGHTS, {**WEIGHTS, "odd": 3.0})
    )
    assert json.loads(one.objective(CANDIDATE)["weights"]) == WEIGHTS
    assert one.objective(CANDIDATE) != other.objective(CANDIDATE)


def test_the_served_model_answers_by_the_names_of_outputs_and_classes(tmp_path: Path) -> None:
    """Logits and a single unit become the probability of each class; values stay as they are."""
    executor, training = uncompiled()
    serving, x = executor.served(training), data().x_test
    save_model(tmp_path, serving, _outputs(serving, data(), x))
    answered = load(tmp_path).predict(pd.DataFrame(x, index=range(5, 5 + len(x))))
    assert list(answered.columns) == ["kind=cat", "kind=dog", "kind=owl", "size", "odd=0", "odd=1"]
    assert answered.index[0] == 5
    raw = serving.predict(x, verbose=0)
    np.testing.assert_allclose(answered["size"], raw["size"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(answered["odd=1"], raw["odd"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(answered.filter(like="kind"), tf.nn.softmax(raw["kind"]), rtol=1e-4)
    assert training.test is not None
    hit = answered.filter(like="kind").to_numpy().argmax(axis=1) == data().y_test["kind"]
    assert hit.mean() == pytest.approx(training.test["kind_accuracy"], abs=1e-6)


def test_outputs_stay_float32_where_the_network_does_not() -> None:
    """All of them, as probabilities need more than 8 bits."""
    executor, _ = trained(network(), precision="mixed_bfloat16")
    model = executor.compiled(CANDIDATE)
    assert {name: one.dtype for name, one in model(data().x_test[:2]).items()} == dict.fromkeys(WEIGHTS, tf.float32)
    assert model.layers[1].compute_dtype == "bfloat16"


def test_find_takes_a_compiled_model_and_its_labels() -> None:
    """It may be judged by one output's metric; the schedule then trains the model."""
    x, y = arrays()
    y = {**y, "kind": np.unique(y["kind"], return_inverse=True)[1]}
    model = network(loss=SPARSE, loss_weights=WEIGHTS, metrics={"kind": ["accuracy"]})((6,), {"kind": 3, "size": 1})
    answer = find(model, (x, y), epochs=1, batch_size=8, budget=6, objective="val_kind_accuracy", progress=False)
    assert answer.search.guess is not None
    assert 0 < answer.leaderboard["val_kind_accuracy"][0] <= 1
    answer.compile(model)
    history = model.fit(x, y, epochs=1, batch_size=answer.winner.batch_size, verbose=0).history
    assert {"loss", "kind_accuracy", "size_loss"} <= history.keys()


@pytest.mark.parametrize(("as_list", "names"), [(True, ["size", "odd", "kind"]), (False, ["kind", "odd", "size"])])
def test_labels_in_a_list_are_in_the_order_of_the_outputs(as_list: bool, names: list[str]) -> None:
    """Which Keras sorts by name if they are a dictionary."""
    model, (x, y) = network(as_list=as_list)((6,), {"kind": 3, "size": 1}), arrays()
    labels = [y[name] for name in names]
    named = {name: y[name] for name in names}
    assert repr(by_name(model, (x, labels))) == repr((x, named))
    assert repr(by_name(model, ((x, labels), (x, labels)))) == repr(((x, named), (x, named)))


def test_splits_are_stratified_by_the_first_output_with_classes(tmp_path: Path) -> None:
    """They come back from their file, and from any other split, with all that is known of each output."""
    splits = data()
    assert (splits.task, splits.num_outputs) == ("several", {"kind": 3, "size": 1, "odd": 2})
    assert splits.outputs["kind"].classes == ("cat", "dog", "owl")
    again = resplit(splits, 3)
    for one in (splits, again):
        shares = [np.bincount(y["kind"]) / len(y) for y in (one.y_train, one.y_val, one.y_test)]
        np.testing.assert_allclose(shares[1:], [shares[0]] * 2, atol=0.02)
    assert not np.array_equal(again.y_val["size"], splits.y_val["size"])
    save(splits, tmp_path / "data.npz")
    loaded = load_splits(tmp_path / "data.npz")
    assert (digests(loaded), loaded.outputs, loaded.num_outputs) == (
        digests(splits),
        splits.outputs,
        splits.num_outputs,
    )


def test_names_of_outputs_are_part_of_the_data() -> None:
    """Labels that change places under their names are other data."""
    size = arrays()[1]["size"]
    one, other = (digests(split(raw({first: size, second: size * 2}), 0)) for first, second in (("a", "b"), ("b", "a")))
    assert one["x_train"] == other["x_train"]
    assert one["y_train"] != other["y_train"]


@pytest.mark.parametrize("batched", [True, False], ids=["batches", "examples"])
def test_data_sets_have_labels_by_name_too(batched: bool) -> None:
    """They are read as the arrays are."""
    x, y = arrays()
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    read = split(read_returned(dataset.batch(7) if batched else dataset, "mine", 2**30), 0)
    for name in WEIGHTS:
        np.testing.assert_array_equal(read.y_train[name], data().y_train[name])


def test_other_labels_than_those_that_were_prepared_are_noticed() -> None:
    """Also where a source that had one array now has several."""
    y = arrays()[1]
    assert same_labels(y["odd"], y["odd"])
    assert not same_labels(y, y["odd"])  # type: ignore[arg-type]


def test_inputs_on_disk_are_refused(tmp_path: Path) -> None:
    """They are read by rows, with one array of labels."""
    np.save(tmp_path / "x.npy", arrays()[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for given in ((mapped, arrays()[1]), tf.data.Dataset.from_tensor_slices(arrays())):
        with pytest.raises(InputError, match="in_memory_mb"):
            split(read_returned(given, "mine", 100), 0)


def test_a_given_test_set_may_have_its_labels_in_another_order() -> None:
    """Names count."""
    x, y = arrays()
    turned = {name: y[name] for name in reversed(y)}
    splits = split(raw(y, x_test=x, y_test=turned), 0)
    assert splits.y_test.dtype == splits.y_train.dtype
    np.testing.assert_array_equal(splits.y_test["size"], y["size"])


def test_labels_that_weigh_more_than_others_are_pointed_out() -> None:
    """And those that look like classes."""
    y = arrays()[1]
    splits = split(raw({**y, "size": y["size"] * 5_000, "odd": y["odd"] * 1.0}), 0)
    assert far_labels(splits).startswith("labels lie far from zero and one (output 'size': mean ")
    assert few_values(splits) == "labels 0.0, 1.0 of output 'odd': regression; for classes write integers or text"


def with_labels(**changed: Any) -> Callable[[], object]:
    """Return a call that splits the data with other labels."""
    return lambda: split(raw({**arrays()[1], **changed}), 0)


def with_network(build: Callable[..., keras.Model], **options: Any) -> Callable[[], object]:
    """Return a call that sets up trainings of a network."""
    return lambda: trained(build, **options)


def with_one_output(shape: tuple[int, ...]) -> keras.Model:
    """Return a network that answers for one output only."""
    x = keras.Input(shape)
    return keras.Model(x, {"kind": layers.Dense(3)(x)})


class Subclassed(keras.Model):  # type: ignore[misc]
    """A model without names for its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = [layers.Dense(units) for units in (3, 1, 2)]

    def call(self, x: Any) -> Any:
        """Return a list."""
        return [head(x) for head in self.heads]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (with_labels(size=np.zeros(299)), "the labels of y_train differ in length: received kind 300, size 299"),
        (with_labels(odd=np.arange(300)[:, None] >> np.arange(3) & 1), "received 3 labels an example for one of"),
        (with_labels(size=np.ones(300)), "labels of output 'size' have only one value"),
        (with_labels(odd=np.arange(300)), "1 of class '0' of output 'odd', with 300 classes; accepted: at least 5"),
        (lambda: split(raw({"odd": arrays()[1]["odd"]}), 0), "labels by name for one output"),
        (with_labels(val=np.arange(300.0)), "y_train has an output named: received 'val'; accepted: another name"),
        (lambda: split(raw(arrays()[1]), 0, task="regression"), "received regression for y_train with labels for"),
        (with_network(network(), class_weight="balanced"), "balanced for labels for several outputs"),
        (with_network(network(), scale_labels=True), "true for labels for several outputs"),
        (with_network(network(units=3)), r"output 'odd' of shape \(None, 3\), expected \(None, 2\) or \(None, 1\)"),
        (
            with_network(lambda shape, widths: with_one_output(shape)),
            "mine has outputs named 'kind', expected 'kind', 'size', 'odd', as the labels",
        ),
        (with_network(lambda shape, widths: Subclassed()), "expected a functional model with an output for each"),
        (with_network(network(loss=SPARSE, units=1)), "sparse_categorical_crossentropy for one unit of output 'odd'"),
        (with_network(network(kind="relu")), "received outputs by relu, expected softmax"),
        (lambda: builder("mlp", (6,), data().num_outputs, "several"), "'mlp' for outputs named kind, size, odd"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    """It names the output."""
    with pytest.raises(InputError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
