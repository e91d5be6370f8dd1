"""The machine that figures were measured on, and how fast it multiplies matrices."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import keras
import tensorflow as tf

_SIZE = 2_048
_REPEATS = 8


def description() -> str:
    """Processor, cores and versions, in one line."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"


def matmul_flops() -> float:
    """Floating point operations a second of multiplying large float32 matrices, on all cores, at its best."""
    left, right = tf.random.normal((_SIZE, _SIZE)), tf.random.normal((_SIZE, _SIZE))
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        tf.matmul(left, right).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * _SIZE**3 / min(seconds)


def training_flops(model: keras.Model) -> int:
    """Floating point operations of a training step for one example, in the kernels of dense and convolution layers.

    Forwards, and twice that backwards, for the gradients of kernel and inputs; the first layer's inputs need none.
    """
    forwards = []
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            positions = 1
            for size in layer.output.shape[1:-1]:
                positions *= size
            forwards.append(2 * positions * int(tf.size(layer.kernel)))
    return 3 * sum(forwards) - forwards[0]
