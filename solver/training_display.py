"""What `fe2 train` shows while it works: one line in place on a terminal, plain lines anywhere else."""

import math
import os
import time as clock
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from solver.results.narration import duration
from surrogates.training import Losses

_EVERY = 10
"""Epochs between two plain lines."""


class TrainingDisplay:
    """Shows epoch and losses as relative errors: square roots of the losses.

    Args:
        stream: where to; None: nowhere.
        epochs: most epochs that there will be.
        prefix: what each line begins with.
    """

    def __init__(self, stream: TextIO | None, epochs: int, prefix: str = "") -> None:
        self._stream, self._epochs, self._prefix = stream, epochs, prefix
        self._began = clock.monotonic()
        self._live: Live | None = None
        if stream is not None:
            console = Console(file=stream)
            launched = any(name in os.environ for name in ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"))
            if console.is_terminal and not console.is_dumb_terminal and not launched:
                self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def epoch(self, losses: Losses) -> None:
        """Show the state after an epoch."""
        if self._live is not None:
            self._live.update(Text(self._line(losses)), refresh=True)
        elif self._stream is not None and (losses.epoch % _EVERY == 0 or losses.epoch == 1):
            print(self._line(losses), file=self._stream, flush=True)

    def _line(self, losses: Losses) -> str:
        return (
            f"{self._prefix}epoch {losses.epoch:4d} of at most {self._epochs}  training {_percent(losses.training)}  "
            f"validation {_percent(losses.validation)}  best epoch {losses.best_epoch}  "
            f"{duration(clock.monotonic() - self._began)}"
        )


def _percent(loss: float) -> str:
    """Root of a loss, which is a squared relative error."""
    return f"{100.0 * math.sqrt(loss):.3f} %"
