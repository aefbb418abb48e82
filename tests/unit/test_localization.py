"""localization/: which steps, what state micro points have, who reads the files, and cells behind surrogates."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import ufl
from dolfinx import fem, io
from matplotlib.image import imread
from mpi4py import MPI

from materials.law_material import LawMaterial
from materials.laws.chaboche import BackStress, Chaboche
from materials.measures import Measure, Physics
from solver.build import build
from solver.case.errors import BadInput
from solver.case.loading import load_case
from solver.newton import Interrupted
from solver.results.results import Results

CASE = """
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [2, 1], element: quadrilateral, degree: 1}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.03, 0.01]}
load: {end: 1.0, steps: 4, factor: [[0, 0], [0.75, 1], [1, 0.3]]}
materials: {composite: {type: rve, rve: cell}}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.4, normal: x, resolution: 4}
    element: quadrilateral
    phases:
      steel:
        {law: chaboche, E: 1000, nu: 0.3, yield_stress: 5, hardening: 50,
         back_stresses: [{modulus: 100, recovery: 10}, {modulus: 300, recovery: 90}]}
      glass: {law: elastic, E: 5000, nu: 0.2}
output:
  localize:
    - {point: [0.1, 0.1]}
    - {point: [0.1, 0.1], every: 3}
    - {point: [1.9, 0.9], steps: [1, 3, 9]}
"""


def run(folder: Path, text: str = CASE, restart: bool = False, stop: int | None = None) -> Path:
    """Run a case, to the end or as if by Ctrl-C after an increment; its folder of cells."""
    path = folder / "case.yaml"
    path.write_text(text, encoding="utf-8")
    case = load_case(path)
    results = Results(case, MPI.COMM_SELF, folder / "out", quiet=True, restart=restart)
    record = results.accepted

    def accepted(problem, increment):
        record(problem, increment)
        if increment.step == stop:
            raise Interrupted("stopped by the test")

    results.accepted = accepted
    results.run(build(case, MPI.COMM_SELF))
    return folder / "out" / "localization"


def steps_of(series: Path) -> list[int]:
    with h5py.File(series) as file:
        return sorted(int(step.attrs["step"]) for step in file["steps"].values())


@pytest.fixture(scope="module")
def localized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("localized"))


def test_cells_are_written_and_drawn_when_they_are_wanted(localized: Path) -> None:
    written = {path.stem: steps_of(path) for path in localized.glob("*.h5")}
    assert written == {"point_0": [1, 2, 3, 4], "point_1": [3, 4], "point_2": [1, 3], "largest_flux": [4]}
    pictures = {path.name: imread(path) for path in localized.glob("*.png")}
    assert set(pictures) == {"point_0.png", "point_1.png", "point_2_step_1.png", "point_2_step_3.png"}
    for picture in pictures.values():
        assert picture[..., :3].std() > 0.1
    log = (localized.parent / "log.txt").read_text(encoding="utf-8")
    assert "the run ended after increment 4, before 9 of point_2" in log


def test_the_state_of_an_element_is_that_of_its_law_along_its_strain(localized: Path) -> None:
    """Each layer of a laminate is uniform, so that its points follow the average strain of the element."""
    law = Chaboche(
        E=1000.0,
        nu=0.3,
        yield_stress=5.0,
        hardening=50.0,
        back_stresses=(BackStress(modulus=100.0, recovery=10.0), BackStress(modulus=300.0, recovery=90.0)),
    )
    space = Measure(Physics.SMALL_STRAIN, 3)
    with h5py.File(localized / "point_0.h5") as file:
        steps = [file["steps"][name]["cell"] for name in sorted(file["steps"])]
        steel = steps[0]["phase"][()] == 0.0
        material = LawMaterial(law, space)
        material.bind(np.arange(int(steel.sum())))
        for cell in steps:
            strain = cell["strain"][()][steel].reshape(-1, 3, 3)
            stress = material.evaluate(space.to_vector(strain), 0.25).flux
            material.commit()
            state = material.state()
            expected = {
                "state_plastic_strain": space.to_tensor(state["plastic_strain"]),
                "state_equivalent_plastic_strain": state["equivalent_plastic_strain"],
                "state_back_stress_1": space.to_tensor(state["back_stress"][:, 0]),
                "state_back_stress_2": space.to_tensor(state["back_stress"][:, 1]),
                "stress": space.to_tensor(stress),
            }
            assert {name for name in cell if name.startswith("state_")} == set(expected) - {"stress"}
            for name, values in expected.items():
                found = cell[name][()][steel].reshape(values.shape)
                assert found == pytest.approx(values, abs=1e-9 * np.abs(values).max(initial=1e-3)), name
                if name != "stress":
                    assert np.isnan(cell[name][()][~steel]).all()
        assert steps[-1]["state_equivalent_plastic_strain"][()][steel].min() > 1e-3


def test_dolfinx_reads_a_cell(localized: Path) -> None:
    with io.XDMFFile(MPI.COMM_SELF, localized / "point_2.xdmf", "r") as file:
        mesh = file.read_mesh(name="step 3", xpath="/Xdmf/Domain/Grid")
    x = ufl.SpatialCoordinate(mesh)
    moment = fem.assemble_scalar(fem.form((1.0 + x[0] * x[1]) * ufl.dx))
    assert moment == pytest.approx(1.25, rel=1e-12)


def test_a_restart_goes_on_with_a_cell_but_not_with_that_of_another_point(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, stop=2)
    elsewhere = CASE.replace("{point: [0.1, 0.1], every: 3}", "{point: [1.9, 0.1]}")
    folder = run(tmp_path, elsewhere, restart=True)
    assert steps_of(folder / "point_0.h5") == [1, 2, 3, 4]
    assert steps_of(folder / "point_1.h5") == [3, 4]
    with h5py.File(folder / "point_1.h5") as file:
        assert json.loads(file["mesh"].attrs["about"])["point"] == pytest.approx(
            [1.0 + 0.5 + 0.5 / 3**0.5, 0.5 - 0.5 / 3**0.5]
        )


def test_steps_and_every_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(CASE.replace("every: 3", "every: 3, steps: [1]"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"case.yaml:\d+: output.localize.1.every: steps say when to write, remove one"):
        load_case(path)
