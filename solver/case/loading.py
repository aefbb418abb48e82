"""From a file, or its text, to a validated case."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from solver.case.case import Case, LocatedCase
from solver.case.cell_case import CellCase, check_cell_case
from solver.case.checks import check_case
from solver.case.errors import WrongValue
from solver.case.messages import bad_input
from solver.case.overrides import apply_overrides
from solver.case.source import parse_case_text, read_text


def load_case(path: str | Path, overrides: Sequence[str] = ()) -> Case:
    """Read, override and validate a case file.

    Args:
        path: the case file; paths in it are relative to its folder.
        overrides: `key.path=value` strings, as `--set` gives them.

    Raises:
        BadInput: one line that names file, line, key, what is wrong and what would be right.
    """
    return parse_case(read_text(Path(path)), path, overrides)


def load_cell_case(path: str | Path, overrides: Sequence[str] = ()) -> CellCase:
    """Read and validate a CELL.yaml; see `load_case`."""
    return parse_cell_case(read_text(Path(path)), path, overrides)


def parse_case(text: str, path: str | Path, overrides: Sequence[str] = ()) -> Case:
    """Validate the text of a case file; `path` is where it came from."""
    case = _validate(Case, text, Path(path), overrides)
    try:
        check_case(case)
    except WrongValue as error:
        raise case.bad_input(error.path, error.message) from None
    return case


def parse_cell_case(text: str, path: str | Path, overrides: Sequence[str] = ()) -> CellCase:
    """Validate the text of a CELL.yaml; `path` is where it came from."""
    case = _validate(CellCase, text, Path(path), overrides)
    try:
        check_cell_case(case)
    except WrongValue as error:
        raise case.bad_input(error.path, error.message) from None
    return case


def _validate[AnyCase: LocatedCase](model: type[AnyCase], text: str, path: Path, overrides: Sequence[str]) -> AnyCase:
    """Strict validation as JSON: lists may become tuples and text a name, but never text a number."""
    root = parse_case_text(text, str(path))
    apply_overrides(root, str(path), overrides)
    try:
        case = model.model_validate_json(json.dumps(root.plain()), context={"folder": path.parent})
    except ValidationError as error:
        raise bad_input(error, root, model) from None
    case.attach(root, path)
    return case
