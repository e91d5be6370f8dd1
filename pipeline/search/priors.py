"""What is expected of schemes before any training."""

from collections.abc import Mapping

LEVELS: Mapping[str, float] = {
    "linear": 0.0,
    "one_cycle": 0.01,
    "cosine": 0.01,
    "warmup_stable_decay": 0.01,
    "rex": 0.01,
    "polynomial": 0.02,
    "hyperbolic_tangent": 0.02,
    "exponential": 0.03,
    "multi_step": 0.03,
    "step": 0.03,
}
"""Expected log loss of schemes, relative to linear decay: a prior so weak that one or two trainings overrule it.

Published comparisons favour linear decay, as good as any common schedule on ten problems (Defazio et al. 2023,
arXiv:2310.07831), rex (Chen et al. 2021, arXiv:2107.04197), and the trapezoid, as good as cosine (Haegele et al. 2024,
arXiv:2405.18392).
"""

LOWER: Mapping[str, float] = {"constant": 0.25}
"""Decades by which the best rate of a scheme is taken to be below that of the others (reports/trust.md)."""

OTHERS = 0.06
"""The level of schemes that are not in the table."""
