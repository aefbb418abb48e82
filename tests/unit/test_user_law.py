"""Laws from Python files, at both scales."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from materials.compilation import prepare
from materials.compilation_cache import cache_directory, cache_directory_of
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from materials.user_law import load_law
from solver.case.errors import BadInput
from solver.case.loading import load_case
from solver.case.resolved import dump_yaml
from solver.case.schema import case_schema
from solver.case.starter import TEMPLATE

STARTER = TEMPLATE.format(name="start.yaml", title="start")
ROOT = Path(__file__).resolve().parents[2]
LAW = '''\
from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import NonNegative, Positive
from materials.point_status import status_of


@point_law
def stiffening(strain, state, parameters, dt, stress, tangent, new_state):
    square = np.sum(strain * strain)
    for i in range(6):
        stress[i] = parameters[0] * (1.0 + parameters[1] * square) * strain[i]
        for j in range(6):
            tangent[i, j] = 2.0 * parameters[0] * parameters[1] * strain[i] * strain[j]
        tangent[i, i] += parameters[0] * (1.0 + parameters[1] * square)
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class Stiffening(Law):
    """Stiffens with strain."""

    name = "stiffening"
    physics = Physics.SMALL_STRAIN
    point = staticmethod(stiffening)

    E: Positive
    growth: NonNegative = 0.0

    def parameters(self) -> FloatArray:
        return np.array([self.E, self.growth])
'''
PHASE = '{law: "my_laws.py:Stiffening", E: 200.0, growth: 2}'
EVALUATE = """
import sys
from pathlib import Path
import numpy as np
from materials.compilation import compilation_count
from materials.law_material import LawMaterial
from materials.measures import Measure, Physics
from materials.user_law import load_law
law = load_law("my_laws.py:Stiffening", Path(sys.argv[1]))(E=1.0)
compiled = compilation_count().compiled
material = LawMaterial(law, Measure(Physics.SMALL_STRAIN, 3))
material.bind(np.arange(1))
print(material.evaluate(np.ones((1, 6)), 1.0).flux[0, 0], compiled)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_laws.py").write_text(LAW, encoding="utf-8")
    return tmp_path


def starter(folder: Path) -> Path:
    path = folder / "case.yaml"
    path.write_text(STARTER, encoding="utf-8")
    return path


def test_the_law_is_that_of_the_file(folder: Path) -> None:
    law = load_law("my_laws.py:Stiffening", folder)(E=2.0, growth=0.5)
    material = LawMaterial(law, Measure(Physics.SMALL_STRAIN, 3))
    material.bind(np.arange(1))
    strain = np.arange(6.0)[None]
    assert material.evaluate(strain, 1.0).flux == pytest.approx(2.0 * (1 + 0.5 * 55.0) * strain, rel=1e-14)
    assert load_law("my_laws.py:Stiffening", folder) is type(law)
    assert "stiffening" not in LAWS


def test_a_case_takes_it_at_both_scales_and_its_copy_runs_from_anywhere(folder: Path) -> None:
    path = starter(folder)
    cell = load_case(path, [f"rves.cell.phases.inclusion={PHASE}"])
    macro = load_case(path, [f"materials={{composite: {{type: law, {PHASE[1:]}}}", "rves={}"])
    for case, law in ((cell, cell.rves["cell"].laws["inclusion"]), (macro, macro.laws_of("composite")[0])):
        assert list(law.parameters()) == [200.0, 2.0]
        elsewhere = folder / "run"
        elsewhere.mkdir(exist_ok=True)
        copy = elsewhere / "case.yaml"
        copy.write_text(dump_yaml(case), encoding="utf-8")
        assert f"{folder.resolve()}/my_laws.py:Stiffening" in copy.read_text(encoding="utf-8")
        assert dump_yaml(load_case(copy)) == dump_yaml(case)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (PHASE.replace("growth: 2", "grows: 2"), "inclusion: unknown parameter of Stiffening 'grows'"),
        (PHASE.replace("growth: 2", "growth: -2"), "inclusion.growth: must be at least 0, not -2"),
        (PHASE.replace("E: 200.0, ", ""), "inclusion.E: this key is missing"),
        (PHASE.replace("200.0", "'a'"), "inclusion.E: must be a number, not the text 'a'"),
        (PHASE.replace(":Stiffening", ":Softening"), "my_laws.py has no class Softening"),
        (PHASE.replace(":Stiffening", ":Physics"), "Physics of .*my_laws.py must be a complete subclass"),
        (PHASE.replace("my_laws", "no_laws"), "no_laws.py does not exist"),
        (PHASE.replace(":Stiffening", ""), "unknown law 'my_laws.py'"),
    ],
)
def test_mistakes_in_the_case_are_told_in_one_line(folder: Path, phase: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as raised:
        load_case(starter(folder), [f"rves.cell.phases.inclusion={phase}"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("return status_of", "return status_of(", r"my_laws.py:\d+: SyntaxError"),
        ("import numpy as np", "import nunpy as np", "my_laws.py:3: ModuleNotFoundError: No module named 'nunpy'"),
        ("@point_law\n", "", "lacks the decorator materials.compilation.point_law"),
        ("return status_of(stress)", "return stress.nothing", "does not compile"),
        ("return status_of(stress)", "return 0.5", "returns float64"),
        ('    name = "stiffening"\n', "", "must say its name"),
        ("parameters(self)", "numbers(self)", "must be a complete subclass"),
    ],
)
def test_mistakes_in_the_file_are_told_in_one_line(folder: Path, old: str, new: str, words: str) -> None:
    (folder / "my_laws.py").write_text(LAW.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput, match=words) as raised:
        load_case(starter(folder), [f"rves.cell.phases.inclusion={PHASE}"])
    assert "\n" not in str(raised.value)
    prepare(MPI.COMM_SELF)  # the other laws of this process are not in its way


def test_physics_must_fit(folder: Path) -> None:
    (folder / "my_laws.py").write_text(LAW.replace("SMALL_STRAIN", "FINITE_STRAIN"), encoding="utf-8")
    with pytest.raises(BadInput, match="stiffening is a law for finite_strain"):
        load_case(starter(folder), [f"rves.cell.phases.inclusion={PHASE}"])


def test_the_schema_knows_such_laws_without_reading_any() -> None:
    definitions = case_schema()["$defs"]
    for name in ("UserLawSection", "UserLawMaterialSection"):
        assert definitions[name]["properties"]["law"]["pattern"].startswith("^.+")
        assert definitions[name]["additionalProperties"] is True


def test_compiled_code_belongs_to_the_content_of_the_file(folder: Path) -> None:
    file = folder / "my_laws.py"
    first = cache_directory_of(file)
    assert first.parent == cache_directory()
    file.write_text(LAW.replace("growth: NonNegative = 0.0", "growth: NonNegative = 1.0"), encoding="utf-8")
    assert cache_directory_of(file) != first
    assert cache_directory_of(ROOT / "materials" / "laws" / "elastic.py") == cache_directory()


def test_an_edited_file_gives_the_new_answer_and_an_old_one_is_not_compiled_again(folder: Path) -> None:
    file = folder / "my_laws.py"
    stamp = file.stat()

    def answer() -> list[float]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-c", EVALUATE, str(folder)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        return [float(word) for word in run.stdout.split()]

    assert answer()[0] == 1.0
    assert answer() == [1.0, 0.0]
    file.write_text(LAW.replace("parameters[0] * (1.0 +", "parameters[0] * (3.0 +"), encoding="utf-8")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # only the content tells
    assert answer()[0] == 3.0
