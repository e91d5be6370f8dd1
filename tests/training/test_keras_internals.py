"""The private parts of Keras that the engine relies on: a new Keras that breaks one fails here."""

import ast
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.training import keras_internals
from tests.training.networks import NoLoss, constant, image_cnn, nested, noisy, plain, rich

PIPELINE = Path(__file__).parents[2] / "pipeline"
HOME = PIPELINE / "training" / "keras_internals.py"
COPIED = PIPELINE / "lr_multipliers.py"


class TestUnseededDraws:
    def test_layers_without_a_seed_draw_from_the_generator_given(self) -> None:
        """In a traced program too: its state alone decides the draws, not the seeds set meanwhile."""
        generator, model = keras.random.SeedGenerator(0), noisy()
        model.compile("sgd", "sparse_categorical_crossentropy")
        x, y = np.zeros((4, 8, 8, 1), np.float32), np.zeros(4, np.int32)
        weights = model.get_weights()
        seen: list[Any] = []
        for seed in (5, 6, 5):
            keras.utils.set_random_seed(11 * seed)
            if not seen:  # the program is traced after this
                keras_internals.draw_unseeded_from(generator)
            generator.state.assign([seed, 0])
            model.set_weights(weights)
            model.train_on_batch(x, y)
            seen.append(model.get_weights()[0])
        assert np.array_equal(seen[0], seen[2])
        assert not np.array_equal(seen[0], seen[1])

    def test_the_users_generator_is_put_back(self) -> None:
        """With its state, also after an exception, and where another one was set meanwhile."""

        def draws() -> list[list[float]]:
            return [np.asarray(keras.random.normal((2,))).tolist() for _ in range(2)]

        def draw_and_fail() -> None:
            with keras_internals.global_generator_kept():
                draws()
                keras_internals.draw_unseeded_from(keras.random.SeedGenerator(7))
                raise KeyError

        keras.utils.set_random_seed(3)
        expected = draws() + draws()
        keras.utils.set_random_seed(3)
        seen = draws()
        with pytest.raises(KeyError):
            draw_and_fail()
        assert seen + draws() == expected


class TestLayers:
    def test_all_of_a_nested_model_are_listed(self) -> None:
        """The inner model's as well."""
        listed = keras_internals.all_layers(nested())
        assert {"Sequential", "Rescaling", "Flatten", "Dense", "BatchNormalization", "Dropout"} <= {
            type(layer).__name__ for layer in listed
        }
        assert sum(isinstance(layer, layers.Dense) for layer in listed) == 2

    @pytest.mark.parametrize(
        "layer",
        [
            layers.Conv1D(1, 1), layers.Conv2D(1, 1), layers.Conv3D(1, 1), layers.Conv2DTranspose(1, 1),
            layers.DepthwiseConv2D(1), layers.SeparableConv2D(1, 1),
        ],
        ids=lambda layer: type(layer).__name__,
    )  # fmt: skip
    def test_convolutions_of_keras_are_recognised(self, layer: keras.Layer) -> None:
        """Whatever their dimensions."""
        assert keras_internals.convolves(layer)

    def test_others_are_not(self) -> None:
        """Dense layers, and a user's own class, even one that extends a convolution."""

        class Own(layers.Conv2D):  # type: ignore[misc]
            pass

        assert not any(map(keras_internals.convolves, (layers.Dense(1), layers.MaxPooling2D(), Own(1, 1))))
        assert any(map(keras_internals.convolves, keras_internals.all_layers(image_cnn())))

    def test_plain_models_are_those_without_code_of_a_user(self) -> None:
        """Sequential and functional ones; no subclass of either, no subclassed model."""

        class Own(keras.Sequential):  # type: ignore[misc]
            pass

        model = plain()
        assert keras_internals.is_plain_model(model)
        assert keras_internals.is_plain_model(keras.Model(model.inputs, model.outputs))
        assert not keras_internals.is_plain_model(Own(model.layers))
        assert not keras_internals.is_plain_model(NoLoss())

    def test_functions_of_keras_are_distinguished_from_a_users_own(self) -> None:
        """By the modules that they come from."""
        assert all(map(keras_internals.is_keras_own, (keras.activations.relu, layers.Dense(1, "tanh").activation)))
        assert not keras_internals.is_keras_own(plain)
        assert not keras_internals.is_keras_own(layers.Dense(1, lambda x: x).activation)


class TestStateOfAModel:
    def test_forgotten_losses_are_those_of_the_last_call(self) -> None:
        """Penalties on weights stay; those on activations come back with the next call."""
        model = rich()
        model(np.ones((2, 8, 8, 1), np.float32))
        assert len(model.losses) == 2
        keras_internals.forget_losses(model)
        assert len(model.losses) == 1
        model(np.ones((2, 8, 8, 1), np.float32))
        assert len(model.losses) == 2

    def test_a_loss_measured_alone_is_the_compiled_one(self) -> None:
        """Loss and weight of the loss are kept; metrics are neither called nor built."""
        model = constant()
        model.compile("sgd", "sparse_categorical_crossentropy", loss_weights=[0.5], metrics=["accuracy"])
        x, y = np.ones((4, 8, 8, 1), np.float32), np.arange(4)
        attributes = dict(vars(model))
        keras_internals.measure_loss_alone(model)
        alone = model.evaluate(x, y, verbose=0, return_dict=True)
        vars(model).update({**attributes, "test_function": None})
        assert not model._compile_metrics.built
        assert not model._compile_loss.built
        measured = model.evaluate(x, y, verbose=0, return_dict=True)
        assert set(measured) == {"loss", "accuracy"}
        assert alone == {"loss": pytest.approx(measured["loss"], rel=1e-6)}

    def test_a_model_without_a_loss_has_none_afterwards(self) -> None:
        """Its own `compute_loss` is then all there is."""
        model = constant()
        model.compile("sgd")
        keras_internals.measure_loss_alone(model)
        assert model._compile_loss is None


def private(path: Path) -> list[str]:
    """Return where a module imports private parts of Keras or TensorFlow, or uses a private attribute of an object.

    Private attributes of `self` and `cls` are their own, and those of `os` and `atexit` are neither of the two.
    """
    tree = ast.parse(path.read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    found = [f"{path.name}: {name}" for name in named if name.startswith(("keras.src", "tensorflow.python"))]
    return found + [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_own(node.value)
    ]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_own(value: Any) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "os", "atexit")


def test_private_keras_is_used_in_one_file() -> None:
    """Everything else of the project uses what Keras and TensorFlow document.

    Only a file that is copied to users, so that it can import none of this project, uses some too; its own tests hold
    them to what they should do.
    """
    files = sorted(PIPELINE.rglob("*.py"))
    assert [line for path in files if path not in (HOME, COPIED) for line in private(path)] == []
    used = {line.rpartition(".")[2] for line in private(COPIED)}
    assert used == {"_flatten_layers", "_var_key", "_apply_weight_decay", "_get_current_learning_rate"}


def test_the_search_finds_what_that_file_uses() -> None:
    """So that the test above cannot pass because it sees nothing."""
    found = "\n".join(private(HOME))
    for used in ("keras.src.trainers.compile_utils", "model._flatten_layers", "model._clear_losses"):
        assert used in found
