"""`surrogates`: recipes, what to sample, which network, how to train."""

from typing import Annotated, Literal

from pydantic import Field

from solver.case.section import Count, Name, Positive, Section

Seed = Annotated[int, Field(ge=0)]


class NetworkSection(Section):
    """Architecture of the network."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 32)
    """Width of each hidden layer."""


class SamplingSection(Section):
    """Macroscopic paths that the cell is solved on."""

    paths: Count
    """Number of paths."""
    steps: Count = 10
    """Increments of each path."""
    range: Positive
    """Largest component of strain, or of F − I."""
    seed: Seed = 0
    """Seed of the paths."""


class TrainingSection(Section):
    """How the network is trained."""

    seed: Seed = 0
    """Seed of weights and batches."""


class SurrogateRecipe(Section):
    """One recipe."""

    rve: Name
    """Name of the cell in `rves`."""
    family: Literal["ann", "rnn", "energy", "dissipative", "gp"]
    """Kind of surrogate."""
    ensemble: Count = 1
    """Members, each trained with its own seed."""
    network: NetworkSection = NetworkSection()
    """Architecture of the network."""
    sampling: SamplingSection
    """What it learns from."""
    training: TrainingSection = TrainingSection()
    """How it is trained."""
