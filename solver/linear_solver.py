"""Linear solves of the macro problem: PETSc with sensible defaults, and fallbacks that are counted."""

import itertools
import logging
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from materials.measures import FloatArray
from solver.petsc_library import was_option_read

log = logging.getLogger(__name__)

Options = Mapping[str, str | float | int | bool | None]

Method = Literal["auto", "direct", "iterative"]

DIRECT_LIMIT = {2: 60_000, 3: 30_000}
"""Unknowns up to which a direct solver is the default, by dimension."""

_SYMMETRIC_ONLY = ("cg", "minres", "pipecg", "groppcg", "fcg", "symmlq", "stcg", "nash", "gltr")
_POSITIVE_DEFINITE_ONLY = ("cholesky", "icc")

_prefixes = itertools.count()


class LinearSolver:
    """Solves with the tangent of the macro problem; what it needs of PETSc's options is chosen here unless given.

    Small problems: MUMPS, as Cholesky while the tangent is positive definite, as LDLᵀ once it is not, as LU for
    tangents that are not symmetric. Large ones: CG (GMRES when not symmetric) with algebraic multigrid.

    Args:
        matrix: The matrix, refilled between solves; its near-nullspace is set by its owner.
        symmetric: Whether all materials declare symmetric tangents.
        dimension: Spatial dimension, for the choice between direct and iterative.
        method: Direct or iterative; `auto` goes by the number of unknowns.
        options: PETSc options without prefix (`ksp_type`, `pc_type`, …); they go before the defaults.

    Raises:
        ValueError: a method for symmetric matrices is asked for although the tangents are not symmetric, or PETSc
            does not know a name in the options.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        symmetric: bool,
        dimension: int,
        method: Method = "auto",
        options: Options | None = None,
    ):
        options = dict(options or {})
        if not symmetric:
            _refuse_symmetric_methods(options)
        self._matrix = matrix
        self._symmetric = symmetric
        self._options = options
        self._prefix = f"fe2_macro_{next(_prefixes)}_"
        small = matrix.getSize()[0] <= DIRECT_LIMIT[dimension]
        self._direct = _asks_for_direct(options, small if method == "auto" else method == "direct")
        self._definite = symmetric
        self.unused_options: list[str] = []
        """Names in the options that PETSc did not read, known from the first solve on."""
        self.statistics = {"factorisations": 0.0, "solves": 0.0, "lost_definiteness": 0.0, "linear_iterations": 0.0}
        self._ksp = self._create()
        self._rhs = matrix.createVecLeft()
        self._solution = matrix.createVecRight()

    def factorise(self) -> bool:
        """Prepare for solves with the present values of the matrix; False, on all ranks, if that fails."""
        self._ksp.setOperators(self._matrix)
        self.statistics["factorisations"] += 1
        if not self._set_up():
            if not (self._symmetric and self._definite):
                return False
            self._lose_definiteness("the factorisation stopped")
            return self._set_up()
        if self._definite and self._negative_pivots() > 0:
            self._lose_definiteness(f"{self._negative_pivots()} negative pivots")
            return self._set_up()
        return True

    def solve(self, rhs: FloatArray) -> FloatArray | None:
        """Solution (owned dofs,) for a right-hand side (owned dofs,); None, on all ranks, if there is none."""
        self._rhs.array[:] = rhs
        self.statistics["solves"] += 1
        reason = self._run()
        if reason < 0 and self._definite and self._options.get("ksp_type") is None:
            self._lose_definiteness(f"{_reason_name(reason)} from {self._ksp.getType()}")
            if not self._set_up():
                return None
            reason = self._run()
        if not self._options_checked:
            self._drop_unread_options()
        finite = bool(np.isfinite(self._solution.norm()))  # a norm is the same on all ranks
        if reason < 0 or not finite:
            log.debug("linear solve failed: %s", _reason_name(reason) if reason < 0 else "not finite")
            return None
        return self._solution.array.copy()

    def describe(self) -> str:
        """The methods in use, for messages."""
        pc = self._ksp.getPC()
        solver = f" ({pc.getFactorSolverType()})" if pc.getType() in ("lu", "cholesky") else ""
        return f"{self._ksp.getType()} + {pc.getType()}{solver}"

    def _run(self) -> int:
        self._ksp.solve(self._rhs, self._solution)
        self.statistics["linear_iterations"] += self._ksp.getIterationNumber()
        return int(self._ksp.getConvergedReason())

    def _defaults(self) -> dict[str, str | float | int | bool | None]:
        if self._direct:
            factor = "cholesky" if self._symmetric else "lu"
            return {"ksp_type": "preonly", "pc_type": factor, "pc_factor_mat_solver_type": "mumps"}
        defaults: dict[str, str | float | int | bool | None] = {
            "ksp_type": "cg" if self._definite else "gmres",
            "ksp_rtol": 1e-10,
            "ksp_max_it": 1000,
            "pc_type": "gamg",
        }
        if not self._definite:
            defaults["ksp_gmres_restart"] = 100
        return defaults

    def _create(self) -> PETSc.KSP:
        """A solver for the present knowledge of the matrix."""
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, self._symmetric)
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRY_ETERNAL, self._symmetric)
        self._matrix.setOption(PETSc.Mat.Option.SPD, self._definite)
        ksp = PETSc.KSP().create(self._matrix.getComm())
        ksp.setOptionsPrefix(self._prefix)
        database = PETSc.Options(self._prefix)
        chosen = self._defaults() | self._options
        for name, value in chosen.items():
            database[name] = value
        ksp.setOperators(self._matrix)
        try:
            ksp.setFromOptions()  # multigrid levels read theirs at set-up: the database keeps them under this prefix
            if ksp.getPC().getType() in ("lu", "cholesky", "ilu", "icc"):
                ksp.getPC().setFactorSetUpSolverType()
        except PETSc.Error as error:
            self._forget(chosen)
            raise ValueError(f"PETSc refuses {_listed(self._options)}: {_reason_of(error)}") from None
        self._options_checked = False
        return ksp

    def _drop_unread_options(self) -> None:
        """After its first solve a solver has read all that it is going to read; say by name what it has not."""
        chosen = self._defaults() | self._options
        unread = [name for name in chosen if not was_option_read(self._prefix + name)]
        self._forget(unread)
        self._options_checked = True
        known, self.unused_options = self.unused_options, [name for name in self._options if name in unread]
        news = [name for name in self.unused_options if name not in known]
        if news and self._matrix.getComm().rank == 0:
            log.warning("PETSc does not use %s: misspelt, or not an option of %s", ", ".join(news), self.describe())

    def _forget(self, names: Iterable[str]) -> None:
        """Take options out of the database, for PETSc ends with a warning of its own of those that nobody read."""
        database = PETSc.Options(self._prefix)
        for name in names:
            database.delValue(name)

    def _set_up(self) -> bool:
        """Factorise; whether that worked on all ranks."""
        self._ksp.setUp()
        failed = int(self._ksp.getPC().getFailedReason()) != 0
        return not self._matrix.getComm().tompi4py().allreduce(failed, MPI.LOR)

    def _negative_pivots(self) -> int:
        """Negative pivots of a MUMPS factorisation of a symmetric matrix; 0 where they are not known."""
        pc = self._ksp.getPC()
        if pc.getType() != "cholesky" or pc.getFactorSolverType() != "mumps":
            return 0
        return int(pc.getFactorMatrix().getMumpsInfog(12))

    def _lose_definiteness(self, cause: str) -> None:
        """From now on the matrix is only symmetric."""
        log.info("the tangent of the macro problem is no longer positive definite (%s)", cause)
        self.statistics["lost_definiteness"] += 1
        self._definite = False
        self._ksp.destroy()
        self._ksp = self._create()


def _asks_for_direct(options: Options, default: bool) -> bool:
    """Whether to complete the user's options with the defaults of a direct method."""
    if options.get("ksp_type", "preonly") != "preonly":
        return False
    if "pc_type" in options:
        return options["pc_type"] in ("lu", "cholesky")
    return default or "ksp_type" in options


def _refuse_symmetric_methods(options: Options) -> None:
    for key, refused, instead in (
        ("ksp_type", _SYMMETRIC_ONLY, "gmres"),
        ("pc_type", _POSITIVE_DEFINITE_ONLY, "lu, ilu or gamg"),
    ):
        if options.get(key) in refused:
            raise ValueError(
                f"{key} '{options[key]}' needs a symmetric tangent, but a material declares that its tangent is not "
                f"symmetric; use {instead}"
            )


def _listed(options: Options) -> str:
    return ", ".join(f"{name}: {value}" for name, value in options.items())


def _reason_of(error: PETSc.Error) -> str:
    """What PETSc says is wrong, without its stack of calls: the last line that is not a place or a hint."""
    lines = [line.partition("] ")[2].strip() for line in str(error).splitlines() if line.startswith("[")]
    told = [line for line in lines if "() at " not in line and not line.startswith("See https")]
    return told[-1] if told else str(error).splitlines()[0]


def _reason_name(reason: int) -> str:
    names = {value: name for name, value in vars(PETSc.KSP.ConvergedReason).items() if isinstance(value, int)}
    return names.get(reason, str(reason)).lower()
