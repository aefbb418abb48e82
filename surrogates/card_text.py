"""The README of a model folder, written from its card."""

from collections.abc import Mapping
from typing import Any


def readme(card: Mapping[str, Any]) -> str:
    """What a person should know of a model, as Markdown."""
    measured = card["training_range"]
    lines = [
        f"# Surrogate: {card['family']}, {card['physics']}, dimension {card['dimension']}",
        "",
        "A trained stand-in for a material of `fe2`. In a case file:",
        "",
        "    materials:",
        "      NAME: {type: surrogate, model: PATH_OF_THIS_FOLDER}",
        "",
        f"Trained for {measured['of']} between {_rounded(measured['lower'])} and",
        f"{_rounded(measured['upper'])}, component by component;",
        "beyond that range nothing is promised, and runs count such states. Units are those of the data.",
        "",
        *_errors(card.get("errors")),
        *_checks(card.get("checks")),
        f"Created: {card.get('created') or 'not stated'}. Licence: {card.get('licence') or 'not stated'} "
        "(the field `licence` of card.json may be edited).",
        "",
        "`card.json` has all of this for programs, `weights.safetensors` the numbers. Neither holds code.",
        "",
    ]
    return "\n".join(lines)


def _rounded(values: Any) -> Any:
    """Nested lists of numbers to three digits."""
    return [_rounded(value) for value in values] if isinstance(values, list) else float(f"{values:.3g}")


def _errors(errors: Mapping[str, Any] | None) -> list[str]:
    if not errors:
        return ["Its errors have not been measured.", ""]
    rows = [f"Errors on {errors['states']} states that it was not trained on, relative:", ""]
    rows += ["| | rms | 95 % of states below | largest |", "| --- | --- | --- | --- |"]
    for name in ("flux", "tangent"):
        values = errors[f"{name}_error"]
        rows.append(f"| {name} | {values['rms']:.2e} | {values['p95']:.2e} | {values['max']:.2e} |")
    return [*rows, ""]


def _checks(checks: Mapping[str, Any] | None) -> list[str]:
    if not checks:
        return []
    rows = [f"| {name.replace('_', ' ')} | {value:.2e} |" for name, value in checks.items()]
    return ["| check (docs/surrogates.md) | value |", "| --- | --- |", *rows, ""]
