"""The JSON Schema of case files, for editors and for checking cases without this program."""

from typing import Any

from solver.case.case import Case


def case_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a case file, with every law and generator."""
    schema = Case.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fe2 case file",
    }
