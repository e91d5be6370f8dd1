"""The data of the range tests."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return real images of digits, float32[1792, 64] in [0, 1], and their labels: 56 batches of 32."""
    x, y = load_digits(return_X_y=True)
    return (x[:1792] / 16).astype(np.float32), y[:1792]
