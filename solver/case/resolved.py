"""The resolved case: every default written out, every path absolute, so that it can be run again from anywhere."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from materials.user_law import is_user_law, source_of
from solver.case.case import Case, LocatedCase
from solver.case.cell_case import CellCase
from solver.case.rves import DEFAULT_INTEGRATION

_FILE_KEYS = frozenset({"file", "model", "onnx", "from", "data"})
"""Keys of mesh, geometry, material and training sections that hold paths."""


def resolved(case: LocatedCase) -> dict[str, Any]:
    """Plain data of a case with all defaults; what was left out for good (null) is dropped."""
    data: dict[str, Any] = case.model_dump(mode="json")
    sections: list[dict[str, Any]] = []
    laws: list[dict[str, Any]] = []
    if isinstance(case, Case):
        data["title"] = case.title or case.source.stem
        sections = [data["mesh"], *data["materials"].values(), *(rve["geometry"] for rve in data["rves"].values())]
        sections += [recipe["training"] for recipe in data["surrogates"].values()]
        data["load"] |= {
            "factor": [list(point) for point in case.load.factor_table],
            "adaptive": {"min_step": case.load.min_step, "max_step": case.load.max_step},
        }
        data["output"]["fields"] = list(case.output_fields)
        for name, rve in data["rves"].items():
            rve["formulation"] = case.cell_formulation(name)
            _complete_method(rve)
        element = data["mesh"].get("element")
        if element is not None:
            data["mesh"]["formulation"] = case.macro_formulation(element)
        laws += [*data["materials"].values(), *(law for rve in data["rves"].values() for law in rve["phases"].values())]
    elif isinstance(case, CellCase):
        laws += data["rve"]["phases"].values()
        sections = [data["rve"]["geometry"]]
        data["rve"]["formulation"] = case.formulation
        _complete_method(data["rve"])
    for section in sections:
        for key in _FILE_KEYS & section.keys():
            if section[key] is not None:
                section[key] = str(case.file_path(section[key]).resolve())
    for section in laws:
        if is_user_law(section.get("law", "")):
            file, class_name = source_of(section["law"], case.source.parent)
            section["law"] = f"{file}:{class_name}"
    return {key: _without_null(value) for key, value in data.items() if value is not None}


def _complete_method(rve: dict[str, Any]) -> None:
    """Write out what only cells of `fft` have, and nothing of it for the others, whose description is older."""
    if rve["method"] == "fft":
        rve["integration"] = rve["integration"] or DEFAULT_INTEGRATION
    else:
        del rve["method"], rve["device"]


def _without_null(value: Any) -> Any:
    """Drop null entries of mappings; null in a list means a free component and stays."""
    if isinstance(value, dict):
        return {key: _without_null(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_without_null(entry) for entry in value]
    return value


def dump_yaml(case: LocatedCase) -> str:
    """The resolved case as YAML, for case.yaml of a run directory."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    stream = StringIO()
    yaml.dump(resolved(case), stream)
    return stream.getvalue()
