"""Fields of registered dataclasses (laws, generators) as fields of a model."""

import ast
import dataclasses
import inspect
import textwrap
from itertools import pairwise
from typing import Any, get_type_hints

from pydantic import Field


def parameter_fields(declared: type[Any]) -> dict[str, Any]:
    """Field definitions for `pydantic.create_model`: annotation, default and description of each dataclass field."""
    hints = get_type_hints(declared, include_extras=True)
    descriptions = attribute_docstrings(declared)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(declared):
        description = descriptions.get(field.name)
        if field.default is not dataclasses.MISSING:
            info = Field(default=field.default, description=description)
        elif field.default_factory is not dataclasses.MISSING:
            info = Field(default_factory=field.default_factory, description=description)
        else:
            info = Field(description=description)
        fields[field.name] = (hints[field.name], info)
    return fields


def summary(declared: type[Any]) -> str:
    """First line of the docstring of a class."""
    return (inspect.getdoc(declared) or declared.__name__).splitlines()[0]


def attribute_docstrings(declared: type[Any]) -> dict[str, str]:
    """The string under each annotated field of a dataclass and its bases."""
    found: dict[str, str] = {}
    for base in reversed(declared.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except OSError:  # a class without a source file describes itself elsewhere
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, following in pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                found[statement.target.id] = inspect.cleandoc(following.value.value)
    return found
