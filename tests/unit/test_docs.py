"""What the documents say is so: links, files, commands, case files, generated tables, examples."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer
from ruamel.yaml import YAML

from solver.case.errors import BadInput
from solver.case.loading import parse_case, parse_cell_case
from solver.cli import app, execute
from solver.report.run_data import read_run
from solver.report.style import figure_style

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("solver", "materials", "rve", "surrogates", "meshes")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SELECTING = ("generator", "type", "law", "file")
"""Keys that say what kind a mapping is: a fragment that has one replaces the mapping of its base."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Block(NamedTuple):
    """A fenced block of a document."""

    document: Path
    line: int
    language: str
    attributes: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        return f"{relative(self.document)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    """All fenced blocks in these languages."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            attributes = dict(part.partition("=")[::2] for part in match[2].split())
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 1
                yield Block(document, line, match[1], attributes, match[3])


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ +(.+)$", without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", without_blocks(text)) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{link} in {relative(document)}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{link} in {relative(document)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_files_that_are_named_exist(document: Path) -> None:
    text = without_blocks(document.read_text(encoding="utf-8"))
    folders = "solver|materials|rve|surrogates|meshes|cases|tests|docs|benchmarks|environment|\\.ci"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), f"{name} in {relative(document)}"


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `fe2 …` in shell blocks, indented blocks and inline code of the documents, with its place."""
    program = r"(?:\./container |mpirun -n \w+ |\S*/bin/|docker run .* fe2 )*fe2 [a-z].*"
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        inline = re.findall(r"`([^`\n]+)`", without_blocks(text))
        indented = re.findall(r"^ {4,}(\S.*)$", without_blocks(text), re.MULTILINE)
        shell = [line for block in blocks("sh") if block.document == document for line in block.text.splitlines()]
        for line in inline + indented + shell:
            if re.fullmatch(program, line.strip()):
                yield relative(document), line[line.rindex("fe2 ") :].split("#")[0].strip()


def test_commands_and_their_options_exist() -> None:
    found = list(command_lines())
    assert len(found) > 15
    for document, line in found:
        name = line.split()[1]
        assert name in COMMANDS, f"{document}: {line}"
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        for option in re.findall(r"(?<=\s)--[a-z-]+", line):
            assert option in options | {"--help"}, f"{document}: {line}"
        for case in re.findall(r"cases/\w+\.yaml", line):
            assert (ROOT / case).is_file(), f"{document}: {line}"


def test_the_list_of_commands_in_the_readme_is_complete() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"fe2 {name}" in text


def test_every_case_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for case in (ROOT / "cases").glob("*.yaml"):
        assert f"(cases/{case.name})" in text
        assert f"docs/figures/{case.stem}.png" in text


def merged(base: Any, fragment: Any) -> Any:
    """The base with a fragment put into it: mappings are merged key by key, everything else is replaced."""
    if not (isinstance(base, dict) and isinstance(fragment, dict)) or any(key in fragment for key in SELECTING):
        return fragment
    return {**base, **{key: merged(base.get(key), value) for key, value in fragment.items()}}


YAML_BLOCKS = [block for block in blocks("yaml") if "file" not in block.attributes]


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=lambda block: block.name)
def test_case_files_in_documents_are_valid(block: Block) -> None:
    text = block.text
    if "base" in block.attributes:
        base = (ROOT / "cases" / f"{block.attributes['base']}.yaml").read_text(encoding="utf-8")
        yaml = YAML(typ="safe")
        text = json.dumps(merged(yaml.load(base), yaml.load(text)))
    parse = parse_cell_case if "cell" in block.attributes else parse_case
    try:
        parse(text, ROOT / "cases" / "block.yaml")
    except BadInput as error:
        pytest.fail(f"{block.name}: {error}")


def test_there_are_case_files_in_the_documents() -> None:
    assert len(YAML_BLOCKS) > 10


def module(path: Path) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_generated_tables_are_up_to_date() -> None:
    reference = module(ROOT / "docs" / "make_reference.py")
    for document in reference.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert reference.filled(text) == text, f"run python3 docs/make_reference.py for {document.name}"


def test_every_law_and_generator_is_documented() -> None:
    from materials.laws import LAWS
    from meshes.cells import CELL_GENERATORS
    from meshes.macro import GENERATORS

    laws = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    cases = (ROOT / "docs" / "case-files.md").read_text(encoding="utf-8")
    for law in LAWS:
        assert f"<!-- generated: parameters {law} -->" in laws
    for generator in (*GENERATORS, *CELL_GENERATORS):
        assert f"<!-- generated: parameters {generator} -->" in cases


def test_columns_and_fields_are_those_that_are_written() -> None:
    from solver.results.history import COLUMNS
    from solver.results.iterations import COLUMNS as ITERATION_COLUMNS

    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for name in (*COLUMNS, *ITERATION_COLUMNS):
        assert f"`{name}`" in text


def test_numbered_decisions_are_numbered_once() -> None:
    numbers = [path.name[:3] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{number:03d}" for number in range(1, len(numbers) + 1)]


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "figures").glob("*.png"):
        assert picture.stat().st_size < 300_000


def test_the_examples_of_contributing_work(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    own = [block for block in blocks("python", "yaml") if block.document.name == "CONTRIBUTING.md"]
    written = []
    for block in own:
        if "file" in block.attributes:
            written.append(block.attributes["file"])
            (tmp_path / block.attributes["file"]).write_text(block.text, encoding="utf-8")
        if "append" in block.attributes:
            with (tmp_path / block.attributes["append"]).open("a", encoding="utf-8") as file:
                file.write("\n" + block.text)
    assert len(written) == 3

    gradient, h = np.array([1.0, 0.5]), 1e-4
    states = [gradient, *(gradient + sign * h * e for e in np.eye(2) for sign in (1, -1))]
    case = YAML(typ="safe").load((tmp_path / "checkerboard.yaml").read_text(encoding="utf-8"))
    case["path"]["temperature_gradient"] = [state.tolist() for state in states]
    (tmp_path / "path.yaml").write_text(json.dumps(case), encoding="utf-8")
    command = [sys.executable, "-m", "solver", "homogenize", "path.yaml", "--out", "out.json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "FE2_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr

    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert result["descriptors"]["volume_fraction_metal"] == pytest.approx(0.5, abs=1e-12)
    flux = -np.array([step["heat_flux"] for step in result["steps"]])
    tangent = np.array(result["steps"][0]["tangent"])
    differences = np.stack([(flux[1] - flux[2]) / (2 * h), (flux[3] - flux[4]) / (2 * h)], axis=1)
    np.testing.assert_allclose(differences, tangent, rtol=1e-6)
    # never below Dykhne's exact √(k₁ k₂) of the linear checkerboard, which the law starts from
    assert flux[0] @ gradient > 2.0 * gradient @ gradient


def test_the_pictures_can_be_drawn_again(tmp_path: Path) -> None:
    changes = [
        "mesh.divisions=[2, 2]",
        "load.steps=1",
        "load.factor=[[0, 0], [1, 0.05]]",
        "rves.cell.geometry.resolution=2",
        "output.localize=[{point: [2, 42]}, {point: [17, 18]}, {point: [43, 57]}]",
    ]
    out = tmp_path / "run"
    overrides = [word for change in changes for word in ("--set", change)]
    assert execute(["run", str(ROOT / "cases" / "cook_fibre.yaml"), "--out", str(out), "--quiet", *overrides]) == 0
    gallery = module(ROOT / "docs" / "figures" / "make_gallery.py")
    picture = module(ROOT / "docs" / "figures" / "make_readme_picture.py")
    with figure_style():
        sheet = gallery.thumbnail(read_run(out))
        picture.draw(out).savefig(tmp_path / "picture.png", dpi=40)
    assert sheet.size == (sum(width for width, _ in gallery.BOXES), gallery.BOXES[0][1])
    assert len(sheet.getcolors(1000)) > 20
    assert (tmp_path / "picture.png").stat().st_size > 5000
