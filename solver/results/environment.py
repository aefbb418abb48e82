"""What a run ran on: versions and machine."""

import os
import platform
import sys
from pathlib import Path

import dolfinx
import h5py
import numba
import numpy as np
import petsc4py
from mpi4py import MPI
from petsc4py import PETSc

from solver.version import program_version


def versions() -> dict[str, str]:
    """Versions of the program and of what its answers depend on."""
    return {
        "fe2": program_version(),
        "python": platform.python_version(),
        "dolfinx": dolfinx.__version__,
        "petsc": ".".join(str(part) for part in PETSc.Sys.getVersion()),
        "petsc4py": petsc4py.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "h5py": h5py.__version__,
        "mpi": MPI.Get_library_version().split("\n")[0].split(",")[0].strip("\0 "),
    }


def machine() -> dict[str, str | int | float]:
    """The machine of rank 0."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1),
        "memory_gib": round(memory, 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
