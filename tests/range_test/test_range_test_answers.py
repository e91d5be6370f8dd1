"""Range tests on real data, and the example of the documentation."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

from pipeline.optimizers import OPTIMIZERS
from pipeline.range_test import range_test
from pipeline.range_test.exploration import BOUNDS
from tests.range_test.networks import SHORT, network, state

ROOT = Path(__file__).parent.parent.parent


class TestTheSweep:
    def test_it_answers_on_real_data(self, digits: Any) -> None:
        """With defaults alone, from arrays and from a data set, whose rates agree."""
        model = network(keras.optimizers.SGD(momentum=0.9), plain=True)
        arrays = range_test(model, digits)
        batches = range_test(model, tf.data.Dataset.from_tensor_slices(digits).batch(32))
        assert arrays.verdict == batches.verdict == "ok"
        assert arrays.lr_low < arrays.suggested_lr < arrays.lr_high  # type: ignore[operator]
        assert 0.5 < arrays.suggested_lr / batches.suggested_lr < 2.0  # type: ignore[operator]
        assert arrays.losses.shape == (1, 250)

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
        """56 updates an epoch: 100 epochs leave 186 updates for each of 3 seeds, 10 epochs the fewest allowed."""
        model = network(plain=True)
        assert range_test(model, digits, epochs=100, widenings=0).losses.shape == (1, 186)
        assert range_test(model, digits, epochs=10, widenings=0).losses.shape[1] == 100

    def test_trainings_refine_it(self, digits: Any) -> None:
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
        passes = tf.data.Dataset.from_tensor_slices((x[:200], wrong)).shuffle(200, seed=0).batch(32).repeat(60)
        for rate in (swept.suggested_lr, found.suggested_lr):
            decaying = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, 420))
            model = network(decaying, plain=True)
            model.fit(passes, shuffle=False, verbose=0)
            losses.append(model.evaluate(*validation, verbose=0)[0])
        assert losses[1] < 0.9 * losses[0]
        refinement = found.summary.refinement
        assert refinement is not None
        assert refinement.start_lr == swept.suggested_lr
        assert found.summary.updates == 250 + refinement.updates
        assert 2 * 420 < refinement.updates <= 5 * 420

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


def test_every_optimizer_has_bounds() -> None:
    """The table of bounds and the table of optimizers have the same names."""
    assert set(BOUNDS) | {"prodigy", "adafactor"} == set(OPTIMIZERS)
