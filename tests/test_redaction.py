"""Credentials are taken out of whatever is shown or kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import describe
from pipeline.redaction import redacted, take_credentials_out_of_uri
from tests.bad_input.harness import refusal


def test_variables_may_go_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's telemetry sets one and removes it, in a thread of its own."""
    monkeypatch.setattr(os, "environ", Vanishing({"A_TOKEN": "secrets", "B_TOKEN": "others"}))
    assert redacted("secrets others") == "secrets ***"


class Vanishing(dict[str, str]):
    """An environment whose first variable is removed once the names have been listed."""

    def __iter__(self) -> Iterator[str]:
        names = list(super().__iter__())
        self.pop(names[0])
        return iter(names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:pw@host:5000/x failed", "http://***@host:5000/x failed"),
        ("postgresql+psycopg2://ada:p%40w@db/runs", "postgresql+psycopg2://***@db/runs"),
        ("https://token@github.com/a/b", "https://***@github.com/a/b"),
        ("https://ada:p@w@host", "https://***@host"),
        ("sqlite:////tmp/a@b/mlflow.db", "sqlite:////tmp/a@b/mlflow.db"),
        ("http://host/path?at=a@b", "http://host/path?at=a@b"),
        (
            "https://s3/x.csv?X-Amz-Date=1&X-Amz-Signature=ab12 failed",
            "https://s3/x.csv?X-Amz-Date=1&X-Amz-Signature=*** failed",
        ),
        ("https://host/x?access_token=ab&v=2", "https://host/x?access_token=***&v=2"),
        ("token=none,key=auto", "token=none,key=auto"),
        ("mail ada@host", "mail ada@host"),
    ],
)
def test_credentials_in_addresses(text: str, shown: str) -> None:
    """All of them up to the host; paths and queries stay as they are."""
    assert redacted(text) == shown


def test_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that secrets have; a short value might be a part of any word."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "opensesame")
    monkeypatch.setenv("MY_API_KEY", "key")
    assert redacted("opensesame: keyboard") == "***: keyboard"


@pytest.mark.parametrize("secret", ["https://ada:pw@host/x.csv", "opensesame.csv", "x" * 190 + "opensesame"])
def test_options_with_secrets_are_refused(
    secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before anything is written: every run shows its options."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "opensesame")
    for option in ("data", "target", "experiment_name"):
        line = refusal(["prepare", f"--{option}={secret}"], capsys)
        assert line.endswith("accepted: no password or token: every run shows its options\n")
        assert "***" in line
        assert "opensesame" not in line
        assert "pw" not in line
    assert list(tmp_path.iterdir()) == []


def test_a_secret_at_the_cut_of_a_message_leaves_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken out before."""
    monkeypatch.setenv("MY_API_TOKEN", "opensesame")
    assert describe(ValueError("x" * 195 + "opensesame")) == f"ValueError: {'x' * 195}***"


def test_credentials_of_a_server_are_handed_on_apart_from_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As MLflow reads them, decoded."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:p%40w%2F@host:8443/prefix")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "overridden, as requests does")
    take_credentials_out_of_uri()
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://host:8443/prefix"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("ada", "p@w/")


@pytest.mark.parametrize("uri", ["", "sqlite:///a@b.db", "postgresql://ada:pw@db/runs", "http://host"])
def test_other_addresses_stay(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to take out, or nowhere to hand it on."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    take_credentials_out_of_uri()
    assert os.environ["MLFLOW_TRACKING_URI"] == uri
