"""Models of the laws, made from the registry: a law file added to `materials/laws` needs no change here."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from materials.law import Law
from materials.laws import LAWS
from solver.case.parameters import parameter_fields, summary
from solver.case.section import Section
from solver.case.tagged_union import tagged_union


class LawSection(Section):
    """A law and its parameters, as a phase of a cell or (with `type: law`) as a material."""

    law_class: ClassVar[type[Law]]

    def build(self) -> Law:
        """The law with these parameters."""
        names = [field.name for field in dataclasses.fields(self.law_class)]
        return self.law_class(**{name: getattr(self, name) for name in names})

    @model_validator(mode="after")
    def _accepted_by_the_law(self) -> "LawSection":
        self.build()
        return self


def _law_section(name: str, law: type[Law], *, material: bool) -> type[LawSection]:
    kind: dict[str, Any] = {"type": (Literal["law"], ...)} if material else {}
    fields: dict[str, Any] = {**kind, "law": (Literal[name], ...), **parameter_fields(law)}
    title = f"{name}{'_material' if material else ''}"
    model = create_model(title, __base__=LawSection, __doc__=summary(law), **fields)
    model.law_class = law
    return model


PHASES = {name: _law_section(name, law, material=False) for name, law in LAWS.items()}
LAW_MATERIALS = {name: _law_section(name, law, material=True) for name, law in LAWS.items()}

if TYPE_CHECKING:
    Phase = LawSection

    class LawMaterialSection(LawSection):
        """A law as a material."""

        type: Literal["law"]
else:
    Phase = tagged_union("law", PHASES, "law")
    LawMaterialSection = tagged_union("law", LAW_MATERIALS, "law")
Phases = dict[Annotated[str, Field(min_length=1)], Phase]
