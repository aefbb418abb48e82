"""What `fe2 sample` shows while it works: a bar on a terminal, plain lines anywhere else; rank 0 speaks."""

import os
import time as clock
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from solver.results.narration import duration, grouped

_LINES = 10
"""Plain lines of progress in a sampling, at least."""

_PATIENCE = 30.0
"""Seconds after which there is a line anyway, once another path is finished."""


class SamplingDisplay(Protocol):
    """Told of progress on rank 0."""

    def __enter__(self) -> Self:
        """Take the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""

    def advanced(self, done: int, failed: int) -> None:
        """`done` paths are finished, `failed` of them early; called often."""


def create_display(stream: TextIO | None, total: int, before: int) -> SamplingDisplay:
    """The display that suits the stream, none without one, for `total` paths of which `before` were there."""
    if stream is None:
        return Silence()
    console = Console(file=stream)
    launched = any(name in os.environ for name in ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"))
    if console.is_terminal and not console.is_dumb_terminal and not launched:
        return Bar(console, total, before)
    return PlainLines(stream, total, before)


class Silence:
    """Says nothing."""

    def __enter__(self) -> Self:
        """Nothing to take."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""

    def advanced(self, done: int, failed: int) -> None:
        """Nothing to say."""


class PlainLines(Silence):
    """A line whenever another tenth of the paths is finished, or half a minute is over."""

    def __init__(self, stream: TextIO, total: int, before: int) -> None:
        self._stream = stream
        self._pace = _Pace(total, before)
        self._said, self._when = before, clock.monotonic()
        if before:
            print(f"{grouped(before)} of {grouped(total)} paths were finished before", file=stream, flush=True)

    def advanced(self, done: int, failed: int) -> None:
        """Say how far it is, but not too often."""
        total, now = self._pace.total, clock.monotonic()
        due = done == total or done * _LINES // total > self._said * _LINES // total or now - self._when > _PATIENCE
        if done == self._said or not due:
            return
        self._said, self._when = done, now
        print(self._pace.line(done, failed), file=self._stream, flush=True)


class Bar(Silence):
    """A bar in place."""

    def __init__(self, console: Console, total: int, before: int) -> None:
        self._pace = _Pace(total, before)
        self._done, self._failed = before, 0
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._live.stop()

    def advanced(self, done: int, failed: int) -> None:
        """Move the bar."""
        if (done, failed) != (self._done, self._failed):
            self._done, self._failed = done, failed
            self._live.refresh()

    def _render(self) -> Group:
        fraction = self._done / self._pace.total
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=fraction, width=40), Text(f"{100 * fraction:3.0f} %"))
        return Group(bar, Text(self._pace.line(self._done, self._failed), style="dim"))


class _Pace:
    """Time gone and time left, from the paths finished since the start."""

    def __init__(self, total: int, before: int) -> None:
        self.total = total
        self._before = before
        self._began = clock.monotonic()

    def line(self, done: int, failed: int) -> str:
        """Progress in one line."""
        elapsed = clock.monotonic() - self._began
        parts = [f"{grouped(done)} of {grouped(self.total)} paths"]
        if failed:
            parts.append(f"{grouped(failed)} ended early")
        parts.append(f"{duration(elapsed)} elapsed")
        if self._before < done < self.total:
            parts.append(f"about {duration(elapsed * (self.total - done) / (done - self._before))} left")
        return " · ".join(parts)
