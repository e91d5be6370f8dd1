"""What the pages of the documentation tell readers to type."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
REPORTS = sorted((ROOT / "reports").rglob("*.md"))

PROGRAMS = frozenset(
    {"curl", "dask", "export", "git", "lr-pipeline", "make", "mlflow", "pip", "python", "source", "uv"}
)
"""A block or a code span that begins with one of these is a shell command; any other block is output."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMENT = re.compile(r"#.* (python -m pipeline .+)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Page:
    """One page: its Python blocks, and its shell commands in blocks, in code spans and in comments of Python."""

    path: Path

    @cached_property
    def text(self) -> str:
        """Return the page's text."""
        return self.path.read_text(encoding="utf-8")

    @property
    def python(self) -> list[str]:
        """Return the code of each Python block."""
        return [code for language, code in _FENCED.findall(self.text) if language == "python"]

    @property
    def commands(self) -> list[list[str]]:
        """Return the words of each shell command, without variables set before it."""
        comments = _COMMENT.findall("\n".join(self.python))
        return [command for line in [*self._block_lines(), *self._spans(), *comments] for command in split(line)]

    @property
    def shell(self) -> str:
        """Return all shell commands of blocks as one script."""
        return "\n".join(self._block_lines())

    def _block_lines(self) -> Iterator[str]:
        fenced = [code for language, code in _FENCED.findall(self.text) if not language]
        indented = [re.sub("^ {4}", "", one, flags=re.MULTILINE) for one in _INDENTED.findall(self._prose)]
        for block in [*fenced, *indented]:
            if begins_with_program(block):
                yield from filter(str.strip, block.replace("\\\n", " ").splitlines())

    def _spans(self) -> Iterator[str]:
        yield from (span for span in _SPAN.findall(self._prose) if " " in span and begins_with_program(span))

    @cached_property
    def _prose(self) -> str:
        return _FENCED.sub("", self.text)


def begins_with_program(text: str) -> bool:
    """Return whether a text is a shell command, possibly with variables set before it."""
    words = (word for word in text.split() if not _ASSIGNMENT.fullmatch(word))
    return next(words, "").rpartition("/bin/")[2] in PROGRAMS


def split(line: str) -> list[list[str]]:
    """Return the words of each command of a line of shell, without comments and variables set before it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word in ("&&", "||", ";", "|"):
            commands.append([])
        elif commands[-1] or not _ASSIGNMENT.fullmatch(word):
            commands[-1].append(word)
    return [command for command in commands if command]


def plain(command: Sequence[str]) -> str:
    """Return a command as one line."""
    return " ".join(command)
