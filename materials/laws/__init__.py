"""The laws, one file each: a `Law` subclass in a new file of this folder is known by its name in case files."""

import importlib
import inspect
import pkgutil

from materials.law import Law


def _discover() -> dict[str, type[Law]]:
    """Every concrete law that a module of this folder defines, by name."""
    found: dict[str, type[Law]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for _, law in inspect.getmembers(module, inspect.isclass):
            if not issubclass(law, Law) or law.__module__ != module.__name__ or inspect.isabstract(law):
                continue
            if law.name in found:
                raise ImportError(f"two laws are named {law.name}: {found[law.name].__module__}, {law.__module__}")
            found[law.name] = law
    return found


LAWS: dict[str, type[Law]] = _discover()
"""Laws by their name in case files."""
