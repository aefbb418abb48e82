"""`fe2 export`: a model folder becomes an ONNX file."""

from pathlib import Path

from solver.case.errors import BadInput
from solver.results.atomic import replacing
from surrogates.family import ModelError
from surrogates.onnx_export import TANGENT, onnx_bytes
from surrogates.store import read_model


def export(folder: Path, out: Path) -> str:
    """Write the model as an ONNX file; what goes in and out of it, for a terminal.

    Raises:
        BadInput: the model is damaged, its family cannot be written as a graph, or the file cannot be made.
    """
    if not out.parent.is_dir() or out.is_dir():
        raise BadInput(f"{out}: --onnx must name a file, such as net.onnx, in a folder that exists")
    try:
        model = read_model(folder)
    except ModelError as error:
        raise BadInput(str(error)) from None
    try:
        content = onnx_bytes(model)
    except ModelError as error:
        raise BadInput(f"{folder}: {error}") from None
    with replacing(out) as unfinished:
        unfinished.write_bytes(content)
    return f"Written: {out}, {model.measure.gradient_name} → {model.measure.flux_name}, {TANGENT}"
