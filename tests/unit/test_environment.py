"""One definition of the environment for every way in; the launcher's behaviour, with engines that only record."""

import os
import re
import shutil
import signal
import stat
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE_FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py")}

ENGINE = """#!/bin/bash
printf '%s\\n' "$0" "$@" >> "$RECORD"
case $1 in
    image) exit 0 ;;
    run) exit 7 ;;
esac
"""

# stands in for bubblewrap: records what it was told, then runs the command in a child as bubblewrap does
SANDBOX = """#!/bin/bash
printf '%s\\n' "$@" > "{record}"
env > "{record}.env"
until [[ $1 == fe2-enter ]]; do shift; done
env --default-signal=INT,QUIT "${{@:2}}" &
wait $!
exit $?
"""


def packages() -> list[str]:
    lines = (ROOT / "environment" / "packages.txt").read_text().splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def requirement_name(requirement: str) -> str:
    return re.split(r"[ <>=!~\[*]", requirement, maxsplit=1)[0]


def test_no_package_is_listed_twice():
    assert len(packages()) == len(set(packages()))


@pytest.mark.parametrize("requirement", PYPROJECT["project"]["dependencies"])
def test_each_dependency_comes_with_debian_and_with_conda(requirement):
    name = requirement_name(requirement)
    conda = {requirement_name(line) for line in YAML(typ="safe").load(ROOT / "environment.yml")["dependencies"]}
    assert f"python3-{name}" in packages()
    assert {name, f"{name}-base"} & conda


def test_every_tool_is_told_of_every_code_folder():
    included = {pattern.rstrip("*") for pattern in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    layers = " ".join(PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    assert CODE_FOLDERS - {"tests", "benchmarks"} == included
    assert set(PYPROJECT["tool"]["mypy"]["packages"]) == included
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == included
    assert set(re.findall(r"\w+", layers)) == included


class Launcher:
    """A copy of the launcher and its definition, with a cache of its own and engines that record."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"  # with a space, on purpose
        shutil.copytree(ROOT / "environment", self.checkout / "environment")
        shutil.copy(ROOT / "container", self.checkout / "container")
        self.engines = folder / "engines"
        self.engines.mkdir()
        self.cache = folder / "cache"
        self.record = folder / "record"
        self.add_engine("docker", ENGINE)

    def add_engine(self, name: str, source: str) -> None:
        path = self.engines / name
        path.write_text(source)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "HOME": str(self.cache.parent),
            "PATH": f"{self.engines}:/usr/bin:/bin",
            "XDG_CACHE_HOME": str(self.cache),
            "RECORD": str(self.record),
        } | settings

    def run(self, *command: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        self.record.unlink(missing_ok=True)
        return subprocess.run(
            [self.checkout / "container", *command],
            env=self.environment(**settings),
            cwd=cwd or self.checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def image(self, **settings: str) -> str:
        """Name of the image that the launcher asks docker for."""
        self.run("true", FE2_ENGINE="docker", **settings)
        return self.record.read_text().split("image\ninspect\n")[1].splitlines()[0]

    def unpack(self) -> None:
        """Pretend that the environment has been built into the cache, and can be entered."""
        rootfs = self.cache / "fe2" / self.image().partition(":")[2] / "rootfs"
        (rootfs / "usr" / "bin").mkdir(parents=True)
        (rootfs / "bin").symlink_to("usr/bin")
        self.add_engine("bwrap", SANDBOX.format(record=self.record))


@pytest.fixture
def launcher(tmp_path):
    return Launcher(tmp_path)


def test_definition_decides_the_image(launcher):
    first = launcher.image()
    assert first == launcher.image()
    assert first != launcher.image(FE2_SUITE="sid")
    with (launcher.checkout / "environment" / "packages.txt").open("a") as file:
        file.write("python3-sympy\n")
    assert first != launcher.image()


def test_engine_gets_command_folders_and_chosen_variables(launcher, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    outcome = launcher.run(
        "fe2", "run", "a case.yaml", cwd=elsewhere, FE2_ENGINE="docker", FE2_CACHE_DIR="/x y", LD_LIBRARY_PATH="/lib"
    )
    arguments = launcher.record.read_text().splitlines()
    assert outcome.returncode == 7
    assert arguments[-3:] == ["fe2", "run", "a case.yaml"]
    assert arguments[arguments.index("--workdir") + 1] == str(elsewhere)
    assert {f"{folder}:{folder}" for folder in (launcher.checkout, elsewhere)} < set(arguments)
    assert {f"PYTHONPATH={launcher.checkout}", "FE2_CACHE_DIR=/x y"} < set(arguments)
    assert not any("LD_LIBRARY_PATH" in argument for argument in arguments)


def test_unpacked_environment_is_entered_without_asking_an_engine(launcher):
    launcher.unpack()
    leaks = {"LD_LIBRARY_PATH": "/x", "PYTHONHOME": "/x", "VIRTUAL_ENV": "/x", "SSL_CERT_FILE": "/x"}
    outcome = launcher.run("bash", "-c", "cat; exit 9", OMP_NUM_THREADS="3", **leaks)
    arguments = launcher.record.read_text().splitlines()
    variables = dict(
        line.partition("=")[::2] for line in launcher.record.with_name("record.env").read_text().splitlines()
    )
    assert outcome.returncode == 9
    assert outcome.stderr == ""
    assert "image" not in arguments
    assert arguments[arguments.index("--chdir") + 1] == str(launcher.checkout)
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["PYTHONPATH"] == str(launcher.checkout)
    assert not leaks.keys() & variables.keys()


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_signal_reaches_the_command_once(launcher, name):
    launcher.unpack()
    count = f"trap 'n=$((n + 1))' {name}; echo ready; for i in {{1..15}}; do sleep 0.1; done; exit $((40 + n))"
    process = subprocess.Popen(
        [launcher.checkout / "container", "bash", "-c", count],
        env=launcher.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.wait(timeout=20) == 41
    process.stdout.close()


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"FE2_SUITE": "bookworm"}, "trixie or sid"),
        ({"FE2_ENGINE": "lxc"}, "docker, podman, apptainer or bubblewrap"),
    ],
)
def test_wrong_setting_is_told_in_one_line(launcher, settings, remedy):
    outcome = launcher.run("true", **settings)
    assert outcome.returncode == 2
    assert remedy in outcome.stderr
    assert outcome.stderr.count("\n") == 1


BUILDER = """#!/bin/bash
for target; do [[ ! -d $target ]] || touch "$target/half"; done
echo started > "{started}"
sleep 60
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs a range of subordinate ids")
def test_interrupted_build_leaves_nothing(launcher, tmp_path):
    started = tmp_path / "started"
    launcher.add_engine("bwrap", "#!/bin/sh\n")
    launcher.add_engine("unshare", '#!/bin/bash\nexec "${@:2}"\n')
    launcher.add_engine("df", "#!/bin/sh\necho 99999\n")
    launcher.add_engine("mmdebstrap", BUILDER.format(started=started))
    process = subprocess.Popen(
        [launcher.checkout / "container", "true"],
        env=launcher.environment(FE2_ENGINE="bubblewrap", TMPDIR=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((launcher.cache / "fe2").glob("*/rootfs.partial/half"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert [path for path in (launcher.cache / "fe2").iterdir() if path.suffix != ".lock"] == []
    assert list(tmp_path.glob("tmp.*")) == []
