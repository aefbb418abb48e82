"""What the input and output of an ONNX file are, for a material `{type: surrogate, onnx: FILE}`."""

from typing import TYPE_CHECKING, Any

from pydantic import create_model

from solver.case.parameters import parameter_fields
from solver.case.section import Section
from surrogates.onnx_declaration import Declaration, Input, Output


class _Input(Section):
    """What the network of an ONNX file takes."""


class _Output(Section):
    """What the network of an ONNX file gives."""


if TYPE_CHECKING:
    NetworkInputSection = _Input
    NetworkOutputSection = _Output
else:
    NetworkInputSection = create_model(
        "NetworkInputSection", __base__=_Input, __doc__=_Input.__doc__, **parameter_fields(Input)
    )
    NetworkOutputSection = create_model(
        "NetworkOutputSection", __base__=_Output, __doc__=_Output.__doc__, **parameter_fields(Output)
    )

ONLY_ONNX = ("input", "output", "tangent", "range")
"""Keys of a material that say how an ONNX file is to be understood."""


def declaration(section: Any) -> Declaration:
    """What a material says of its ONNX file."""
    ends: dict[str, Any] = {} if section.input is None else {"input": Input(**section.input.model_dump())}
    if section.output is not None:
        ends["output"] = Output(**section.output.model_dump())
    return Declaration(tangent=section.tangent, range=section.range, **ends)
