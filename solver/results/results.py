"""Everything that a run leaves behind, as one observer of the driver."""

import logging
import signal
import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from mpi4py import MPI

from solver.case.case import Case
from solver.case.errors import BadInput, WrongValue
from solver.case.resolved import dump_yaml, resolved
from solver.driver import Driver, NotConverged
from solver.ellipticity import EllipticityWatch
from solver.macro_problem import MacroProblem
from solver.newton import Interrupted
from solver.records import IncrementRecord, IterationRecord, Observer
from solver.restart import RestartPoint
from solver.results import run_directory as names
from solver.results.checkpoint import Header, read_checkpoint, write_checkpoint
from solver.results.checkpoint_policy import CheckpointPolicy
from solver.results.display import create_display
from solver.results.environment import machine, versions
from solver.results.fields import Fields
from solver.results.history import History
from solver.results.iterations import Iterations
from solver.results.localization import Localization, Request
from solver.results.narration import Narration, Pace, duration
from solver.results.on_root import on_root
from solver.results.restart import file_digests, first_difference
from solver.results.run_directory import RunDirectory, RunStatus
from solver.results.run_log import RunLog
from solver.results.series import Probe, Probes, Reactions
from solver.results.totals import Totals

log = logging.getLogger(__name__)

Step = Callable[[], None]


class Results:
    """Records one run in its directory and shows it on the terminal.

    Build the problem between construction and `run`, inside `timing("build")`, so that its messages and its time are
    recorded too:

        results = Results(case, comm, out_dir, restart=restart, quiet=quiet)
        with results.timing("build"):
            driver = build(case, comm)
        results.run(driver)

    Nothing that an earlier run left in the directory is touched before the driver starts.

    Args:
        case: the case.
        comm: the ranks of the run.
        out_dir: the run directory.
        restart: go on from the restart point in `out_dir`.
        quiet: show nothing.
        number: of a run that is repeated, from 1: what earlier ones learned and logged stays; 0: it is not.
        stream: where to show progress; the standard output by default.

    Raises:
        BadInput: on all ranks; the directory holds something else, or there is no restart point that fits the case.
    """

    def __init__(
        self,
        case: Case,
        comm: MPI.Comm,
        out_dir: Path,
        *,
        restart: bool = False,
        quiet: bool = False,
        number: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        self._case, self._comm, self._quiet, self._path = case, comm, quiet, out_dir
        self._number = number
        self._stream = sys.stdout if stream is None else stream
        self._seconds: dict[str, float] = {}
        data = resolved(case)
        self._header = Header(data, on_root(comm, lambda: file_digests(data)), versions())
        self._directory: RunDirectory | None = None
        on_root(comm, lambda: self._claim(restart))
        self.start = self._read_restart_point() if restart else None
        """The restart point that the driver starts from, or None."""
        self._first_step = self.start.progress.step if self.start is not None else 0
        self._saved_step = self._first_step
        self._last: IncrementRecord | None = None
        self._totals = Totals.through(out_dir / names.HISTORY, self._first_step)
        self._driver: Driver | None = None
        self._closed = False
        self._log = RunLog(comm)
        self._pace = Pace()
        self._checkpoints = CheckpointPolicy(case.output.checkpoint_every, comm)

        output, keep = case.output, self._first_step
        probes = [Probe(probe.name, probe.point, probe.field or case.measure.primary_name) for probe in output.probes]
        cells = [Request(wanted.point, wanted.every or output.every, wanted.steps) for wanted in output.localize]
        self._display = create_display(comm, self._pace, data["title"], quiet=quiet, stream=self._stream)
        self._fields = Fields(out_dir / names.FIELDS, case.output_fields, output.every, keep)
        self._localization = Localization(out_dir / names.LOCALIZATION, cells, keep)
        self._ellipticity = EllipticityWatch()
        # Probes, reactions and localised points come first: they may refuse the case, before anything is replaced.
        self._observers: list[Observer] = []
        if probes:
            self._observers.append(Probes(out_dir / names.PROBES, probes, keep))
        if output.reactions:
            self._observers.append(Reactions(out_dir / names.REACTIONS, output.reactions, keep))
        self._observers += [
            self._localization,
            self._fields,
            History(out_dir / names.HISTORY, keep),
            Iterations(out_dir / names.ITERATIONS, keep),
            self._display,
            Narration(self._pace),
            self._ellipticity,
        ]

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Count the wall time of the body under `part` in run.json."""
        began = clock.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] = self._seconds.get(part, 0.0) + clock.perf_counter() - began

    def run(self, driver: Driver, first: Step | None = None, last: Step | None = None) -> None:
        """Run the driver to its end and record it. Collective.

        Args:
            driver: what to run.
            first: what there is to do before, recorded and shown like the run.
            last: what there is to do after it.

        However the run ends, the directory tells: status, restart point and the last accepted fields.

        Raises:
            NotConverged: what the driver raised.
            Interrupted: what the driver raised.
            BadInput: a probe outside the mesh, or the like.
        """
        self._driver = driver
        with ExitStack() as stack:
            stack.callback(self._abandon)
            stack.enter_context(_termination_as_interrupt())
            stack.enter_context(self._display)
            try:
                if first is not None:
                    first()
                driver.run([self], self.start)
                if last is not None:
                    last()
            except WrongValue as error:
                raise self._case.bad_input(error.path, error.message) from None
            except NotConverged as error:
                self._finish(RunStatus.FAILED, str(error))
                raise
            except Interrupted as error:
                self._finish(RunStatus.INTERRUPTED, str(error))
                raise
            self._finish(RunStatus.DONE, None)
        if not self._number:
            self.say_where()

    def say_where(self) -> None:
        """Say that the run is done, and where its results are."""
        if self._comm.rank == 0 and not self._quiet:
            print(self._closing_words(), file=self._stream, flush=True)

    # What the driver tells -------------------------------------------------------------------------------------------

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Let every part prepare, and open the directory. Collective."""
        with self.timing("output"):
            on_root(self._comm, lambda: self._path.mkdir(parents=True, exist_ok=True))
            for observer in self._observers:
                observer.started(problem, time, end)
            on_root(self._comm, lambda: self._open(problem))
            if self._comm.rank != 0:
                self._open_log()

    def iterated(self, record: IterationRecord) -> None:
        """Pass the iteration on."""
        for observer in self._observers:
            observer.iterated(record)

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Pass the cut-back on."""
        for observer in self._observers:
            observer.cut_back(step, time, reason)

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Record the increment, and write a restart point when it is due. Collective."""
        with self.timing("output"):
            self._last = record
            self._totals.add(record)
            for observer in self._observers:
                observer.accepted(problem, record)
            if self._checkpoints.due(record.step):
                self._save(problem)
            if self._directory is not None:
                self._directory.update({"progress": self._progress(), "timings": self._timings()})

    # How it is kept --------------------------------------------------------------------------------------------------

    def _claim(self, restart: bool) -> None:
        self._directory = RunDirectory(self._path, restart=restart, keep_learned=self._number > 0)

    def _read_restart_point(self) -> RestartPoint:
        path = self._path / names.CHECKPOINT
        point, header = read_checkpoint(path, self._comm)
        difference = first_difference(self._header, header)
        if difference is not None:
            key, _, _ = difference.partition(":")
            raise BadInput(
                f"{self._case.located(key)}: {difference}; put it back, or run without --restart in another folder"
            )
        changed = [name for name, version in header.versions.items() if self._header.versions.get(name) != version]
        if changed and self._comm.rank == 0:
            log.warning("the restart point was written with other versions of %s", ", ".join(changed))
        return point

    def _open(self, problem: MacroProblem) -> None:
        """Open the directory, on rank 0."""
        if self._directory is None:
            return
        record = {
            "title": self._header.case["title"],
            "case": str(self._case.source),
            "physics": self._header.case["physics"],
            "dimension": self._case.dimension,
            **({"pass": self._number} if self._number else {}),
            "ranks": self._comm.size,
            "versions": self._header.versions,
            "machine": machine(),
            "problem": {
                "element": problem.mesh.topology.cell_name(),
                "degree": int(problem.space.ufl_element().degree),
                "cells": int(problem.mesh.topology.index_map(problem.mesh.topology.dim).size_global),
                "dofs": int(problem.space.dofmap.index_map.size_global * problem.measure.block_size),
            },
        }
        self._directory.open(dump_yaml(self._case), record, self._first_step)
        self._open_log()

    def _open_log(self) -> None:
        self._log.open(self._path / names.LOG, keep=self.start is not None or self._number > 1)

    def _save(self, problem: MacroProblem) -> None:
        """Write a restart point of the last accepted increment, unless it is there already. Collective."""
        if self._driver is None or self._driver.progress.step <= self._saved_step:
            return
        progress = self._driver.progress
        path = self._path / names.CHECKPOINT
        if self._comm.rank == 0:
            path.parent.mkdir(exist_ok=True)
        began = clock.perf_counter()
        write_checkpoint(path, RestartPoint(progress, problem.state()), self._header, self._comm)
        self._checkpoints.written(clock.perf_counter() - began)
        self._saved_step = progress.step

    def _finish(self, status: RunStatus, message: str | None) -> None:
        """Write what is due at the end. Collective."""
        if self._driver is None:
            return
        problem = self._driver.problem
        with self.timing("output"):
            if self._last is not None:
                self._fields.write(problem, self._last.step, self._last.time)
                self._localization.finish(problem, self._last.step, self._last.time)
                self._save(problem)
            statistics = self._comm.gather({name: m.statistics() for name, m in problem.materials.items()})
            learned = {name: told for name, m in problem.materials.items() if (told := m.report())}
        if self._comm.rank == 0:
            log.info("%s%s", status, f": {message}" if message else "")
        lost = {"first_step": self._ellipticity.first_step, "points_at_end": self._ellipticity.lost}
        changes: dict[str, Any] = {"statistics": _summed(statistics)} if statistics else {}
        changes |= {"learning": learned} if learned else {}
        self._close(status, message, changes | ({"ellipticity_lost": lost} if self._ellipticity.first_step else {}))

    def _close(self, status: RunStatus, message: str | None, changes: dict[str, Any]) -> None:
        self._closed = True
        if self._directory is not None:
            self._directory.close(status, message, {"progress": self._progress(), "timings": self._timings()} | changes)

    def _abandon(self) -> None:
        """Record an end that nobody foresaw, and stop logging."""
        if not self._closed and self._directory is not None and self._directory.opened:
            self._close(RunStatus.FAILED, "ended by an error in the program", {})
        self._log.close()

    def _progress(self) -> dict[str, Any]:
        return self._totals.progress() | {"end": self._case.load.end, "rve_solves": self._pace.rve_solves}

    def _timings(self) -> dict[str, float]:
        """Wall seconds by part; those of the increments cover what came before a restart too."""
        return {name: round(seconds, 3) for name, seconds in (self._totals.seconds | self._seconds).items()}

    def _closing_words(self) -> str:
        step = self._last.step if self._last is not None else self._first_step
        lines = [
            f"Done: {step} increments in {duration(self._pace.elapsed)}. Results are in {self._path}",
        ]
        told = {
            f"fe2 report {self._path}": "writes report.html, with pictures",
            f"paraview {self._path / names.FIELDS}": "shows the fields",
            f"{self._path / names.HISTORY}": "one row per increment",
        }
        width = max(map(len, told))
        return "\n".join(lines + [f"  {what:{width}}   {meaning}" for what, meaning in told.items()])


def _summed(parts: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Counters of every material, summed over the ranks."""
    total: dict[str, dict[str, float]] = {}
    for part in parts:
        for name, counters in part.items():
            sums = total.setdefault(name, {})
            for key, value in counters.items():
                sums[key] = sums.get(key, 0) + value
    return total


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which queueing systems and mpirun send, stop the run like Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
