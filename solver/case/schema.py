"""The JSON Schema of case files, for editors and for checking cases without this program."""

import dataclasses
from typing import Any, get_args, get_type_hints

from materials.laws import LAWS
from solver.case.case import Case
from solver.case.parameters import attribute_docstrings, summary


def case_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a case file, with every law and generator."""
    schema = Case.model_json_schema(mode="validation")
    _describe_mappings_of_laws(schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fe2 case file",
    }


def _describe_mappings_of_laws(definitions: dict[str, Any]) -> None:
    """Describe the dataclasses among the parameters of laws, such as `Hardening`, which pydantic leaves bare."""
    for law in LAWS.values():
        for hint in get_type_hints(law).values():
            for member in get_args(hint):
                if isinstance(member, type) and dataclasses.is_dataclass(member) and member.__name__ in definitions:
                    definition = definitions[member.__name__]
                    definition["description"] = summary(member)
                    for name, text in attribute_docstrings(member).items():
                        definition["properties"][name]["description"] = text
