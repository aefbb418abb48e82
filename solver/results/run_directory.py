"""The folder of one run, and run.json in it: what ran, on what, how far it came and where the time went."""

import json
import shutil
import time as clock
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from solver.case.errors import BadInput
from solver.results.atomic import write_text
from surrogates.learner import VERSIONS

RUN = "run.json"
CASE = "case.yaml"
HISTORY = "history.csv"
ITERATIONS = "iterations.csv"
PROBES = "probes.csv"
REACTIONS = "reactions.csv"
FIELDS = "fields.xdmf"
LOCALIZATION = "localization"
CHECKPOINT = "checkpoint/restart.h5"
DATA, MODELS = "data", "models"
LOG = "log.txt"
REPORT = "report.html"

_REFRESH = 2.0
"""Seconds between two writes of run.json while the run goes on."""


class RunStatus(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunDirectory:
    """Creates the folder and keeps run.json. Lives on rank 0 only.

    Args:
        path: the folder.
        restart: whether an earlier run goes on here.
        keep_learned: leave what earlier runs have learned.

    Raises:
        BadInput: the folder holds something that is not a run, or is no folder.
    """

    def __init__(self, path: Path, *, restart: bool, keep_learned: bool = False) -> None:
        if path.exists() and not path.is_dir():
            raise BadInput(f"{path}: is a file, name a folder for the results with --out")
        if path.is_dir() and not restart and any(path.iterdir()) and not (path / RUN).is_file():
            raise BadInput(f"{path}: holds files that are not a run, name an empty or a new folder with --out")
        self.path = path
        self._restart, self._keep_learned = restart, keep_learned
        self._record: dict[str, Any] = {}
        self.opened = False
        self._clock = clock.monotonic()
        self._written = -_REFRESH

    def open(self, case_text: str, record: dict[str, Any], from_step: int) -> None:
        """Write case.yaml and run.json; what an earlier run left over is removed unless it goes on."""
        restarts: list[dict[str, Any]] = []
        if self._restart:
            earlier = read_record(self.path)
            restarts = [*earlier.get("restarts", []), {"step": from_step, "started": _now()}]
            record["started_first"] = earlier.get("started_first", earlier.get("started"))
        else:
            for leftover in (Path(CHECKPOINT).parent, LOCALIZATION, REPORT):
                _remove(self.path / leftover)
            if not self._keep_learned:
                forget(self.path)
        write_text(self.path / CASE, case_text)
        self._record = {"status": RunStatus.RUNNING, "started": _now(), **record, "restarts": restarts}
        self.update({}, force=True)
        self.opened = True

    def update(self, changes: dict[str, Any], *, force: bool = False) -> None:
        """Change entries of run.json; written at most every two seconds unless `force`."""
        self._record |= changes
        self._record["wall_time"] = round(clock.monotonic() - self._clock, 3)
        if force or clock.monotonic() - self._written >= _REFRESH:
            write_text(self.path / RUN, json.dumps(self._record, indent=2, ensure_ascii=False) + "\n")
            self._written = clock.monotonic()

    def close(self, status: RunStatus, message: str | None, changes: dict[str, Any]) -> None:
        """Write the final status."""
        ending: dict[str, Any] = {"status": status, "finished": _now()}
        if message:
            ending["message"] = message
        self.update(changes | ending, force=True)


def learned(path: Path, material: str) -> tuple[Path, Path]:
    """Where a run in the folder `path` keeps what a material learns: the folder of its models, and its dataset."""
    return path / MODELS / material, path / DATA / f"{material}.h5"


def forget(path: Path) -> None:
    """Remove what runs in the folder `path` have learned; other files there stay."""
    for versions in path.glob(f"{MODELS}/*/{VERSIONS}"):
        for place in learned(path, versions.parent.name):
            _remove(place)


def read_record(path: Path) -> dict[str, Any]:
    """run.json of a run directory.

    Raises BadInput when the folder is not a run directory.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "no such folder"
        raise BadInput(f"{path}: {what}, name the results folder of a run")
    file = path / RUN
    if not file.is_file():
        raise BadInput(f"{path}: is not a run directory (it has no {RUN}), name the results folder of a run")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{file}: cannot be read ({error}), the run must be started again") from None
    if not isinstance(record, dict):
        raise BadInput(f"{file}: holds no record of a run, the run must be started again")
    return record


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
