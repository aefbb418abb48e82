"""What a user reads from the files of `fe2 run`, against solutions in closed form."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solver.cli import BAD_INPUT, DONE, NOT_CONVERGED, execute

HISTORY = (
    "step,time,load_factor,newton_iterations,cutbacks,n_points,n_rve,n_surrogate,n_unseen,n_samples,n_retrained,"
    "audit_error,t_macro,t_micro,t_surrogate,t_train,wall_time"
)
LENGTH = 2.0
"""Of the body in x; its other edges are 1."""
Case = dict[str, Any]


def body(element: str, degree: int, physics: str, material: Case, conditions: list[Case], **sections: Any) -> Case:
    """A case of one bar or block, 2 × 1 (× 1), with a law."""
    dimension = 2 if element in ("triangle", "quadrilateral") else 3
    generator = {2: "rectangle", 3: "box"}[dimension]
    mesh = {"generator": generator, "size": [LENGTH, 1.0, 1.0][:dimension], "divisions": [2] * dimension}
    return {
        "physics": physics,
        "dimension": dimension,
        "mesh": {**mesh, "element": element, "degree": degree},
        "regions": {"all": "m"},
        "boundary_conditions": conditions,
        "load": {"end": 1.0, "steps": 2},
        "materials": {"m": {"type": "law", **material}},
        **sections,
    }


def run(case: Case, folder: Path, *arguments: str, code: int = DONE) -> Path:
    """Run a case by the command; returns the run directory. JSON is YAML."""
    file = folder / "case.yaml"
    file.write_text(json.dumps(case), encoding="utf-8")
    assert execute(["run", str(file), "--out", str(folder / "out"), "--quiet", *arguments]) == code
    return folder / "out"


def table(path: Path) -> dict[str, Any]:
    """Columns of a CSV file, as arrays."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def confined(dimension: int, stretch: float) -> list[Case]:
    """Conditions of uniaxial strain in x: `right` moves by `stretch`, the sides stay plane."""
    fixed = [
        (name, axis) for axis, names in enumerate((["left"], ["bottom", "top"], ["front", "back"])) for name in names
    ]
    conditions = [
        {"boundary": name, "displacement": [0 if i == axis else None for i in range(dimension)]}
        for name, axis in fixed
        if axis < dimension
    ]
    return [*conditions, {"boundary": "right", "displacement": [stretch, *[None] * (dimension - 1)]}]


def cyclic_j2(strains: list[float]) -> list[tuple[float, float]]:
    """Axial and lateral stress of uniaxial strain with linear isotropic hardening: E 70000, ν 0.3, σ_y 100, H 500.

    The deviator is s (1, −1/2, −1/2), so that the law is one-dimensional: |3/2 s| ≤ σ_y + H α.
    """
    bulk, shear, hardening = 70e3 / (3 * 0.4), 70e3 / 2.6, 500.0
    plastic = alpha = 0.0
    stresses = []
    for strain in strains:
        q = 3 * shear * (strain * 2 / 3 - plastic)
        excess = abs(q) - (100.0 + hardening * alpha)
        if excess > 0:
            step = excess / (3 * shear + hardening)
            plastic += np.sign(q) * step
            alpha += step
            q -= 3 * shear * step * np.sign(q)
        stresses.append((bulk * strain + 2 * q / 3, bulk * strain - q / 3))
    return stresses


@pytest.mark.parametrize(
    ("element", "degree"), [("triangle", 2), ("quadrilateral", 1), ("tetrahedron", 1), ("hexahedron", 1)]
)
def test_cyclic_plasticity_in_uniaxial_strain(element: str, degree: int, tmp_path: Path) -> None:
    dimension = 2 if element in ("triangle", "quadrilateral") else 3
    case = body(
        element,
        degree,
        "small_strain",
        {"law": "j2", "E": 70e3, "nu": 0.3, "yield_stress": 100, "hardening": 500},
        confined(dimension, 0.02),
        load={"end": 2.0, "steps": 8, "factor": [[0, 0], [1, 1], [2, -0.5]]},
        output={
            "probes": [{"name": "tip", "point": [LENGTH] + [0.5] * (dimension - 1)}],
            "reactions": ["right", "top"],
        },
    )
    out = run(case, tmp_path)
    assert (out / "history.csv").read_text(encoding="utf-8").splitlines()[0] == HISTORY
    history, probes, reactions = (table(out / f"{name}.csv") for name in ("history", "probes", "reactions"))
    axes = "xyz"[:dimension]
    assert list(probes) == ["step", "time", *(f"tip_{axis}" for axis in axes)]
    assert list(reactions) == ["step", "time", *(f"{name}_{axis}" for name in ("right", "top") for axis in axes)]
    assert set(np.arange(1, 9) * 0.25) <= set(history["time"])
    factor = np.interp(history["time"], [0, 1, 2], [0, 1, -0.5])
    np.testing.assert_allclose(history["load_factor"], factor, atol=1e-12)
    np.testing.assert_allclose(probes["tip_x"], 0.02 * factor, atol=1e-14)
    axial, lateral = np.array(cyclic_j2(list(0.02 / LENGTH * factor))).T
    np.testing.assert_allclose(reactions["right_x"], axial, atol=1e-6 * abs(axial).max())
    np.testing.assert_allclose(reactions["top_y"], LENGTH * lateral, atol=1e-6 * abs(lateral).max())


def test_dead_traction_on_a_rubber_block(tmp_path: Path) -> None:
    mu, lmbda, traction = 40.0, 80.0, 60.0
    conditions = [
        {"boundary": name, "displacement": [0 if i == axis else None for i in range(3)]}
        for axis, name in enumerate(("left", "bottom", "back"))
    ]
    case = body(
        "hexahedron",
        1,
        "finite_strain",
        {"law": "neo_hookean", "mu": mu, "lmbda": lmbda},
        [*conditions, {"boundary": "right", "traction": [traction, 0, 0]}],
        output={"probes": [{"name": "corner", "point": [LENGTH, 1.0, 0.5]}], "reactions": ["left", "bottom"]},
    )
    out = run(case, tmp_path)
    moved = table(out / "probes.csv")
    long, wide = 1 + moved["corner_x"][-1] / LENGTH, 1 + moved["corner_y"][-1]
    pressure = lmbda * np.log(long * wide**2)
    assert mu * (long - 1 / long) + pressure / long == pytest.approx(traction, rel=1e-8)  # P_11, per reference area
    assert mu * (wide - 1 / wide) + pressure / wide == pytest.approx(0.0, abs=1e-6)
    assert long > 1.5
    reactions = table(out / "reactions.csv")
    np.testing.assert_allclose(reactions["left_x"], [-traction / 2, -traction], rtol=1e-8)
    np.testing.assert_allclose(reactions["bottom_y"], 0.0, atol=1e-6)


@pytest.mark.parametrize("element", ["triangle", "hexahedron"])
def test_signs_of_heat(element: str, tmp_path: Path) -> None:
    conditions = [
        {"boundary": "left", "temperature": 300, "constant": True},
        {"boundary": "right", "flux": 5.0},
    ]
    dimension = 2 if element == "triangle" else 3
    end = [LENGTH] + [0.25] * (dimension - 1)
    output = {"probes": [{"name": "end", "point": end}], "reactions": ["left"]}
    out = run(body(element, 1, "heat", {"law": "conductive", "k": 4.0}, conditions, output=output), tmp_path)
    probes, reactions = table(out / "probes.csv"), table(out / "reactions.csv")
    assert (list(probes), list(reactions)) == (["step", "time", "end"], ["step", "time", "left"])
    np.testing.assert_allclose(probes["end"], 300 + np.array([0.5, 1.0]) * 5.0 * LENGTH / 4.0, rtol=1e-10)
    np.testing.assert_allclose(reactions["left"], [-2.5, -5.0], rtol=1e-9)  # what flows in on the right leaves here


def test_constant_loads_keep_their_value(tmp_path: Path) -> None:
    conditions = [
        {"boundary": "left", "displacement": [0, 0]},
        {"body_force": [3.0, 0.0], "constant": True},
        {"boundary": "right", "traction": [7.0, 0.0]},
    ]
    output = {"probes": [{"name": "end", "point": [LENGTH, 0.5]}], "reactions": ["left"]}
    law = {"law": "elastic", "E": 100.0, "nu": 0.0}
    out = run(body("quadrilateral", 2, "small_strain", law, conditions, output=output), tmp_path)
    factor = np.array([0.5, 1.0])
    expected = (7.0 * factor * LENGTH + 3.0 * LENGTH**2 / 2) / 100.0
    np.testing.assert_allclose(table(out / "probes.csv")["end_x"], expected, rtol=1e-10)
    np.testing.assert_allclose(table(out / "reactions.csv")["left_x"], -7.0 * factor - 3.0 * LENGTH, rtol=1e-9)


def test_resolved_case_gives_the_same_run(tmp_path: Path) -> None:
    law = {"law": "neo_hookean", "E": 100.0, "nu": 0.3}
    conditions = confined(2, 0.8)
    output = {"probes": [{"name": "end", "point": [LENGTH, 0.5]}], "reactions": ["left"]}
    out = run(body("triangle", 2, "finite_strain", law, conditions, output=output), tmp_path, "--set", "load.steps=3")
    again = tmp_path / "again"
    assert execute(["run", str(out / "case.yaml"), "--out", str(again), "--quiet"]) == DONE
    for name in ("case.yaml", "probes.csv", "reactions.csv"):
        assert (out / name).read_text(encoding="utf-8") == (again / name).read_text(encoding="utf-8")
    assert len(table(again / "probes.csv")["step"]) == 3


@pytest.mark.parametrize(("element", "cell"), [("triangle", "quadrilateral"), ("quadrilateral", "triangle")])
def test_cells_of_one_phase_are_their_law_with_default_tolerances(element: str, cell: str, tmp_path: Path) -> None:
    """Rounding decides which tangent points on the yield surface take; both ways lead to the same equilibrium."""
    law = {"law": "j2", "E": 70e3, "nu": 0.3, "yield_stress": 100, "hardening": 500}
    conditions = [{"boundary": "left", "displacement": [0, 0]}, {"boundary": "right", "traction": [0, 30.0]}]
    load = {"steps": 4, "factor": [[0, 0], [0.5, 1], [1, -0.5]], "adaptive": {"min_step": 1e-3, "max_step": 0.25}}
    output = {"probes": [{"name": "corner", "point": [LENGTH, 1.0]}], "reactions": ["left"]}
    plain = body(element, 2, "small_strain", law, conditions, load=load, output=output)
    plain["mesh"]["divisions"] = [2, 1]
    generator = {"generator": "laminate"} if cell == "quadrilateral" else {"generator": "inclusion", "resolution": 4}
    phases = ("a", "b") if cell == "quadrilateral" else ("matrix", "inclusion")
    section = {"geometry": generator, "element": cell, "degree": 2, "phases": dict.fromkeys(phases, law)}
    two_scale = plain | {"materials": {"m": {"type": "rve", "rve": "cell"}}, "rves": {"cell": section}}
    outs = []
    for name, case in (("plain", plain), ("two_scale", two_scale)):
        (tmp_path / name).mkdir()
        outs.append(run(case, tmp_path / name))
    assert int(table(outs[0] / "history.csv")["newton_iterations"].max()) > 2
    for file, column in (("probes.csv", "corner_y"), ("reactions.csv", "left_x"), ("reactions.csv", "left_y")):
        first, second = (table(out / file) for out in outs)
        scale = max(np.abs(first[name]).max() for name in first if name not in ("step", "time"))
        np.testing.assert_allclose(second[column], first[column], rtol=0, atol=1e-10 * scale)


def test_localised_points_outside_the_mesh_are_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law = {"law": "elastic", "E": 100, "nu": 0.3}
    output = {"localize": [{"point": [0.5, 0.5]}, {"point": [3.0, 0.5]}]}
    run(body("triangle", 1, "small_strain", law, confined(2, 0.1), output=output), tmp_path, code=BAD_INPUT)
    told = capsys.readouterr().err
    assert "output.localize.1.point: the point (3, 0.5) lies outside the mesh" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("case", ["turning body", "cell without stiffness"])
def test_what_nothing_resists_does_not_pass_for_equilibrium(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if case == "turning body":
        supports = [{"boundary": "bottom", "displacement": [0, None]}, {"boundary": "left", "displacement": [None, 0]}]
    else:
        supports = [{"boundary": "left", "displacement": [0, 0]}]
    conditions = [*supports, {"boundary": "right", "traction": [0, 1.0]}]
    load = {"steps": 2, "adaptive": {"min_step": 0.25, "max_step": 0.5}}
    law = {"law": "elastic", "E": 100, "nu": 0.3}
    broken = body("quadrilateral", 1, "small_strain", law, conditions, load=load)
    if case == "cell without stiffness":
        broken["materials"] = {"m": {"type": "rve", "rve": "layers"}}
        phases = {"gap": {"law": "void"}, "layer": law}
        broken["rves"] = {
            "layers": {
                "geometry": {"generator": "laminate", "fraction": 0.3},
                "element": "quadrilateral",
                "phases": phases,
            }
        }
    run(broken, tmp_path, code=NOT_CONVERGED)
    told = capsys.readouterr().err
    assert "singular" in told
    assert "step 1 did not converge" in told


@pytest.mark.parametrize(
    "options", [{"ksp_type": "cgg"}, {"pc_type": "luu"}, {"pc_type": "lu", "pc_factor_mat_solver_type": "mump"}]
)
def test_unknown_petsc_names_are_bad_input(
    options: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = {"law": "elastic", "E": 100, "nu": 0.3}
    case = body("quadrilateral", 1, "small_strain", law, confined(2, 0.1), solver={"petsc_options": options})
    run(case, tmp_path, code=BAD_INPUT)
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "solver.petsc_options: " in told
    assert list(options.values())[-1] in told


def test_misspelt_petsc_option_is_named_on_the_terminal_and_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = {"law": "elastic", "E": 100, "nu": 0.3}
    options = {"ksp_typo": 1}
    case = body("quadrilateral", 1, "small_strain", law, confined(2, 0.1), solver={"petsc_options": options})
    file = tmp_path / "case.yaml"
    file.write_text(json.dumps(case), encoding="utf-8")
    assert execute(["run", str(file), "--out", str(tmp_path / "out")]) == DONE
    told = capsys.readouterr()
    assert (told.out + told.err).count("PETSc does not use ksp_typo") == 1
    assert (tmp_path / "out" / "log.txt").read_text(encoding="utf-8").count("PETSc does not use ksp_typo") == 1
