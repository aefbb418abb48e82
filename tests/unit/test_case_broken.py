"""Every mistake in a case file ends with exit code 2 and one line: file, line, key, remedy."""

import time
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from solver.case.errors import BadInput
from solver.case.loading import load_case, parse_case
from solver.cli import BAD_INPUT, execute

CASE = """\
title: a case that is right
physics: small_strain
dimension: 2
mesh:
  generator: rectangle
  size: [2, 1]
  divisions: [2, 1]
  element: quadrilateral
  degree: 1
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.1, null]}
load:
  end: 1.0
  steps: 2
  factor: [[0, 0], [1, 1]]
  adaptive: {min_step: 1.0e-3, max_step: 0.5}
materials:
  composite: {type: rve, rve: cell}
  steel:
    type: law
    law: elastic
    E: 210e3
    nu: 0.3
rves:
  cell:
    geometry: {generator: inclusion, volume_fraction: 0.3, resolution: 4}
    element: triangle
    degree: 2
    boundary: periodic
    phases:
      matrix: {law: j2, E: 70e3, nu: 0.3, yield_stress: 100, hardening: 500}
      inclusion: {law: elastic, E: 400e3, nu: 0.2}
output:
  fields: [displacement, stress]
  probes:
    - {name: tip, point: [2, 0.5]}
  reactions: [left]
"""


LOAD = CASE.partition("load:\n")[2].partition("materials:")[0]
PHASES = CASE.partition("phases:\n")[2].partition("output:")[0]


class Broken(NamedTuple):
    """An edit that breaks the case, and what must be said about it."""

    name: str
    old: str
    new: str
    at: str
    """Text on the line that must be named."""
    key: str
    words: str
    """Part of the message: what is wrong, or what would be right."""


BROKEN = [
    Broken("unknown key", "degree: 1", "degre: 1", "degre: 1", "mesh.degre", "did you mean `degree`"),
    Broken("unknown section", "output:", "outputs:", "outputs:", "outputs", "did you mean `output`"),
    Broken("unknown law parameter", "nu: 0.2", "poisson: 0.2", "poisson", "rves.cell.phases.inclusion.poisson", "nu"),
    Broken(
        "unknown hardening key", "hardening: 500", "hardening: {H: 1, slope: 2}", "slope", "hardening.slope", "known:"
    ),
    Broken("missing key", "  steps: 2\n", "", "load:", "load.steps", "missing, add it"),
    Broken("missing section", "regions: {all: composite}\n", "", "title:", "regions", "missing, add it"),
    Broken("missing parameter", "    E: 210e3\n", "", "steel:", "materials.steel.E", "missing, add it"),
    Broken(
        "text for a number", "end: 1.0", "end: soon", "end: soon", "load.end", "must be a number, not the text 'soon'"
    ),
    Broken("quoted number", "E: 210e3", "E: '210e3'", "E: '210e3'", "materials.steel.E", "must be a number"),
    Broken("true for a number", "nu: 0.3\nrves", "nu: true\nrves", "nu: true", "materials.steel.nu", "not true"),
    Broken(
        "number for text",
        "boundary: left, d",
        "boundary: 3, d",
        "boundary: 3",
        "boundary_conditions.0.boundary",
        "text",
    ),
    Broken("a list for a mapping", "load:\n" + LOAD, "load: []\n", "load: []", "load", "mapping"),
    Broken("a number for a list", "reactions: [left]", "reactions: left", "reactions:", "output.reactions", "a list"),
    Broken("fraction of a step", "steps: 2", "steps: 2.5", "steps: 2.5", "load.steps", "whole number"),
    Broken("negative steps", "steps: 2", "steps: -2", "steps: -2", "load.steps", "at least 1, not -2"),
    Broken("no steps", "steps: 2", "steps: 0", "steps: 0", "load.steps", "at least 1"),
    Broken("negative end", "end: 1.0", "end: -1", "end: -1", "load.end", "greater than 0"),
    Broken("negative modulus", "E: 210e3", "E: -1", "E: -1", "materials.steel.E", "greater than 0, not -1"),
    Broken("zero modulus", "E: 400e3", "E: 0", "E: 0", "rves.cell.phases.inclusion.E", "greater than 0"),
    Broken("incompressible", "nu: 0.2", "nu: 0.5", "nu: 0.5", "rves.cell.phases.inclusion.nu", "less than 0.5"),
    Broken("auxetic beyond -1", "nu: 0.2", "nu: -1", "nu: -1", "rves.cell.phases.inclusion.nu", "greater than -1"),
    Broken("negative hardening", "hardening: 500", "hardening: -5", "hardening: -5", "matrix.hardening", "at least 0"),
    Broken(
        "text for hardening",
        "hardening: 500",
        "hardening: a",
        "hardening: a",
        "matrix.hardening",
        "number or a mapping",
    ),
    Broken(
        "incomplete Voce", "hardening: 500", "hardening: {type: voce}", "type: voce", "matrix.hardening", "saturation"
    ),
    Broken("infinity", "E: 210e3", "E: .inf", "E: .inf", "materials.steel.E", "finite"),
    Broken("not a number", "end: 1.0", "end: .nan", "end: .nan", "load.end", "finite"),
    Broken("beyond double", "E: 210e3", "E: 1e999", "E: 1e999", "materials.steel.E", "too large"),
    Broken(
        "unknown law", "law: elastic\n", "law: elastik\n", "elastik", "materials.steel.law", "did you mean 'elastic'"
    ),
    Broken("no law", "{law: elastic, E", "{E", "inclusion: {E", "rves.cell.phases.inclusion", "needs the key `law`"),
    Broken(
        "law of another physics",
        "law: elastic, E: 400e3, nu: 0.2",
        "law: conductive, k: 1",
        "conductive",
        "rves.cell.phases.inclusion.law",
        "use chaboche, damage, elastic",
    ),
    Broken(
        "void at the macroscale",
        "    law: elastic\n    E: 210e3\n    nu: 0.3\n",
        "    law: void\n",
        "law: void",
        "materials.steel.law",
        "leave the region out",
    ),
    Broken("unknown material type", "type: law", "type: lw", "type: lw", "materials.steel.type", "did you mean 'law'"),
    Broken(
        "surrogate",
        "{type: rve, rve: cell}",
        "{type: surrogate, model: m}",
        "model: m",
        "materials.composite.model",
        "`fe2 train` makes one",
    ),
    Broken(
        "adaptive without recipe",
        "{type: rve, rve: cell}",
        "{type: adaptive, rve: cell, surrogate: net}",
        "type: adaptive",
        "materials.composite.surrogate",
        "unknown recipe 'net'",
    ),
    Broken("unknown cell", "rve: cell}", "rve: cel}", "rve: cel}", "materials.composite.rve", "did you mean 'cell'"),
    Broken(
        "unknown material",
        "{all: composite}",
        "{all: composit}",
        "composit}",
        "regions.all",
        "did you mean 'composite'",
    ),
    Broken("unknown region", "{all: composite}", "{body: composite}", "{body:", "regions.body", "the mesh has"),
    Broken(
        "unknown boundary", "{boundary: right", "{boundary: rigth", "rigth", "boundary_conditions.1.boundary", "right"
    ),
    Broken(
        "unknown reaction", "reactions: [left]", "reactions: [left, lid]", "lid", "output.reactions.1", "the mesh has"
    ),
    Broken(
        "missing phase",
        "      inclusion: {law: elastic, E: 400e3, nu: 0.2}\n",
        "",
        "phases:",
        "rves.cell.phases",
        "add inclusion",
    ),
    Broken(
        "unknown phase",
        "      inclusion: {",
        "      inclusions: {",
        "inclusions:",
        "rves.cell.phases.inclusions",
        "rename inclusions to inclusion",
    ),
    Broken("no phases", "phases:\n" + PHASES, "phases: {}\n", "phases:", "rves.cell.phases", "at least 1"),
    Broken(
        "unknown generator",
        "generator: rectangle",
        "generator: rectangel",
        "rectangel",
        "mesh.generator",
        "did you mean 'rectangle'",
    ),
    Broken("generator and file", "  size: [2, 1]", "  file: part.msh", "file:", "mesh.file", "exclude each other"),
    Broken(
        "file that does not exist",
        "  generator: rectangle\n  size: [2, 1]\n  divisions: [2, 1]\n",
        "  file: no.msh\n",
        "file: no.msh",
        "mesh.file",
        "does not exist",
    ),
    Broken(
        "cell from a file",
        "{generator: inclusion, volume_fraction: 0.3, resolution: 4}",
        "{file: cell.msh}",
        "cell.msh",
        "rves.cell.geometry",
        "cell.msh is no file that exists",
    ),
    Broken(
        "impossible packing",
        "{generator: inclusion, volume_fraction: 0.3, resolution: 4}",
        "{generator: random_inclusions, count: 20, volume_fraction: 0.8, resolution: 4}",
        "random_inclusions",
        "rves.cell.geometry",
        "of 20 inclusions find a place",
    ),
    Broken(
        "grains with too few phases",
        "{generator: inclusion, volume_fraction: 0.3, resolution: 4}",
        "{generator: polycrystal, grains: 5}",
        "phases:",
        "rves.cell.phases",
        "set `phases` to 2",
    ),
    Broken(
        "voxels that are not there",
        "{generator: inclusion, volume_fraction: 0.3, resolution: 4}",
        "{generator: voxels, file: labels.npy}",
        "labels.npy",
        "rves.cell.geometry",
        "labels.npy does not exist",
    ),
    Broken(
        "generator of another dimension",
        "generator: rectangle\n  size: [2, 1]\n  divisions: [2, 1]",
        "generator: box\n  size: [2, 1, 1]\n  divisions: [2, 1, 1]",
        "generator: box",
        "mesh.generator",
        "use rectangle",
    ),
    Broken("too few divisions", "divisions: [2, 1]", "divisions: [2]", "divisions: [2]", "mesh.divisions", "too few"),
    Broken(
        "no divisions along y",
        "divisions: [2, 1]",
        "divisions: [2, 0]",
        "divisions: [2, 0]",
        "mesh.divisions.1",
        "at least 1",
    ),
    Broken("negative size", "size: [2, 1]", "size: [2, -1]", "size: [2, -1]", "mesh.size.1", "greater than 0"),
    Broken(
        "element of another dimension",
        "element: quadrilateral",
        "element: hexahedron",
        "hexahedron",
        "mesh.element",
        "use triangle or quadrilateral",
    ),
    Broken(
        "unknown element",
        "element: quadrilateral",
        "element: quad",
        "element: quad",
        "mesh.element",
        "must be triangle",
    ),
    Broken("cubic", "degree: 1", "degree: 3", "degree: 3", "mesh.degree", "must be 1 or 2, not 3"),
    Broken(
        "curved inclusion of quadrilaterals",
        "element: triangle",
        "element: quadrilateral",
        "    element: quad",
        "rves.cell.element",
        "use triangle",
    ),
    Broken(
        "inclusion that does not fit",
        "volume_fraction: 0.3",
        "volume_fraction: 0.9",
        "0.9",
        "rves.cell.geometry",
        "at most",
    ),
    Broken(
        "volume fraction of one",
        "volume_fraction: 0.3",
        "volume_fraction: 1",
        "volume_fraction: 1",
        "rves.cell.geometry.volume_fraction",
        "less than 1",
    ),
    Broken(
        "unknown boundary condition of a cell",
        "boundary: periodic",
        "boundary: periodical",
        "periodical",
        "rves.cell.boundary",
        "did you mean 'periodic'",
    ),
    Broken("fbar", "  degree: 1", "  degree: 1\n  formulation: fbar", "fbar", "mesh.formulation", "use bbar"),
    Broken(
        "bbar on triangles",
        "    degree: 2",
        "    degree: 2\n    formulation: bbar",
        "bbar",
        "rves.cell.formulation",
        "use standard",
    ),
    Broken("plane stress", "dimension: 2", "dimension: 2\nplane: stress", "plane: stress", "plane", "use plane strain"),
    Broken("dimension 4", "dimension: 2", "dimension: 4", "dimension: 4", "dimension", "must be 2 or 3"),
    Broken(
        "unknown physics",
        "physics: small_strain",
        "physics: small_strains",
        "small_strains",
        "physics",
        "did you mean 'small_strain'",
    ),
    Broken(
        "two kinds in one condition",
        "right, displacement: [0.1, null]",
        "right, displacement: [0.1, 0], traction: [1, 0]",
        "traction",
        "boundary_conditions.1.traction",
        "one entry for each",
    ),
    Broken(
        "no kind of condition",
        "right, displacement: [0.1, null]",
        "right",
        "boundary: right",
        "boundary_conditions.1",
        "needs one of",
    ),
    Broken(
        "two conditions on one component",
        "boundary: right, displacement: [0.1, null]",
        "boundary: left, displacement: [0.1, null]",
        "[0.1, null]",
        "boundary_conditions.1.displacement",
        "keep one",
    ),
    Broken(
        "displacement and traction on one component",
        "boundary: right, displacement: [0.1, null]",
        "boundary: left, traction: [1, 0]",
        "traction",
        "boundary_conditions.1.traction",
        "keep one",
    ),
    Broken(
        "three components in 2D",
        "[0.1, null]",
        "[0.1, null, 0]",
        "null, 0]",
        "boundary_conditions.1.displacement",
        "has 3 components",
    ),
    Broken(
        "temperature in mechanics",
        "displacement: [0.1, null]",
        "temperature: 5",
        "temperature",
        "boundary_conditions.1.temperature",
        "use displacement",
    ),
    Broken(
        "nothing prescribed",
        "[0.1, null]",
        "[null, null]",
        "[null, null]",
        "boundary_conditions.1.displacement",
        "give a number",
    ),
    Broken(
        "body not held",
        "displacement: [0, 0]",
        "displacement: [0, null]",
        "boundary_conditions:",
        "boundary_conditions",
        "nothing holds the body in y",
    ),
    Broken(
        "boundary of a body force",
        "right, displacement: [0.1, null]",
        "right, body_force: [0, 1]",
        "body_force",
        "boundary_conditions.1.boundary",
        "use `traction`",
    ),
    Broken(
        "factor that goes back",
        "[[0, 0], [1, 1]]",
        "[[0, 0], [1, 1], [0.5, 0]]",
        "factor",
        "load.factor",
        "must increase",
    ),
    Broken("factor that ends early", "[[0, 0], [1, 1]]", "[[0, 0], [0.5, 1]]", "factor", "load.factor", "add a point"),
    Broken(
        "factor that starts late", "[[0, 0], [1, 1]]", "[[0.5, 0], [1, 1]]", "factor", "load.factor", "point at time 0"
    ),
    Broken(
        "step bounds the wrong way round",
        "min_step: 1.0e-3",
        "min_step: 0.7",
        "min_step: 0.7",
        "load.adaptive",
        "make it smaller",
    ),
    Broken(
        "unknown field",
        "[displacement, stress]",
        "[displacement, stresses]",
        "stresses",
        "output.fields.1",
        "did you mean 'stress'",
    ),
    Broken(
        "probe outside the mesh", "point: [2, 0.5]", "point: [3, 0.5]", "point: [3", "output.probes.0.point", "outside"
    ),
    Broken(
        "probe in 3D",
        "point: [2, 0.5]",
        "point: [2, 0.5, 0]",
        "point: [2",
        "output.probes.0.point",
        "dimension 2 needs 2",
    ),
    Broken("name with a comma", "name: tip", "name: 'tip,top'", "tip,top", "output.probes.0.name", "letters"),
    Broken(
        "two probes of one name",
        "    - {name: tip, point: [2, 0.5]}",
        "    - {name: tip, point: [2, 0.5]}\n    - {name: tip, point: [1, 0.5]}",
        "[1, 0.5]",
        "output.probes.1.name",
        "choose another",
    ),
    Broken(
        "tolerance of zero",
        "output:",
        "solver: {macro: {residual_tolerance: 0}}\noutput:",
        "solver:",
        "solver.macro.residual_tolerance",
        "greater than 0",
    ),
    Broken(
        "cell of a recipe",
        "output:",
        "surrogates:\n  net: {rve: c, family: gp, sampling: {paths: 1, range: 0.1}}\noutput:",
        "net:",
        "surrogates.net.rve",
        "unknown cell",
    ),
    Broken("duplicate key", "  steps: 2", "  steps: 2\n  steps: 3", "steps: 3", "load.steps", "given twice"),
    Broken(
        "object tag",
        "title: a case that is right",
        "title: !!python/object/apply:os.system [ls]",
        "python",
        "title",
        "tag",
    ),
    Broken("any tag", "E: 210e3", "E: !float 210e3", "!float", "materials.steel.E", "tag"),
    Broken("alias without anchor", "E: 210e3", "E: *stiff", "*stiff", "materials.steel.E", "no anchor"),
    Broken(
        "anchor in itself",
        "[0.1, null]",
        "&a [0.1, *a]",
        "&a",
        "boundary_conditions.1.displacement.1",
        "inside its own",
    ),
    Broken(
        "merge key",
        "    type: law",
        "    <<: {nu: 0.2}\n    type: law",
        "<<",
        "materials.steel.<<",
        "write the keys out",
    ),
    Broken("list as a key", "title: a case", "[1, 2]: a case", "[1, 2]", "", "write plain text"),
    Broken("unclosed bracket", "reactions: [left]", "reactions: [left", "reactions", "", "brackets"),
    Broken("tab", "  steps: 2", "\tsteps: 2", "steps: 2", "", "indentation"),
    Broken("second document", "regions:", "---\nregions:", "regions:", "", "a case file holds one"),
    Broken("deep nesting", "a case that is right", "[" * 60 + "]" * 60, "[[[[", "title.0.0.0.0.0.…", "nested deeper"),
]


def complaint(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line that a command leaves on stderr, after it ended with exit code 2."""
    started = time.perf_counter()
    code = execute(arguments)
    seconds = time.perf_counter() - started
    captured = capsys.readouterr()
    assert code == BAD_INPUT, captured.out + captured.err
    assert seconds < 10
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_broken_case(broken: Broken, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert CASE.count(broken.old) >= 1
    text = CASE.replace(broken.old, broken.new, 1)
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    line = next(number for number, content in enumerate(text.splitlines(), start=1) if broken.at in content)
    told = complaint(capsys, ["check", str(file)])
    assert told.startswith(f"{file}:{line}: "), told
    rest = told.removeprefix(f"{file}:{line}: ")
    if broken.key:
        key = rest.split(": ")[0]
        assert key == broken.key or key.endswith(f".{broken.key}"), told
    assert broken.words in rest, told


def test_the_case_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "right.yaml"
    file.write_text(CASE, encoding="utf-8")
    assert execute(["check", str(file)]) == 0
    assert "integration points" in capsys.readouterr().out


ALIAS_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 9)}]\n" for level in range(30)
)
FILES = {
    "empty": (b"", "the file is empty"),
    "comments only": (b"# nothing\n", "the file is empty"),
    "null": (b"~\n", "the file is empty"),
    "binary": (b"\x7fELF\x00\x01\x02", "binary"),
    "control characters": (b"title: \x07\n", "not valid YAML"),
    "latin-1": ("title: Größe\n".encode("latin-1"), "UTF-8"),
    "utf-16": ("title: x\n".encode("utf-16"), "text in YAML"),
    "a list": (b"- physics\n- mesh\n", "write a mapping"),
    "one word": (b"physics\n", "write a mapping"),
    "another program's input": (b"*HEADING\n*NODE, NSET=ALL\n1, 0.0, 0.0\n", "no anchor"),
    "too large": (b"#" * 1_000_001, "too large"),
    "alias bomb": (ALIAS_BOMB.encode(), "once aliases are expanded"),
    "nested lists": (b"- " * 20_000, "nested deeper"),
    "open brackets": (b"a: " + b"[" * 100_000, "nested deeper"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_no_case(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = FILES[name]
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    told = complaint(capsys, ["check", str(file)])
    assert told.startswith(f"{file}:"), told
    assert words in told


def test_alias_bomb_ends_within_a_second(tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(ALIAS_BOMB, encoding="utf-8")
    started = time.perf_counter()
    with pytest.raises(BadInput, match="once aliases are expanded"):
        load_case(file)
    assert time.perf_counter() - started < 1.0


def test_missing_file_names_its_neighbours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cook.yaml").write_text(CASE, encoding="utf-8")
    told = complaint(capsys, ["run", str(tmp_path / "cok.yaml")])
    assert "no such file" in told
    assert "cook.yaml" in told


def test_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a directory" in complaint(capsys, ["check", str(tmp_path)])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("load.steps=0", "load.steps: must be at least 1"),
        ("load.steps", "write --set key.path=value"),
        ("=3", "write --set key.path=value"),
        ("load..steps=3", "write --set key.path=value"),
        ("load.step=3", "load.step: unknown key, did you mean `steps`"),
        ("title.name=x", "has no keys below"),
        ("boundary_conditions.7.displacement=[0, 0]", "the list has 2 entries"),
        ("boundary_conditions.left.displacement=[0, 0]", "the list has 2 entries"),
        ("load.end=.inf", "finite"),
        ("load.end=[1", "not valid YAML"),
        ("materials.steel.nu=0.5", "materials.steel.nu: must be less than 0.5"),
        ("materials.steel.E=!!int 3", "tag"),
    ],
)
def test_override(override: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "right.yaml"
    file.write_text(CASE, encoding="utf-8")
    told = complaint(capsys, ["check", str(file), "--set", override])
    assert told.startswith(f"{file}:--set {override}: "), told
    assert words in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "a.yaml", "b.yaml"],
        ["check", "--fast", "a.yaml"],
        ["solve"],
        ["run", "a.yaml", "--set"],
        ["new"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help" in complaint(capsys, arguments)


CELL = """\
physics: small_strain
dimension: 2
rve:
  geometry: {generator: laminate, fraction: 0.4, normal: x}
  element: quadrilateral
  phases:
    stiff: {law: elastic, E: 10, nu: 0.3}
    soft: {law: elastic, E: 1, nu: 0.3}
path:
  strain: [[[1.0e-3, 0], [0, 0]]]
"""
BROKEN_CELLS = [
    Broken("asymmetric strain", "[[1.0e-3, 0], [0, 0]]", "[[0, 1], [0, 0]]", "strain:", "path.strain.0", "symmetric"),
    Broken(
        "three rows", "[[1.0e-3, 0], [0, 0]]", "[[0, 0], [0, 0], [0, 0]]", "strain:", "path.strain.0", "2 rows of 2"
    ),
    Broken("a vector", "[[[1.0e-3, 0], [0, 0]]]", "[[1, 0]]", "strain:", "path.strain.0.0", "must be a list"),
    Broken("no states", "[[[1.0e-3, 0], [0, 0]]]", "[]", "strain:", "path.strain", "at least 1"),
    Broken(
        "path of another physics",
        "strain:",
        "deformation_gradient:",
        "deformation",
        "path.deformation_gradient",
        "use strain",
    ),
    Broken(
        "no path", "path:\n  strain: [[[1.0e-3, 0], [0, 0]]]\n", "path: {}\n", "path:", "path", "needs the key `strain`"
    ),
    Broken("layers normal to z", "normal: x", "normal: z", "normal: z", "rve.geometry", "3"),
    Broken(
        "a void where uniform traction acts",
        "  phases:\n    stiff: {law: elastic, E: 10, nu: 0.3}",
        "  boundary: traction\n  phases:\n    stiff: {law: void}",
        "rve:",
        "rve",
        "use periodic or linear",
    ),
    Broken("one phase", "    soft: {law: elastic, E: 1, nu: 0.3}\n", "", "phases:", "rve.phases", "two phases"),
]


@pytest.mark.parametrize("broken", BROKEN_CELLS, ids=lambda broken: broken.name)
def test_broken_cell(broken: Broken, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CELL.replace(broken.old, broken.new, 1)
    file = tmp_path / "cell.yaml"
    file.write_text(text, encoding="utf-8")
    line = next(number for number, content in enumerate(text.splitlines(), start=1) if broken.at in content)
    told = complaint(capsys, ["homogenize", str(file)])
    assert told.startswith(f"{file}:{line}: {broken.key}: "), told
    assert broken.words in told


def test_negative_determinant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CELL.replace("small_strain", "finite_strain").replace("elastic", "neo_hookean")
    text = text.replace("strain: [[[1.0e-3, 0], [0, 0]]]", "deformation_gradient: [[[1, 0], [0, -1]]]")
    file = tmp_path / "cell.yaml"
    file.write_text(text, encoding="utf-8")
    told = complaint(capsys, ["homogenize", str(file)])
    assert "path.deformation_gradient.0: det F = -1" in told


def test_out_is_checked_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cell.yaml"
    file.write_text(CELL, encoding="utf-8")
    told = complaint(capsys, ["homogenize", str(file), "--out", str(tmp_path / "no" / "cell.json")])
    assert "does not exist" in told


SHIPPED = sorted((Path(__file__).parents[2] / "cases").glob("*.yaml"))
VALUES = ("null", "[]", "{}", "-1", "0", "1e400", "true", "x", "[1, [2]]", "{a: 1}", ".inf", "1.5", "é", "void", "1e20")
CHARACTERS = "[]{}:,#&*!|>-'\"% x"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_damaged_case_is_a_case_or_one_line(file: Path) -> None:
    """Seeded damage: lines lost and doubled, values replaced, characters mistyped."""
    random = Random(file.stem)
    original = file.read_text(encoding="utf-8").splitlines()
    refusals = []
    for _ in range(150):
        lines = list(original)
        where = random.randrange(len(lines))
        line = lines[where]
        damage = random.choice(("lose", "double", "replace", "replace", "mistype"))
        if damage == "lose":
            del lines[where]
        elif damage == "double":
            lines.insert(where, random.choice(lines))
        elif damage == "replace" and ": " in line:
            key, _, value = line.partition(": ")
            rest = value[min((value.find(end) for end in ",}]" if end in value), default=len(value)) :]
            lines[where] = f"{key}: {random.choice(VALUES)}{rest}"
        else:
            at = random.randrange(len(line) + 1)
            lines[where] = line[:at] + random.choice(CHARACTERS) + line[at + 1 :]
        try:
            parse_case("\n".join(lines), "damaged.yaml")
        except BadInput as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert [said for said in refusals if "\n" in said or not said.startswith("damaged.yaml:")] == []
