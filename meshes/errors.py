"""The error of this package."""


class MeshError(ValueError):
    """A mesh that cannot be generated, read or used as asked; the message is one line with the values and a remedy."""
