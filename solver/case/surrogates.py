"""`surrogates`: recipes, what to sample, which network, how to train."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, create_model, field_validator, model_validator

from solver.case.parameters import parameter_fields
from solver.case.section import Count, Name, Positive, Section
from surrogates.families import FAMILIES
from surrogates.family import Options
from surrogates.microstructures import draw_cells
from surrogates.training import Training

Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Network(Section):
    """Architecture of the network. Which keys there are depends on the family."""


def _network_section() -> type[_Network]:
    """The options of all families; `solver.case.checks` sees to it that a recipe uses those of its own."""
    fields: dict[str, Any] = {}
    for family in FAMILIES.values():
        fields |= parameter_fields(family.network)
    return create_model("NetworkSection", __base__=_Network, __doc__=_Network.__doc__, **fields)


class SamplingSection(Section):
    """Macroscopic paths that the cell is solved on."""

    paths: Count
    """Number of paths."""
    steps: Count = 10
    """Increments of each path."""
    range: Positive
    """Largest component of strain, of F − I, or of the temperature gradient."""
    kind: Literal["proportional", "random_walk", "cyclic", "space_filling"] | None = None
    """Kind of the paths; by default what suits physics and cell."""
    descriptors: dict[Name, Annotated[tuple[float, float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=dict
    )
    """Parameters of the cell's geometry that differ between cells -> smallest and largest value."""
    cells: Count = 8
    """Cells to draw from the ranges of `descriptors`, corners of the ranges first; without them there is one."""
    split: Annotated[tuple[Share, ...], Field(min_length=3, max_length=3)] = (0.7, 0.15, 0.15)
    """Fractions of the paths for training, validation and test; their sum is one."""
    seed: Seed = 0
    """Seed of paths and split."""

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        for name, (lower, upper) in self.descriptors.items():
            if not lower < upper:
                raise ValueError(f"descriptors.{name} goes from {lower:g} to {upper:g}, the second must be larger")
        if self.descriptors:
            draw_cells(tuple(self.descriptors.values()), self.cells, self.seed)
        return self

    @field_validator("split")
    @classmethod
    def _whole(cls, split: tuple[float, ...]) -> tuple[float, ...]:
        if abs(sum(split) - 1.0) > 1e-6:
            raise ValueError(f"the fractions sum up to {sum(split):g}, make it 1")
        if split[0] == 0.0:
            raise ValueError("nothing is left for training, the first fraction must be greater than 0")
        return split


class _Training(Section):
    """How the network is trained; the defaults need no tuning."""


def _training_section() -> type[_Training]:
    start = Field(
        default=None, min_length=1, description="Folder of a trained model of the same network to start from."
    )
    fields: dict[str, Any] = {**parameter_fields(Training), "from": (str | None, start)}
    return create_model("TrainingSection", __base__=_Training, __doc__=_Training.__doc__, **fields)


if TYPE_CHECKING:
    NetworkSection = _Network
    TrainingSection = _Training
else:
    NetworkSection = _network_section()
    TrainingSection = _training_section()


class SurrogateRecipe(Section):
    """One recipe."""

    rve: Name
    """Name of the cell in `rves`."""
    family: Literal["ann", "rnn", "energy", "dissipative", "gp"]
    """Kind of surrogate."""
    ensemble: Count = 1
    """Members, each trained with its own seed."""
    descriptor_nodes: Annotated[int, Field(ge=2, le=100)] = 3
    """Networks along the range of each of the descriptors of `sampling`, which are blended in between."""
    network: NetworkSection = NetworkSection()
    """Architecture of the network."""
    sampling: SamplingSection
    """What it learns from."""
    training: TrainingSection = TrainingSection()
    """How it is trained."""

    def network_options(self) -> Options:
        """The options of the network; the family is one of `FAMILIES`.

        Raises ValueError if they contradict each other, or set one that belongs to another family.
        """
        options = FAMILIES[self.family].network
        own = [field.name for field in dataclasses.fields(options)]
        for name, field in type(self.network).model_fields.items():
            if name not in own and getattr(self.network, name) != field.default:
                raise ValueError(f"family {self.family} has no option {name}, it has {', '.join(own)}; remove it")
        return options(**{name: getattr(self.network, name) for name in own})

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Where on the range of each descriptor there are networks."""
        ranges, nodes = self.sampling.descriptors, self.descriptor_nodes
        return {name: tuple(map(float, np.linspace(*ends, nodes))) for name, ends in ranges.items()}

    def training_settings(self) -> Training:
        """How it is trained."""
        return Training(**{field.name: getattr(self.training, field.name) for field in dataclasses.fields(Training)})

    @property
    def start(self) -> str | None:
        """Folder of a trained model to start from, `from` under `training`."""
        folder: str | None = getattr(self.training, "from")
        return folder
