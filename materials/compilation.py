"""Compilation of point laws and kernels by numba.

A kernel takes a law as a typed function pointer (`LAW_TYPE` in its signature), so that laws and kernels are compiled
apart: L laws and K kernels cost L + K compilations. Importing a module compiles nothing; the first call does, or
`prepare`, which a run calls once so that ranks do not compile the same code side by side.

Compiled code is kept in `cache_directory()` (materials/compilation_cache.py).
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
from mpi4py import MPI
from numba import types
from numba.core.errors import NumbaError
from numba.core.typing import Signature

from materials.compilation_cache import FunctionCache, cache_directory, cache_directory_of

__all__ = [
    "LAW_SIGNATURE",
    "LAW_TYPE",
    "CompilationCount",
    "CompilationError",
    "Kernel",
    "cache_directory",
    "compilation_count",
    "compile_law",
    "jit",
    "kernel",
    "point_law",
    "prepare",
]

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


class LawPointer(types.WrapperAddressProtocol):  # type: ignore[misc]
    """The address of a compiled point law, for kernels that are called often.

    Given a point law itself, numba looks its address up in every call of a kernel; this remembers it.
    """

    _numba_type_ = LAW_TYPE

    def __init__(self, law: Any) -> None:
        """`law` is compiled, or loaded, when the pointer is first used."""
        self._law = law
        self._address = 0

    def __wrapper_address__(self) -> int:
        """Address of the function that numba calls."""
        if self._address == 0:
            compiled = self._law.get_compile_result(LAW_SIGNATURE)
            self._address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
        return self._address

    def signature(self) -> Signature:
        """That of every point law."""
        return LAW_SIGNATURE


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


def compile_law(law: Callable[..., Any]) -> None:
    """Compile, or load from the cache, one point law.

    Raises `CompilationError` if it is none or does not compile; `prepare` then leaves it out.
    """
    if law not in _law_dispatchers:
        raise CompilationError(f"{getattr(law, '__name__', law)} lacks the decorator materials.compilation.point_law")
    try:
        _compile(law, LAW_SIGNATURE)
    except (NumbaError, CompilationError) as error:
        _law_dispatchers.remove(law)
        raise CompilationError(str(error)) from None


def compilation_count() -> CompilationCount:
    """Number of functions that this process compiled, and that it loaded from the cache."""
    compiled = sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _dispatchers)
    loaded = sum(sum(dispatcher.stats.cache_hits.values()) for dispatcher in _dispatchers)
    return CompilationCount(compiled, loaded)


_dispatchers: list[Any] = []
_law_dispatchers: list[Any] = []
_kernels: list[Kernel] = []


def _dispatcher(function: Callable[..., Any]) -> Any:
    """The numba dispatcher of a function, which stores its code in `cache_directory()`."""
    dispatcher = numba.njit(error_model="numpy")(function)
    configured = numba.config.CACHE_DIR
    folder = cache_directory_of(Path(function.__code__.co_filename))
    numba.config.CACHE_DIR = str(folder)  # read when a cache is made; other libraries keep their own folder
    try:
        dispatcher._cache = FunctionCache(function)  # what `enable_caching` does, with our cache
    finally:
        numba.config.CACHE_DIR = configured
    _dispatchers.append(dispatcher)
    return dispatcher


def _compile(dispatcher: Any, signature: Signature) -> None:
    """Compile a dispatcher for one signature, and check what it returns."""
    compiled = dispatcher.get_compile_result(signature)  # the cache key is the tuple of argument types
    if types.unliteral(compiled.signature.return_type) != signature.return_type:  # `return 0` returns an int64 too
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
