r"""Two numbers to predict: fuel consumption (miles per gallon) and acceleration of 392 cars.

python examples/two_targets.py    # writes cars.csv
python -m pipeline main --data cars.csv --target mpg,acceleration \
    --model two_targets:network --scale-labels --optimizer adam --epochs 30 --budget 10
"""

import keras
import pandas as pd
from keras import layers
from mlxtend.data import autompg

COLUMNS = ["cylinders", "displacement", "horsepower", "weight", "acceleration", "year", "origin", "name", "mpg"]


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Return a network with one linear unit for each number."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(32, activation="relu"),
            layers.Dense(num_outputs),
        ]
    )


def cars() -> pd.DataFrame:
    """Return the cars; where they are from is a category, not a quantity."""
    table = pd.read_csv(autompg.DATA_PATH, names=COLUMNS)
    return table.replace({"origin": {1: "America", 2: "Europe", 3: "Japan"}})


if __name__ == "__main__":
    cars().to_csv("cars.csv", index=False)
