"""Fills the tables of docs/case-files.md, laws.md, data.md and others from the models that read case files.

    python3 docs/make_reference.py            writes them
    python3 docs/make_reference.py --check    exit code 1 if they are not up to date

What lies between `<!-- generated: KIND NAME -->` and `<!-- end -->` is replaced:

    keys NAME       keys of a definition of the JSON Schema (`Case` and `CellCase` are the files themselves)
    parameters KIND parameters of a law or generator, without the keys that all of them have
    network FAMILY  options under `network` of a family of surrogates
    state LAW       what a law declares: physics, state variables, symmetry
"""

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

from materials.laws import LAWS
from solver.case.cell_case import CellCase
from solver.case.schema import case_schema
from surrogates.families import FAMILIES

NAMES = ("adaptive.md", "case-files.md", "data.md", "laws.md", "surrogates.md")
DOCUMENTS = [Path(__file__).parent / name for name in NAMES]
_BLOCK = re.compile(r"(<!-- generated: (\w+) (\w+) -->\n)(?:.*?)(<!-- end -->)", re.DOTALL)
_NOT_OWN = ("type", "law", "generator", "element", "degree", "quadrature_degree", "formulation")
"""Keys that every law or generator has."""

_PLURALS = {"list of": "lists of", "number": "numbers", "mapping": "mappings", "text": "names"}


def definitions() -> dict[str, dict[str, Any]]:
    """Every definition of the schemas of case files and cell files by name, the files included."""
    case, cell = case_schema(), CellCase.model_json_schema()
    return {**cell["$defs"], **case["$defs"], "Case": case, "CellCase": cell}


def filled(text: str) -> str:
    """A document with its generated parts written anew."""
    known = definitions()

    def replace(match: re.Match[str]) -> str:
        kind, name = match[2], match[3]
        return f"{match[1]}\n{_BLOCKS[kind](name, known)}\n\n{match[4]}"

    return _BLOCK.sub(replace, text)


def keys(name: str, known: dict[str, dict[str, Any]]) -> str:
    """Table of the keys of a definition."""
    definition = known[name]
    required = definition.get("required", ())
    rows = [
        (f"`{key}`", type_words(schema, known), default_words(key in required, schema), meaning(schema, known))
        for key, schema in definition["properties"].items()
    ]
    return table(("key", "type", "default", "meaning"), rows)


def parameters(name: str, known: dict[str, dict[str, Any]]) -> str:
    """Table of the parameters of a law or a generator; a sentence where it has none."""
    schema = known[name]
    entries = {key: value for key, value in schema["properties"].items() if key not in _NOT_OWN}
    if not entries:
        return "No parameters."
    required = schema.get("required", ())
    rows = [
        (f"`{key}`", type_words(entry, known), default_words(key in required, entry), meaning(entry, known))
        for key, entry in entries.items()
    ]
    return table(("parameter", "type", "default", "meaning"), rows)


def state(name: str, _known: dict[str, dict[str, Any]]) -> str:
    """What a law declares."""
    law = LAWS[name]
    physics = f"`{law.physics}`" if law.physics is not None else "any"
    variables = ", ".join(f"`{key}` ({_shape(shape)})" for key, shape in law.state_layout.items()) or "none"
    return f"Physics: {physics}. State: {variables}. Tangent: {'' if law.symmetric else 'not '}symmetric."


def network(name: str, known: dict[str, dict[str, Any]]) -> str:
    """Table of the options under `network` that a family has."""
    own = [field.name for field in dataclasses.fields(FAMILIES[name].network)]
    properties = known["NetworkSection"]["properties"]
    rows = [
        (
            f"`{key}`",
            type_words(properties[key], known),
            default_words(False, properties[key]),
            meaning(properties[key], known),
        )
        for key in own
    ]
    return table(("key", "type", "default", "meaning"), rows)


_BLOCKS = {"keys": keys, "parameters": parameters, "state": state, "network": network}


def type_words(schema: dict[str, Any], known: dict[str, dict[str, Any]]) -> str:
    """The type of a value in words, with its bounds."""
    if "$ref" in schema:
        target = known[schema["$ref"].rsplit("/", 1)[1]]
        return type_words(target, known) if "enum" in target else "mapping"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            words = [type_words(member, known) for member in schema[choice] if member.get("type") != "null"]
            return " or ".join(dict.fromkeys(words))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return _array_words(schema, known)
    if kind in ("number", "integer"):
        return {"number": "number", "integer": "integer"}[kind] + _bounds(schema)
    return {"string": "text", "boolean": "true or false", "object": "mapping"}[kind]


def _array_words(schema: dict[str, Any], known: dict[str, dict[str, Any]]) -> str:
    if "prefixItems" in schema:
        members = list(dict.fromkeys(type_words(item, known) for item in schema["prefixItems"]))
        return f"list of {len(schema['prefixItems'])} ({', '.join(members)})"
    item, low, high = schema["items"], schema.get("minItems"), schema.get("maxItems")
    nullable = any(member.get("type") == "null" for member in item.get("anyOf", ()))
    words = type_words(item, known) + (" or null" if nullable else "")
    count = f"{low} or {high} " if low and high and high > low else f"at least {low} " if low and low > 1 else ""
    for singular, plural in _PLURALS.items():
        if words.startswith(singular):
            return f"list of {count}{plural}{words.removeprefix(singular)}"
    return f"list of {count}({words})"


def _bounds(schema: dict[str, Any]) -> str:
    """Bounds in mathematical signs; those that only stop nonsense are left out."""
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    parts = [f"{sign} {_number(schema[key])}" for key, sign in signs.items() if abs(schema.get(key, 1e9)) < 1e9]
    return f" {', '.join(parts)}" if parts else ""


def default_words(required: bool, schema: dict[str, Any]) -> str:
    """The default of a key: a value, nothing at all, or that it is required."""
    if required:
        return "required"
    value = schema.get("default")
    if value is None or value in ({}, [], "") or isinstance(value, dict):
        return "—"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(_number, value))}]`"
    return f"`{value if isinstance(value, str) else _number(value)}`"


def meaning(schema: dict[str, Any], known: dict[str, dict[str, Any]]) -> str:
    """What a key means: its own description, or that of what it refers to."""
    if "description" in schema:
        return " ".join(str(schema["description"]).split()).replace("|", "\\|").replace("->", "→")
    if "const" in schema:
        return "Says the kind."
    if "$ref" in schema:
        return meaning(known[schema["$ref"].rsplit("/", 1)[1]], known)
    raise KeyError(f"no description of {schema.get('title', schema)}: write one below the field in its model")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    if isinstance(value, float) and value != 0.0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def _shape(shape: tuple[int, ...]) -> str:
    return "scalar" if not shape else " × ".join(map(str, shape)) + " components"


def main() -> int:
    """Write the tables, or compare them with --check."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        wanted = filled(text)
        if wanted != text:
            stale.append(document.name)
            if not check:
                document.write_text(wanted, encoding="utf-8")
    if check and stale:
        print(f"not up to date: {', '.join(stale)}; run python3 docs/make_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
