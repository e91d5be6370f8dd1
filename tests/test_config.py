"""Options: defaults, limits, and one line for any error."""

import math
from itertools import pairwise

import pytest

from pipeline.checkup import DoctorOptions
from pipeline.cli import COMMANDS
from pipeline.config import (
    RUN_CONTROL,
    MainOptions,
    PrepareOptions,
    RangeTestOptions,
    ReportOptions,
    ReproduceOptions,
    SearchOptions,
    TrainOptions,
    validated,
)
from pipeline.errors import InputError
from pipeline.schedules import SCHEMES

CHAIN = (PrepareOptions, RangeTestOptions, SearchOptions, TrainOptions, MainOptions)

DEFAULTS = {
    "experiment_name": "lr-pipeline",
    "fresh": False,
    "deterministic": False,
    "checkpoint": 1.0,
    "workers": 1,
    "scheduler": None,
    "training_minutes": None,
    "quiet": False,
    "verbose": False,
    "system_metrics": False,
    "data": "mnist-5k",
    "target": "target",
    "text_columns": "drop",
    "task": "auto",
    "in_memory_mb": 1024,
    "scale": "auto",
    "image_size": None,
    "color_mode": "auto",
    "seed": 0,
    "model": "cnn",
    "model_args": "",
    "optimizer": "sgd",
    "momentum": 0.9,
    "batch_size": "50",
    "epochs": 5,
    "budget": 25.0,
    "precision": "auto",
    "batch_norm": "auto",
    "scale_labels": False,
    "class_weight": "none",
    "seeds": 3,
    "lr_min": None,
    "lr_max": None,
    "spacing": "exponential",
    "refine": "off",
    "schemes": "all",
    "minutes": None,
    "tolerance": 0.0,
    "trials": None,
    "sampler": "tpe",
    "space": "usual",
    "history": "off",
    "weight_decay": "fixed",
    "confirm_seeds": None,
    "top_k": None,
    "transfer": False,
    "batch_transfer": False,
    "rivals": "",
    "splits": 1,
    "objective": "val_loss",
    "scheme": None,
    "initial_lr": None,
    "scheme_params": "",
    "torch_schedule": False,
}
"""Public names and values: a change to one needs a line in CHANGELOG.md."""

ACCEPTED: list[tuple[str, str, object]] = [
    ("fresh", "true", True),
    ("fresh", "false", False),
    ("deterministic", "true", True),
    ("checkpoint", "0", 0.0),
    ("workers", "8", 8),
    ("scheduler", "", None),
    ("training_minutes", "", None),
    ("scheduler", "tls://host:8786", "tls://host:8786"),
    ("in_memory_mb", "0", 0),
    ("scale", "none", "none"),
    ("image_size", "64x48", "64x48"),
    ("image_size", "", None),
    ("color_mode", "rgba", "rgba"),
    ("scale", "tokens=none,image=auto", "tokens=none,image=auto"),
    ("seed", "0", 0),
    ("seed", str(2**31 - 1), 2**31 - 1),
    ("model", "mlp", "mlp"),
    ("model", "my.module:build_it", "my.module:build_it"),
    ("optimizer", "lion", "lion"),
    ("optimizer", "adam,sgd", "adam,sgd"),
    ("momentum", "0", 0.0),
    ("momentum", "0.999", 0.999),
    ("batch_size", "1", "1"),
    ("batch_size", "65536", "65536"),
    ("batch_size", "32,0128", "32,128"),
    ("epochs", "1", 1),
    ("epochs", "10000", 10_000),
    ("precision", "mixed_bfloat16", "mixed_bfloat16"),
    ("batch_norm", "keras", "keras"),
    ("scale_labels", "true", True),
    ("seeds", "1", 1),
    ("seeds", "1000", 1_000),
    ("lr_min", "", None),
    ("lr_min", "1e-8", 1e-8),
    ("lr_max", "100", 100.0),
    ("spacing", "linear", "linear"),
    ("refine", "cosine", "cosine"),
    ("refine", "one_cycle", "one_cycle"),
    ("schemes", "cosine,constant", "cosine,constant"),
    ("rivals", "", ""),
    ("rivals", "lion,adamw:cosine,sgd:step:0.1", "lion,adamw:cosine,sgd:step:0.1"),
    ("trials", "1", 1),
    ("sampler", "quasi-random", "quasi-random"),
    ("space", "wide", "wide"),
    ("trials", "24", 24),
    ("trials", "", None),
    ("budget", "1.5", 1.5),
    ("budget", "1e6", 1e6),
    ("minutes", "0.5", 0.5),
    ("minutes", "", None),
    ("tolerance", "0", 0.0),
    ("tolerance", "0.05", 0.05),
    ("confirm_seeds", "2", 2),
    ("confirm_seeds", "23", 23),
    ("confirm_seeds", "", None),
    ("top_k", "1", 1),
    ("top_k", "100", 100),
    ("transfer", "true", True),
    ("batch_transfer", "true", True),
    ("splits", "1000", 1000),
    ("objective", "val_accuracy", "val_accuracy"),
    ("objective", "max:val_gain", "max:val_gain"),
    ("scheme", "", None),
    ("initial_lr", "", None),
    ("scheme_params", "", ""),
    ("model_args", "", ""),
]


def test_defaults_are_the_published_ones() -> None:
    """Every option of the whole chain has the default that users rely on."""
    assert validated(MainOptions, {}).model_dump() == DEFAULTS


@pytest.mark.parametrize(("name", "given", "value"), ACCEPTED)
def test_good_value_is_converted(name: str, given: str, value: object) -> None:
    """Text from the command line becomes the option's own type; values at the limits are accepted."""
    got = getattr(validated(MainOptions, {name: given}), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("model", CHAIN)
def test_unknown_option_is_refused(model: type[PrepareOptions]) -> None:
    """The message lists the known names."""
    with pytest.raises(InputError) as caught:
        validated(model, {"learning_rate": "0.1"})
    message = str(caught.value)
    assert message.startswith("learning_rate: received '0.1', expected one of experiment_name, ")
    assert message.endswith(", ".join(model.model_fields))


def test_options_cannot_be_changed() -> None:
    """Options are validated once and trusted everywhere after."""
    options = validated(MainOptions, {})
    with pytest.raises(ValueError, match="frozen"):
        options.seed = 3  # type: ignore[misc]


def test_each_stage_extends_the_options_of_the_one_before() -> None:
    """Names, defaults and limits agree, so that a stage started alone can run those it depends on."""
    for earlier, later in pairwise(CHAIN):
        assert issubclass(later, earlier)
        for name, field in earlier.model_fields.items():
            assert repr(later.model_fields[name]) == repr(field)
    others = (ReportOptions, ReproduceOptions, DoctorOptions)
    assert tuple(dict.fromkeys(model for model, _ in COMMANDS.values())) == (MainOptions, *CHAIN[:-1], *others)
    assert DoctorOptions().data == PrepareOptions().data


def test_run_control_options_exist_everywhere() -> None:
    """The names left out of fingerprints are options of every stage, none of them outdated."""
    assert set(PrepareOptions.model_fields) >= RUN_CONTROL


def test_every_option_says_what_it_is() -> None:
    """--help prints the description, in which a percent sign would be a directive."""
    for name, field in (MainOptions.model_fields | ReportOptions.model_fields | ReproduceOptions.model_fields).items():
        assert field.description, name
        assert "%" not in field.description


def test_all_schemes_are_the_searchable_ones() -> None:
    """`all` names no scheme that a search cannot choose."""
    names = validated(SearchOptions, {}).scheme_names()
    assert names == tuple(name for name, scheme in SCHEMES.items() if scheme.searchable)
    assert "constant" in names
    assert "reduce_on_plateau" not in names


def test_chosen_schemes_come_in_the_order_of_the_table() -> None:
    """The order in which they are written must not change the search."""
    for given in ("cosine,constant,step", "step,constant,cosine", "cosine,step,constant,cosine"):
        assert validated(SearchOptions, {"schemes": given}).scheme_names() == ("constant", "cosine", "step")


def test_lists_are_read_in_their_order() -> None:
    """A number from Python is a list of one."""
    assert validated(SearchOptions, {"batch_size": "128,32"}).batch_sizes == (128, 32)
    assert validated(SearchOptions, {"batch_size": 128}).batch_sizes == (128,)
    assert validated(SearchOptions, {"optimizer": "sgd,adam"}).optimizers == ("sgd", "adam")


def test_arguments_of_a_model_are_read_one_way() -> None:
    """Spaces and the case of true make no other network."""
    own = {"model": "own:network", "model_args": "width=64, deep=True"}
    assert validated(RangeTestOptions, own).model_args == "width=64,deep=true"


def test_given_scheme_with_parameters_is_accepted() -> None:
    """Schemes that no search would choose are accepted too."""
    for scheme, params in (("cosine", "final_fraction=0.1"), ("reduce_on_plateau", "factor=0.5")):
        options = validated(TrainOptions, {"scheme": scheme, "initial_lr": "0.1", "scheme_params": params})
        assert (options.scheme, options.scheme_params) == (scheme, params)
        assert options.initial_lr is not None
        assert math.isclose(options.initial_lr, 0.1)
