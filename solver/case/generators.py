"""Models of the mesh generators of both scales, made from their registries in `meshes`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import create_model, model_validator

from solver.case.parameters import parameter_fields, summary
from solver.case.section import Section


class GeneratorSection(Section):
    """Parameters of a generator that the registry knows under the key `generator`."""

    generator_class: ClassVar[type[Any]]
    generator: str
    """Name of the generator."""

    def build_generator(self, folder: Path = Path()) -> Any:
        """The generator with these parameters; a `file` is relative to `folder`."""
        names = [field.name for field in dataclasses.fields(self.generator_class)]
        values = {name: getattr(self, name) for name in names}
        if "file" in values:
            values["file"] = str(folder / values["file"])
        return self.generator_class(**values)

    @model_validator(mode="after")
    def _accepted_by_the_generator(self) -> "GeneratorSection":
        self.build_generator()
        return self


def generator_sections(registry: Mapping[str, type[Any]], base: type[GeneratorSection]) -> dict[str, type[Section]]:
    """One model per generator, with the keys of `base` beside its own parameters."""
    sections: dict[str, type[Section]] = {}
    for name, generator in registry.items():
        fields: dict[str, Any] = {"generator": (Literal[name], ...), **parameter_fields(generator)}
        model = create_model(name, __base__=base, __doc__=summary(generator), **fields)
        model.generator_class = generator
        sections[name] = model
    return sections
