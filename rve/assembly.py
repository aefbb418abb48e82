"""Assembly of one RVE of a cell: the sums over its phases for a fluctuation under a macroscopic gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from materials.gradient_matrix import gradient_kind
from materials.measures import FloatArray
from rve.cell import Cell, Phase
from rve.kernels import assemble_phase
from rve.law_call import law_arguments
from rve.traction import IndexArray


class Assembly:
    """The work arrays of a cell kind and the sums in them; RVEs take turns.

    For n admissible dofs and g gradient components, all sums are integrals over the cell, not averages.
    """

    def __init__(self, cell: Cell, values: FloatArray) -> None:
        """`values` (nnz,) are the matrix values that the stiffness is assembled into."""
        n, g = cell.n_dofs, cell.measure.size
        self.residual = np.zeros(n)
        """Internal forces that work on admissible fluctuations, (n,); zero in equilibrium."""
        self.absolute_force = np.zeros(n)
        """The same sum of absolute element forces, (n,): what a residual is measured against."""
        self.values = values
        self.flux_sensitivity = np.zeros((g, n))
        """∂ flux_sum / ∂ w, (g, n)."""
        self.force_sensitivity = self.flux_sensitivity if cell.symmetric else np.zeros((g, n))
        """(∂ residual / ∂ gradient)ᵀ, (g, n); the same array as `flux_sensitivity` where the tangent is symmetric."""
        self.flux_sum = np.zeros(g + 1)
        """∫ flux, the out-of-plane component last, (g + 1,)."""
        self.tangent_sum = np.zeros((g, g))
        self._cell = cell
        self._nodal_sums = (
            self.residual,
            self.absolute_force,
            self.values,
            self.flux_sensitivity,
            self.force_sensitivity,
        )
        self._averages = (self.flux_sum, self.tangent_sum)
        self.refusal = ""
        """Why the last call of `assemble` was false, in words."""
        self._element_flux = [np.empty((phase.elements.size, g + 1)) for phase in cell.phases]
        self._arguments = [phase_arguments(cell, phase, phase.dofs, phase.scatter) for phase in cell.phases]

    def assemble(
        self,
        gradient: FloatArray,
        dt: float,
        fluctuation: FloatArray,
        committed: Sequence[FloatArray],
        trial: Sequence[FloatArray],
    ) -> bool:
        """Sum up the cell at `gradient` (g,) + B · `fluctuation` (n,); false when a point has no answer.

        `committed` and `trial` hold one state array (points, state size) per phase; `trial` is written.
        """
        for array in (*self._nodal_sums, *self._averages):
            array.fill(0.0)
        for phase, arguments, element_flux, state, new_state in zip(
            self._cell.phases, self._arguments, self._element_flux, committed, trial, strict=True
        ):
            failed = assemble_phase(
                *arguments,
                gradient,
                dt,
                fluctuation,
                state,
                new_state,
                *self._nodal_sums,
                element_flux,
                *self._averages,
            )
            if failed:
                place = phase.tables.points.reshape(-1, self._cell.measure.dimension)[failed - 1]
                where = ", ".join(f"{coordinate:.3g}" for coordinate in place)
                self.refusal = f"law {phase.law.name} of phase {phase.name} has no answer at ({where})"
                return False
        self._cell.remove_reactions(self.residual)
        self.refusal = "the internal forces are not finite"
        return bool(np.isfinite(self.flux_sum).all() and np.isfinite(self.residual).all())


def phase_arguments(cell: Cell, phase: Phase, dofs: IndexArray, scatter: IndexArray) -> tuple[Any, ...]:
    """The constant arguments of `assemble_phase`: law, packing of the measure, and the tables of the phase."""
    kind = int(gradient_kind(cell.measure))
    tables = (phase.tables.gradients, phase.tables.mean, phase.tables.weights)
    return (*law_arguments(phase.law, cell.measure), kind, cell.bbar, cell.symmetric, *tables, dofs, scatter)
