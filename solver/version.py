"""Version of the program."""

from importlib import metadata
from pathlib import Path


def program_version() -> str:
    """Version of fe2 as installed; that of pyproject.toml when it runs from a checkout."""
    try:
        return metadata.version("fe2")
    except metadata.PackageNotFoundError:
        pass
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    if pyproject.is_file():
        for line in pyproject.read_text(encoding="utf-8").splitlines():
            if line.startswith("version"):
                return line.split("=")[1].strip().strip("\"'") + " (checkout)"
    return "unknown"
