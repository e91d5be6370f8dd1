"""Terminal output of a stage: a live line while it runs, and a permanent line when it ends."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.table import Column
from rich.text import Text

from pipeline import interruption

_WIDTH = 11  # columns for the name of a stage
_REDRAW_EVERY = 0.5  # seconds
_WITH_BAR = 120  # columns of a terminal
_IN_MINUTES = 100  # seconds
_SAY_EVERY = 60.0
"""Seconds between the lines that say, where nothing can be overwritten, that a stage is still at work."""


class Status:
    """The live line of one stage; if the output is neither a terminal nor a notebook, a line a minute takes its place.

    In a notebook the line is plain text that overwrites itself: Rich's own would need ipywidgets there.
    """

    def __init__(self, stage: str, *, quiet: bool = False, verbose: bool = False) -> None:
        self._verbose, self._lowest, self._best, self._standing = verbose, math.inf, "", ""
        self._name, self._stage = stage, f"{stage:<{_WIDTH}}"
        notebook = Console().is_jupyter
        terminal = False if notebook else None  # the streams of a notebook may call themselves terminals
        self._console = Console(
            highlight=False, soft_wrap=True, quiet=quiet, force_jupyter=False, force_terminal=terminal
        )
        self._in_notebook = notebook and not quiet
        self._drawn, self._drawn_at = 0, 0.0
        self._ended = None if quiet or notebook or self._console.is_terminal else threading.Event()
        whole = Column(no_wrap=True)
        bar = [BarColumn(bar_width=24, table_column=whole)] if self._console.width >= _WITH_BAR else []
        self._progress = Progress(
            SpinnerColumn("dots" if self._shows("⠋") else "line", table_column=whole),
            *bar,
            _OneLine(self._line),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._began: tuple[float, float] | None = None
        self._advanced = 0.0
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        self._progress.start()
        if self._ended is not None:
            threading.Thread(target=self._say_regularly, args=(self._ended,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def expect(self, total: int) -> None:
        """Set the total number of steps."""
        self._progress.update(self._task, total=total)

    def begin(self, what: str) -> None:
        """Show what is being done now."""
        interruption.check()
        if self._began is None:  # what was recalled came before, and took no time
            self._began = time.perf_counter(), self._of_rich.completed
        self._progress.update(self._task, description=what)
        self._redraw()

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        interruption.check()
        self._progress.update(self._task, advance=steps)
        self._advanced = time.perf_counter()
        self._redraw()

    def trained(self, name: str, val_loss: float, seconds: float) -> None:
        """Show the lowest validation loss, unless `stands` says more; and, if asked to be verbose, each."""
        if self._verbose:
            self.note(f"{name}: validation loss {val_loss:.4g}, {seconds:.1f} s")
        if val_loss < self._lowest:
            self._lowest = val_loss
            self._best = f"lowest loss so far {val_loss:.4g}: {name}"

    def stands(self, what: str) -> None:
        """Show what is known of the answer so far, and how sure that is."""
        self._standing = what
        self._redraw()

    def note(self, what: str) -> None:
        """Print a permanent line."""
        interruption.check()
        self._erase()
        self._console.print(f"  {escape(what)}")

    def close(self, what: str) -> None:
        """Replace the live line by a permanent one, even if the command is being interrupted."""
        self._stop()
        self._console.print(f"  {escape(what)}")

    def done(self, summary: str, reused: bool = False) -> None:
        """Replace the live line by a permanent one."""
        self._stop()
        took = "reused" if reused else f"{time.perf_counter() - self._started:.0f} s"
        mark = "✓" if self._shows("✓") else "*"
        self._console.print(f"[green]{mark}[/green] {self._stage} {took:>7}  {escape(summary)}", markup=True)

    def _stop(self) -> None:
        if self._ended is not None:
            self._ended.set()
        self._progress.stop()
        self._erase()

    def _say_regularly(self, ended: threading.Event) -> None:
        while not ended.wait(_SAY_EVERY):
            minutes = (time.perf_counter() - self._started) / 60
            self._console.print(f"  {minutes:.0f} min: {escape(self._line())}")

    def _line(self) -> str:
        """Return how far the stage is, the time left, what is known of the answer, and what is being done.

        What is said first is what a narrow terminal shows.
        """
        task = self._of_rich
        counted = f" {task.completed:g}/{task.total:g}" if task.total else ""
        left = self._left(task)
        what = (f"{self._name}{counted}{left}", self._standing or self._best, str(task.description))
        line = "; ".join(filter(None, what))
        return line if self._shows("±") else line.replace("±", "+/-")

    def _left(self, task: Task) -> str:
        """Return the time left, at the speed since the first training that was not recalled."""
        since, recalled = self._began or (math.inf, 0)
        if not task.total or task.completed >= task.total or self._advanced < since:
            return ""
        each = (self._advanced - since) / max(task.completed - recalled, 1)
        left = max(each * (task.total - task.completed) - (time.perf_counter() - self._advanced), 1)
        return f", {left:.0f} s left" if left < _IN_MINUTES else f", {left / 60:.0f} min left"

    @property
    def _of_rich(self) -> Task:
        return self._progress.tasks[self._task]

    def _redraw(self) -> None:
        """Overwrite a notebook's live line, unless that was done a moment ago."""
        if not self._in_notebook or time.perf_counter() - self._drawn_at < _REDRAW_EVERY:
            return
        line = self._line()
        print(f"\r{line:<{self._drawn}}", end="", flush=True)
        self._drawn, self._drawn_at = len(line), time.perf_counter()

    def _erase(self) -> None:
        """Remove a notebook's live line."""
        if self._drawn:
            print(f"\r{'':<{self._drawn}}\r", end="", flush=True)
            self._drawn = 0

    def _shows(self, symbol: str) -> bool:
        """Return whether the output's encoding has a symbol."""
        try:
            symbol.encode(self._console.encoding)
        except UnicodeEncodeError:
            return False
        return True


class _OneLine(ProgressColumn):
    """Text that is cut off where a terminal ends: wrapped lines would move all that is below them up and down."""

    def __init__(self, line: Callable[[], str]) -> None:
        super().__init__()
        self._line = line

    def render(self, task: Task) -> Text:
        return Text(self._line(), no_wrap=True, overflow="ellipsis")


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Hide what compiled libraries write directly to standard error, such as TensorFlow's notices at import.

    TensorFlow has no setting that silences them. Exceptions still pass through with their tracebacks.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
