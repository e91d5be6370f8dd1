"""Weights of the examples, wherever they come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import Raw, digests, load, load_splits, save, split
from pipeline.errors import InputError

X, Y = np.arange(60.0)[:, np.newaxis], np.arange(60) % 3
W = (1 + X[:, 0]) / 2
FUNCTION = """
import numpy as np
x, y = np.arange(60.0)[:, np.newaxis], np.arange(60) % 3
def whole(): return x, y, (1 + x[:, 0]) / 2
def parts(): return (x, y, (1 + x[:, 0]) / 2), (x[:9], y[:9])
"""


@pytest.mark.parametrize("source", ["mine.npz", "weighted_data:whole", "weighted_data:parts"])
def test_they_stay_with_their_examples(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do through splitting, saving and loading, as float32; a test set may have none."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", x_train=X, y_train=Y, w_train=W)
    Path("weighted_data.py").write_text(FUNCTION)
    splits = split(load(source), seed=0)
    for part in ("train", "val", "test"):
        w = getattr(splits, f"w_{part}")
        if part == "test" and source.endswith("parts"):
            assert w is None
        else:
            assert w.dtype == np.float32
            np.testing.assert_allclose(w, (1 + getattr(splits, f"x_{part}")[:, 0]) / 2)
    save(splits, "splits.npz")
    assert digests(load_splits("splits.npz")) == digests(splits)
    assert ("w_test" in digests(splits)) is (splits.w_test is not None)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (W[:-1], "received 59 for 60 examples; accepted: one per example"),
        (-W, "received -30 to -0.5; accepted: none below 0"),
        (0 * W, "received 0 to 0; accepted: none below 0, at least one above"),
        (np.where(Y, W, np.nan), "received 20 NaN or infinite, first in example 0"),
        (np.stack([W, W], axis=1), "received dtype float64, shape (60, 2); accepted: one number per example"),
        (W.astype(str), "accepted: one number per example"),
    ],
)
def test_unusable_weights_are_one_line(weights: np.ndarray[Any, Any], message: str) -> None:
    """The line names their set and what was received."""
    with pytest.raises(InputError) as caught:
        split(Raw(X, Y, w_train=weights), seed=0)
    assert "weights of train" in str(caught.value)
    assert message in str(caught.value)
