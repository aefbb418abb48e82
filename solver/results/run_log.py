"""log.txt, and what is said on the terminal."""

import logging
from logging.handlers import MemoryHandler
from pathlib import Path

from mpi4py import MPI

PACKAGES = ("solver", "rve", "surrogates", "materials", "meshes")
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class RunLog:
    """Collects the log records of all packages; once `open` is called they are in the file, also the earlier ones.

    Rank 0 logs everything from level INFO; the other ranks only warnings, which carry the number of their rank.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self._rank = comm.rank
        self._file: logging.FileHandler | None = None
        level = logging.INFO if self._rank == 0 else logging.WARNING
        self._memory = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1)
        self._memory.setLevel(level)
        self._levels: dict[str, int] = {}
        for name in PACKAGES:
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(level)
            logger.addHandler(self._memory)

    def open(self, path: Path, *, keep: bool) -> None:
        """Start writing to `path`; `keep` appends to what an earlier run wrote. Rank 0 must open before the others."""
        mark = "" if self._rank == 0 else f"[rank {self._rank}] "
        mode = "a" if keep or self._rank else "w"
        self._file = logging.FileHandler(path, mode, encoding="utf-8", delay=self._rank > 0)
        self._file.setFormatter(logging.Formatter(mark + _FORMAT))
        self._file.setLevel(self._memory.level)
        self._memory.setTarget(self._file)
        self._memory.flush()
        self._detach(self._memory)
        for name in PACKAGES:
            logging.getLogger(name).addHandler(self._file)

    def close(self) -> None:
        """Stop listening."""
        self._detach(self._memory)
        if self._file is not None:
            self._detach(self._file)
            self._file.close()
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    @staticmethod
    def _detach(handler: logging.Handler) -> None:
        for name in PACKAGES:
            logging.getLogger(name).removeHandler(handler)
