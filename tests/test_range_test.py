"""The range test of a model that somebody else compiled, on small real networks."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from keras import layers
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from pipeline.errors import InputError
from pipeline.optimizers import OPTIMIZERS, create
from pipeline.range_analysis.exploration import BOUNDS
from pipeline.range_test import range_test

ROOT = Path(__file__).parent.parent
SHORT: dict[str, Any] = {"seeds": 1, "updates": 30, "widenings": 0}


@pytest.fixture(scope="module")
def digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Real images of digits, float32[1792, 64] in [0, 1], and their labels: 56 batches of 32."""
    x, y = load_digits(return_X_y=True)
    return (x[:1792] / 16).astype(np.float32), y[:1792]


def network(optimizer: Any = "sgd", *, plain: bool = False, **compiled: Any) -> keras.Model:
    """Every kind of state: weights, running statistics, dropout seeds, penalties; `plain` has weights alone."""
    keras.utils.set_random_seed(7)
    hidden: list[keras.Layer] = [layers.Dense(16, "relu")]
    if not plain:
        hidden = [
            layers.Dense(16, "relu", kernel_regularizer="l2", activity_regularizer="l1"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
        ]
    model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    return model


def state(model: keras.Model) -> list[bytes]:
    """All that a training would change, to the last bit."""
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [np.asarray(variable).tobytes() for variable in variables]


def draws() -> tuple[float, ...]:
    """The next random numbers of Python, NumPy, and TensorFlow with and without its generator."""
    generator = tf.random.get_global_generator()
    return random.random(), np.random.random(), float(generator.uniform(())), float(tf.random.uniform(()))


class TestTheModelIsLeftAsItWas:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_bit_for_bit_with_every_optimizer(self, name: str, digits: Any) -> None:
        """In the middle of a training: weights, statistics, dropout seeds, optimizer, iterations, metrics."""
        model = network(create(name, 1e-3, 0.9))
        model.fit(*digits, epochs=1, verbose=0)
        optimizer, before = model.optimizer, state(model)
        found = range_test(model, digits, validation_data=digits, **SHORT)
        assert found.losses.shape == (1, 30)
        assert state(model) == before
        assert model.optimizer is optimizer
        assert int(optimizer.iterations) == 56
        assert float(optimizer.learning_rate) == np.float32(1e-3)

    def test_the_next_training_is_the_same(self, digits: Any) -> None:
        """A twin that was never swept gives the same losses to the last digit, dropout included."""
        histories = []
        for swept in (False, True):
            model = network(keras.optimizers.Adam(1e-3))
            if swept:
                range_test(model, digits, **SHORT)
            keras.utils.set_random_seed(3)
            histories.append(model.fit(*digits, epochs=2, verbose=0, shuffle=False).history)
        assert histories[0] == histories[1]

    def test_a_schedule_object_stays(self, digits: Any) -> None:
        """The rate is swept although the optimizer was compiled with a schedule, which Keras does not let one set."""
        schedule = keras.optimizers.schedules.CosineDecay(1e-3, 100)
        model = network(keras.optimizers.SGD(schedule, momentum=0.9))
        config, before = model.optimizer.get_config(), state(model)
        range_test(model, digits, **SHORT)
        assert state(model) == before
        assert model.optimizer.get_config() == config

    def test_random_states_go_on_as_if_nothing_had_been(self, digits: Any) -> None:
        """Also where the weights are drawn anew for every seed."""
        model, seen = network(), []
        for swept in (False, True):
            keras.utils.set_random_seed(11)
            tf.random.get_global_generator().reset_from_seed(5)
            if swept:
                range_test(model, digits, reinitialize=True, **SHORT)
            seen.append(draws())
        assert seen[0] == seen[1]

    def test_after_divergence(self, digits: Any) -> None:
        """NaN in the weights, and none of it stays."""
        model = network(plain=True)
        before = state(model)
        found = range_test(model, digits, lr_max=1e38, seeds=1, updates=200, widenings=0)
        assert np.isnan(found.losses).any()
        assert state(model) == before

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_after_an_exception(self, error: type[BaseException], digits: Any) -> None:
        """Raised in the sixth update, when the weights had moved."""
        kernels: list[bytes] = []

        class Breaks(layers.Layer):  # type: ignore[misc]
            def call(self, inputs: Any) -> Any:
                kernels.append(np.asarray(model.layers[0].kernel).tobytes() if model.compiled else b"")
                if len(kernels) > 6:
                    raise error
                return inputs

        model = keras.Sequential([keras.Input((64,)), layers.Dense(16)])
        model.add(Breaks())
        model.add(layers.Dense(10, "softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        before = state(model)
        with pytest.raises(error):
            range_test(model, digits, lr_min=1e-2, lr_max=1.0, **SHORT)
        assert kernels[-1] != kernels[1]
        assert state(model) == before

    def test_penalties_can_still_be_read(self, digits: Any) -> None:
        """No tensor of the swept program is left in the layers."""
        model = network()
        range_test(model, digits, **SHORT)
        assert all(np.isfinite(float(loss)) for loss in model.losses)


class TestWhatIsMeasured:
    def test_the_loss_of_each_batch_before_its_update_at_its_rate(self) -> None:
        """Least squares with one weight, trained by hand: w -= rate * d loss / d w, with an L2 penalty."""
        x = np.random.default_rng(0).normal(size=(64, 1)).astype(np.float32)
        y = 3 * x
        penalty = keras.regularizers.L2(0.1)
        model = keras.Sequential(
            [keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer=penalty)]
        )
        model.compile("sgd", "mean_squared_error")
        found = range_test(model, (x, y), batch_size=64, lr_min=1e-3, lr_max=0.5, **SHORT)
        weight, expected = 1.0, []
        for rate in found.rates:
            expected.append(float(np.mean((weight * x - y) ** 2)) + 0.1 * weight**2)
            weight -= rate * (float(np.mean(2 * x * (weight * x - y))) + 0.2 * weight)
        assert found.losses[0] == pytest.approx(expected, rel=1e-4)

    def test_accumulated_gradients_make_one_update(self, digits: Any) -> None:
        """Four batches of 8 with accumulation are one batch of 32: as many updates, and the same losses."""
        whole = range_test(network("sgd", plain=True), digits, lr_max=1.0, **SHORT)
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=4)
        parts = range_test(network(accumulating, plain=True), digits, batch_size=8, lr_max=1.0, **SHORT)
        assert parts.losses == pytest.approx(whole.losses, rel=1e-3)
        assert np.ptp(whole.losses) > 0.1

    def test_a_seed_fixes_order_and_dropout(self, digits: Any) -> None:
        """The same seed gives the same losses; another order or other dropped units do not."""
        model = network()
        found = range_test(model, digits, seeds=[4, 5, 4], updates=30, widenings=0).losses
        assert np.array_equal(found[0], found[2])
        assert not np.array_equal(found[0], found[1])
        one_batch = range_test(model, digits, batch_size=1792, seeds=2, updates=20, widenings=0).losses
        assert one_batch[0, 0] != one_batch[1, 0]

    def test_weights_are_the_users_own_unless_asked_otherwise(self, digits: Any) -> None:
        """With all data in one batch and no dropout, only the initial weights tell the seeds' first losses apart."""
        model = network(plain=True)
        own = model.evaluate(*digits, verbose=0)[0]
        options: dict[str, Any] = {"batch_size": 1792, "seeds": 2, "updates": 20, "widenings": 0}
        kept = range_test(model, digits, **options).losses[:, 0]
        drawn = range_test(model, digits, reinitialize=True, **options).losses[:, 0]
        assert kept == pytest.approx([own, own], rel=1e-5)
        assert abs(drawn[0] - drawn[1]) > 1e-3

    def test_validation_loss_on_a_fixed_sample(self, digits: Any) -> None:
        """Every tenth update; at rates that change nothing it is the model's own, without dropout."""
        model = network()
        own = model.evaluate(*digits, verbose=0)[0]
        found = range_test(model, digits, validation_data=digits, lr_min=1e-20, lr_max=1e-19, **SHORT)
        measured = np.flatnonzero(np.isfinite(found.val_losses[0]))
        assert measured.tolist() == [9, 19, 29]
        assert found.val_losses[0, 9] == pytest.approx(own, rel=0.05)  # evaluate averages the penalty over batches

    @pytest.mark.parametrize("compiled", [{"run_eagerly": True}, {"jit_compile": False}])
    def test_however_the_model_was_compiled(self, compiled: dict[str, Any], digits: Any) -> None:
        """Eagerly or not, the losses are the same."""
        reference = range_test(network(plain=True), digits, **SHORT).losses
        assert range_test(network(plain=True, **compiled), digits, **SHORT).losses == pytest.approx(reference, rel=1e-4)

    def test_scaled_losses_are_told_apart_from_the_true_ones(self, digits: Any) -> None:
        """A loss-scaling optimizer multiplies the loss for its gradients only."""
        scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=1024.0)
        reference = range_test(network(keras.optimizers.SGD(), plain=True), digits, **SHORT).losses
        assert range_test(network(scaling, plain=True), digits, **SHORT).losses == pytest.approx(reference, rel=1e-4)


class TestTheSweep:
    def test_it_answers_on_real_data(self, digits: Any) -> None:
        """From defaults alone, from arrays and from a data set, with rates that the two agree on."""
        model = network(keras.optimizers.SGD(momentum=0.9), plain=True)
        arrays = range_test(model, digits)
        batches = range_test(model, tf.data.Dataset.from_tensor_slices(digits).batch(32))
        assert arrays.verdict == batches.verdict == "ok"
        assert arrays.lr_low < arrays.suggested_lr < arrays.lr_high  # type: ignore[operator]
        assert 0.5 < arrays.suggested_lr / batches.suggested_lr < 2.0  # type: ignore[operator]
        assert arrays.losses.shape == (3, 250)

    def test_at_an_edge_it_sweeps_again_more_widely(self, digits: Any) -> None:
        """As often as allowed; all updates are counted, and a sweep that may not widen is refused."""
        model = network(keras.optimizers.SGD(momentum=0.9), plain=True)
        narrow = range_test(model, digits, lr_max=1e-3, widenings=0)
        assert (narrow.verdict, narrow.analysis.edge) == ("refused", "high")
        wide = range_test(model, digits, lr_max=1e-3)
        assert wide.verdict == "ok"
        assert wide.rates[-1] > 10 * narrow.rates[-1]
        assert wide.summary.updates > narrow.summary.updates == 750

    def test_it_keeps_to_a_share_of_the_planned_training(self, digits: Any) -> None:
        """56 updates an epoch: 100 epochs leave 186 updates for each of 3 seeds, 10 epochs the least that is read."""
        model = network(plain=True)
        assert range_test(model, digits, epochs=100, widenings=0).losses.shape == (3, 186)
        assert range_test(model, digits, epochs=10, widenings=0).losses.shape == (3, 100)

    def test_whole_trainings_refine_it(self, digits: Any) -> None:
        """On few examples with wrong labels the best rate is lower than the sweep says; trainings find out."""
        x, y = digits
        wrong = np.where(np.random.default_rng(0).random(200) < 0.4, 0, y[:200])
        model = network(keras.optimizers.Adam(), plain=True)
        before = state(model)
        validation = (x[200:], y[200:])
        swept = range_test(model, (x[:200], wrong), seeds=1)
        found = range_test(
            model, (x[:200], wrong), seeds=1, updates=250, epochs=60, refine="cosine", validation_data=validation
        )
        assert state(model) == before
        assert found.suggestions["landmarks"] == swept.suggested_lr
        assert found.suggested_lr == found.suggestions["refined"]
        assert found.lr_low < found.suggested_lr < found.lr_high  # type: ignore[operator]
        losses = []
        for rate in (swept.suggested_lr, found.suggested_lr):
            model = network(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, 420)), plain=True)
            model.fit(x[:200], wrong, batch_size=32, epochs=60, verbose=0)
            losses.append(model.evaluate(*validation, verbose=0)[0])
        assert losses[1] < 0.9 * losses[0]
        assert found.summary.updates >= 250 + 5 * 420

    def test_linear_spacing(self, digits: Any) -> None:
        """Equal steps in the rate."""
        found = range_test(network(), digits, spacing="linear", lr_min=1e-3, lr_max=1.0, **SHORT)
        assert np.diff(found.rates) == pytest.approx(np.full(29, 0.999 / 29))

    def test_no_rate_from_beyond_divergence(self, digits: Any) -> None:
        """The sweep ends there, and what is suggested lies below."""
        found = range_test(network(keras.optimizers.SGD(momentum=0.9), plain=True), digits, lr_max=1e8, widenings=0)
        assert found.analysis.divergence_lr is not None
        assert found.lr_high < found.analysis.divergence_lr  # type: ignore[operator]
        assert np.isnan(found.losses[:, -1]).all()

    def test_its_picture(self, digits: Any, tmp_path: Path) -> None:
        """Of an answer and of a refusal."""
        for options in ({}, SHORT):
            figure = range_test(network(plain=True), digits, **options).figure()
            assert isinstance(figure, Figure)
            figure.savefig(tmp_path / "range_test.png")
            assert (tmp_path / "range_test.png").stat().st_size > 10_000


def unbuilt() -> keras.Model:
    """No input shape, so no weights yet."""
    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def uncompiled() -> keras.Model:
    """Built, but without optimizer and loss."""
    return keras.Sequential([keras.Input((64,)), layers.Dense(10)])


def training_itself() -> keras.Model:
    """Its own train_step, which the sweep would pass over."""

    class Own(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model = Own([keras.Input((64,)), layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (unbuilt, "expected a built one"),
            (uncompiled, "expected a compiled one"),
            (training_itself, "override compute_loss"),
            (lambda: "model", "expected a Keras model"),
        ],
    )
    def test_models_that_cannot_be_swept(self, make: Callable[[], Any], expected: str, digits: Any) -> None:
        """One line says what would do."""
        with pytest.raises(InputError, match=expected):
            range_test(make(), digits)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [({"seeds": 0}, "seeds"), ({"seeds": [-1]}, "seeds"), ({"batch_size": 0}, "batch_size"),
         ({"lr_min": 1.0, "lr_max": 0.1}, "lr_min"),
         ({"lr_min": 0.0}, "lr_min"), ({"updates": 1}, "updates"), ({"spacing": "cubic"}, "spacing")],
    )  # fmt: skip
    def test_options_that_make_no_sense(self, options: dict[str, Any], expected: str, digits: Any) -> None:
        """Refused by name, before anything is trained."""
        with pytest.raises(InputError, match=expected):
            range_test(network(), digits, **options)

    @pytest.mark.parametrize(
        "options", [{"refine": "cosine"}, {"refine": "cosine", "epochs": 3}, {"refine": "no such scheme"}]
    )
    def test_refinement_needs_a_scheme_a_length_and_validation(self, options: dict[str, Any], digits: Any) -> None:
        """Without these there is nothing to train or to judge by."""
        with pytest.raises(InputError, match="refine"):
            range_test(network(), digits, **options)

    def test_data_that_do_not_fit(self, digits: Any) -> None:
        """Arrays of different lengths, and a data set without batches."""
        with pytest.raises(InputError, match="lengths"):
            range_test(network(), (digits[0], digits[1][:-1]))
        with pytest.raises(InputError, match="without batches"):
            range_test(network(), tf.data.Dataset.from_tensor_slices(digits).batch(32).take(0))


def test_every_optimizer_has_bounds() -> None:
    """The table of bounds and the table of optimizers name the same."""
    assert set(BOUNDS) == set(OPTIMIZERS)


def test_the_example_of_the_documentation_runs_in_a_fresh_interpreter(tmp_path: Path) -> None:
    """As it stands there, on the user's own model and arrays."""
    page = (ROOT / "docs" / "range_test.md").read_text()
    example = page.split("<!-- example -->\n```python\n")[1].split("```")[0]
    own = (
        "import keras; from sklearn.datasets import load_digits; x, y = load_digits(return_X_y=True); x = x / 16\n"
        "model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, 'relu'), keras.layers.Dense(10)])\n"
        "model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", own + example],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert 1e-4 < float(done.stdout.split()[0]) < 0.1
    assert (tmp_path / "range_test.png").exists()
