"""The articles' networks, and the requirements on users' own."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.config import MODELS
from pipeline.errors import InputError
from pipeline.models import BUILT_IN, builder

USERS = """
import keras
from keras import layers


def good(shape, outputs):
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(outputs, activation="softmax")])


class Subclassed(keras.Model):
    def __init__(self, outputs):
        super().__init__()
        self.flatten, self.drop, self.out = layers.Flatten(), layers.Dropout(0.5), layers.Dense(outputs)

    def call(self, inputs):
        return self.out(self.drop(self.flatten(inputs)))


def subclassed(shape, outputs):
    return Subclassed(outputs)


def without_input(shape, outputs):
    return keras.Sequential([layers.Flatten(), layers.Dense(outputs)])


def not_a_model(shape, outputs):
    return [shape, outputs]


def nothing(shape, outputs):
    good(shape, outputs)


def compiled(shape, outputs):
    model = good(shape, outputs)
    model.compile("sgd", "mse")
    return model


ONE = []


def same(shape, outputs):
    ONE.append(good(shape, outputs))
    return ONE[0]


def too_wide(shape, outputs):
    return good(shape, outputs + 1)


def sequences(shape, outputs):
    return keras.Sequential([keras.Input(shape), layers.Reshape((-1, 1)), layers.Dense(outputs)])


def two_outputs(shape, outputs):
    inputs = keras.Input(shape)
    flat = layers.Flatten()(inputs)
    return keras.Model(inputs, [layers.Dense(outputs)(flat), layers.Dense(outputs)(flat)])


def other_inputs(shape, outputs):
    return good((5, 5, 1), outputs)


def frozen(shape, outputs):
    model = good(shape, outputs)
    model.trainable = False
    return model


def raises(shape, outputs):
    numbers = {}
    return numbers["depth"]


def exits(shape, outputs):
    raise SystemExit(0)


def bare(shape, outputs):
    raise BaseException("stop")


def no_arguments():
    return good((8, 8, 1), 10)


def one_argument(shape):
    return good(shape, 10)


def wide(shape, outputs, *, width=4, act="relu"):
    return keras.Sequential([good(shape, width), layers.Dense(width, act), layers.Dense(outputs)])


number = 3
"""


@pytest.fixture
def users_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a user's modules into the working directory."""
    (tmp_path / "users_networks.py").write_text(USERS)
    (tmp_path / "users_broken.py").write_text("import keras\nraise RuntimeError('no licence')\n")
    (tmp_path / "users_unfinished.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # restores what looking for the module adds
    return tmp_path


def kinds(model: keras.Model) -> list[str]:
    """Return the classes of the layers, in order."""
    return [type(layer).__name__ for layer in model.layers]


def refused(model: str, shape: tuple[int, ...] = (8, 8, 1), outputs: int = 10) -> str:
    """Return the one line of the error."""
    with pytest.raises(InputError) as caught:
        builder(model, shape, outputs, "classification")()
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


class TestArticles:
    def test_mlp_is_article_a(self) -> None:
        """`Flatten(28x28) -> Dense(128, relu) -> Dense(10, softmax)`: 784 * 128 + 128 + 128 * 10 + 10 parameters."""
        model = builder("mlp", (28, 28, 1), 10, "classification")()
        assert kinds(model) == ["Flatten", "Dense", "Dense"]
        assert [layer.activation.__name__ for layer in model.layers[1:]] == ["relu", "softmax"]
        assert model.count_params() == 101_770
        assert not model.compiled

    def test_cnn_is_article_b(self) -> None:
        """Two blocks of unpadded 3x3 convolution, pooling and dropout leave 5x5 pixels for 256 units."""
        model = builder("cnn", (28, 28, 1), 10, "classification")()
        block = ["Conv2D", "MaxPooling2D", "Dropout"]
        assert kinds(model) == [*block, *block, "Flatten", "Dense", "Dense"]
        convolutions, dropouts, dense = model.layers[0:4:3], model.layers[2:6:3], model.layers[7:]
        assert [(conv.filters, conv.kernel_size, conv.padding) for conv in convolutions] == [
            (32, (3, 3), "valid"),
            (64, (3, 3), "valid"),
        ]
        assert [dropout.rate for dropout in dropouts] == [0.25, 0.25]
        assert [layer.pool_size for layer in model.layers[1:5:3]] == [(2, 2), (2, 2)]
        assert [layer.activation.__name__ for layer in [*convolutions, *dense]] == ["relu", "relu", "relu", "softmax"]
        convolution_params = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64
        assert model.count_params() == convolution_params + (5 * 5 * 64 + 1) * 256 + (256 + 1) * 10 == 431_242

    @pytest.mark.parametrize(("side", "params"), [(28, 34_826), (8, 21_386)])
    def test_keras_example_can_be_named_as_a_users_network_can(self, side: int, params: int) -> None:
        """It has 34,826 parameters on MNIST, as published; padded, it also takes the 8x8 images of digits."""
        model = builder("pipeline.models:keras_example", (side, side, 1), 10, "classification")()
        assert kinds(model) == ["Conv2D", "MaxPooling2D"] * 2 + ["Flatten", "Dropout", "Dense"]
        assert model.count_params() == params

    def test_the_option_knows_them(self) -> None:
        """The option accepts exactly the names that can be built."""
        assert set(MODELS) == set(BUILT_IN)


class TestAdaptation:
    @pytest.mark.parametrize(
        ("model", "shape", "outputs", "params"),
        [
            ("cnn", (8, 8, 1), 10, 320 + 18_496 + (2 * 2 * 64 + 1) * 256 + 2_570),
            ("cnn", (9, 12, 1), 10, 320 + 18_496 + (2 * 3 * 64 + 1) * 256 + 2_570),
            ("cnn", (10, 10, 1), 10, 320 + 18_496 + (1 * 1 * 64 + 1) * 256 + 2_570),
            ("cnn", (4, 4, 1), 3, 320 + 18_496 + (1 * 1 * 64 + 1) * 256 + 257 * 3),
            ("cnn", (32, 32, 3), 100, 28 * 32 + 18_496 + (6 * 6 * 64 + 1) * 256 + 25_700),
            ("mlp", (8, 8, 1), 10, 65 * 128 + 1_290),
            ("mlp", (32, 32, 3), 10, 3_073 * 128 + 1_290),
            ("mlp", (13,), 3, 14 * 128 + 387),
            ("mlp", (1,), 2, 2 * 128 + 258),
        ],
    )
    def test_built_in_networks_fit_any_data(
        self, model: str, shape: tuple[int, ...], outputs: int, params: int
    ) -> None:
        """Images too small for unpadded convolutions are padded; each class gets a probability."""
        network = builder(model, shape, outputs, "classification")()
        assert network.count_params() == params
        probabilities = np.asarray(network(np.ones((2, *shape), np.float32)))
        assert probabilities.shape == (2, outputs)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize(("model", "shape"), [("mlp", (13,)), ("cnn", (8, 8, 1))])
    def test_regression_has_a_linear_output(self, model: str, shape: tuple[int, ...]) -> None:
        """The output is one unbounded value; all layers before it are as for classification."""
        valued, classifying = builder(model, shape, 1, "regression")(), builder(model, shape, 1, "classification")()
        assert valued.layers[-1].activation.__name__ == "linear"
        assert classifying.layers[-1].activation.__name__ == "softmax"
        assert [_nameless(layer) for layer in valued.layers[:-1]] == [
            _nameless(layer) for layer in classifying.layers[:-1]
        ]

    @pytest.mark.parametrize("shape", [(13,), (3, 8, 1), (8, 3, 1), (8, 8)])
    def test_cnn_needs_images(self, shape: tuple[int, ...]) -> None:
        """For tables and images too small for pooling, the error says what it needs and what to use."""
        assert refused("cnn", shape) == (
            f"model: received 'cnn' for inputs of shape {shape}, expected images of 4x4 or more, or model=mlp"
        )


class TestUsersOwn:
    @pytest.mark.parametrize("name", ["good", "subclassed", "without_input", "no_arguments"])
    def test_any_way_of_writing_a_model_is_built(self, users_modules: Path, name: str) -> None:
        """Functional, subclassed without `build` or without an input: all weights exist before training."""
        model = builder(f"users_networks:{name}", (8, 8, 1), 10, "classification")()
        assert model.count_params() == 650
        assert sorted(tuple(variable.shape) for variable in model.trainable_variables) == [(10,), (64, 10)]
        assert not model.compiled

    def test_every_call_builds_another(self, users_modules: Path) -> None:
        """Seeds set between calls decide the weights."""
        build = builder("users_networks:good", (8, 8, 1), 10, "classification")
        made = []
        for seed in (1, 2, 1):
            keras.utils.set_random_seed(seed)
            made.append(build().get_weights()[0])
        assert np.array_equal(made[0], made[2])
        assert not np.array_equal(made[0], made[1])

    def test_what_the_user_compiled_stays_compiled(self, users_modules: Path) -> None:
        """The engine uses its loss and metrics."""
        model = builder("users_networks:compiled", (8, 8, 1), 10, "classification")()
        assert (model.compiled, model.loss) == (True, "mse")

    def test_keyword_arguments_are_passed_on(self, users_modules: Path) -> None:
        """As they are typed; a name that the function does not have is refused with those that it has."""
        given = {"width": 6, "act": "tanh"}
        model = builder("users_networks:wide", (8, 8, 1), 10, "classification", given)()
        assert model.layers[1].get_config()["units"] == 6
        assert model.layers[1].activation.__name__ == "tanh"
        with pytest.raises(InputError) as caught:
            builder("users_networks:wide", (8, 8, 1), 10, "classification", {"widht": 6})
        assert str(caught.value) == (
            "model_args: received 'widht'; accepted: 'width', 'act' of users_networks:wide"
            "(shape, outputs, *, width=4, act='relu'); did you mean 'width'?"
        )
        build = builder("users_networks:wide", (8, 8, 1), 10, "classification", {"width": "x"})
        with pytest.raises(InputError, match=r"users_networks:wide\(\(8, 8, 1\), 10, width='x'\) failed with"):
            build()

    def test_the_same_model_again_is_refused(self, users_modules: Path) -> None:
        """It would continue from where the last training ended."""
        build = builder("users_networks:same", (8, 8, 1), 10, "classification")
        assert build()
        with pytest.raises(InputError, match="returned the same model again, expected a new one at every call"):
            build()

    @pytest.mark.parametrize(
        ("name", "parts"),
        [
            ("not_a_model", ["returned list", "expected a Keras model"]),
            ("nothing", ["returned NoneType", "expected a Keras model"]),
            ("too_wide", ["outputs of shape (None, 11)", "expected (None, 10)"]),
            ("sequences", ["outputs of shape (None, 64, 10)", "expected (None, 10)"]),
            ("two_outputs", ["outputs of shape list", "expected (None, 10)"]),
            ("other_inputs", ["expected shape=(None, 5, 5, 1)", "for inputs of shape (None, 8, 8, 1)"]),
            ("frozen", ["has no trainable weights", "expected at least one"]),
            ("raises", ["((8, 8, 1), 10) failed with KeyError: 'depth'", "(users_networks.py, line"]),
            ("exits", ["failed with SystemExit: 0 (users_networks.py, line"]),
            ("bare", ["failed with BaseException: stop (users_networks.py, line"]),
            ("one_argument", ["one_argument(shape); accepted: a function of (input_shape, num_outputs) that returns"]),
            ("number", ["no such function: received users_networks:number", "num_outputs)", "users_networks has"]),
        ],
    )
    def test_an_unusable_one_is_refused(self, users_modules: Path, name: str, parts: list[str]) -> None:
        """The error is one line with the function's name, what it returned and what was expected."""
        message = refused(f"users_networks:{name}")
        for part in [f"users_networks:{name}", *parts]:
            assert part in message

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("users_networks:missing", "no such function: received users_networks:missing"),
            ("users_networks:number_", "no such function: received users_networks:number_"),
            ("users_nowhere:f", "no such module: received users_nowhere:f"),
            ("users_network:f", "did you mean 'users_networks'?"),
            (
                "users_broken:f",
                "module users_broken failed: received RuntimeError: no licence (users_broken.py, line 2)",
            ),
            ("users_unfinished:f", "SyntaxError"),
            ("resnet", "received 'resnet', expected cnn, mlp, or module:function"),
            (":f", "received ':f', expected cnn, mlp, or module:function"),
        ],
    )
    def test_what_cannot_be_imported_is_refused(self, users_modules: Path, name: str, reason: str) -> None:
        """The error is one line with the value received, all that is accepted, and the reason."""
        message = refused(name)
        assert message.startswith("model: ")
        assert reason in message
        assert all(built_in in message for built_in in ("cnn", "mlp"))


def _nameless(layer: keras.layers.Layer) -> dict[str, Any]:
    return {key: value for key, value in layer.get_config().items() if key != "name"}
