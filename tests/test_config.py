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

CHAIN = (PrepareOptions, RangeTestOptions, SearchOptions, TrainOptions, ReportOptions, MainOptions)

DEFAULTS = {
    "experiment_name": "lr-pipeline",
    "fresh": False,
    "data": "mnist-5k",
    "target": "target",
    "in_memory_mb": 1024,
    "scale": "auto",
    "seed": 0,
    "model": "cnn",
    "optimizer": "sgd",
    "momentum": 0.9,
    "batch_size": "50",
    "epochs": 5,
    "budget": 25.0,
    "precision": "auto",
    "batch_norm": "auto",
    "scale_labels": False,
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
    "confirm_seeds": None,
    "top_k": None,
    "transfer": False,
    "splits": 1,
    "objective": "val_loss",
    "scheme": None,
    "initial_lr": None,
    "scheme_params": "",
    "torch_schedule": False,
}
"""Public names and values: a change to one needs a line in CHANGELOG.md."""

SCHEME = {"scheme": "cosine", "initial_lr": "0.1"}

ACCEPTED: list[tuple[str, str, object]] = [
    ("fresh", "true", True),
    ("fresh", "false", False),
    ("in_memory_mb", "0", 0),
    ("scale", "none", "none"),
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
    ("trials", "1", 1),
    ("sampler", "quasi-random", "quasi-random"),
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
    ("splits", "1000", 1000),
    ("objective", "val_accuracy", "val_accuracy"),
    ("objective", "max:val_gain", "max:val_gain"),
    ("scheme", "", None),
    ("initial_lr", "", None),
    ("scheme_params", "", ""),
]

REFUSED: list[tuple[str, str, str]] = [
    ("experiment_name", "", "at least 1 character"),
    ("fresh", "perhaps", "a valid boolean"),
    ("data", "", "at least 1 character"),
    ("target", "", "at least 1 character"),
    ("in_memory_mb", "-1", "greater than or equal to 0"),
    ("in_memory_mb", str(2**30 + 1), "less than or equal to 1073741824"),
    ("scale", "log", "auto, none, standard, or for several inputs"),
    ("scale", "none,standard", "name=way,name=way"),
    ("scale", "a=none,a=auto", "name=way,name=way"),
    ("scale", "=none", "name=way,name=way"),
    ("scale", "", "auto, none, standard"),
    ("seed", "-1", "greater than or equal to 0"),
    ("seed", str(2**31), "less than or equal to 2147483647"),
    ("seed", "1.5", "a valid integer"),
    ("seed", "banana", "a valid integer"),
    ("model", "resnet", "cnn, mlp, or module:function"),
    ("model", "", "cnn, mlp, or module:function"),
    ("model", "module:", "cnn, mlp, or module:function"),
    ("model", "a:b:c", "cnn, mlp, or module:function"),
    ("optimizer", "SGD", "one of sgd, adam"),
    ("optimizer", "sgd,adam,sgd", "each once"),
    ("optimizer", "sgd,", "several, comma-separated"),
    ("momentum", "1", "less than 1"),
    ("momentum", "-0.1", "greater than or equal to 0"),
    ("momentum", "nan", "less than 1"),
    ("momentum", "inf", "less than 1"),
    ("momentum", "banana", "a valid number"),
    ("batch_size", "0", "a number from 1 to 65536, or several"),
    ("batch_size", "32,64,032", "each once"),
    ("batch_size", "32,", "several, comma-separated"),
    ("batch_size", "32, 64", "several, comma-separated"),
    ("batch_size", "", "a number from 1 to 65536"),
    ("batch_size", "65537", "a number from 1 to 65536"),
    ("epochs", "0", "greater than or equal to 1"),
    ("epochs", "10001", "less than or equal to 10000"),
    ("epochs", "2.5", "a valid integer"),
    ("refine", "reduce_on_plateau", "off, or one of constant"),
    ("refine", "", "off, or one of constant"),
    ("lr_min", "0", "greater than 0"),
    ("torch_schedule", "maybe", "a valid boolean"),
    ("lr_max", "inf", "a finite number"),
    ("spacing", "cubic", "'exponential' or 'linear'"),
    ("precision", "float16", "'auto', 'float32' or 'mixed_bfloat16'"),
    ("scale_labels", "log", "a valid boolean"),
    ("batch_norm", "off", "'auto' or 'keras'"),
    ("seeds", "0", "greater than or equal to 1"),
    ("seeds", "1001", "less than or equal to 1000"),
    ("schemes", "", "'all' or a comma-separated choice of constant"),
    ("schemes", "constant,nosuch", "'all' or a comma-separated choice of constant"),
    ("schemes", "all,constant", "'all' or a comma-separated choice of constant"),
    ("schemes", "reduce_on_plateau", "'all' or a comma-separated choice of constant"),
    ("sampler", "cmaes", "'tpe', 'random', 'quasi-random' or 'grid'"),
    ("budget", "1", "greater than 1"),
    ("budget", "1e7", "less than or equal to 1000000"),
    ("minutes", "0", "greater than 0"),
    ("minutes", "1e7", "less than or equal to 1000000"),
    ("tolerance", "1", "less than 1"),
    ("tolerance", "-0.1", "greater than or equal to 0"),
    ("trials", "0", "greater than or equal to 1"),
    ("trials", "100001", "less than or equal to 100000"),
    ("transfer", "half", "a valid boolean"),
    ("splits", "0", "greater than or equal to 1"),
    ("splits", "1001", "less than or equal to 1000"),
    ("confirm_seeds", "1", "greater than or equal to 2"),
    ("confirm_seeds", "1001", "less than or equal to 1000"),
    ("top_k", "0", "greater than or equal to 1"),
    ("top_k", "101", "less than or equal to 100"),
    ("objective", "accuracy", "val_loss, val_accuracy, or val_ and the name of a metric"),
    ("objective", "val_gain", "max:val_gain or min:val_gain"),
    ("initial_lr", "0", "greater than 0"),
    ("initial_lr", "-0.1", "greater than 0"),
    ("initial_lr", "1e7", "less than or equal to 1000000"),
    ("initial_lr", "inf", "finite number"),
    ("initial_lr", "nan", "finite number"),
    ("initial_lr", "banana", "a valid number"),
    ("scheme_params", "final_fraction=0.1", "none unless scheme and initial_lr are given"),
]


def refusal(values: dict[str, object], model: type[PrepareOptions] = MainOptions) -> str:
    """Return the one line with which values are refused."""
    with pytest.raises(InputError) as caught:
        validated(model, values)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_defaults_are_the_published_ones() -> None:
    """Every option of the whole chain has the default that users rely on."""
    assert validated(MainOptions, {}).model_dump() == DEFAULTS


@pytest.mark.parametrize(("name", "given", "value"), ACCEPTED)
def test_good_value_is_converted(name: str, given: str, value: object) -> None:
    """Text from the command line becomes the option's own type; values at the limits are accepted."""
    got = getattr(validated(MainOptions, {name: given}), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(("name", "given", "accepted"), REFUSED)
def test_bad_value_is_one_line(name: str, given: str, accepted: str) -> None:
    """The line names the option, what was received and what would be accepted."""
    message = refusal({**(SCHEME if name == "initial_lr" else {}), name: given})
    assert message.startswith(f"{name}: received {given!r}, expected ")
    assert accepted in message
    assert "Error" not in message


def test_every_option_that_can_be_wrong_is_in_the_table() -> None:
    """A new option needs an entry in `REFUSED`; `scheme` has tests of its own."""
    assert {name for name, _, _ in REFUSED} == set(MainOptions.model_fields) - {"scheme"}


def test_bounds_of_a_sweep_are_in_order() -> None:
    """Both must be given for this check; a bound that contradicts the other's default is found during the sweep."""
    message = refusal({"lr_min": "0.1", "lr_max": "0.1"}, RangeTestOptions)
    assert message == "lr_min and lr_max: received 0.1 and 0.1, expected lr_min below lr_max"
    assert validated(RangeTestOptions, {"lr_min": "0.1", "lr_max": "0.2"}).lr_max == 0.2


def test_all_faults_are_named_at_once() -> None:
    """Two wrong options give one line."""
    message = refusal({"epochs": "0", "seed": "x"})
    assert "epochs: received '0'" in message
    assert "seed: received 'x'" in message


@pytest.mark.parametrize("model", CHAIN)
def test_unknown_option_is_refused(model: type[PrepareOptions]) -> None:
    """The message lists the known names."""
    message = refusal({"learning_rate": "0.1"}, model)
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
    others = (ReproduceOptions, DoctorOptions)
    assert tuple(dict.fromkeys(model for model, _ in COMMANDS.values())) == (MainOptions, *CHAIN[:-1], *others)
    assert DoctorOptions().data == PrepareOptions().data


def test_run_control_options_exist_everywhere() -> None:
    """The names left out of fingerprints are options of every stage, none of them outdated."""
    assert set(PrepareOptions.model_fields) >= RUN_CONTROL


def test_every_option_says_what_it_is() -> None:
    """--help prints the description, in which a percent sign would be a directive."""
    for name, field in (MainOptions.model_fields | ReproduceOptions.model_fields).items():
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


@pytest.mark.parametrize("given", [{"scheme": "cosine"}, {"initial_lr": "0.1"}])
def test_scheme_and_rate_belong_together(given: dict[str, object]) -> None:
    """One without the other is refused with what was received."""
    message = refusal(given, TrainOptions)
    for name in ("scheme", "initial_lr"):
        assert name in message
    assert str(*given.values()) in message
    assert "expected both or neither" in message


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"scheme": "cosin"}, ("'cosin'", "constant, linear")),
        ({"scheme_params": "power=2"}, ("'power'", "final_fraction")),
        ({"scheme_params": "final_fraction=2"}, ("final_fraction", "received 2", "[0, 1]")),
        ({"scheme_params": "final_fraction"}, ("'final_fraction'", "name=value")),
        ({"scheme_params": "final_fraction=0.1,final_fraction=0.2"}, ("'final_fraction' twice", "once")),
    ],
)
def test_scheme_that_cannot_be_is_refused(given: dict[str, object], parts: tuple[str, ...]) -> None:
    """Unknown schemes and parameters and values out of range are refused."""
    message = refusal({**SCHEME, **given})
    for part in parts:
        assert part in message


@pytest.mark.parametrize(("option", "several"), [("optimizer", "sgd,adam"), ("batch_size", "32,64")])
def test_a_given_scheme_is_trained_with_one_of_each(option: str, several: str) -> None:
    """There is no search to choose among several."""
    message = refusal({**SCHEME, option: several})
    assert message == f"{option}: received '{several}', expected one where scheme and initial_lr are given"


def test_lists_are_read_in_their_order() -> None:
    """A number from Python is a list of one."""
    assert validated(SearchOptions, {"batch_size": "128,32"}).batch_sizes == (128, 32)
    assert validated(SearchOptions, {"batch_size": 128}).batch_sizes == (128,)
    assert validated(SearchOptions, {"optimizer": "sgd,adam"}).optimizers == ("sgd", "adam")


def test_given_scheme_with_parameters_is_accepted() -> None:
    """Schemes that no search would choose are accepted too."""
    for scheme, params in (("cosine", "final_fraction=0.1"), ("reduce_on_plateau", "factor=0.5")):
        options = validated(TrainOptions, {**SCHEME, "scheme": scheme, "scheme_params": params})
        assert (options.scheme, options.scheme_params) == (scheme, params)
        assert options.initial_lr is not None
        assert math.isclose(options.initial_lr, 0.1)
