"""Callbacks, losses and precision of the user's own."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.training import compilation, engine, network
from tests.training.networks import BATCH, STEPS, digits, plain, trainer

CURVE = np.full(3 * STEPS, 0.05)


class TestCallbacks:
    def test_they_see_every_part(self, tmp_path: Path) -> None:
        """Own functions are called once a part with all values; checkpoints and logs write their files."""
        seen: list[float] = []
        trainings = trainer("plain").train(
            CURVE,
            1,
            validations=3,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"])),
                keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
                keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
                keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            ],
        )
        assert seen == list(trainings.history["val_loss"])
        assert {path.name for path in tmp_path.iterdir()} == {
            "best.keras", "1.weights.h5", "2.weights.h5", "3.weights.h5", "log.csv",
        }  # fmt: skip
        assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + 3
        best = keras.saving.load_model(tmp_path / "best.keras", compile=False)
        accuracy = (best.predict(digits().x_val / np.float32(16), verbose=0).argmax(1) == digits().y_val).mean()
        assert accuracy == pytest.approx(trainings.history["val_accuracy"][int(np.argmin(seen))])

    def test_they_may_stop_the_training(self) -> None:
        """Setting `stop_training` ends it after that part, as always in Keras."""
        engine = trainer("plain")
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(engine.model, "stop_training", epoch == 1)
        )
        training = engine.train(CURVE, 1, validations=3, callbacks=[stop])
        assert len(training.losses) == 2 * STEPS

    @pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard, which TensorFlow leaves out")
    def test_tensorboard_writes_its_files(self, tmp_path: Path) -> None:
        """Where its package is there."""
        trainer("plain").train(CURVE, 1, validations=3, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
        assert {path.parent.name for path in tmp_path.rglob("events.*")} == {"train", "validation"}
        assert trainer("plain").traces() == 1

    def test_tensorboard_without_its_package_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything is trained, with what installs it."""
        monkeypatch.setattr(compilation, "find_spec", lambda name: None)
        with pytest.raises(InputError, match="TensorBoard without its package, expected `pip install tensorboard`"):
            trainer("plain").train(CURVE, 1, validations=3, callbacks=[keras.callbacks.TensorBoard(tmp_path)])

    @pytest.mark.parametrize(
        "callback",
        [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)],
        ids=["plateau", "scheduler"],
    )
    def test_those_that_set_the_rate_are_refused(self, callback: keras.callbacks.Callback) -> None:
        """Before anything is trained, in one line."""
        with pytest.raises(InputError, match=f"received {type(callback).__name__}, expected none that sets the rate"):
            trainer("plain").train(CURVE, 1, validations=1, callbacks=[callback])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "binary_crossentropy"}, r"compiled loss or metrics fail with .*expected ones for int32 labels"),
        (
            {"loss": "sparse_categorical_crossentropy", "run_eagerly": True},
            "run_eagerly=True, expected one that can be traced",
        ),
    ],
)
def test_compiled_models_that_cannot_be_trained_are_refused(options: dict[str, Any], message: str) -> None:
    """Losses that cannot compare outputs with numbers of classes; and models that must not be traced."""

    def build() -> keras.Model:
        model = plain()
        model.compile("sgd", **options)
        return model

    with pytest.raises(InputError, match=message) as caught:
        engine(build, digits(), optimizer="sgd", momentum=0.5, batch_size=BATCH, precision="float32")
    assert "\n" not in str(caught.value)


class TestOwnLoss:
    def test_a_subclassed_model_with_its_own_loss_trains(self) -> None:
        """Its `compute_loss` is the loss that is recorded and validated, and validating records nothing."""
        engine, data = trainer("own_loss"), digits()
        training = engine.train(CURVE, 1, validations=3)
        assert (training.losses.shape, training.diverged) == ((3 * STEPS,), "")
        sizes = [32] * 6 + [8]
        means = [np.average(part, weights=sizes) for part in training.losses.reshape(3, STEPS)]
        assert training.history["loss"] == pytest.approx(means, rel=1e-5)
        probabilities = engine.model.predict(data.x_val / np.float32(16), verbose=0)
        loss = -3 * np.log(probabilities[np.arange(100), data.y_val]).mean()
        assert training.history["val_loss"][-1] == pytest.approx(loss, rel=1e-4)

    def test_a_training_step_without_a_loss_is_refused(self) -> None:
        """There would be no loss to record."""
        with pytest.raises(InputError, match="train_step does not call compute_loss, expected one that does"):
            trainer("no_loss").train(CURVE, 1, validations=0)


class TestPrecision:
    @pytest.mark.parametrize("name", ["plain", "nested"])
    def test_bfloat16_is_for_all_but_the_last_layer(self, name: str) -> None:
        """Hidden layers compute in bfloat16; weights, losses and probabilities have float32."""
        engine = trainer(name, precision="mixed_bfloat16")
        dense = [layer for layer in engine.model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
        assert {layer.units: layer.compute_dtype for layer in dense} == {16: "bfloat16", 10: "float32"}
        assert {variable.dtype for variable in engine.model.trainable_variables} == {"float32"}
        outputs = engine.model(digits().x_val / np.float32(16))
        assert outputs.dtype == "float32"
        np.testing.assert_allclose(np.sum(outputs, axis=1), 1, rtol=1e-5)  # bfloat16 would miss by up to 0.01
        assert keras.config.dtype_policy().name == "float32"

    def test_bfloat16_learns_what_float32_does(self) -> None:
        """The losses differ by rounding only, and do differ."""
        rounded, whole = (
            trainer("plain", precision=policy).train(CURVE, 1, validations=1).losses
            for policy in ("mixed_bfloat16", "float32")
        )
        np.testing.assert_allclose(rounded, whole, rtol=0.2)
        assert not np.allclose(rounded, whole, rtol=1e-5)
        assert rounded[-1] < rounded[0] / 1.5

    @pytest.mark.parametrize(
        ("name", "native", "expected"),
        [("cnn", True, "bfloat16"), ("cnn", False, "float32"), ("plain", True, "float32")],
    )
    def test_auto_follows_network_and_hardware(
        self, name: str, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bfloat16 only for convolutions, and only where the hardware multiplies it."""
        monkeypatch.setattr(network, "native_bfloat16", lambda: native)
        engine = trainer.__wrapped__(name, precision="auto")  # hardware is no argument to remember it by
        assert engine.model.layers[0].compute_dtype == expected
        training = engine.train(CURVE[:STEPS], 1, validations=1)
        assert training.losses.tobytes() == engine.train(CURVE[:STEPS], 1, validations=1).losses.tobytes()
