"""Every option of every command: what it refuses, and how it says so."""

from pathlib import Path

import pytest

from pipeline.cli import COMMANDS
from tests.bad_input.harness import refusal

TOO_LONG = "a" * 5_000
PLAIN = "at most 4096 characters in UTF-8, without control characters"

VALUES: list[tuple[str, str, str]] = [
    ("experiment_name", "", "at least 1 character"),
    ("experiment_name", "a" * 501, "at most 500 characters"),
    ("experiment_name", "two\nlines", PLAIN),
    ("fresh", "perhaps", "a valid boolean"),
    ("deterministic", "exactly", "a valid boolean"),
    ("quiet", "very", "a valid boolean"),
    ("verbose", "-1", "a valid boolean"),
    ("system_metrics", "gpu", "a valid boolean"),
    ("checkpoint", "-1", "greater than or equal to 0"),
    ("checkpoint", "nan", "less than or equal to 1000000"),
    ("workers", "0", "greater than or equal to 1"),
    ("workers", "1001", "less than or equal to 1000"),
    ("workers", "all", "a valid integer"),
    ("scheduler", TOO_LONG, PLAIN),
    ("training_minutes", "0", "greater than 0"),
    ("training_minutes", "inf", "less than or equal to 1000000"),
    ("data", "", "at least 1 character"),
    ("data", TOO_LONG, PLAIN),
    ("data", "a\0b.csv", PLAIN),
    ("data", "\udcff.csv", PLAIN),  # an argument that is not UTF-8, as Python passes it on
    ("target", "", "at least 1 character"),
    ("target", "\x1b[31m", PLAIN),
    ("in_memory_mb", "-1", "greater than or equal to 0"),
    ("in_memory_mb", str(2**30 + 1), "less than or equal to 1073741824"),
    ("scale", "log", "auto, none, standard, or for several inputs"),
    ("scale", "none,standard", "name=way,name=way"),
    ("scale", "a=none,a=auto", "name=way,name=way"),
    ("scale", "=none", "name=way,name=way"),
    ("scale", "\udcff=none", PLAIN),
    ("scale", "", "auto, none, standard"),
    ("image_size", "64x0", "64x48"),
    ("image_size", "64x64x3", "64x48"),
    ("text_columns", "keep", "'drop' or 'hash'"),
    ("task", "classify", "'auto', 'classification', 'regression' or 'multi_label'"),
    ("class_weight", "auto", "'none' or 'balanced'"),
    ("color_mode", "RGB", "'auto', 'grayscale', 'rgb' or 'rgba'"),
    ("seed", "-1", "greater than or equal to 0"),
    ("seed", str(2**31), "less than or equal to 2147483647"),
    ("seed", "1.5", "a valid integer"),
    ("seed", "banana", "a valid integer"),
    ("seed", "9" * 5_000, PLAIN),
    ("model", "resnet", "cnn, mlp, or module:function"),
    ("model", "", "cnn, mlp, or module:function"),
    ("model", "module:", "cnn, mlp, or module:function"),
    ("model", "a:b:c", "cnn, mlp, or module:function"),
    ("model", "../a:b", "cnn, mlp, or module:function"),
    ("model_args", "width", "name=value,name=value"),
    ("model_args", "width=1,width=2", "name=value,name=value"),
    ("optimizer", "SGD", "one of sgd, adam"),
    ("optimizer", "", "one of sgd, adam"),
    ("momentum", "1", "less than 1"),
    ("momentum", "-0.1", "greater than or equal to 0"),
    ("momentum", "nan", "less than 1"),
    ("momentum", "inf", "less than 1"),
    ("momentum", "banana", "a valid number"),
    ("batch_size", "0", "a number from 1 to 65536, or several"),
    ("batch_size", "", "a number from 1 to 65536"),
    ("batch_size", "65537", "a number from 1 to 65536"),
    ("batch_size", "1e2", "a number from 1 to 65536"),
    ("epochs", "0", "greater than or equal to 1"),
    ("epochs", "10001", "less than or equal to 10000"),
    ("epochs", "2.5", "a valid integer"),
    ("refine", "reduce_on_plateau", "off, or one of constant"),
    ("refine", "", "off, or one of constant"),
    ("lr_min", "0", "greater than 0"),
    ("lr_min", "nan", "a finite number"),
    ("torch_schedule", "maybe", "a valid boolean"),
    ("runs", "8f2c41d0", "2 to 12 different ids of runs"),
    ("runs", "8f2c41d0,8f2c41d0", "2 to 12 different ids of runs"),
    ("runs", "8f2c41d0,../41d0", "2 to 12 different ids of runs"),
    ("runs", ",".join(f"{n:032x}" for n in range(13)), "2 to 12 different ids of runs"),
    ("lr_max", "inf", "a finite number"),
    ("lr_max", "1e7", "less than or equal to 1000000"),
    ("spacing", "cubic", "'exponential' or 'linear'"),
    ("precision", "float16", "'auto', 'float32' or 'mixed_bfloat16'"),
    ("scale_labels", "log", "a valid boolean"),
    ("batch_norm", "off", "'auto' or 'keras'"),
    ("seeds", "0", "greater than or equal to 1"),
    ("seeds", "1001", "less than or equal to "),
    ("schemes", "", "'all' or a comma-separated choice of constant"),
    ("schemes", "constant,nosuch", "'all' or a comma-separated choice of constant"),
    ("schemes", "all,constant", "'all' or a comma-separated choice of constant"),
    ("schemes", "reduce_on_plateau", "'all' or a comma-separated choice of constant"),
    ("schemes", "cosine,no\nline", PLAIN),
    ("sampler", "cmaes", "'tpe', 'random', 'quasi-random' or 'grid'"),
    ("space", "wider", "'usual' or 'wide'"),
    ("history", "on", "'off' or 'related'"),
    ("weight_decay", "0.01", "'fixed' or 'search'"),
    ("weight_decay", "search", "optimizers among adamw, lion, lamb, muon, schedule_free_adamw"),
    ("budget", "1", "greater than 1"),
    ("budget", "1e7", "less than or equal to 1000000"),
    ("budget", "nan", "less than or equal to 1000000"),
    ("minutes", "0", "greater than 0"),
    ("minutes", "nan", "a finite number"),
    ("minutes", "1e7", "less than or equal to 1000000"),
    ("tolerance", "1", "less than 1"),
    ("tolerance", "-0.1", "greater than or equal to 0"),
    ("trials", "0", "greater than or equal to 1"),
    ("trials", "many", "a valid integer"),
    ("trials", "100001", "less than or equal to 100000"),
    ("rivals", "lamp", "optimizer:scheme:rate, the optimizer one of sgd, adam"),
    ("rivals", "lion:slow", "optimizer:scheme:rate, the scheme one of constant, linear"),
    ("rivals", "lion:cosine:fast", "optimizer:scheme:rate, the rate above 0 and at most 1e+06"),
    ("rivals", "lion:cosine:nan", "the rate above 0"),
    ("rivals", "lion:cosine:0.1:2", "the rate above 0"),
    ("rivals", "lion,", "the optimizer one of sgd"),
    ("rivals", "lion,lion:constant:0.001", "each once"),
    ("rivals", "adam", "none of Adam at 0.001, SGD at 0.01, AdamW recipe: these always are"),
    ("splits", "0", "greater than or equal to 1"),
    ("splits", "1001", "less than or equal to 1000"),
    ("transfer", "half", "a valid boolean"),
    ("batch_transfer", "64", "a valid boolean"),
    ("confirm_seeds", "1", "greater than or equal to 2"),
    ("confirm_seeds", "1001", "less than or equal to 1000"),
    ("top_k", "0", "greater than or equal to 1"),
    ("top_k", "101", "less than or equal to 100"),
    ("objective", "accuracy", "val_loss, val_accuracy, or val_ and the name of a metric"),
    ("objective", "val_gain", "max:val_gain or min:val_gain"),
    ("initial_lr", "0", "greater than 0"),
    ("initial_lr", "-0.1", "greater than 0"),
    ("initial_lr", "1e7", "less than or equal to 1000000"),
    ("initial_lr", "inf", "a finite number"),
    ("initial_lr", "nan", "a finite number"),
    ("initial_lr", "banana", "a valid number"),
    ("scheme", TOO_LONG, PLAIN),
    ("scheme_params", "\t", PLAIN),
    ("article", "c", "'a', 'b' or 'all'"),
    ("article", "", "'a', 'b' or 'all'"),
    ("answers", "some", "a valid boolean"),
    ("fix", "perhaps", "a valid boolean"),
]
"""An option, the value given, and what would be accepted; for every command that has the option."""

COSINE = ["--scheme=cosine", "--initial-lr=0.1"]

LINES: list[tuple[list[str], tuple[str, ...]]] = [
    ([], ("STAGE",)),
    ([""], ("STAGE", "''")),
    (["nope"], ("STAGE", "'nope'", "range_test")),
    (["--data", "digits"], ("STAGE",)),
    (["main", "--banana", "3"], ("main", "'--banana 3'", "--batch-size")),
    (["main", "--epoch", "3"], ("'--epoch 3'", "--epochs")),
    (["main", "-e", "3"], ("'-e 3'", "--epochs")),
    (["main", "stray"], ("'stray'", "--data")),
    (["main", "train"], ("'train'", "--data")),
    (["prepare", "--epochs", "3"], ("prepare", "'--epochs 3'", "--seed")),
    (["doctor", "--epochs", "3"], ("doctor", "'--epochs 3'", "--fix")),
    (["reproduce", "--model", "mlp"], ("reproduce", "'--model mlp'", "--article")),
    (["main", "--data"], ("--data", "expected one argument")),
    (["main", "--epochs", "--seed", "1"], ("--epochs", "expected one argument")),
    (["main", "--epochs", "0", "--seed", "x"], ("epochs: received '0'", "seed: received 'x'")),
    (["main", "--workers=2", "--scheduler=tcp://a:1"], ("workers: received 2 with a scheduler", "expected 1")),
    (["main", "--training-minutes=5"], ("training_minutes: received 5 without workers", "expected workers above 1")),
    (["train", "--scheme=cosine"], ("scheme='cosine', initial_lr=None", "expected both or neither")),
    (["train", "--initial-lr=0.1"], ("scheme=None, initial_lr=0.1", "expected both or neither")),
    (["train", "--scheme=cosin", "--initial-lr=0.1"], ("'cosin'", "constant, linear")),
    (["train", "--model-args=width=3"], ("model_args", "'width=3' with model=cnn", "a module:function")),
    (["train", "--model=own.py"], ("'own.py'", "module:function, a function of (input_shape, num_outputs)")),
    (["train", *COSINE, "--scheme-params=power=2"], ("'power'", "final_fraction")),
    (["train", *COSINE, "--scheme-params=final_fraction=2"], ("final_fraction", "received 2", "[0, 1]")),
    (["train", *COSINE, "--scheme-params=final_fraction=nan"], ("final_fraction", "received nan", "[0, 1]")),
    (["train", *COSINE, "--scheme-params=final_fraction=x"], ("final_fraction", "'x'", "number")),
    (["train", *COSINE, "--scheme-params=final_fraction"], ("'final_fraction'", "name=value")),
    (["train", *COSINE, "--scheme-params=final_fraction=0.1,final_fraction=0.2"], ("'final_fraction' twice", "once")),
    (["train", "--scheme-params=final_fraction=0.1"], ("scheme_params", "'final_fraction=0.1'", "none unless scheme")),
    (["train", *COSINE, "--optimizer=sgd,adam"], ("optimizer: received 'sgd,adam'", "one where scheme and initial_lr")),
    (["main", *COSINE, "--batch-size=32,64"], ("batch_size: received '32,64'", "one where scheme and initial_lr")),
    (["range_test", "--optimizer=sgd,adam"], ("'sgd,adam'", "only the search takes several")),
    (["range_test", "--batch-size=32,64"], ("'32,64'", "only the search takes several")),
    (["range_test", "--lr-min=0.1", "--lr-max=0.1"], ("received 0.1 and 0.1", "lr_min below lr_max")),
    (["search", "--optimizer=sgd,adam,sgd"], ("'sgd,adam,sgd'", "each once")),
    (
        ["search", "--optimizer=schedule_free_sgd,prodigy", "--schemes=linear,step"],
        ("'linear,step' with optimizer=schedule_free_sgd,prodigy", "searched with: constant, cosine"),
    ),
    (["search", "--optimizer=sgd,"], ("'sgd,'", "several, comma-separated")),
    (["search", "--batch-size=32,64,032"], ("'32,64,032'", "each once")),
    (["search", "--batch-size=32,"], ("'32,'", "several, comma-separated")),
    (["search", "--batch-size=32, 64"], ("'32, 64'", "several, comma-separated")),
    (["search", "--budget=5", "--trials=5"], ("budget: received 5", "more than 5 full trainings for trials=5")),
    (["search", "--budget=20", "--top-k=10", "--confirm-seeds=2"], ("received 20", "more than 21 full trainings")),
]
"""A command line, and what its refusal names."""


def commands(option: str) -> list[str]:
    """Return the commands that have an option."""
    return [name for name, (model, _) in COMMANDS.items() if option in model.model_fields]


def test_every_option_has_a_value_that_is_refused() -> None:
    """A new option of any command needs a row."""
    assert {option for option, _, _ in VALUES} == {
        name for model, _ in COMMANDS.values() for name in model.model_fields
    }


@pytest.mark.parametrize(("option", "given", "accepted"), VALUES, ids=lambda text: ascii(text)[:30])
def test_bad_value_is_refused_in_a_line_by_every_command(
    option: str,
    given: str,
    accepted: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line names the option, what was received and what would be accepted; nothing is written to disk."""
    monkeypatch.chdir(tmp_path)
    for name in commands(option):
        scheme = ["--scheme=cosine"] if option == "initial_lr" else []
        line = refusal([name, f"--{option}={given}", *scheme], capsys)
        received, _, expected = line.partition(", expected ")
        assert received.startswith(f"lr-pipeline: {option}: received {given!r}"[:200])
        assert accepted in expected
        assert "Error" not in line
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "parts"), LINES, ids=lambda arguments: " ".join(arguments)[:40])
def test_bad_command_line_is_refused_in_a_line(
    arguments: list[str],
    parts: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So are options that no command has, that lack a value, or that do not go together."""
    monkeypatch.chdir(tmp_path)
    line = refusal(arguments, capsys)
    for part in parts:
        assert part in line
    assert list(tmp_path.iterdir()) == []
