"""The cache of compiled code: nothing is compiled twice, nothing stale is served, processes share it safely.

Every test starts processes of its own, with a cache folder of its own.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import types

from materials.compilation import LAW_TYPE, compilation_count, kernel, point_law
from materials.law_material import LawMaterial, evaluate_points
from materials.laws import LAWS
from materials.measures import Measure, Physics

ROOT = Path(__file__).resolve().parents[2]

EVALUATE = """
import json, sys
import numpy as np
from mpi4py import MPI
from materials.compilation import cache_directory, compilation_count, prepare
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics

at_import = compilation_count()
if "prepare" in sys.argv:
    prepare(MPI.COMM_WORLD)
material = LawMaterial(LAWS["j2"](E=200.0, nu=0.3, yield_stress=1.0, hardening=20.0), Measure(Physics.SMALL_STRAIN, 2))
material.bind(np.arange(3))
flux = material.evaluate(np.full((3, 3), 0.02), 1.0).flux
count = compilation_count()
found = MPI.COMM_WORLD.gather({
    "flux": flux[0].tolist(), "compiled": count.compiled, "loaded": count.loaded, "at_import": sum(at_import),
    "folder": str(cache_directory()),
})
if found:
    print(json.dumps(found))
"""


def environment(tree: Path, cache: Path) -> dict[str, str]:
    """The environment of a process that takes the sources from `tree` and keeps its code in `cache`."""
    return os.environ | {"FE2_CACHE_DIR": str(cache), "PYTHONPATH": str(tree)}


def start(tree: Path, cache: Path, *arguments: str, script: str = EVALUATE) -> subprocess.Popen[str]:
    # -P: the working directory must not offer another copy of the sources
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script, *arguments],
        env=environment(tree, cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> dict:
    """What the process printed, with its stderr."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)[0] | {"stderr": err}


def copy_of_the_sources(folder: Path) -> Path:
    shutil.copytree(ROOT / "materials", folder / "materials", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace text by other text of the same length, keeping the time stamp: only the content tells."""
    text, before = path.read_text(), path.stat()
    assert text.count(old) == 1, f"{old!r} must occur once in {path}"
    path.write_text(text.replace(old, new))
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are now: whoever edits them during the tests does not change the cache folder."""
    return copy_of_the_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def warm(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A cache that one process has filled, and the answer of that process. Not to be written to."""
    cache = tmp_path_factory.mktemp("warm")
    return cache, answer(start(sources, cache, "prepare"))


def copy_of(warm: tuple[Path, dict], tmp_path: Path) -> Path:
    return Path(shutil.copytree(warm[0], tmp_path / "cache"))


def test_importing_compiles_nothing_and_a_second_process_neither(sources: Path, warm: tuple[Path, dict]) -> None:
    cache, first = warm
    assert first["at_import"] == 0
    assert first["compiled"] > len(LAWS)
    assert first["loaded"] == 0
    assert Path(first["folder"]).parent == cache / "numba"
    for arguments in ((), ("prepare",)):
        second = answer(start(sources, cache, *arguments))
        assert second["compiled"] == 0
        assert second["loaded"] >= (len(LAWS) + 1 if arguments else 2)
        assert second["flux"] == first["flux"]


def test_only_what_is_used_is_compiled_without_prepare(sources: Path, warm: tuple[Path, dict], tmp_path: Path) -> None:
    lazy = answer(start(sources, tmp_path))
    assert lazy["flux"] == warm[1]["flux"]
    assert 0 < lazy["compiled"] < warm[1]["compiled"]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("laws/j2.py", "stress[i] += kappa * volumetric", "stress[i] -= kappa * volumetric"),
        ("hardening.py", "excess / (modulus + slope)", "excess / (modulus - slope)"),  # called from another file
    ],
    ids=["law", "called-function"],
)
def test_an_edit_gives_the_new_answer(tmp_path: Path, path: str, old: str, new: str) -> None:
    cache, tree = tmp_path / "cache", copy_of_the_sources(tmp_path / "tree")
    before = answer(start(tree, cache))
    edit(tree / "materials" / path, old, new)
    after = answer(start(tree, cache))
    assert after["folder"] != before["folder"]
    assert after["compiled"] > 0
    assert np.abs(np.subtract(after["flux"], before["flux"])).max() > 0.1
    edit(tree / "materials" / path, new, old)
    back = answer(start(tree, cache))
    assert back["folder"] == before["folder"]
    assert back["flux"] == before["flux"]


@pytest.mark.mpi
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun")
def test_three_cold_ranks_compile_once(sources: Path, warm: tuple[Path, dict], tmp_path: Path) -> None:
    command = ["mpirun", "-n", "3", sys.executable, "-P", "-c", EVALUATE, "prepare"]
    run = subprocess.run(
        command, env=environment(sources, tmp_path), capture_output=True, text=True, timeout=300, check=True
    )
    answers = json.loads(run.stdout)
    assert [found["compiled"] for found in answers] == [warm[1]["compiled"], 0, 0]
    assert all(found["flux"] == warm[1]["flux"] for found in answers)


@pytest.mark.mpi
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun")
def test_a_law_that_does_not_compile_is_an_error_on_every_rank(sources: Path, tmp_path: Path) -> None:
    script = """
import sys
from mpi4py import MPI
from materials.compilation import CompilationError, point_law, prepare
@point_law
def broken(gradient, state, parameters, dt, flux, tangent, new_state):
    return "no status"
try:
    prepare(MPI.COMM_WORLD)
except CompilationError as error:
    sys.stdout.write(f"refused: {str(error).splitlines()[0]}\\n")  # in one piece, whatever the other rank writes
"""
    (tmp_path / "broken.py").write_text(script)
    command = ["mpirun", "-n", "2", sys.executable, str(tmp_path / "broken.py")]
    run = subprocess.run(
        command, env=environment(sources, tmp_path / "cache"), capture_output=True, text=True, timeout=300, check=True
    )
    assert run.stdout.count("refused: ") == 2
    assert run.stdout.count("broken returns Literal[str](no status) where its signature says int64") == 2


def test_independent_processes_fill_one_cache_together(sources: Path, warm: tuple[Path, dict], tmp_path: Path) -> None:
    answers = [answer(process) for process in [start(sources, tmp_path, "prepare") for _ in range(3)]]
    assert all(found["flux"] == warm[1]["flux"] and not found["stderr"] for found in answers)
    later = answer(start(sources, tmp_path, "prepare"))
    assert later["compiled"] == 0
    assert later["flux"] == warm[1]["flux"]


def test_a_writer_waits_for_another(sources: Path, tmp_path: Path) -> None:
    """Two processes that store different signatures of a function must not give them the same data file."""
    (tmp_path / "twice.py").write_text(
        "from materials.compilation import cache_directory, jit\n"
        "@jit\n"
        "def twice(x):\n"
        "    return x + x\n"
        "print(cache_directory(), flush=True)\n"
        "twice(1.5)\n"
    )
    script = f"import runpy; runpy.run_path({str(tmp_path / 'twice.py')!r})"
    probe = start(sources, tmp_path / "cache", script=script)
    folder = Path(probe.communicate(timeout=100)[0].strip())
    kept = set(folder.rglob("*.nbc"))
    assert len(kept) == 1
    kept.pop().unlink()
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = start(sources, tmp_path / "cache", script=script)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(timeout=4.0)
        assert not list(folder.rglob("*.nbc"))
    writer.communicate(timeout=100)
    assert writer.returncode == 0
    assert len(list(folder.rglob("*.nbc"))) == 1


def test_a_read_only_installation_stays_as_it_is(warm: tuple[Path, dict], tmp_path: Path) -> None:
    tree = copy_of_the_sources(tmp_path / "tree")
    before = sorted(tree.rglob("*"))
    for path in [*before, tree]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        found = answer(start(tree, tmp_path / "cache"))
        assert not list(tree.rglob("*.nb[ic]"))  # root may write bytecode where others may not
    finally:
        for path in [tree, *before]:
            path.chmod(path.stat().st_mode | 0o200)
    assert found["flux"] == warm[1]["flux"]
    assert answer(start(tree, tmp_path / "cache"))["compiled"] == 0


def test_an_unwritable_cache_falls_back_to_temporary_files_with_one_warning(
    sources: Path, warm: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    wanted = tmp_path / "file" / "cache"  # not even root can make a folder in a file
    first, second = answer(start(sources, wanted)), answer(start(sources, wanted))
    assert Path(first["folder"]).is_relative_to(tmp_path / "temporary")
    assert first["stderr"].count("cannot write to the cache folder") == 1
    assert len(first["stderr"].splitlines()) == 1
    assert first["flux"] == second["flux"] == warm[1]["flux"]
    assert second["compiled"] == 0  # the fallback is found again
    assert Path(first["folder"]).parent.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_can_write_to_is_not_trusted(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    planted = tmp_path / f"fe2-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    folder = Path(answer(start(sources, tmp_path / "file" / "cache"))["folder"])
    assert not folder.is_relative_to(planted)
    assert folder.parent == tmp_path


@pytest.mark.parametrize(("suffix", "kept"), [("nbi", 0), ("nbi", 50), ("nbc", 50)])
def test_a_damaged_cache_is_replaced(
    sources: Path, warm: tuple[Path, dict], tmp_path: Path, suffix: str, kept: int
) -> None:
    cache = copy_of(warm, tmp_path)
    damaged = list(cache.rglob(f"j2.*.{suffix}"))
    assert len(damaged) == 1
    damaged[0].write_bytes(damaged[0].read_bytes()[:kept])
    found = answer(start(sources, cache))
    assert found["flux"] == warm[1]["flux"]
    assert found["compiled"] == 1
    assert "damaged cache of compiled code" in found["stderr"]
    assert answer(start(sources, cache))["compiled"] == 0


def points(n: int) -> tuple[LawMaterial, np.ndarray]:
    material = LawMaterial(LAWS["elastic"](E=1.0, nu=0.3), Measure(Physics.SMALL_STRAIN, 2))
    material.bind(np.arange(n))
    return material, np.zeros((n, 3))


def test_a_kernel_is_not_compiled_again_for_another_law() -> None:
    @point_law
    def doubling(gradient, state, parameters, dt, flux, tangent, new_state):  # noqa: ARG001
        flux[:] = 2.0 * gradient
        return 0

    material, gradient = points(2)
    material.evaluate(gradient, 1.0)
    before = sum(compilation_count())
    material.law = type("Doubling", (), {"point": staticmethod(doubling)})()
    assert np.array_equal(material.evaluate(gradient + 1.0, 1.0).flux, gradient + 2.0)
    assert sum(compilation_count()) == before + 1


def test_a_kernel_refuses_other_types_instead_of_compiling_for_them() -> None:
    @kernel(types.void(LAW_TYPE, types.float64[::1]))
    def loop(law, values):  # noqa: ARG001
        values[:] = 1.0

    law = LAWS["elastic"].point
    values = np.zeros(4)
    loop(law, values)
    assert values.all()
    before = compilation_count()
    for wrong in (np.zeros(4, dtype=np.float32), np.zeros(8)[::2], np.zeros((2, 2))):
        with pytest.raises(TypeError, match="No matching definition"):
            loop(law, wrong)
    with pytest.raises(TypeError):
        loop(lambda *_: 0, values)
    assert compilation_count() == before
    assert evaluate_points.signature.args[0] == LAW_TYPE
