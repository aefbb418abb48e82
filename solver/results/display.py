"""What a run shows while it runs: a live panel on a terminal, plain lines anywhere else."""

import logging
import os
from types import TracebackType
from typing import Protocol, Self, TextIO

from mpi4py import MPI
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord, Observer
from solver.results import narration
from solver.results.narration import Pace, duration, grouped
from solver.results.run_log import PACKAGES

_TOLD = (narration.log.name, "materials.router", "surrogates.learner")


def _is_told(record: logging.LogRecord) -> bool:
    """What reaches the terminal: the narration, what is routed and learned, and every warning."""
    return record.name in _TOLD or record.levelno >= logging.WARNING


def _listen(handler: logging.Handler) -> None:
    """Let a handler hear all packages."""
    handler.addFilter(_is_told)
    for name in PACKAGES:
        logging.getLogger(name).addHandler(handler)


def _deafen(handler: logging.Handler) -> None:
    for name in PACKAGES:
        logging.getLogger(name).removeHandler(handler)


class Display(Observer, Protocol):
    """An observer that may hold the terminal."""

    def __enter__(self) -> Self:
        """Take the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""


def create_display(comm: MPI.Comm, pace: Pace, title: str, *, quiet: bool, stream: TextIO) -> Display:
    """The display that suits the stream. Only rank 0 speaks."""
    if comm.rank != 0 or quiet:
        return PlainLines(pace, None)
    console = Console(file=stream)
    # mpirun gives its processes a terminal of their own and passes on what they write, wherever that goes.
    launched = any(name in os.environ for name in ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"))
    if console.is_terminal and not console.is_dumb_terminal and not launched:
        return LivePanel(pace, console, title)
    return PlainLines(pace, stream)


class PlainLines:
    """Writes the narration of the run to a stream, line by line; says nothing without a stream."""

    def __init__(self, pace: Pace, stream: TextIO | None) -> None:
        self._pace = pace
        self._handler = logging.StreamHandler(stream) if stream is not None else None

    def __enter__(self) -> Self:
        """Listen to the narration."""
        if self._handler is not None:
            self._handler.setFormatter(logging.Formatter("%(message)s"))
            _listen(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._handler is not None:
            _deafen(self._handler)

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Start the clock. Collective."""
        self._pace.begin(problem, time, end)

    def iterated(self, record: IterationRecord) -> None:
        """Count the solves."""
        self._pace.evaluated()

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: the narration tells."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Move on."""
        self._pace.reached(record)


class LivePanel:
    """Shows increment, iteration, residual, RVE solves and the time left, in place; the narration scrolls above it."""

    def __init__(self, pace: Pace, console: Console, title: str) -> None:
        self._pace = pace
        self._console = console
        self._title = title
        self._step = self._iteration = 0
        self._residual: float | None = None
        self._cutbacks = 0
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
        self._handler = _Scroll(console)

    def __enter__(self) -> Self:
        """Take the terminal."""
        _listen(self._handler)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._live.stop()
        _deafen(self._handler)

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Start the clock. Collective."""
        self._pace.begin(problem, time, end)
        self._live.refresh()

    def iterated(self, record: IterationRecord) -> None:
        """Show the iteration."""
        self._pace.evaluated()
        self._step, self._iteration, self._residual = record.step, record.iteration, record.residual
        self._live.refresh()

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Count it."""
        self._cutbacks += 1
        self._live.refresh()

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Move the bar."""
        self._pace.reached(record)
        self._live.refresh()

    def _render(self) -> Group:
        pace = self._pace
        title = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        if not pace.end:
            return Group(title, Text("preparing", style="dim"))
        bar = Table.grid(padding=(0, 1))
        fraction = pace.time / pace.end
        bar.add_row(
            ProgressBar(total=1.0, completed=fraction, width=40),
            Text(f"{100 * fraction:3.0f} %  time {pace.time:.4g} of {pace.end:.4g}"),
        )
        now: list[str] = []
        if self._residual is not None:
            now += [f"increment {self._step}", f"iteration {self._iteration}", f"residual {self._residual:.1e}"]
        if pace.rve_solves:
            now.append(f"{grouped(pace.rve_solves)} RVE solves")
        if self._cutbacks:
            now.append(f"{self._cutbacks} cut back")
        now.append(f"{duration(pace.elapsed)} elapsed")
        left = pace.left
        now.append(f"about {duration(left)} left" if left is not None else "estimating the time left")
        return Group(title, bar, Text(" · ".join(now), style="dim"))


class _Scroll(logging.Handler):
    """Prints log lines above a live panel."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        self._console.print(Text(record.getMessage(), style=style or ""), soft_wrap=True)
