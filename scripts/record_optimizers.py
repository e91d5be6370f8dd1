"""Record trainings by the authors' PyTorch optimizers that `tests/optimizers/test_authors.py` compares with.

The project does not depend on PyTorch, so whole trainings of a tiny network are recorded once, in float64, with the
versions of the packages. To record them again, in a separate environment:

    python3.11 -m venv peers
    peers/bin/pip install torch schedulefree prodigyopt
    peers/bin/python scripts/record_optimizers.py
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]  # not a dependency, see above
from prodigyopt import Prodigy  # type: ignore[import-not-found]
from schedulefree import AdamWScheduleFree, SGDScheduleFree  # type: ignore[import-not-found]

FILE = Path(__file__).parent.parent / "tests" / "optimizers" / "recorded.json"
UPDATES, BATCH, MEASURED_EVERY = 200, 8, 20
INPUTS, HIDDEN, EXAMPLES = 3, 4, 24

Rate = Callable[[int], float]


def constant(rate: float) -> Rate:
    """Return the same rate for each update."""
    return lambda update: rate


def cosine(rate: float) -> Rate:
    """Return half a cosine, of which the last update is one step above zero."""
    return lambda update: rate * (1 + math.cos(math.pi * update / UPDATES)) / 2


def warmed_up(rate: float) -> Rate:
    """Return a linear rise over a tenth of the updates, then a constant rate."""
    return lambda update: rate * min(1.0, (update + 1) / (UPDATES / 10))


CASES: dict[str, tuple[str, Rate, dict[str, Any]]] = {
    "sgd": ("ScheduleFreeSGD", constant(0.5), {}),
    "sgd, all settings": (
        "ScheduleFreeSGD",
        constant(0.3),
        {"momentum": 0.8, "weight_decay": 0.01, "warmup_steps": 30, "r": 1.0, "weight_lr_power": 1.0},
    ),
    "sgd, falling rate": ("ScheduleFreeSGD", cosine(1.0), {}),
    "adamw": ("ScheduleFreeAdamW", constant(0.02), {}),
    "adamw, all settings": (
        "ScheduleFreeAdamW",
        constant(0.03),
        {"beta_1": 0.95, "beta_2": 0.98, "epsilon": 1e-5, "weight_decay": 0.05, "warmup_steps": 30, "r": 0.5},
    ),
    "adamw, rising rate": ("ScheduleFreeAdamW", warmed_up(0.02), {}),
    "prodigy": ("Prodigy", constant(1.0), {}),
    "prodigy, cosine": ("Prodigy", cosine(1.0), {"weight_decay": 0.01, "use_bias_correction": True}),
    "prodigy, all settings": (
        "Prodigy",
        warmed_up(0.5),
        {
            "beta_1": 0.8, "beta_2": 0.99, "beta_3": 0.95, "epsilon": 1e-6, "safeguard_warmup": True, "d0": 1e-4,
            "d_coef": 2.0, "growth_rate": 1.1,
        },
    ),
}  # fmt: skip
"""Name -> optimizer, rates and settings, by the names that Keras uses."""

AUTHORS = {"ScheduleFreeSGD": SGDScheduleFree, "ScheduleFreeAdamW": AdamWScheduleFree, "Prodigy": Prodigy}


def problem() -> dict[str, Any]:
    """Return inputs, targets and first weights, all by formulas."""
    x = [[math.sin(1.3 * row + 2.1 * column + 0.1) for column in range(INPUTS)] for row in range(EXAMPLES)]
    y = [[math.sin(3 * a) * b + 0.5 * c**2 + 0.2 * math.cos(40 * a * b)] for a, b, c in x]
    weights = {
        "kernel": [[0.7 * math.cos(3 * i + 5 * j) for j in range(HIDDEN)] for i in range(INPUTS)],
        "bias": [0.0] * HIDDEN,
        "last": [[0.5 * math.sin(2 * j + 1)] for j in range(HIDDEN)],
    }
    return {"x": x, "y": y, "weights": weights}


def loss_of(weights: Sequence[Any], x: Any, y: Any) -> Any:
    """Return the mean squared error of a network with one hidden layer."""
    kernel, bias, last = weights
    return ((torch.tanh(x @ kernel + bias) @ last - y) ** 2).mean()


def torch_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings by PyTorch's names."""
    own, renamed = dict(settings), {}
    if "beta_1" in own:
        renamed["betas"] = (own.pop("beta_1"), own.pop("beta_2"))
    for name, theirs in (("epsilon", "eps"), ("beta_3", "beta3")):
        if name in own:
            renamed[theirs] = own.pop(name)
    return {**own, **renamed}


def trained(name: str, rate: Rate, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, and return each batch's loss, the loss on all examples with evaluation weights, and the last of these."""
    given = problem()
    x, y = torch.tensor(given["x"]), torch.tensor(given["y"])
    weights = [torch.tensor(value).requires_grad_() for value in given["weights"].values()]
    optimizer = AUTHORS[name](weights, lr=rate(0), **torch_settings(settings))
    free = hasattr(optimizer, "eval")
    losses, measured = [], []
    if free:
        optimizer.train()
    for update in range(UPDATES):
        rows = [(update * BATCH + i) % EXAMPLES for i in range(BATCH)]
        optimizer.param_groups[0]["lr"] = rate(update)
        optimizer.zero_grad()
        loss = loss_of(weights, x[rows], y[rows])
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        if (update + 1) % MEASURED_EVERY == 0:
            if free:
                optimizer.eval()
            measured.append(loss_of(weights, x, y).item())
            final = [weight.detach().tolist() for weight in weights]
            if free:
                optimizer.train()
    estimate = {} if free else {"d": optimizer.param_groups[0]["d"]}
    return {"losses": losses, "measured": measured, "weights": final, **estimate}


def rounded(value: Any) -> Any:
    """Return a nest of numbers with ten significant digits."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def main() -> int:
    """Write the file."""
    torch.set_default_dtype(torch.float64)
    recorded = {
        "versions": {name: version(name).split("+")[0] for name in ("torch", "schedulefree", "prodigyopt")},
        "batch_size": BATCH,
        "measured_every": MEASURED_EVERY,
        "problem": problem(),
        "trainings": {
            name: {
                "optimizer": optimizer,
                "settings": settings,
                "rates": [rate(update) for update in range(UPDATES)],
                **rounded(trained(optimizer, rate, settings)),
            }
            for name, (optimizer, rate, settings) in CASES.items()
        },
    }
    FILE.write_text(json.dumps(recorded).replace('"losses"', '\n"losses"').replace('}, "', '},\n"') + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
