"""`materials`: what a region of the macroscale is made of."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from solver.case.expression import Expression
from solver.case.foreign_networks import NetworkInputSection, NetworkOutputSection
from solver.case.laws import LawMaterialSection
from solver.case.section import Count, Name, Positive, Section
from solver.case.tagged_union import tagged_union


class RveMaterialSection(Section):
    """A cell of `rves` at every integration point."""

    type: Literal["rve"]
    rve: Name
    """Name of the cell in `rves`."""


class SurrogateMaterialSection(Section):
    """A trained surrogate."""

    type: Literal["surrogate"]
    model: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the model, relative to the case file."""
    onnx: Annotated[str, Field(min_length=1)] | None = None
    """ONNX file with a network from elsewhere instead, relative to the case file."""
    input: NetworkInputSection | None = None
    """Of an ONNX file: what it takes; by default the gradient of the physics as full tensors."""
    output: NetworkOutputSection | None = None
    """Of an ONNX file: what it gives; by default the flux that belongs to its input as full tensors."""
    tangent: str | None = None
    """Of an ONNX file: its output with the derivative of the flux; by default the graph is differentiated."""
    range: Positive | None = None
    """Of an ONNX file: largest absolute component of strain, or of ∇T, that it was trained for; by default unknown."""
    descriptors: dict[Name, float | str] = Field(default_factory=dict)
    """Of a model for many microstructures: which one, each a number or an expression in x, y, z (`0.1 + 0.2*x/48`)."""

    @field_validator("descriptors")
    @classmethod
    def _readable(cls, descriptors: dict[str, float | str]) -> dict[str, float | str]:
        for name, source in descriptors.items():
            try:
                Expression(source)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return descriptors


class TrustSection(Section):
    """When an answer of the surrogate is believed."""

    measure: Literal["distance", "ensemble", "variance", "range"] = "distance"
    """What the score of a point is computed from."""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=True)] = 0.01
    """Relative flux error that is accepted. 0: nothing is trusted; `.inf`: everything is."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Confidence of the calibrated threshold."""


class RetrainSection(Section):
    """When the surrogate is trained again during a run."""

    every: Annotated[int, Field(ge=0)] = 1
    """Accepted increments between two trainings at least. 0: the surrogate stays as it is."""
    samples: Count = 100
    """New states of the cell between two trainings at least."""
    explore: Annotated[int, Field(ge=0)] = 1000
    """States that cells are solved for ahead of a training at most, beyond those that the run has reached."""
    reach: Annotated[float, Field(gt=1, le=10)] = 5.0
    """Size of these states relative to those that the run has reached."""
    deterministic: bool = True
    """Whether the same case always gives the same decisions. Otherwise the clock says whether learning pays."""


class AuditSection(Section):
    """Surrogate points that are solved again by the cell, to measure the error in the run."""

    fraction: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Share of the surrogate points."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the choice."""


class AdaptiveMaterialSection(Section):
    """A cell and a surrogate, routed point by point by trust."""

    type: Literal["adaptive"]
    rve: Name
    """Name of the cell in `rves`."""
    surrogate: Name
    """Name of the recipe in `surrogates`."""
    model: Annotated[str, Field(min_length=1)] | None = None
    """Folder of a trained model to start from."""
    data: Annotated[str, Field(min_length=1)] | None = None
    """Dataset of the cell that the surrogate also learns from, such as the one that an earlier run gained."""
    mode: Literal["concurrent", "iterate"] = "concurrent"
    """Whether the surrogate learns during the run, or between repetitions of it."""
    passes: Count = 10
    """Repetitions at most, with `mode: iterate`."""
    trust: TrustSection = TrustSection()
    """When an answer of the surrogate is believed."""
    retrain: RetrainSection = RetrainSection()
    """When the surrogate is trained again."""
    audit: AuditSection = AuditSection()
    """Which of its points are solved again by the cell."""


if TYPE_CHECKING:
    MaterialSection = LawMaterialSection | RveMaterialSection | SurrogateMaterialSection | AdaptiveMaterialSection
else:
    MaterialSection = tagged_union(
        "type",
        {
            "law": LawMaterialSection,
            "rve": RveMaterialSection,
            "surrogate": SurrogateMaterialSection,
            "adaptive": AdaptiveMaterialSection,
        },
        "material type",
    )
Materials = dict[Name, MaterialSection]
