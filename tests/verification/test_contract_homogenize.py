"""What a user reads from the JSON of `fe2 homogenize`: full tensors, their index order, signs, voids, bounds."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solver.cli import DONE, execute


def homogenize(folder: Path, physics: str, dimension: int, rve: dict[str, Any], path: dict[str, Any]) -> dict[str, Any]:
    """Result of the command. JSON is YAML."""
    cell = {"physics": physics, "dimension": dimension, "rve": rve, "path": path}
    (folder / "cell.yaml").write_text(json.dumps(cell), encoding="utf-8")
    assert execute(["homogenize", str(folder / "cell.yaml"), "--out", str(folder / "result.json")]) == DONE
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


def circle(matrix: dict[str, Any], inclusion: dict[str, Any], fraction: float, **more: Any) -> dict[str, Any]:
    geometry = {"generator": "inclusion", "volume_fraction": fraction, "resolution": 10}
    phases = {"matrix": matrix, "inclusion": inclusion}
    return {"geometry": geometry, "element": "triangle", "degree": 2, "phases": phases, **more}


@pytest.mark.parametrize("dimension", [2, 3])
def test_tangent_is_the_derivative_of_stress_index_by_index(dimension: int, tmp_path: Path) -> None:
    """tangent[i][j][k][l] = dP_ij / dF_kl, from neighbouring states of the same file, where no symmetry helps."""
    element = {2: "quadrilateral", 3: "hexahedron"}[dimension]
    soft, stiff = ({"law": "neo_hookean", "E": young, "nu": 0.3} for young in (100, 900))
    rve = {"geometry": {"generator": "laminate", "fraction": 0.3, "normal": "y"}, "element": element}
    rve["phases"] = {"soft": soft, "stiff": stiff}
    state = np.eye(3) + np.array([[0.1, 0.2, -0.05], [-0.1, -0.05, 0.15], [0.02, 0.1, 0.08]])
    state, h = state[:dimension, :dimension], 1e-4
    steps = [(k, m, sign) for k in range(dimension) for m in range(dimension) for sign in (1, -1)]
    states = [state]
    for k, m, sign in steps:
        states.append(state.copy())
        states[-1][k, m] += sign * h
    path = {"deformation_gradient": [f.tolist() for f in states]}
    result = homogenize(tmp_path, "finite_strain", dimension, rve, path)
    assert [step["deformation_gradient"] for step in result["steps"]] == path["deformation_gradient"]
    tangent = np.array(result["steps"][0]["tangent"])
    assert tangent.shape == (dimension,) * 4
    stress = [np.array(step["first_piola_kirchhoff"]) for step in result["steps"][1:]]
    measured = np.empty_like(tangent)
    for (k, m, sign), plus, minus in zip(steps, stress, stress[1:], strict=False):
        if sign == 1:
            measured[:, :, k, m] = (plus - minus) / (2 * h)
    np.testing.assert_allclose(tangent, measured, atol=1e-6 * np.abs(tangent).max())
    assert np.abs(tangent - tangent.transpose(1, 0, 2, 3)).max() > 0.1 * np.abs(tangent).max()


def test_out_of_plane_stress_at_finite_strain(tmp_path: Path) -> None:
    """A homogeneous cell in plane strain: P_33 = λ ln J, F_33 = 1."""
    law = {"law": "neo_hookean", "mu": 40.0, "lmbda": 80.0}
    rve = {"geometry": {"generator": "laminate"}, "element": "quadrilateral", "phases": {"a": law, "b": law}}
    state = np.array([[1.3, 0.1], [0.2, 0.9]])
    step = homogenize(tmp_path, "finite_strain", 2, rve, {"deformation_gradient": [state.tolist()]})["steps"][0]
    log_j = np.log(np.linalg.det(state))
    inverse_transposed = np.linalg.inv(state).T
    expected = 40.0 * (state - inverse_transposed) + 80.0 * log_j * inverse_transposed
    np.testing.assert_allclose(step["first_piola_kirchhoff"], expected, rtol=1e-12)
    assert step["stress_33"] == pytest.approx(80.0 * log_j, rel=1e-12)


@pytest.mark.parametrize(("dimension", "normal"), [(2, "x"), (2, "y"), (3, "z")])
def test_heat_flows_down_the_gradient(dimension: int, normal: str, tmp_path: Path) -> None:
    phases = {"first": {"law": "conductive", "k": 2.0}, "second": {"law": "conductive", "k": 5.0}}
    element = {2: "triangle", 3: "hexahedron"}[dimension]
    rve = {
        "geometry": {"generator": "laminate", "fraction": 0.3, "normal": normal},
        "element": element,
        "phases": phases,
    }
    gradient = [[1.0, -2.0, 0.5][:dimension]]
    result = homogenize(tmp_path, "heat", dimension, rve, {"temperature_gradient": gradient})
    conductivity = np.eye(dimension) * (0.3 * 2.0 + 0.7 * 5.0)
    across = "xyz".index(normal)
    conductivity[across, across] = 1 / (0.3 / 2.0 + 0.7 / 5.0)
    step = result["steps"][0]
    np.testing.assert_allclose(step["tangent"], conductivity, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(step["heat_flux"], -conductivity @ gradient[0], rtol=1e-10)
    assert "stress_33" not in step


def test_voids_count_in_the_volume(tmp_path: Path) -> None:
    """Few circular holes: the Hashin–Shtrikman bound of the bulk modulus is met from below to their square."""
    young, nu, fraction = 100.0, 0.3, 0.05
    matrix = {"law": "elastic", "E": young, "nu": nu}
    strain = {"strain": [[[1e-3, 0.0], [0.0, 1e-3]]]}
    result = homogenize(tmp_path, "small_strain", 2, circle(matrix, {"law": "void"}, fraction), strain)
    assert result["volume"] == pytest.approx(1.0, abs=1e-14)
    assert any(value == pytest.approx(fraction, abs=1e-6) for value in result["descriptors"].values())
    shear = young / (2 * (1 + nu))
    bulk = shear / (1 - 2 * nu)  # plane strain
    bound = bulk - fraction / (1 / bulk - (1 - fraction) / (bulk + shear))
    step = result["steps"][0]
    stress = np.array(step["stress"])
    assert np.trace(stress) / 4e-3 == pytest.approx(bound, rel=2e-3)
    assert step["stress_33"] == pytest.approx(nu * np.trace(stress), rel=1e-12)  # ε_33 = 0 wherever there is matter


def test_linear_displacement_is_stiffer_than_periodic_than_traction(tmp_path: Path) -> None:
    matrix, inclusion = {"law": "elastic", "E": 100, "nu": 0.3}, {"law": "elastic", "E": 1000, "nu": 0.2}
    operators = []
    for boundary in ("linear", "periodic", "traction"):
        rve = circle(matrix, inclusion, 0.3, boundary=boundary)
        result = homogenize(tmp_path, "small_strain", 2, rve, {"strain": [[[1e-3, 0], [0, 0]]]})
        tangent = np.array(result["steps"][0]["tangent"])
        np.testing.assert_allclose(tangent, tangent.transpose(1, 0, 2, 3), atol=1e-12 * tangent.max())
        basis = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 0.5**0.5], [0.5**0.5, 0]]])
        operators.append(np.einsum("aij,ijkl,bkl->ab", basis, tangent, basis))
    for stiffer, softer in itertools.pairwise(operators):
        assert np.linalg.eigvalsh(stiffer - softer).min() > 1e-3
