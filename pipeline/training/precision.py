"""The number format of a network's arithmetic."""

from functools import cache
from pathlib import Path

import keras
import tensorflow as tf

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "mixed_bfloat16"

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls products of bfloat16 on x86 and on ARM."""

_GPU_CAPABILITY = (8, 0)
"""From which on Nvidia's GPUs have them."""


def automatic(model: keras.Model) -> str:
    """`mixed_bfloat16` for a network with convolutions where the hardware computes it natively, else `float32`.

    `benchmarks/precision.py` measures what it gains and that the loss stays within noise. Dense networks are for XLA.
    """
    return BFLOAT16 if native_bfloat16() and any(map(_convolves, model._flatten_layers())) else FLOAT32


@cache
def native_bfloat16() -> bool:
    """Whether the first GPU, or the processor where there is none, multiplies bfloat16; False where that is unknown."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return bool(details.get("compute_capability", (0, 0)) >= _GPU_CAPABILITY)
    described = Path("/proc/cpuinfo")
    return described.is_file() and not _CPU_FLAGS.isdisjoint(described.read_text(encoding="utf-8").split())


def _convolves(layer: keras.layers.Layer) -> bool:
    return type(layer).__module__.startswith("keras.src.layers.convolutional")
