"""Plain scalars of YAML 1.2 (core schema): `70e3` and `.5` are numbers, `on` and `yes` are text."""

import math
import re

Scalar = str | int | float | bool | None

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")
_CONSTANTS: dict[str, Scalar] = {"": None, "~": None}
for _word, _value in (("null", None), ("true", True), ("false", False)):
    _CONSTANTS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value)

_EXACT_DIGITS = 18  # integers of up to so many digits fit 64 bits


def plain_scalar(text: str) -> Scalar:
    """Value of an unquoted scalar. Raises `ValueError` for not-a-number and numbers beyond a double."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if _NOT_A_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a finite number, write a finite one")
    if _INTEGER.fullmatch(text) and len(text.lstrip("+-0")) <= _EXACT_DIGITS:
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        value = int(text, 0)
        if value.bit_length() > 63:
            raise ValueError("the integer is too large for 64 bits, write a smaller one")
        return value
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("the number is too large for double precision, write a smaller one")
        return number
    return text
