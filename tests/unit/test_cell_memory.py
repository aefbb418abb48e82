"""What a cell occupies: states, fluctuations and sensitivities, and next to nothing else; above all no factor.

Measured by what all libraries of the process, PETSc and CHOLMOD too, have allocated and not freed (glibc's mallinfo2).
"""

import ctypes
import gc
from typing import ClassVar

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.interface import Status
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.laws.neo_hookean import NeoHookean
from materials.measures import Measure, Physics
from meshes.cells import Inclusion, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial

mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
pytestmark = pytest.mark.skipif(mallinfo2 is None, reason="only glibc 2.33 or later tells what is allocated")

PLASTIC = {
    "matrix": J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0)),
    "inclusion": Elastic(E=400e3, nu=0.2),
}
HYPERELASTIC = {"matrix": NeoHookean(E=100.0, nu=0.3), "inclusion": NeoHookean(E=1000.0, nu=0.3)}
FEW, MANY = 5, 45
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Allocations(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_: ClassVar = [(name, ctypes.c_size_t) for name in FIELDS]


def allocated() -> int:
    """Bytes in use, in heaps and in mappings of their own."""
    gc.collect()
    mallinfo2.restype = Allocations
    found = mallinfo2()
    return int(found.uordblks + found.hblkhd)


def cells(physics: Physics, dimension: int) -> RveMaterial:
    """A material without points."""
    laws = PLASTIC if physics is Physics.SMALL_STRAIN else HYPERELASTIC
    element, degree, resolution = {2: ("triangle", 2, 6), 3: ("tetrahedron", 1, 3)}[dimension]
    mesh = build_cell_mesh(Inclusion(volume_fraction=0.2, resolution=resolution), dimension, element)
    return RveMaterial(build_cell(mesh, laws, Measure(physics, dimension), degree))


def use(material: RveMaterial, count: int) -> None:
    """Bind so many cells, take them through two increments, and leave them within a third."""
    material.bind(np.arange(count))
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, (count, material.measure.size))
    for amplitude in (0.002, 0.004, 0.006):
        response = material.evaluate(material.measure.rest + amplitude * direction, 1.0)
        assert (response.status == Status.OK).all()
        if amplitude < 0.006:
            material.commit()


def bytes_of_a_cell(material: RveMaterial) -> float:
    """What each further cell adds to what is allocated."""
    found = []
    for count in (FEW, FEW, MANY):  # the first time the kind itself is made ready
        use(material, count)
        found.append(allocated())
    return (found[2] - found[1]) / (MANY - FEW)


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.FINITE_STRAIN])
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_cell_occupies_what_it_declares(physics, dimension):
    """Committed and trial: state and fluctuation; and one sensitivity of the fluctuation per gradient component."""
    material = cells(physics, dimension)
    cell, g = material.cell, material.measure.size
    declared = 8 * (2 * cell.state_size + 2 * cell.n_dofs + g * cell.n_dofs)
    found = bytes_of_a_cell(material)
    assert declared <= found <= 1.03 * declared
    assert found == pytest.approx(material.bytes_per_point, rel=0.03)  # what `fe2 check` tells
    if cell.state_size:
        assert found <= 1.1 * (declared - 8 * cell.n_dofs)  # with the fluctuation counted once
