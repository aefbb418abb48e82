"""The one door between numpy and torch: which device, which precision, how results stay reproducible.

Nothing that an FE run needs imports this module; training does, and the torch form of a family.
"""

import os

import numpy as np

from materials.measures import FloatArray
from surrogates.family import ModelError

try:
    import torch
    from torch import Tensor
    from torch.nn import Module, Parameter
except ModuleNotFoundError as error:  # an optional dependency
    raise ModelError("training needs torch, which is not installed: pip install 'fe2[surrogates]'") from error

__all__ = ["Module", "Parameter", "Tensor", "as_numpy", "as_tensor", "buffer", "device", "reproducible", "torch"]


def device() -> torch.device:
    """The GPU if torch sees one, otherwise the CPU. FE2_TORCH_DEVICE names another, such as `cpu`."""
    named = os.environ.get("FE2_TORCH_DEVICE")
    return torch.device(named or ("cuda" if torch.cuda.is_available() else "cpu"))


def as_tensor(array: FloatArray, where: torch.device | None = None) -> Tensor:
    """A float64 copy of an array on a device, by default the CPU."""
    return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64, device=where)


def as_numpy(tensor: Tensor) -> FloatArray:
    """A float64 copy of a tensor, without its history."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64, order="C")


def buffer(module: Module, name: str, array: FloatArray) -> None:
    """Register an array that belongs to a module and is not trained."""
    module.register_buffer(name, as_tensor(array))


def reproducible(seed: int) -> torch.Generator:
    """Fix every random stream of torch and forbid algorithms whose result depends on timing; a seeded generator."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    return torch.Generator().manual_seed(seed)
