"""The folder where compiled code is kept between processes.

Its name is a hash of everything that compiled code depends on. numba itself notices an edited function, but not an
edited function that it calls, nor an edited constant of another module: hence one folder for each state of the
sources.
"""

import fcntl
import functools
import hashlib
import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numba.core.caching
from llvmlite import binding

log = logging.getLogger(__name__)

_SOURCE_PACKAGES = ("materials", "rve", "surrogates", "meshes")


@functools.cache
def cache_directory() -> Path:
    """The folder of compiled code that belongs to these sources, this numba and this CPU; created if need be.

    `$FE2_CACHE_DIR/numba/<hash>`, where FE2_CACHE_DIR is `${XDG_CACHE_HOME:-~/.cache}/fe2` unless set. If that is not
    writable, a folder of this user among the temporary files, with a warning.
    """
    root = os.environ.get("FE2_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fe2")
    wanted = Path(root, "numba", _fingerprint())
    try:
        _create(wanted)
    except OSError as error:
        chosen = _temporary_directory()
        log.warning("cannot write to the cache folder %s (%s); compiled code goes to %s", wanted, error, chosen)
        return chosen
    return wanted


def cache_directory_of(source: Path) -> Path:
    """The folder of compiled code of the functions in a source file; created if need be.

    That of `cache_directory` for these sources; below it, one named after the content of a file from elsewhere.
    """
    root = Path(__file__).resolve().parent.parent
    own = any(source.is_relative_to(root / package) for package in _SOURCE_PACKAGES)
    if own or not source.is_file():
        return cache_directory()
    folder = cache_directory() / hashlib.sha256(source.read_bytes()).hexdigest()[:20]
    folder.mkdir(exist_ok=True)
    return folder


def _fingerprint() -> str:
    """Hash of all that compiled code depends on."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for package in _SOURCE_PACKAGES:
        for source in sorted((root / package).rglob("*.py")):
            digest.update(f"{source.relative_to(root)}\0{source.stat().st_size}\0".encode())
            digest.update(source.read_bytes())
    features = binding.get_host_cpu_features().flatten()
    versions = (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name(), features)
    digest.update("\0".join(versions).encode())
    return digest.hexdigest()[:20]


def _create(folder: Path) -> None:
    """Make sure that `folder` exists and takes files, or raise OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _temporary_directory() -> Path:
    """A folder that all processes of this user find and that nobody else can put code into."""
    shared = Path(tempfile.gettempdir(), f"fe2-{os.getuid()}")
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            folder = shared / _fingerprint()
            _create(folder)
            return folder
    except OSError:
        pass  # taken by somebody else: a folder of this process alone still works
    return Path(tempfile.mkdtemp(prefix="fe2-"))


class FunctionCache(numba.core.caching.FunctionCache):  # type: ignore[misc]  # numba has no types
    """numba's cache of one function, safe with concurrent processes and damaged or unwritable files.

    numba replaces files atomically, but two processes that store different signatures of one function at the same time
    may give both the same data file, and so load the wrong code ever after. One lock for all writers prevents it.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code of a signature, or None where there is none or it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except (EOFError, pickle.UnpicklingError) as error:
            log.warning("damaged cache of compiled code in %s (%s): compiling again", self.cache_path, error)
            with _writing():
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code; a full disk costs a compilation later, not the run."""
        try:
            with _writing():
                super().save_overload(sig, data)
        except OSError as error:
            log.warning("compiled code was not kept in %s: %s", self.cache_path, error)


@contextmanager
def _writing() -> Iterator[None]:
    """Only one process at a time writes to the cache."""
    with (cache_directory() / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems have no locks
            log.debug("no lock on %s: %s", lock.name, error)
        yield
