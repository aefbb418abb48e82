"""What every section of a case file has in common: strict, frozen, no unknown keys; and the types they share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^\w[\w \-]*$", max_length=80)]
"""A name the user gives: letters, digits, underscores, dashes and blanks, so that it can stand in a key path."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Vector = Annotated[tuple[float, ...], Field(min_length=2, max_length=3)]
PartialVector = Annotated[tuple[float | None, ...], Field(min_length=2, max_length=3)]


class Section(BaseModel):
    """A mapping of a case file. Numbers are never read from text, unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
