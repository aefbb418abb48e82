"""Compilation of point laws and kernels by numba, and the folder where compiled code is kept between processes.

A kernel takes a law as a typed function pointer (`LAW_TYPE` in its signature), so that laws and kernels are compiled
apart: L laws and K kernels cost L + K compilations. Importing a module compiles nothing; the first call does, or
`prepare`, which a run calls once so that ranks do not compile the same code side by side.

Compiled code lives in `cache_directory()`, whose name is a hash of everything that compiled code depends on. numba
itself notices an edited function, but not an edited function that it calls, nor an edited constant of another module:
hence one folder for each state of the sources.
"""

import fcntl
import functools
import hashlib
import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import numba
from llvmlite import binding
from mpi4py import MPI
from numba import types
from numba.core.caching import FunctionCache
from numba.core.errors import NumbaError
from numba.core.typing import Signature

log = logging.getLogger(__name__)

_SOURCE_PACKAGES = ("materials", "rve", "surrogates", "meshes")

_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]

LAW_SIGNATURE: Signature = types.int64(_VECTOR, _VECTOR, _VECTOR, types.float64, _VECTOR, _MATRIX, _VECTOR)
"""status = law(gradient (g,), state (s,), parameters (p,), dt, flux (g,), tangent (g, g), new_state (s,))

The last three are written, and g is that of three dimensions.
"""

LAW_TYPE = types.FunctionType(LAW_SIGNATURE)
"""Type of a point law in the signature of a kernel."""


class CompilationError(RuntimeError):
    """A point law or a kernel does not compile."""


class CompilationCount(NamedTuple):
    """What this process did to get its compiled functions."""

    compiled: int
    loaded: int


def jit[F: Callable[..., Any]](function: F) -> F:
    """Decorator of the functions that kernels and point laws are made of; compiled together with their callers."""
    return _dispatcher(function)


def point_law[F: Callable[..., Any]](function: F) -> F:
    """Decorator of a law's point function, which has the arguments of `LAW_SIGNATURE`.

    The function returns a `Status`. It writes flux, tangent and new state and reads nothing from them.
    """
    law = _dispatcher(function)
    _law_dispatchers.append(law)
    return law


def kernel(signature: Signature) -> Callable[[Callable[..., Any]], "Kernel"]:
    """Decorator of a top-level loop over points or elements with exactly one signature.

    A law is passed as its point function where the signature says `LAW_TYPE`.
    """

    def decorate(function: Callable[..., Any]) -> "Kernel":
        made = Kernel(function, signature)
        _kernels.append(made)
        return made

    return decorate


class Kernel:
    """A compiled loop with one signature. Arguments of other types are refused, never compiled for."""

    def __init__(self, function: Callable[..., Any], signature: Signature):
        functools.update_wrapper(self, function)
        self.signature = signature
        self._dispatcher = _dispatcher(function)
        self._ready = False

    def compile(self) -> None:
        """Compile, or load from the cache, now instead of at the first call."""
        if self._ready:
            return
        _compile(self._dispatcher, self.signature)
        self._dispatcher.disable_compile()
        self._ready = True

    def __call__(self, *arguments: Any) -> Any:
        """Run the loop; TypeError if an argument is not what the signature asks for (dtype, contiguity)."""
        if not self._ready:
            self.compile()
        return self._dispatcher(*arguments)


def prepare(comm: MPI.Comm) -> None:
    """Compile every law and kernel of the modules imported so far. Collective.

    One rank per node compiles, the others wait and load. Raises `CompilationError` on all ranks if one fails.
    """
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    failure = _compile_all() if node.rank == 0 else None
    failures = [text for text in comm.allgather(failure) if text]  # also the barrier
    if not failures and node.rank != 0:
        failure = _compile_all()
    failures += [text for text in comm.allgather(failure) if text]
    node.Free()
    if failures:
        raise CompilationError(failures[0])


def compilation_count() -> CompilationCount:
    """Number of functions that this process compiled, and that it loaded from the cache."""
    compiled = sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _dispatchers)
    loaded = sum(sum(dispatcher.stats.cache_hits.values()) for dispatcher in _dispatchers)
    return CompilationCount(compiled, loaded)


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


class _Cache(FunctionCache):  # type: ignore[misc]  # numba has no types
    """numba's cache of one function, safe with concurrent processes and damaged or unwritable files.

    numba replaces files atomically, but two processes that store different signatures of one function at the same time
    may give both the same data file, and so load the wrong code ever after. One lock for all writers prevents it.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (EOFError, pickle.UnpicklingError) as error:
            log.warning("damaged cache of compiled code in %s (%s): compiling again", self.cache_path, error)
            with _writing():
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
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


_dispatchers: list[Any] = []
_law_dispatchers: list[Any] = []
_kernels: list[Kernel] = []


def _dispatcher(function: Callable[..., Any]) -> Any:
    """The numba dispatcher of a function, which stores its code in `cache_directory()`."""
    dispatcher = numba.njit(error_model="numpy")(function)
    configured = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_directory())  # read when a cache is made; other libraries keep their own folder
    try:
        dispatcher._cache = _Cache(function)  # what `enable_caching` does, with our cache
    finally:
        numba.config.CACHE_DIR = configured
    _dispatchers.append(dispatcher)
    return dispatcher


def _compile(dispatcher: Any, signature: Signature) -> None:
    """Compile a dispatcher for one signature, and check what it returns."""
    compiled = dispatcher.get_compile_result(signature)  # the cache key is the tuple of argument types
    if compiled.signature.return_type != signature.return_type:
        raise CompilationError(
            f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__qualname__} returns "
            f"{compiled.signature.return_type} where its signature says {signature.return_type}"
        )


def _compile_all() -> str | None:
    """Compile what is registered; the error as text, so that it can be raised on all ranks together."""
    try:
        for law in _law_dispatchers:
            _compile(law, LAW_SIGNATURE)
        for loop in _kernels:
            loop.compile()
    except (NumbaError, CompilationError) as error:
        return str(error)
    return None
