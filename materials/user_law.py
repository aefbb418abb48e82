"""Laws from Python files of users."""

import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from materials.compilation import CompilationError, compile_law
from materials.law import Law

USER_LAW = r"^.+\.py:[A-Za-z_]\w*$"
"""How a case names such a law: `my_laws.py:MyLaw`."""


def is_user_law(name: str) -> bool:
    """Whether a name of a law is that of a class in a file."""
    return re.match(USER_LAW, name) is not None


def source_of(name: str, folder: Path) -> tuple[Path, str]:
    """The file (absolute) and the class that a name stands for; relative files start at `folder`."""
    file, _, class_name = name.rpartition(":")
    return (folder / file).resolve(), class_name


def source_digest(file: Path) -> str:
    """SHA-256 of the content of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load_law(name: str, folder: Path) -> type[Law]:
    """Import the file and return the class, whose point function compiles. The code of the file is executed.

    Raises:
        ValueError: the file is missing, fails, or has no such law; its point function does not compile. One line.
    """
    file, class_name = source_of(name, folder)
    if not file.is_file():
        raise ValueError(f"the file {file} does not exist, paths are relative to the case file")
    law = getattr(_imported(file, source_digest(file)), class_name, None)
    if law is None:
        raise ValueError(f"{file} has no class {class_name}")
    if not (inspect.isclass(law) and issubclass(law, Law)) or inspect.isabstract(law):
        raise ValueError(f"{class_name} of {file} must be a complete subclass of materials.law.Law")
    missing = [attribute for attribute in ("name", "physics", "point") if not hasattr(law, attribute)]
    if missing:
        raise ValueError(f"{class_name} of {file} must say its {', '.join(missing)}")
    try:
        compile_law(law.point)
    except CompilationError as error:
        raise ValueError(f"the point function of {class_name} does not compile: {_one_line(str(error))}") from None
    return law


@functools.cache
def _imported(file: Path, digest: str) -> ModuleType:
    """The module of a file with this content, under a name that no other content has: compiled code refers to it."""
    module_name = f"fe2_user_law_{hashlib.sha256(f'{file}\0{digest}'.encode()).hexdigest()[:20]}"
    specification = importlib.util.spec_from_file_location(module_name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[module_name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a user's file may raise
        del sys.modules[module_name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else 1)
        raise ValueError(f"{file}:{line}: {type(error).__name__}: {_one_line(str(error))}") from None
    return module


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}…"
