"""The learning rates that article a's program prints."""

import numpy as np

from pipeline.articles.table import EXPERIMENTS, PUBLISHED_EXAMPLES

LAST_PRINTED = 0.031885575503110886
"""The rate that article a's program prints at its end."""


def printed_rates() -> tuple[float, ...]:
    """The rate at the start of each epoch of article a's training, then the one at its end.

    Keras computes its `ExponentialDecay` in float32, and so does this. The training's own curve is computed in float64
    and rounded once: it has the same rates but for what float32 loses.
    """
    experiment = EXPERIMENTS["A1"]
    steps_per_epoch = PUBLISHED_EXAMPLES // experiment.batch_size
    steps = np.arange(experiment.epochs + 1) * steps_per_epoch
    drops = steps // np.int64(experiment.params["decay_length"])
    # The power is rounded from float64: NumPy's own in float32 is one digit less exact than that of TensorFlow.
    powers = (np.float64(np.float32(experiment.params["decay_rate"])) ** drops).astype(np.float32)
    return tuple(float(rate) for rate in np.float32(experiment.initial_lr) * powers)
