r"""A table as it is exported: gaps, dates and categories. It is about customers who leave.

python examples/table.py    # writes customers.csv
python -m pipeline main --data customers.csv --target left \
    --model table:network --optimizer adam --epochs 20 --budget 10
"""

import keras
import numpy as np
import pandas as pd
from keras import layers


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a small network that ends in logits; the loss follows from that."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(num_outputs),
        ]
    )


def customers(count: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Make up customers, most of whom leave if they are new, pay by the month and call often."""
    random = np.random.default_rng(seed)
    months = random.integers(1, 60, count)
    plan = random.choice(["monthly", "yearly", "student"], count, p=[0.5, 0.3, 0.2])
    calls = random.poisson(2, count)
    risk = 0.5 - 0.06 * months + 1.5 * (plan == "monthly") + 0.5 * (calls - 2)
    age = random.integers(18, 80, count).astype(str)
    age[random.random(count) < 0.1] = "?"
    return pd.DataFrame(
        {
            "customer": [f"C{number:05}" for number in range(count)],
            "since": pd.Timestamp("2026-01-31") - pd.to_timedelta(months * 30, unit="D"),
            "plan": np.where(random.random(count) < 0.05, "", plan),
            "calls": calls,
            "age": age,
            "left": np.where(random.random(count) < 1 / (1 + np.exp(-risk)), "yes", "no"),
        }
    )


if __name__ == "__main__":
    customers().to_csv("customers.csv", index=False)
