"""`boundary_conditions`: prescribed values and loads."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from solver.case.section import PartialVector, Section, Vector

ConditionKind = Literal["displacement", "traction", "temperature", "flux", "body_force"]
KINDS: tuple[ConditionKind, ...] = ("displacement", "traction", "temperature", "flux", "body_force")
MECHANICAL = ("displacement", "traction", "body_force")


class BoundaryCondition(Section):
    """One condition: a boundary and exactly one of the kinds; a body force has no boundary."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    boundary: Annotated[str, Field(min_length=1)] | None = None
    """Name of a boundary: left right bottom top (front back) on generated meshes, else a physical group."""
    displacement: PartialVector | None = None
    """Prescribed displacement; a component that is null stays free."""
    traction: Vector | None = None
    """Dead load per reference length or area."""
    temperature: float | None = None
    """Prescribed temperature."""
    flux: float | None = None
    """Heat inflow per area."""
    body_force: Vector | None = None
    """Dead load per reference area or volume, on the whole body."""
    constant: bool = False
    """Keep the value unscaled by the load factor."""

    @property
    def kind(self) -> ConditionKind:
        """Which of the kinds this condition is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def value(self) -> float | tuple[float | None, ...]:
        """Value of that kind."""
        value: float | tuple[float | None, ...] = getattr(self, self.kind)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "BoundaryCondition":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if not given:
            text = f"needs one of the keys {', '.join(KINDS)}"
            raise PydanticCustomError("no_condition", "{text}", {"text": text})
        if len(given) > 1:
            text = f"`{given[0]}` and `{given[1]}` in one entry, write one entry for each"
            raise PydanticCustomError("two_conditions", "{text}", {"text": text, "key": given[1]})
        if given == ["body_force"] and self.boundary is not None:
            text = "a body force acts on the whole body, remove `boundary` or use `traction`"
            raise PydanticCustomError("body_force_boundary", "{text}", {"text": text, "key": "boundary"})
        if given != ["body_force"] and self.boundary is None:
            text = f"`{given[0]}` needs the key `boundary`: the name of a boundary"
            raise PydanticCustomError("boundary_missing", "{text}", {"text": text})
        if self.displacement is not None and all(component is None for component in self.displacement):
            text = "every component is null, so nothing is prescribed; give a number or remove the entry"
            raise PydanticCustomError("free_displacement", "{text}", {"text": text, "key": "displacement"})
        return self
