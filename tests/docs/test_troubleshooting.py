"""The messages on the page about them are those of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = [*sorted((ROOT / "pipeline").rglob("*.py")), ROOT / "Makefile"]
_DIFFERS = re.compile(r"\.\.\.|: received|; accepted:")
"""What stands for what differs, and where a refusal is put together."""


def quoted(page: str) -> list[str]:
    """Return the messages that begin an item of a list, without line breaks; several are separated by commas."""
    heads = re.findall(r"^ *- (`[^`]+`(?:,\s+`[^`]+`)*)(?=:|$)", page, re.MULTILINE)
    return [" ".join(message.split()) for head in heads for message in re.findall("`([^`]+)`", head)]


def texts(path: Path) -> Iterator[str]:
    """Yield the constant text of a file, each part of an f-string by itself; of the Makefile, all of it."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def unsaid(message: str, said: str) -> str:
    """Return the rest of a message from where it is not made up of pieces that the code says, of two words if any."""
    for part in _DIFFERS.split(message):
        words = _words(part)
        least = min(2, len(words))
        while words:
            lengths = range(len(words), least - 1, -1)
            known = next((length for length in lengths if f" {' '.join(words[:length])} " in said), 0)
            if not known:
                return " ".join(words)
            words = words[known:]
    return ""


def _words(text: str) -> list[str]:
    return re.sub(r"[:;,.()'\"]", " ", text).split()


def _spoken(*lines: str) -> str:
    return "\n".join(f" {' '.join(_words(line))} " for line in lines)


def test_every_message_is_said_by_the_code() -> None:
    """Word for word, where it does not stand for what differs."""
    said = _spoken(*(text for path in SOURCES for text in texts(path)))
    messages = quoted(PAGE.read_text(encoding="utf-8"))
    assert len(messages) > 35
    assert {message: rest for message in messages if (rest := unsaid(message, said))} == {}


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        ("no space left for ...: free some, then ...", ""),
        ("no space left for ...: clear some, then ...", "clear some then"),
        ("memory ran out: smaller data, a smaller network or a smaller batch size", "batch size"),
    ],
)
def test_other_words_are_found(message: str, rest: str) -> None:
    """From where they differ."""
    smaller = "smaller data, a smaller network or a smaller batch_size need less"
    assert unsaid(message, _spoken("no space left for ", ": free some, then ", "memory ran out: ", smaller)) == rest
