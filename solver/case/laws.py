"""Models of the laws, made from the registry: a law file added to `materials/laws` needs no change here."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, create_model, model_validator

from materials.law import Law
from materials.laws import LAWS
from materials.user_law import USER_LAW, is_user_law, load_law
from solver.case.closest import unknown
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


class UserLawSection(LawSection):
    """A law from a Python file, which is executed; the other keys are the parameters that its class declares."""

    model_config = ConfigDict(extra="allow")

    law: Annotated[str, Field(pattern=USER_LAW)]
    """`FILE.py:CLASS`; the file is relative to the case file."""

    _folder: Path = PrivateAttr(default=Path())

    def build(self) -> Law:
        """The law with these parameters."""
        law = load_law(self.law, self._folder)
        given = self.model_extra or {}
        known = [field.name for field in dataclasses.fields(law)]
        for name in given:
            if name not in known:
                raise ValueError(unknown(f"parameter of {law.__name__}", name, known))
        section = _law_section(self.law, law, material=False)
        return section.model_validate_json(json.dumps({"law": self.law, **given})).build()

    @model_validator(mode="after")
    def _accepted_by_the_law(self, info: ValidationInfo) -> "UserLawSection":
        if info.context is not None:
            self._folder = info.context["folder"]
        self.build()
        return self


class UserLawMaterialSection(UserLawSection):
    """A law from a Python file as a material."""

    type: Literal["law"]


PHASES = {name: _law_section(name, law, material=False) for name, law in LAWS.items()}
LAW_MATERIALS = {name: _law_section(name, law, material=True) for name, law in LAWS.items()}

if TYPE_CHECKING:
    Phase = LawSection

    class LawMaterialSection(LawSection):
        """A law as a material."""

        type: Literal["law"]
else:
    Phase = tagged_union("law", PHASES, "law", foreign=("user", is_user_law, UserLawSection))
    LawMaterialSection = tagged_union(
        "law", LAW_MATERIALS, "law", foreign=("user", is_user_law, UserLawMaterialSection)
    )
Phases = dict[Annotated[str, Field(min_length=1)], Phase]
