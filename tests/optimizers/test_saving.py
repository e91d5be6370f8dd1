"""Models compiled with the project's own optimizers, as Keras saves them."""

from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.optimizers import create

X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True) ** 2


RATES = {"schedule_free_sgd": 0.03, "schedule_free_adamw": 0.03, "prodigy": 1.0}


def test_averages_keep_to_constraints() -> None:
    """Weights that must not be negative are not, neither while they train nor in the average."""
    last = keras.layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.NonNeg())
    model = keras.Sequential([keras.Input((4,)), last])
    model.compile(create("schedule_free_sgd", 0.3, 0.9), "mse", jit_compile=False)
    model.fit(X, -X[:, :1] + X[:, 1:2], epochs=5, verbose=0)
    negative, positive, *_ = model.get_weights()[0][:, 0]
    assert negative >= 0
    assert positive > 0.5


@pytest.mark.parametrize(("name", "rate"), RATES.items())
def test_a_loaded_model_trains_on_as_the_one_that_was_saved(name: str, rate: float, tmp_path: Path) -> None:
    """With the settings and the whole state of its optimizer."""
    default = create(name, rate, 0.9)
    optimizer = type(default).from_config({**default.get_config(), "weight_decay": 0.01})
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(X, Y, batch_size=8, epochs=5, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert int(loaded.optimizer.iterations) == 20
    before = model.get_weights()
    for one in (model, loaded):
        one.fit(X, Y, batch_size=8, epochs=5, verbose=0, shuffle=False)
    for ours, theirs, earlier in zip(model.get_weights(), loaded.get_weights(), before, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        assert not np.allclose(ours, earlier, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "rate"), RATES.items())
def test_embeddings_learn_as_from_one_hot_rows(name: str, rate: float) -> None:
    """Their gradients have only the rows that were looked up; the others count as zero, and averages go on."""
    codes, start = np.arange(32) % 7, np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2)
    found = []
    for first, x in ((keras.layers.Embedding(8, 2), codes), (keras.layers.Dense(2, use_bias=False), np.eye(8)[codes])):
        model = keras.Sequential([keras.Input(x.shape[1:]), first])
        model.set_weights([start])
        model.compile(create(name, rate, 0.9), "mse", jit_compile=False)
        model.fit(x, np.stack([codes, -codes], 1) / 7, batch_size=8, epochs=3, verbose=0, shuffle=False)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)
    assert not np.allclose(found[0][:7], start[:7], atol=1e-3 if name != "prodigy" else 1e-6)
