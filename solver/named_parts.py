"""The named parts of the macroscale mesh: regions that materials fill, boundaries that are held or loaded."""

from collections.abc import Mapping

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray
from meshes.macro import MacroMesh


def points_of_materials(
    macro: MacroMesh, n_cells: int, n_q: int, materials: Mapping[str, object], regions: Mapping[str, str]
) -> dict[str, IntArray]:
    """Local point indices of each material, from the regions it fills. Collective.

    Args:
        macro: Mesh with named regions.
        n_cells: Cells that this rank owns.
        n_q: Points per cell.
        materials: Materials by name.
        regions: Region name, or `all` for what the others leave, to material name.

    Raises:
        ValueError: a region or a material that does not exist, or, on all ranks, cells without a material.
    """
    owner = np.full(n_cells, -1)
    names = list(materials)
    for region, name in regions.items():
        if name not in materials:
            raise ValueError(f"region '{region}' asks for material '{name}'; there are {_listed(materials)}")
        if region == "all":
            owner[owner < 0] = names.index(name)
            continue
        if region not in macro.regions:
            raise ValueError(f"no region '{region}'; the mesh has {_listed(macro.regions)}, or use 'all'")
        cells = macro.cell_tags.find(macro.regions[region])
        owner[cells[cells < n_cells]] = names.index(name)
    comm: MPI.Comm = macro.mesh.comm
    without = comm.allreduce(int(np.count_nonzero(owner < 0)))
    if without:
        given = _listed(regions)
        raise ValueError(
            f"{without} cells have no material: regions name {given}, the mesh has {_listed(macro.regions)}"
        )
    points = np.repeat(owner, n_q)
    return {name: np.flatnonzero(points == number) for number, name in enumerate(names)}


class Boundaries:
    """Facets and nodes by the name of the boundary.

    Args:
        macro: Mesh with named boundaries.
        space: Space whose nodes are meant.
    """

    def __init__(self, macro: MacroMesh, space: fem.FunctionSpace):
        self._tags, self._names = macro.facet_tags, macro.boundaries
        self._space = space
        self._nodes: dict[str, NDArray[np.int32]] = {}

    def facets(self, name: str) -> NDArray[np.int32]:
        """Facets of this rank on a boundary; ValueError with the names that exist."""
        if name not in self._names:
            raise ValueError(f"no boundary '{name}'; the mesh has {_listed(self._names)}")
        return np.asarray(self._tags.find(self._names[name]), dtype=np.int32)

    def nodes(self, name: str) -> NDArray[np.int32]:
        """Local nodes, ghosts included, on a boundary. Collective at the first call for a name."""
        if name not in self._nodes:
            topology = self._space.mesh.topology
            topology.create_connectivity(topology.dim - 1, topology.dim)
            nodes = fem.locate_dofs_topological(self._space, topology.dim - 1, self.facets(name))
            self._nodes[name] = np.asarray(nodes, dtype=np.int32)
        return self._nodes[name]

    def total(self, name: str, owned: FloatArray) -> FloatArray:
        """Sum (bs,) of values (owned dofs,) over the nodes of a boundary. Collective."""
        dofmap = self._space.dofmap
        nodes = self.nodes(name)
        mine = nodes[nodes < dofmap.index_map.size_local]
        local = owned.reshape(-1, dofmap.index_map_bs)[mine].sum(axis=0)
        total = np.empty_like(local)
        comm: MPI.Comm = self._space.mesh.comm
        comm.Allreduce(local, total)
        return total


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
