"""Cells against DOLFINx with dolfinx_mpc: other derivatives, other assembly, other constraint, other solver."""

import numpy as np
import pytest
from mpi4py import MPI

pytest.importorskip("dolfinx_mpc")

from benchmarks.dolfinx_cell import DolfinxCells
from benchmarks.usual_way import SAME, cell_update, check, difference, plate, usual_cell
from materials.interface import Status
from rve.material import RveMaterial
from solver.build import build_cell_of


def test_neo_hookean_cell_answers_like_the_usual_way():
    row = cell_update("134 dofs", resolution=3, repeat=1)
    assert row.details["difference"] < 1e-10
    assert row.details["linearisations_usual"] > 3.0  # it started from the last state, and iterated


def test_elastoplastic_cells_answer_like_the_usual_way_in_loading_unloading_and_turning():
    case = plate(resolution=3, substeps=1, increments=1)
    usual = DolfinxCells(*usual_cell(case), tolerance=1e-9)
    ours = RveMaterial(build_cell_of(case, "cell", MPI.COMM_SELF))
    direction = np.array([[3.0, -1.0, 0.5], [0.5, 0.2, 2.0]]) * 1e-3
    turned = np.array([[-0.5, 1.0, 1.5], [1.0, 0.5, -1.0]]) * 1e-3
    path = [0.3 * direction, direction, 0.7 * direction, 0.9 * direction, direction + turned]
    for material in (usual, ours):
        material.bind(np.arange(2))
    hardened = []
    for strain in path:
        answer, reference = ours.evaluate(strain, 1.0), usual.evaluate(strain, 1.0)
        assert (answer.status == Status.OK).all()
        assert (reference.status == Status.OK).all()
        assert difference(answer.flux, reference.flux) < SAME
        assert difference(answer.tangent, reference.tangent) < SAME
        for material in (usual, ours):
            material.commit()
        hardened.append(usual.state()["equivalent_plastic_strain"].sum(axis=1))
    assert (hardened[1] > 0.0).all()
    assert (hardened[2] == hardened[1]).all()
    assert (hardened[-1] > hardened[3]).all()


def test_other_answers_are_told():
    with pytest.raises(RuntimeError, match=r"flux: the answers differ by 2\.0e-08, allowed is 1e-08"):
        check("flux", 2e-8)
