"""Models of the mesh generators of both scales, made from their registries in `meshes`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_type_hints

from pydantic import Field, create_model, model_validator

from solver.case.section import Section


class GeneratorSection(Section):
    """Parameters of a generator that the registry knows under the key `generator`."""

    generator_class: ClassVar[type[Any]]
    generator: str
    """Name of the generator."""

    def build_generator(self) -> Any:
        """The generator with these parameters."""
        names = [field.name for field in dataclasses.fields(self.generator_class)]
        return self.generator_class(**{name: getattr(self, name) for name in names})

    @model_validator(mode="after")
    def _accepted_by_the_generator(self) -> "GeneratorSection":
        self.build_generator()
        return self


def generator_sections(registry: Mapping[str, type[Any]], base: type[GeneratorSection]) -> dict[str, type[Section]]:
    """One model per generator, with the keys of `base` beside its own parameters."""
    sections: dict[str, type[Section]] = {}
    for name, generator in registry.items():
        hints = get_type_hints(generator, include_extras=True)
        fields: dict[str, Any] = {"generator": (Literal[name], ...)}
        for field in dataclasses.fields(generator):
            if field.default is not dataclasses.MISSING:
                default = Field(default=field.default)
            elif field.default_factory is not dataclasses.MISSING:
                default = Field(default_factory=field.default_factory)
            else:
                default = Field()
            fields[field.name] = (hints[field.name], default)
        summary = (generator.__doc__ or name).strip().splitlines()[0]
        model = create_model(name, __base__=base, __doc__=summary, **fields)
        model.generator_class = generator
        sections[name] = model
    return sections
