"""What all RVEs of a kind know beforehand: tangents and sensitivity of the cell at rest."""

from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray
from rve.instance import NOWHERE, Instance
from rve.spectral.cell import SpectralCell


class Rest(NamedTuple):
    """The linearisation of a cell at rest. As long as no tangent differs from it, nothing has to be solved."""

    local_tangent: FloatArray
    """At every point, (q, N / width, kept, width)."""
    sensitivity: FloatArray
    """∂w/∂ḡ, (g, n)."""
    tangent: FloatArray
    """The condensed one, (g, g)."""

    def holds(self, local_tangent: FloatArray) -> bool:
        """Whether a cell with these tangents at its points has the sensitivity at rest, bit for bit."""
        return np.array_equal(local_tangent, self.local_tangent)


def at_rest(cell: SpectralCell) -> Instance:
    """An RVE that nothing has happened to."""
    n, g = cell.n_dofs, cell.measure.size
    states = [np.tile(phase.law.initial_state(), (phase.n_points, 1)) for phase in cell.phases]
    return Instance(
        committed=states,
        trial=[state.copy() for state in states],
        gradient=cell.measure.rest.copy(),
        fluctuation=np.zeros(n),
        last_gradient=cell.measure.rest.copy(),
        last_fluctuation=np.zeros(n),
        sensitivity=np.zeros((g, n)),
        reference_force=0.0,
        flowing=np.full(1, NOWHERE, dtype=np.int64),
    )
