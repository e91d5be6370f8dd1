"""Options in layers: which one counts, where it is from, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import mlflow
import pytest

from pipeline import cli
from pipeline.cli import COMMANDS
from pipeline.config import Layered, MainOptions, PrepareOptions, layered, typed
from pipeline.config.layers import EFFECTIVE, PROFILES
from pipeline.errors import InputError
from pipeline.tracking.opening import options_of

ALL = {option for model, _ in COMMANDS.values() for option in model.model_fields}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[Layered[MainOptions]]:
    """Return a list that gets the options of each command, which ends there."""
    received: list[Layered[MainOptions]] = []

    def dispatch(command: str, given: Layered[MainOptions]) -> int:
        received.append(given)
        return cli.DONE

    monkeypatch.setattr(cli, "_dispatch", dispatch)
    return received


EARLIER = "budget: 40.0  # command line\nepochs: 3  # environment\nseed: 0  # default\nfresh: true  # command line\n"
"""The options that a run keeps."""


def of_run(run: str, experiment: str) -> str:
    """Stand for the tracking store, which is tried in test_run_gives_its_options."""
    assert (run, experiment) == ("newest", "mine")
    return EARLIER


def of_main(**given: str) -> Layered[MainOptions]:
    """Return the options of `main` for a command line."""
    return layered(MainOptions, given, ALL, of_run)


def test_each_layer_is_over_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, profile, file, environment, command line."""
    assert of_main().options == MainOptions()
    expected = {"budget": 25.0, "seeds": 3, "epochs": 5}

    def check(given: Mapping[str, str], **changed: object) -> None:
        expected.update(changed)  # type: ignore[arg-type]
        assert of_main(**given).options == MainOptions.model_validate(expected)

    given = {"profile": "thorough"}
    check(given, **PROFILES["thorough"])
    (tmp_path / "options.yaml").write_text("seeds: 7\nepochs: 2\n", encoding="utf-8")
    given["config"] = "options.yaml"
    check(given, seeds=7, epochs=2)
    monkeypatch.setenv("LR_PIPELINE_EPOCHS", "4")
    monkeypatch.setenv("LR_PIPELINE_SEEDS", "8")
    check(given, seeds=8, epochs=4)
    check({**given, "seeds": "9"}, seeds=9)
    assert of_main(**given, seeds="9").origins == {
        "budget": "profile thorough",
        "epochs": "environment",
        "seeds": "command line",
    }


def test_options_of_an_earlier_run_are_taken_over(tmp_path: Path) -> None:
    """What was chosen there, over a profile and below a file; but not that it began anew."""
    (tmp_path / "options.yaml").write_text("experiment_name: mine\nepochs: 9\n", encoding="utf-8")
    found = of_main(run="newest", config="options.yaml", profile="thorough", seed="2")
    assert found.options == MainOptions(experiment_name="mine", budget=40, epochs=9, seeds=5, seed=2)
    assert found.origins["budget"] == "run newest"
    assert found.untyped == "budget=40.0,seeds=5,epochs=9,experiment_name=mine"


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", ""])
def test_damaged_options_of_a_run_are_refused_in_a_line(text: str) -> None:
    """It names the run."""
    with pytest.raises(InputError, match=r"cannot read options\.yaml of run newest: received "):
        layered(MainOptions, {"run": "newest"}, ALL, lambda run, experiment: text)


@pytest.mark.usefixtures("own_store")
def test_run_gives_its_options() -> None:
    """By its id, or as the newest of the chain; anything else is refused in a line."""
    with pytest.raises(InputError, match="run: received 'newest', but no chain has finished"):
        options_of("newest", "mine")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("mine")
    runs = [client.create_run(experiment, tags={"pipeline.stage": stage}) for stage in ("main", "main", "prepare")]
    first, second, without = (run.info.run_id for run in runs)
    for seed, run_id in enumerate((first, second)):
        client.log_text(run_id, f"seed: {seed}\n", EFFECTIVE)
        client.set_terminated(run_id, end_time=seed + 1)
    assert options_of("newest", "mine") == options_of(second, "other") == "seed: 1\n"
    assert options_of(first, "mine") == "seed: 0\n"
    for wrong in (without, "0" * 32, "../x"):
        with pytest.raises(InputError, match="accepted: the id of a finished command's run"):
            options_of(wrong, "mine")


def test_environment_chooses_profile_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are options too."""
    (tmp_path / "mine.toml").write_text("seed = 5\n", encoding="utf-8")
    monkeypatch.setenv("LR_PIPELINE_PROFILE", "quick")
    monkeypatch.setenv("LR_PIPELINE_CONFIG", "mine.toml")
    assert of_main().options == MainOptions(seed=5, **PROFILES["quick"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("options.yaml", "model: nets:resnet\nmodel_args: {width: 64, bias: true}\nschemes: [linear, cosine]\n"),
        (
            "options.toml",
            'model = "nets:resnet"\nschemes = ["linear", "cosine"]\n[model_args]\nwidth = 64\nbias = true\n',
        ),
    ],
)
def test_files_may_write_lists_and_tables(name: str, text: str, tmp_path: Path) -> None:
    """What a command line joins by commas."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    options = of_main(config=name).options
    assert (options.schemes, options.model_args) == ("linear,cosine", "width=64,bias=true")


def test_effective_options_can_be_given_again(tmp_path: Path) -> None:
    """The artifact says where each option is from, and is itself a file of options."""
    first = of_main(batch_size="32", lr_min="1e-5", profile="quick")
    (tmp_path / "options.yaml").write_text(first.as_yaml(), encoding="utf-8")
    assert "batch_size: '32'  # command line\n" in first.as_yaml()
    assert "seeds: 2  # profile quick\n" in first.as_yaml()
    assert "epochs: 5  # default\n" in first.as_yaml()
    again = of_main(config="options.yaml")
    assert again.options == first.options
    assert set(again.origins.values()) == {"options.yaml"}


def test_layers_may_hold_options_of_other_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file serves the whole chain; `prepare` knows nothing of budgets."""
    (tmp_path / "options.yaml").write_text("budget: 7\nseed: 2\n", encoding="utf-8")
    monkeypatch.setenv("LR_PIPELINE_TOP_K", "2")
    found = layered(PrepareOptions, {"config": "options.yaml", "profile": "quick"}, ALL, of_run)
    assert found.options == PrepareOptions(seed=2)
    assert found.origins == {"seed": "options.yaml"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "budgt: 3\n",
            "options.yaml: received 'budgt'; accepted: options as --help lists them; did you mean 'budget'?",
        ),
        ("profile: quick\n", "options.yaml: received 'profile'; accepted: options as --help lists them"),
        ("epochs: -1\n", "epochs: received -1 (options.yaml), expected greater than or equal to 1"),
        ("- a\n", "cannot read options.yaml: received "),
        ("a: [\n", "cannot read options.yaml: received ParserError: "),
        ("a: !!python/object/apply:os.getcwd []\n", "cannot read options.yaml: received ConstructorError: "),
        ("data: http://ada:opensesame@host/x\n", "data: received 'http://***@host/x'; accepted: no password or token"),
        ("model_args: {width: 'a b'}\n", "scheme parameter 'width' must have no comma, equals sign or space"),
    ],
)
def test_wrong_file_is_refused_in_a_line(text: str, line: str, tmp_path: Path) -> None:
    """It names the file, or the option and the file that it is from."""
    (tmp_path / "options.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        of_main(config="options.yaml")
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize("name", ["missing.yaml", ".", "options.json"])
def test_what_is_no_file_of_options_is_refused(name: str, tmp_path: Path) -> None:
    """A file that is not there is never taken for an empty one."""
    (tmp_path / "options.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="config: received"):
        of_main(config=name)


def test_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would otherwise be ignored in silence; what the processes of a command pass to each other is no option."""
    monkeypatch.setenv("LR_PIPELINE_HANDOVER", "{}")
    assert of_main().options == MainOptions()
    monkeypatch.setenv("LR_PIPELINE_BUDGT", "3")
    with pytest.raises(InputError, match="did you mean 'LR_PIPELINE_BUDGET'"):
        of_main()


def test_parameters_at_their_defaults_count_as_not_given(
    dispatched: list[Layered[MainOptions]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow run` passes all of an entry point's; the layers below must not be hidden by them."""
    passed = {"budget": "25.0", "fresh": "false", "lr_min": "", "epochs": "7", "profile": "quick", "run": ""}
    assert typed(MainOptions, passed) == {"epochs": "7", "profile": "quick"}
    monkeypatch.setattr(cli, "_end_with_parent", lambda: None)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    assert cli.main(["main", *(word for name, value in passed.items() for word in (f"--{name}", value))]) == cli.DONE
    assert dispatched[0].options == MainOptions(epochs=7, **PROFILES["quick"])


def test_stage_of_a_chain_is_handed_all_its_options(
    dispatched: list[Layered[MainOptions]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment nor a profile adds to them a second time."""
    monkeypatch.setenv("LR_PIPELINE_HANDOVER", "{}")
    monkeypatch.setenv("LR_PIPELINE_BUDGET", "60")
    assert cli.main(["main", "--budget", "25.0", "--profile", "standard", "--config", ""]) == cli.DONE
    assert dispatched[0].options.budget == 25


def test_examples_are_accepted() -> None:
    """What the help shows as an example is no wrong input."""
    with_it = {
        "scheme": {"initial_lr": "0.1"},
        "initial_lr": {"scheme": "cosine"},
        "scheme_params": {"scheme": "cosine", "initial_lr": "0.1"},
        "model_args": {"model": "nets:resnet"},
        "training_minutes": {"workers": "2"},
    }
    examples = [(name, one) for name, field in MainOptions.model_fields.items() for one in field.examples or ()]
    assert len(examples) > 20
    for name, example in examples:
        MainOptions.model_validate({**with_it.get(name, {}), name: example})
