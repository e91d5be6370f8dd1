"""The table of optimizers."""

from typing import get_args

import keras
import pytest

from pipeline.config import OptimizerName
from pipeline.optimizers import OPTIMIZERS, create, in_code, prodigy, schedule_free

CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "adadelta": "Adadelta",
    "adamax": "Adamax",
    "rmsprop": "RMSprop",
    "nadam": "Nadam",
    "adagrad": "Adagrad",
    "lion": "Lion",
    "adafactor": "Adafactor",
    "lamb": "Lamb",
    "muon": "Muon",
    "schedule_free_sgd": "ScheduleFreeSGD",
    "schedule_free_adamw": "ScheduleFreeAdamW",
    "prodigy": "Prodigy",
}
"""The names that are promised to users, and the classes they mean, of Keras or of this project."""


class TestOptimizers:
    def test_the_names_are_those_promised(self) -> None:
        """The table, the option and the contract list the same names in the same order."""
        assert list(OPTIMIZERS) == list(get_args(OptimizerName)) == list(CLASSES)

    @pytest.mark.parametrize(("name", "expected"), CLASSES.items())
    def test_each_has_the_defaults_of_its_class(self, name: str, expected: str) -> None:
        """It has the class of that name and the given rate; only sgd and adafactor have another setting."""
        home = next(one for one in (schedule_free, prodigy, keras.optimizers) if hasattr(one, expected))
        made, default = create(name, 0.125, 0.75), getattr(home, expected)(0.125)
        assert type(made) is type(default)
        changed = {key for key, value in made.get_config().items() if value != default.get_config()[key]} - {"name"}
        assert changed == {"sgd": {"momentum"}, "adafactor": {"epsilon_1"}}.get(name, set())
        assert float(made.learning_rate) == 0.125

    @pytest.mark.parametrize("momentum", [0.0, 0.75])
    def test_momentum_reaches_sgd(self, momentum: float) -> None:
        """It is passed as given, without Nesterov's correction."""
        made = create("sgd", 0.1, momentum)
        assert (made.momentum, made.nesterov) == (momentum, False)

    def test_a_schedule_is_kept(self) -> None:
        """A Keras schedule in place of the rate stays the source of the rate."""
        made = create("adam", keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.25]), 0.9)
        made.build([keras.Variable([1.0])])
        assert float(made.learning_rate) == 0.5
        made.iterations.assign(2)
        assert float(made.learning_rate) == 0.25


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (create("sgd", 0.1, 0.9), "keras.optimizers.SGD(learning_rate=Schedule(), momentum=0.9)"),
        (create("adam", 0.1, 0.9), "keras.optimizers.Adam(learning_rate=Schedule())"),
        (
            keras.optimizers.AdamW(0.1, weight_decay=0.01, global_clipnorm=1.0),
            "keras.optimizers.AdamW(learning_rate=Schedule(), weight_decay=0.01, global_clipnorm=1.0)",
        ),
        (
            schedule_free.ScheduleFreeAdamW(0.1, warmup_steps=9),
            "ScheduleFreeAdamW(learning_rate=Schedule(), warmup_steps=9)",
        ),
        (type("Own", (keras.optimizers.SGD,), {})(0.1), "Own(learning_rate=Schedule(), ...)"),
    ],
)
def test_the_call_that_makes_it_names_what_differs(optimizer: keras.optimizers.Optimizer, said: str) -> None:
    """Users copy it, and momentum left out would make it another training."""
    assert in_code(optimizer) == said
