"""The four methods of reading a curve, written again without looking at ours."""

import numpy as np

from tests.range_analysis.curves import Array


def reference_steep(rates: Array, losses: Array) -> float:
    """Walk the curve and keep the step with the greatest fall for its length in log rate."""
    falls = [(losses[i] - losses[i + 1]) / np.log(rates[i + 1] / rates[i]) for i in range(len(losses) - 1)]
    return float(rates[falls.index(max(falls))])


def reference_minimum(rates: Array, losses: Array) -> float:
    """Divide the rate of the lowest loss by ten."""
    return float(min(zip(losses, rates, strict=True))[1]) / 10


def reference_valley(rates: Array, losses: Array) -> float:
    """Find the longest decreasing subsequence by dynamic programming, and step half-way into its middle third."""
    best_length, best_end, lengths = 1, 0, [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i] and lengths[j] + 1 > lengths[i]:
                lengths[i] = lengths[j] + 1
        if lengths[i] > best_length:
            best_length, best_end = lengths[i], i
    third = best_length / 3
    return float(rates[best_end - best_length + int(third) + int(third / 2)])


def reference_slide(rates: Array, losses: Array, gap: int = 15, threshold: float = 0.005) -> float:
    """Move a window of `gap` updates left from the end until the gradients at its two sides agree."""
    gradient = np.gradient(losses)
    right = len(losses) - 1
    chosen = rates[right - gap]
    while right - gap >= 0 and abs(gradient[right] - gradient[right - gap]) > threshold:
        chosen = rates[right - gap]
        right -= 1
    return float(chosen)
