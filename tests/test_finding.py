"""`find`: the search from Python, on a network and data of one's own."""

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from sklearn.datasets import load_digits

from pipeline import find, optimizers, schedules
from pipeline.errors import InputError
from pipeline.found import Found

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

SMALL: dict[str, Any] = {
    "epochs": 1,
    "trials": 3,
    "top_k": 1,
    "confirm_seeds": 2,
    "schemes": "cosine,linear",
    "progress": False,
}


LEAST = SMALL | {"budget": 6}
"""Options of a search that compares little, for what is not about its answer."""

OF_FEW_ROWS = SMALL | {"budget": 20}
"""Options of such a search where a sweep takes as long as many trainings."""


def network() -> keras.Model:
    """Return a small network that ends in logits, uncompiled."""
    return keras.Sequential([keras.Input((64,)), layers.Dense(16, activation="relu"), layers.Dense(10)])


def compiled() -> keras.Model:
    """Return the network with an optimizer, a loss and a metric of one's own."""
    model = network()
    model.compile(
        keras.optimizers.Adam(0.005, beta_2=0.99),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
    )
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Return a compiled network that was trained for one epoch."""
    keras.utils.set_random_seed(0)
    made = compiled()
    made.fit(X, Y, batch_size=100, verbose=0)
    return made


@pytest.fixture(scope="module")
def before(model: keras.Model) -> list[Any]:
    """Return weights, optimizer and metric values, and the next random numbers, as they are before the search."""
    return _state(model)


def _state(model: keras.Model) -> list[Any]:
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    random: Any = np.random.get_state()
    return [random[1].tolist(), *(variable.numpy().tolist() for variable in variables)]


@pytest.fixture(scope="module")
def found(model: keras.Model, before: list[Any]) -> Found:
    """Return what is found for the network."""
    assert before
    return find(model, (X, Y), **SMALL)


def test_the_model_is_left_as_it_was(model: keras.Model, before: list[Any], found: Found) -> None:
    """Bit for bit: weights, optimizer, metrics; and the random numbers that follow are those that would have."""
    assert found.search.trials == 3
    assert _state(model) == before
    assert float(model.optimizer.learning_rate) == pytest.approx(0.005)


def test_its_own_optimizer_and_metrics_are_used(found: Found) -> None:
    """The winner is trained as the model was compiled."""
    assert found.winner.optimizer == "adam"
    again = network()
    found.compile(again)
    assert isinstance(again.optimizer, keras.optimizers.Adam)
    assert again.optimizer.beta_2 == 0.99
    history = again.fit(X, Y, batch_size=found.winner.batch_size, verbose=0).history
    assert set(history) == {"loss", "top2"}


def test_the_schedule_gives_the_winners_rates(found: Found, tmp_path: Path) -> None:
    """One for each update of a full training; it is saved with a model and loaded again."""
    winner, schedule = found.winner, found.schedule()
    per_epoch = -(-1079 // winner.batch_size)
    assert found.steps == per_epoch
    expected = schedules.curve(
        winner.scheme,
        steps=found.steps,
        steps_per_epoch=per_epoch,
        initial_lr=winner.initial_lr,
        params=winner.params,
    )
    assert [float(schedule(step)) for step in range(found.steps)] == expected.astype(np.float32).tolist()
    assert float(schedule(found.steps + 5)) == np.float32(expected[-1])
    saved = network()
    found.compile(saved)
    saved.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config()["learning_rate"]["class_name"] == "RateCurve"


def test_several_inputs_are_a_list_or_a_dictionary() -> None:
    """A list is in the order of the model's inputs, and the answer is the same."""
    left, right = keras.Input((32,), name="left"), keras.Input((32,), name="right")
    joined = layers.concatenate([layers.Dense(8, activation="relu")(left), right])
    model = keras.Model([left, right], layers.Dense(10)(joined))
    as_list, as_dictionary = [X[:, :32], X[:, 32:]], {"right": X[:, 32:], "left": X[:, :32]}
    boards = [find(model, (x, Y), **LEAST).leaderboard for x in (as_list, as_dictionary)]
    assert boards[0].equals(boards[1])


def test_answer_and_report_show_the_same(found: Found, tmp_path: Path) -> None:
    """In words, as a page, and in a notebook."""
    first = str(found).splitlines()[0]
    assert first.startswith("Train Adam with the ")
    page = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert first.removesuffix(".") in page
    assert "find(model, data, " in page
    shown = found._repr_html_()
    for words in (first, "How sure", "keras.optimizers.Adam(learning_rate=Schedule()", "Finalists and baselines"):
        assert words in html.unescape(shown)
    assert "<html" not in shown
    assert ".lr-pipeline {" in shown  # its style applies to nothing else in the notebook
    assert {"range_test", "lr_curves", "loss_curves", "leaderboard", "trials"} <= found.figures.keys()
    found.figures["range_test"].savefig(tmp_path / "range_test.png")
    assert (tmp_path / "range_test.png").stat().st_size > 10_000
    assert list(found.leaderboard["scheme"]) == [row.scheme for row in found.search.leaderboard]


def test_the_same_call_gives_the_same_answer(model: keras.Model, found: Found) -> None:
    """To the last digit."""
    again = find(model, (X, Y), **SMALL)
    assert again.search.leaderboard == found.search.leaderboard


def network_for(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return the network, as model functions of the command line do."""
    assert (input_shape, num_outputs) == ((64,), 10)
    return network()


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """The digits, 100 a batch."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self._x, self._y = X[first:last], Y[first:last]

    def __len__(self) -> int:
        return -(-len(self._x) // 100)

    def __getitem__(self, batch: int) -> tuple[Any, Any]:
        return self._x[batch * 100 : (batch + 1) * 100], self._y[batch * 100 : (batch + 1) * 100]


def test_a_function_builds_new_networks() -> None:
    """Seeds then differ in their initial weights too; an uncompiled one gets the loss that fits it.

    All data beside those for validation are trained on, and give the same answer wherever they come from.
    """
    options: dict[str, Any] = {"optimizer": "sgd", **LEAST}
    answer = find(network, (X, Y), validation_data=(X[:300], Y[:300]), **options)
    assert answer.winner.optimizer == "sgd"
    assert answer._report.prepare.train_examples == len(X)
    assert answer._report.prepare.validation_examples == 300
    other = find(network_for, Batches(0, len(X)), validation_data=Batches(0, 300), **options)
    assert other.search.leaderboard == answer.search.leaderboard
    fresh = network()
    answer.compile(fresh)
    assert fresh.evaluate(X, Y, verbose=0)[0] > 0


def test_ctrl_c_gives_the_best_answer_so_far() -> None:
    """Once a training has finished; nothing is trained after that."""
    built: list[keras.Model] = []

    def build() -> keras.Model:
        if len(built) == 5:
            raise KeyboardInterrupt
        built.append(network())
        return built[-1]

    answer = find(build, (X, Y), **{**SMALL, "trials": 6})
    assert answer.interrupted
    assert 1 <= answer.search.trials < 6
    assert str(answer).startswith("This is the best answer so far")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epoch": 3}, "epoch: received 3, expected one of "),
        ({"seed": "first"}, "seed: received 'first', expected a valid integer"),
        ({"epochs": 0}, "epochs: received 0, expected greater than or equal to 1"),
        ({"target": "y"}, "option target: received 'y'; accepted: data and model as the first two arguments"),
        ({"checkpoint": 5}, "option checkpoint: received 5"),
        ({"workers": 2}, "option workers: received 2"),
        ({"deterministic": True}, "deterministic: received True; accepted: it with TF_DETERMINISTIC_OPS=1"),
        ({"history": "related"}, "history: received 'related' without track; accepted: off, or track: the store of"),
        ({"optimizer": "ada"}, "optimizer: received 'ada'"),
        ({"budget": 1.2}, "budget: received 1.2"),
        ({"validation_data": (X[:5, :60], Y[:5])}, "x_val is not like x_train: received examples of shape (60,)"),
        (
            {"validation_data": (X[:300], Y[:300]), "splits": 2},
            "splits: received 2 with validation_data; accepted: 1, or",
        ),
        ({"validation_data": 3}, "unusable result of data function validation_data"),
    ],
)
def test_wrong_options_are_refused(model: keras.Model, options: dict[str, Any], said: str) -> None:
    """In a line, before anything is trained."""
    with pytest.raises(InputError) as error:
        find(model, (X, Y), progress=False, **options)
    assert said in str(error.value)


def _own_step() -> keras.Model:
    model = network()
    model.compile(keras.optimizers.Ftrl(), "mse")
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("cnn", "model: received str; accepted: a Keras model, or a function that returns a new one"),
        (keras.Sequential([layers.Dense(10)]), "model: received one without weights"),
        (lambda: 3, "returned int, expected a Keras model"),
        (lambda: keras.Sequential([keras.Input((64,)), layers.Dense(3)]), "gives outputs of shape (None, 3)"),
        (_own_step, "model's optimizer: received Ftrl; accepted: one of sgd, adam"),
    ],
)
def test_models_that_cannot_be_used_are_refused(model: Any, said: str) -> None:
    """In a line that says what would be accepted."""
    with pytest.raises(InputError) as error:
        find(model, (X, Y), **SMALL)
    assert said in str(error.value)


def test_trainings_shorter_than_a_sweep_keep_the_budget() -> None:
    """Of 44 updates, where a sweep has 100: others are left out."""
    found = find(compiled(), (X, Y), epochs=2, budget=6, progress=False)
    assert found.search.audits is not None
    ledger = found.search.audits.ledger
    assert sum(ledger[part].trainings for part in ("range test", "trials", "confirmation") if part in ledger) <= 6


@keras.saving.register_keras_serializable("tests")
class Margin(keras.metrics.Mean):  # type: ignore[misc]
    """By how much the output of the right class exceeds the largest other."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch."""
        right = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
        others = keras.ops.max(y_pred - 2 * right, axis=-1)
        return super().update_state(keras.ops.sum(y_pred * right, axis=-1) - others, sample_weight)


def test_a_search_for_the_highest_of_a_users_metric() -> None:
    """Results name the metric, in its own sign, best first; a metric that the model lacks gives one line."""
    judged = keras.Sequential([keras.Input((64,)), layers.Dense(10, activation="softmax")])
    judged.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy", Margin(name="margin")])
    expected = r"^objective: received 'val_margni', expected a metric of the model: val_accuracy.* val_margin$"
    with pytest.raises(InputError, match=expected):
        find(judged, (X, Y), objective="max:val_margni", **SMALL)

    found = find(judged, (X, Y), objective="max:val_margin", **SMALL)
    assert found.search.model_dump(mode="json")["objective"] == {"metric": "val_margin", "direction": "max"}
    assert "validation margin" in found.search.reason
    means = [row.objective.mean for row in found.search.leaderboard]
    assert means == sorted(means, reverse=True)
    board = found.leaderboard
    assert board["val_margin"].tolist() == pytest.approx(means)
    assert (board["val_margin_low"] < board["val_margin"]).all()
    assert {"val_loss", "val_accuracy"} <= set(board)


@pytest.mark.parametrize("built", [True, False])
def test_sequences_reach_a_network_as_they_are_given(built: bool) -> None:
    """They look like grey images: a built model, or what a function builds for their shape, takes them as sequences."""
    shapes = []

    def recurrent(shape: tuple[int, ...] = (12, 3), outputs: int = 1) -> keras.Model:
        shapes.append(shape)
        return keras.Sequential([keras.Input(shape), layers.SimpleRNN(4), layers.Dense(outputs)])

    x = np.random.default_rng(0).normal(size=(400, 12, 3))
    found = find(recurrent() if built else recurrent, (x, x.sum((1, 2))), **OF_FEW_ROWS)
    assert found.search.trials
    assert shapes[-1] == (12, 3)


SHOP = pd.DataFrame(
    {
        "age": [np.nan, 30, 41, 25, 60] * 40,
        "since": pd.date_range("2023-01-01", periods=200, freq="7h"),
        "town": ["Ulm", "Bonn", None, "Ulm", "Rome"] * 40,
        "spent": np.random.default_rng(0).normal(100, 30, 200),
    }
)
BOUGHT = np.where(SHOP["spent"] > 100, "yes", "no")


def dense(shape: tuple[int, ...], outputs: int) -> keras.Model:
    """Return a network for inputs of any length."""
    return keras.Sequential([keras.Input(shape), layers.Dense(8, activation="relu"), layers.Dense(outputs)])


def test_a_table_is_encoded_and_its_rows_are_given_back_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What was done to each column is printed, kept and reported, and `inputs` does it to any rows."""
    found = find(dense, (SHOP, BOUGHT), **OF_FEW_ROWS | {"progress": True})
    assert found.columns["age"] == "number, 40 missing, filled in with the median 30 and marked"
    assert set(found.columns) == set(SHOP)
    printed = " ".join(capsys.readouterr().out.split())
    assert "filled in with the median 30 and marked: 'age'" in printed
    assert "Columns of the data" in found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    x = found.inputs(SHOP)
    assert (len(x), x.dtype.name) == (200, "float32")
    assert abs(x).max() < 10
    model = dense(x.shape[1:], 2)
    found.compile(model)
    model.fit(x, (BOUGHT == "yes").astype(int), batch_size=found.winner.batch_size, verbose=0)
    assert found.inputs(SHOP.head(2).assign(town="Paris")).shape == (2, x.shape[1])


def test_a_validation_set_without_gaps_is_encoded_as_the_training_set() -> None:
    """Though by itself it would be an array of numbers."""
    numbers = SHOP[["age", "spent"]]
    full = numbers.dropna()
    found = find(dense, (numbers, BOUGHT), validation_data=(full, BOUGHT[full.index]), **OF_FEW_ROWS)
    assert found.columns["age"].startswith("number, 40 missing")


def test_labels_that_look_like_classes_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    """As by `prepare`, and labels far from one, unless they are scaled."""
    options = LEAST | {"progress": True}
    find(lambda: dense((64,), 1), (X, Y * 100.0), **options)
    printed = " ".join(capsys.readouterr().out.split())
    assert "labels 0.0, 100.0, 200.0, ...: regression; for classes write whole numbers" in printed
    assert "scale_labels=true scales them" in printed
    find(lambda: dense((64,), 1), (X, Y * 100.0), **options, scale_labels=True, task="regression")
    printed = " ".join(capsys.readouterr().out.split())
    assert "for classes" not in printed
    assert "scale_labels=true scales them" not in printed


def test_schemes_are_those_of_the_optimizer_that_a_model_was_compiled_with() -> None:
    """As where an option names it."""
    model = network()
    model.compile(optimizers.create("schedule_free_sgd", 0.1, 0.9), "sparse_categorical_crossentropy")
    with pytest.raises(InputError, match="schemes: received 'cosine,linear' with optimizer=schedule_free_sgd"):
        find(model, (X, Y), **LEAST)


def test_the_weight_decay_is_searched_for_an_optimizer_that_has_one() -> None:
    """That of a compiled model counts, and what is found is compiled with its decay."""
    with pytest.raises(InputError, match="weight_decay: received 'search' with optimizer=adam, expected optimizers"):
        find(compiled(), (X, Y), weight_decay="search", **LEAST)
    model = network()
    model.compile(keras.optimizers.AdamW(0.005), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = find(model, (X, Y), weight_decay="search", **LEAST)
    winner = found.winner.model_copy(update={"weight_decay": 0.05})
    answer = replace(found, search=found.search.model_copy(update={"winner": winner}))
    answer.compile(again := network())
    assert again.optimizer.weight_decay == 0.05
    found.compile(again)
    assert again.optimizer.weight_decay == 0.004
