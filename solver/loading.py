"""Load over pseudo-time, prescribed values and external forces."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ufl
from dolfinx import default_scalar_type, fem, la
from dolfinx import mesh as dolfinx_mesh
from numpy.typing import NDArray

from materials.measures import FloatArray

IndexArray = NDArray[np.int32]


@dataclass(frozen=True)
class LoadFactor:
    """Piecewise-linear factor over pseudo-time, constant before the first and after the last breakpoint."""

    breakpoints: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))

    def __post_init__(self) -> None:
        times = [time for time, _ in self.breakpoints]
        if len(times) < 2 or any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError(f"a load factor needs at least two breakpoints with increasing times, got times {times}")

    def __call__(self, time: float) -> float:
        """Factor at a pseudo-time."""
        times, values = zip(*self.breakpoints, strict=True)
        return float(np.interp(time, times, values))

    def growth(self, time: float, end: float) -> float:
        """Largest size of the factor up to `end` over the largest up to `time`; infinite if that is zero."""
        so_far, in_all = (
            max(abs(self(t)) for t in (0.0, until, *(t for t, _ in self.breakpoints if 0.0 <= t <= until)))
            for until in (time, end)
        )
        return in_all / so_far if so_far > 0.0 else np.inf


class Prescribed:
    """Prescribed unknowns: load factor · scaled + constant. A later condition on an unknown replaces an earlier one.

    Attributes:
        overlaps: Number of dofs of this rank that two conditions gave different values.
    """

    def __init__(self, space: fem.FunctionSpace):
        self._space = space
        index_map, block_size = space.dofmap.index_map, space.dofmap.index_map_bs
        self._n_owned = index_map.size_local * block_size
        self._fixed, self._scaled, self._constant = (la.vector(index_map, block_size) for _ in range(3))
        self.overlaps = 0

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Whether each local unrolled dof, ghosts included, is prescribed."""
        return np.asarray(self._fixed.array > 0.5)

    def fix_boundary(self, facets: IndexArray, values: Sequence[float | None], constant: bool = False) -> None:
        """Prescribe one value per component (None: free) on facets of this rank. Collective."""
        mesh = self._space.mesh
        mesh.topology.create_connectivity(mesh.topology.dim - 1, mesh.topology.dim)
        nodes = fem.locate_dofs_topological(self._space, mesh.topology.dim - 1, facets)
        for component, value in enumerate(values):
            if value is not None:
                self.fix(nodes, component, value, constant)

    def fix(self, nodes: IndexArray, component: int, values: float | FloatArray, constant: bool = False) -> None:
        """Prescribe a component at local nodes, with one value or one for each node. Collective."""
        dofs = nodes * self._space.dofmap.index_map_bs + component
        new = np.broadcast_to(np.asarray(values, dtype=float), dofs.shape)
        scaled, constants = (np.zeros_like(new), new) if constant else (new, np.zeros_like(new))
        differs = (self._scaled.array[dofs] != scaled) | (self._constant.array[dofs] != constants)
        self.overlaps += int(np.count_nonzero((self._fixed.array[dofs] > 0.5) & differs & (dofs < self._n_owned)))
        for vector, given in ((self._fixed, 1.0), (self._scaled, scaled), (self._constant, constants)):
            vector.array[dofs] = given
            vector.scatter_forward()

    def values(self, factor: float) -> FloatArray:
        """Prescribed values of all local dofs at a load factor; zero where free."""
        return np.asarray(factor * self._scaled.array + self._constant.array)


class ExternalForces:
    """Nodal forces of the loads: load factor · scaled + constant."""

    def __init__(self, space: fem.FunctionSpace):
        self._space = space
        self._n_owned = space.dofmap.index_map.size_local * space.dofmap.index_map_bs
        self._scaled = np.zeros(self._n_owned)
        self._constant = np.zeros(self._n_owned)

    def add_boundary_load(self, facets: IndexArray, density: Sequence[float], constant: bool = False) -> None:
        """Add a dead load per reference length or area, or a heat inflow, on exterior facets. Collective.

        Raises ValueError, on all ranks, if some of the facets lie inside the body.
        """
        mesh = self._space.mesh
        chosen = np.sort(facets).astype(np.int32)
        dimension = mesh.topology.dim
        mesh.topology.create_connectivity(dimension - 1, dimension)
        owned = chosen[chosen < mesh.topology.index_map(dimension - 1).size_local]
        inside = np.setdiff1d(owned, dolfinx_mesh.exterior_facet_indices(mesh.topology)).size
        counts = mesh.comm.allreduce(np.array([inside, owned.size]))
        if counts[0]:
            raise ValueError(
                f"{counts[0]} of {counts[1]} facets lie inside the body, where no load can act from outside"
            )
        tags = dolfinx_mesh.meshtags(mesh, mesh.topology.dim - 1, chosen, np.ones_like(chosen))
        self._add_uniform(ufl.Measure("ds", domain=mesh, subdomain_data=tags)(1), density, constant)

    def add_body_load(self, density: Sequence[float], constant: bool = False) -> None:
        """Add a load, or a heat source, per reference area or volume of the whole body. Collective."""
        self._add_uniform(ufl.Measure("dx", domain=self._space.mesh), density, constant)

    def add(self, form: ufl.Form, constant: bool = False) -> None:
        """Add a linear form in the test function of the problem's space. Collective."""
        vector = fem.assemble_vector(fem.form(form))
        vector.scatter_reverse(la.InsertMode.add)
        target = self._constant if constant else self._scaled
        target += vector.array[: self._n_owned]

    def forces(self, factor: float) -> FloatArray:
        """External nodal forces of the owned dofs at a load factor."""
        return factor * self._scaled + self._constant

    def _add_uniform(self, measure: ufl.Measure, density: Sequence[float], constant: bool) -> None:
        test = ufl.TestFunction(self._space)
        value = np.asarray(density, dtype=default_scalar_type)
        load = fem.Constant(self._space.mesh, value if test.ufl_shape else value[0])
        self.add(ufl.inner(load, test) * measure, constant)
