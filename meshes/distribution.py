"""From arrays on one rank to a dolfinx mesh on all, with failures agreed on before anybody raises."""

from collections.abc import Callable

import numpy as np
from dolfinx import mesh
from mpi4py import MPI

from meshes.dolfinx_compat import create_mesh, create_tags, original_cell_index
from meshes.elements import ELEMENTS
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays, no_facets


def on_root[T](comm: MPI.Comm, action: Callable[[], T]) -> T | None:
    """What `action` returns on rank 0, None on the others. Collective.

    Raises:
        MeshError: on every rank, with the message of rank 0, when `action` failed there.
    """
    result: T | None = None
    if comm.rank == 0:
        failure: str | None = "the mesh could not be built: rank 0 failed"
        try:
            result = action()
            failure = None
        except (MeshError, OSError) as error:
            failure = " ".join(str(error).split())
        finally:
            comm.bcast(failure)  # also when another error passes through: nobody is left waiting
    else:
        failure = comm.bcast(None)
    if failure is not None:
        raise MeshError(failure)
    return result


def distribute(
    comm: MPI.Comm, arrays: MeshArrays | None
) -> tuple[mesh.Mesh, mesh.MeshTags, mesh.MeshTags, dict[str, int], dict[str, int]]:
    """Mesh, cell tags, facet tags, regions and boundaries of the arrays given on rank 0 (None elsewhere). Collective.

    Cells keep their index in `arrays` as original (input) cell index, on any number of ranks.
    """
    header = None
    if arrays is not None:
        header = (arrays.element.name, arrays.points.shape[1], arrays.regions, arrays.boundaries, arrays.cell_tags)
    name, dimension, regions, boundaries, tags = comm.bcast(header)
    element = ELEMENTS[name]
    if arrays is None:
        no_cells = np.empty((0, element.n_vertices), dtype=np.int64)
        domain = create_mesh(comm, name, np.empty((0, dimension)), no_cells)
        facets, facet_values = no_facets(element)
    else:
        domain = create_mesh(comm, name, arrays.points, arrays.cells)
        facets, facet_values = arrays.facets, arrays.facet_tags
    local_tags = tags[original_cell_index(domain)].astype(np.int32)
    cell_tags = mesh.meshtags(domain, element.dimension, np.arange(local_tags.size, dtype=np.int32), local_tags)
    facet_tags = create_tags(domain, element.dimension - 1, facets, facet_values)
    cell_tags.name, facet_tags.name = "regions", "boundaries"
    return domain, cell_tags, facet_tags, regions, boundaries
