"""The families, one file each: a `Family` subclass in a new file of this folder is known by its name in case files."""

import importlib
import inspect
import pkgutil

from surrogates.family import Family


def _discover() -> dict[str, type[Family]]:
    """Every concrete family that a module of this folder defines, by name."""
    found: dict[str, type[Family]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for _, family in inspect.getmembers(module, inspect.isclass):
            if not issubclass(family, Family) or family.__module__ != module.__name__ or inspect.isabstract(family):
                continue
            if family.name in found:
                raise ImportError(
                    f"two families are named {family.name}: {found[family.name].__module__}, {family.__module__}"
                )
            found[family.name] = family
    return found


FAMILIES: dict[str, type[Family]] = _discover()
"""Families by their name in case files."""
