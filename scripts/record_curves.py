"""Record the learning rates of other libraries that `tests/schedules/test_schedule_peers.py` compares with.

The project does not depend on these libraries, so their curves are recorded once, with their versions. To record them
again, in a separate environment:

    python3.11 -m venv peers
    peers/bin/pip install torch optax
    peers/bin/python scripts/record_curves.py
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax  # type: ignore[import-not-found]  # not a dependency, see above
import optax  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from torch.optim import lr_scheduler  # type: ignore[import-not-found]

FOLDER = Path(__file__).parent.parent / "tests" / "schedules" / "recorded"
STEPS = 120
PEAK = 0.1

TORCH: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "ExponentialLR": lambda sgd: lr_scheduler.ExponentialLR(sgd, gamma=0.97),
    "StepLR": lambda sgd: lr_scheduler.StepLR(sgd, step_size=30, gamma=0.3),
    "MultiStepLR": lambda sgd: lr_scheduler.MultiStepLR(sgd, milestones=[60, 90], gamma=0.1),
    "PolynomialLR": lambda sgd: lr_scheduler.PolynomialLR(sgd, total_iters=100, power=2.0),
    "LinearLR": lambda sgd: lr_scheduler.LinearLR(sgd, start_factor=1.0, end_factor=0.2, total_iters=STEPS),
    "CosineAnnealingLR": lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, T_max=STEPS, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda sgd: lr_scheduler.CosineAnnealingWarmRestarts(sgd, T_0=17, T_mult=2),
    "CyclicLR triangular": lambda sgd: cyclic(sgd, mode="triangular"),
    "CyclicLR triangular2": lambda sgd: cyclic(sgd, mode="triangular2"),
    "CyclicLR exp_range": lambda sgd: cyclic(sgd, mode="exp_range", gamma=0.99),
    "OneCycleLR": lambda sgd: lr_scheduler.OneCycleLR(sgd, PEAK, total_steps=STEPS),
    "OneCycleLR linear": lambda sgd: lr_scheduler.OneCycleLR(sgd, PEAK, total_steps=STEPS, anneal_strategy="linear"),
    "OneCycleLR three_phase": lambda sgd: lr_scheduler.OneCycleLR(sgd, PEAK, total_steps=STEPS, three_phase=True),
    "LinearLR, CosineAnnealingLR": lambda sgd: lr_scheduler.SequentialLR(
        sgd,
        [
            lr_scheduler.LinearLR(sgd, start_factor=0.1, total_iters=20),
            lr_scheduler.CosineAnnealingLR(sgd, T_max=STEPS - 20),
        ],
        milestones=[20],
    ),
}

OPTAX: dict[str, Callable[[Any], Any]] = {
    "exponential_decay": optax.exponential_decay(PEAK, transition_steps=40, decay_rate=0.5),
    "exponential_decay staircase": optax.exponential_decay(PEAK, transition_steps=40, decay_rate=0.5, staircase=True),
    "polynomial_schedule": optax.polynomial_schedule(PEAK, 0.01, power=3, transition_steps=100),
    "linear_schedule": optax.linear_schedule(PEAK, 0.02, transition_steps=STEPS),
    "cosine_decay_schedule": optax.cosine_decay_schedule(PEAK, decay_steps=STEPS, alpha=0.1),
    "warmup_cosine_decay_schedule": optax.warmup_cosine_decay_schedule(
        0.01, PEAK, warmup_steps=12, decay_steps=STEPS, end_value=0.001
    ),
    "piecewise_constant_schedule": optax.piecewise_constant_schedule(PEAK, {60: 0.1, 90: 0.1}),
    "cosine_onecycle_schedule": optax.cosine_onecycle_schedule(STEPS, PEAK),
    "sgdr_schedule": optax.sgdr_schedule(
        [
            {"init_value": PEAK, "peak_value": PEAK, "warmup_steps": 0, "decay_steps": 40},
            {"init_value": PEAK, "peak_value": PEAK, "warmup_steps": 0, "decay_steps": 80},
        ]
    ),
}


def cyclic(sgd: torch.optim.Optimizer, mode: str, gamma: float = 1.0) -> lr_scheduler.CyclicLR:
    """Return PyTorch's cyclical schedule between a tenth of the peak and the peak, without cycling momentum."""
    return lr_scheduler.CyclicLR(sgd, PEAK / 10, PEAK, step_size_up=20, mode=mode, gamma=gamma, cycle_momentum=False)


def torch_rates(build: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    """Return the rate that the optimizer uses in each of its updates."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = build(sgd)
    rates = []
    for _ in range(STEPS):
        rates.append(float(sgd.param_groups[0]["lr"]))
        sgd.step()
        scheduler.step()
    return rates


def main() -> int:
    """Write one file per library."""
    jax.config.update("jax_enable_x64", True)
    recordings = {
        "torch": (torch.__version__.split("+")[0], {name: torch_rates(build) for name, build in TORCH.items()}),
        "optax": (optax.__version__, {name: [float(rate(t)) for t in range(STEPS)] for name, rate in OPTAX.items()}),
    }
    for library, (version, curves) in recordings.items():
        rounded = {name: [float(f"{rate:.10g}") for rate in rates] for name, rates in curves.items()}
        text = json.dumps({"library": library, "version": version, "peak": PEAK, "curves": rounded})
        (FOLDER / f"{library}.json").write_text(text.replace("], ", "],\n").replace(': {"', ': {\n"') + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
