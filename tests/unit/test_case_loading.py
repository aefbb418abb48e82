"""What a good case file becomes: numbers, defaults, places, overrides, the resolved case, the schema."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from materials.laws import LAWS
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.measures import Physics
from meshes.cells import CELL_GENERATORS
from meshes.macro import GENERATORS
from solver.case.errors import BadInput
from solver.case.formulation import default_formulation
from solver.case.loading import load_case, parse_case, parse_cell_case
from solver.case.resolved import dump_yaml, resolved
from solver.case.scalars import plain_scalar
from solver.case.schema import case_schema
from solver.case.starter import TEMPLATE, write_starter
from solver.case.suspicions import suspicions

CASES = sorted((Path(__file__).parents[2] / "cases").glob("*.yaml"))
STARTER = TEMPLATE.format(name="start.yaml", title="start")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70e3", 70e3),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("+1.5", 1.5),
        ("-2", -2),
        ("1.", 1.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("12345678901234567890", 12345678901234567890.0),
        ("true", True),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_of_yaml_1_2(text: str, value: object) -> None:
    read = plain_scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["on", "yes", "no", "1_000", "1:30", "e3", ".", "0o9", "1e", "nan", "2024-01-01"])
def test_text_of_yaml_1_2(text: str) -> None:
    assert plain_scalar(text) == text


def test_anchors_stand_for_their_value() -> None:
    text = STARTER.replace("displacement: [0, 0]", "displacement: &zero [0, 0]")
    text = text.replace("# - {boundary: top, traction: [0, -1.0]}", "- {boundary: top, traction: *zero}")
    case = parse_case(text, "start.yaml")
    assert case.boundary_conditions[2].traction == (0.0, 0.0)


def test_places() -> None:
    case = parse_case(STARTER, "start.yaml", ["load.steps=7"])
    lines = STARTER.splitlines()

    def line_of(part: str) -> str:
        return f"start.yaml:{next(number for number, line in enumerate(lines, start=1) if part in line)}"

    assert case.located("rves.cell.phases.matrix.nu") == line_of("law: j2")
    assert case.located(("boundary_conditions", 1, "displacement")) == line_of("[null, -0.02]")
    assert case.located("load.adaptive.min_step") == line_of("load:")
    assert case.located("load.steps") == "start.yaml:--set load.steps=7"
    assert case.located("nowhere") == "start.yaml:1"
    assert str(case.bad_input("mesh.size", "too\nlong")) == f"{line_of('  size:')}: mesh.size: too long"


def test_overrides() -> None:
    changes = [
        "load.end=2.5",
        "boundary_conditions.1.displacement=[null, 70e-3]",
        "boundary_conditions[2]={boundary: top, traction: [0, 1]}",
        "solver.macro.max_iterations=5",
        "output.fields=[kind]",
        "title=a=b",
    ]
    case = parse_case(STARTER, "start.yaml", changes)
    assert case.load.end == 2.5
    assert case.load.factor_table[-1] == (2.5, 1.0)
    assert case.boundary_conditions[1].displacement == (None, 0.07)
    assert case.boundary_conditions[2].traction == (0.0, 1.0)
    assert case.solver.macro.max_iterations == 5
    assert case.solver.macro.residual_tolerance == parse_case(STARTER, "start.yaml").solver.macro.residual_tolerance
    assert case.output_fields == ("kind",)
    assert case.title == "a=b"


def test_an_override_through_an_alias_changes_one_place() -> None:
    text = STARTER.replace("matrix:    {law: j2", "matrix: &m {law: j2")
    text = text.replace("inclusion: {law: elastic, E: 400e3, nu: 0.2}", "inclusion: *m")
    case = parse_case(text, "start.yaml", ["rves.cell.phases.inclusion.E=1.0"])
    laws = case.rves["cell"].laws
    assert isinstance(laws["matrix"], J2)
    assert isinstance(laws["inclusion"], J2)
    assert (laws["matrix"].E, laws["inclusion"].E) == (70e3, 1.0)


def test_step_bounds_by_default() -> None:
    load = parse_case(STARTER, "start.yaml", ["load.end=2", "load.steps=4"]).load
    assert load.max_step == 0.5
    assert 0.0 < load.min_step < 0.5


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_resolved_case_is_the_same_case(file: Path, tmp_path: Path) -> None:
    case = load_case(file)
    copy = tmp_path / "case.yaml"
    copy.write_text(dump_yaml(case), encoding="utf-8")
    again = load_case(copy)
    assert resolved(again) == resolved(case)


def test_resolved_paths_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "part.msh").write_text("", encoding="utf-8")
    mesh = "  generator: rectangle         # rectangle | box | cook_membrane | plate_with_hole | l_shape\n"
    text = STARTER.replace(mesh, "  file: part.msh\n").replace("  size: [4.0, 1.0]\n", "")
    text = text.replace("  divisions: [8, 2]            # elements along x and y\n", "")
    file = tmp_path / "start.yaml"
    file.write_text(text, encoding="utf-8")
    assert resolved(load_case(file))["mesh"]["file"] == str((tmp_path / "part.msh").resolve())


def test_default_formulation() -> None:
    plastic = J2(E=1.0, nu=0.3, yield_stress=1.0)
    stiff = Elastic(E=1.0, nu=0.3)
    small = Physics.SMALL_STRAIN
    assert default_formulation(small, "quadrilateral", 1, [stiff, plastic]) == "bbar"
    assert default_formulation(small, "hexahedron", 1, [plastic]) == "bbar"
    assert default_formulation(small, "quadrilateral", 2, [plastic]) == "standard"
    assert default_formulation(small, "triangle", 1, [plastic]) == "standard"
    assert default_formulation(small, "quadrilateral", 1, [stiff]) == "standard"


def test_the_macroscale_takes_the_formulation_of_the_cells_laws() -> None:
    case = parse_case(STARTER, "start.yaml")
    assert case.macro_formulation("quadrilateral") == "bbar"
    assert case.cell_formulation("cell") == "standard"
    assert parse_case(STARTER, "s.yaml", ["mesh.formulation=standard"]).macro_formulation("quadrilateral") == "standard"


def test_suspicions_have_a_place() -> None:
    case = parse_case(STARTER, "start.yaml", ["rves.cell.degree=1", "load.factor=[[0, 0], [0.3, 1], [1, 0]]"])
    said = suspicions(case)
    assert len(said) == 2
    assert said[0].startswith("start.yaml:--set rves.cell.degree=1: rves.cell.degree: J2 on linear simplices locks")
    assert "load.factor.1: no nominal increment ends at time 0.3" in said[1]
    assert suspicions(parse_case(STARTER, "start.yaml")) == []


def test_localising_without_cells_is_suspicious() -> None:
    law = ["materials={composite: {type: law, law: elastic, E: 100, nu: 0.3}}", "rves={}"]
    localize = "output.localize=[{point: [0.5, 0.5]}]"
    said = suspicions(parse_case(STARTER, "start.yaml", [*law, localize]))
    assert [line.partition(": output.localize: ")[2] for line in said] == [
        "no material of this case has cells, so there is nothing to localise"
    ]
    assert suspicions(parse_case(STARTER, "start.yaml", law)) == []
    assert suspicions(parse_case(STARTER, "start.yaml", [localize])) == []


def test_softening_is_said_where_it_is() -> None:
    law = "{law: damage, E: 30e3, nu: 0.2, threshold: 1.0e-4, failure: 5.0e-4}"
    (said,) = suspicions(parse_case(STARTER, "start.yaml", [f"rves.cell.phases.inclusion={law}"]))
    assert "rves.cell.phases.inclusion: damage softens: past the peak the answer depends on the cell's size" in said
    material = f"materials={{composite: {{type: law, {law[1:]}}}"
    (said,) = suspicions(parse_case(STARTER, "start.yaml", [material, "rves={}"]))
    assert "materials.composite: damage softens: past the peak the answer depends on the mesh" in said


def test_starter_is_a_case(tmp_path: Path) -> None:
    path = write_starter(str(tmp_path / 'odd "name"'))
    assert path.name == 'odd "name".yaml'
    assert suspicions(load_case(path)) == []
    with pytest.raises(BadInput, match="exists already"):
        write_starter(str(path))
    for nothing in ("", ".yaml", f"{tmp_path}/", f"{tmp_path}/.yml"):
        with pytest.raises(BadInput, match="has no name"):
            write_starter(nothing)


def test_cell_states() -> None:
    text = """\
physics: heat
dimension: 3
rve:
  geometry: {generator: laminate}
  element: hexahedron
  phases: {a: {law: conductive, k: 1}, b: {law: conductive, k: 2}}
path: {temperature_gradient: [[1, 0, 0], [0, 2, 0]]}
"""
    case = parse_cell_case(text, "cell.yaml")
    assert case.states.shape == (2, 3)
    assert case.formulation == "standard"


# The schema ----------------------------------------------------------------------------------------------------------


def accepts(schema: dict[str, Any], value: object, root: dict[str, Any]) -> bool:
    """Whether a value satisfies a JSON Schema, for the keywords that the case schema uses."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return accepts(target, value, root)
    for keyword, count in (("oneOf", 1), ("anyOf", None)):
        if keyword in schema:
            fitting = sum(accepts(member, value, root) for member in schema[keyword])
            if fitting == 0 or (count is not None and fitting != count):
                return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema and not _has_type(schema["type"], value):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, dict):
        if not all(name in value for name in schema.get("required", ())):
            return False
        for name, entry in value.items():
            patterns = schema.get("patternProperties", {}).items()
            members = [member for pattern, member in patterns if re.search(pattern, name)]
            if name in schema.get("properties", {}):
                members.append(schema["properties"][name])
            rest = schema.get("additionalProperties", True)
            if not members and rest is False:
                return False
            if not members and rest is not True:
                members.append(rest)
            if not all(accepts(member, entry, root) for member in members):
                return False
    if isinstance(value, list):
        prefix = schema.get("prefixItems", [])
        items = schema.get("items", {})
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fits and all(
            accepts(prefix[i] if i < len(prefix) else items, entry, root) for i, entry in enumerate(value)
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            value >= schema.get("minimum", value)
            and value <= schema.get("maximum", value)
            and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
            and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        )
    return True


def _has_type(name: str, value: object) -> bool:
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    kinds: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[name])


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_schema_accepts_every_shipped_case(file: Path) -> None:
    schema = case_schema()
    assert accepts(schema, resolved(load_case(file)), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"physics": "magnetism"},
        {"dimension": 4},
        {"load": {"steps": 0}},
        {"load": {"steps": 1, "stop": 2}},
        {"regions": {"all": 3}},
        {"materials": {"steel": {"type": "law", "law": "elastic", "E": -1, "nu": 0.3}}},
        {"boundary_conditions": [{"boundary": "left", "displacement": [0, 0], "traction": [0, 0]}]},
    ],
    ids=str,
)
def test_schema_refuses(change: dict[str, Any]) -> None:
    schema = case_schema()
    good = resolved(parse_case(STARTER, "start.yaml"))
    assert accepts(schema, good, schema)
    assert not accepts(schema, good | change, schema)


def test_schema_knows_every_law_and_generator() -> None:
    text = json.dumps(case_schema())
    for name in (*LAWS, *GENERATORS, *CELL_GENERATORS):
        assert f'"const": "{name}"' in text
    elastic = case_schema()["$defs"]["elastic"]["properties"]
    assert elastic["E"]["description"] == "Young's modulus."
    assert elastic["nu"]["exclusiveMaximum"] == 0.5
