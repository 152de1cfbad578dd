"""How numba compiles a kernel: once with machine code where Python calls it, once without for its callers.

A kernel that others call ends inside their machine code: its own would never run. So for a caller it is
compiled for plain types (numba would compile it anew for every constant that somebody passes), without the
wrappers through which Python and C would call it, and to LLVM code alone. Only what Python calls becomes
machine code and goes to the cache. This leans on numba's internals, as `cpu.vectors` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import compiler, dispatcher, event, sigutils, types, typing
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

__all__ = ["Kernel"]


class Uncoded(JITCodeLibrary):
    """LLVM code that becomes machine code only when an address in it is asked for."""

    _coded = False

    def _finalize_final_module(self) -> None:
        """The last step of numba's `finalize`: put off."""
        self._finalized = True

    def _code(self) -> None:
        self._ensure_finalized()
        if not self._coded:
            self._coded = True
            super()._finalize_final_module()

    def get_pointer_to_function(self, name: str) -> int:
        self._code()
        return super().get_pointer_to_function(name)

    def _get_compiled_object(self) -> bytes:
        self._code()
        return super()._get_compiled_object()


@contextmanager
def _uncoded(codegen: Any) -> Iterator[None]:
    """Inside, everything that numba compiles becomes machine code only where an address is asked for."""
    before = codegen._library_class
    codegen._library_class = Uncoded
    try:
        yield
    finally:
        codegen._library_class = before


class _Compiler(dispatcher._FunctionCompiler):
    def compile(self, args: tuple[types.Type, ...], return_type: types.Type | None) -> Any:
        with _uncoded(self.targetdescr.target_context.codegen()):
            return super().compile(args, return_type)


class _InnerCompiler(_Compiler):
    def _customize_flags(self, flags: Any) -> Any:
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        return flags


class _Key:
    """By what numba finds a compiled kernel when it writes a call of it."""


class Kernel(CPUDispatcher):
    """A compiled function.

    Parameters
    ----------
    function : function
    options : dict
        Of `numba.njit`.
    """

    def __init__(self, py_func: Any, locals: Any = None, targetoptions: Any = None) -> None:
        options = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, **(targetoptions or {})}
        super().__init__(py_func, locals, options)
        arguments = (py_func, self.targetdescr, options, self.locals, compiler.Compiler)
        self._compiler = _Compiler(*arguments)
        self._inner = _InnerCompiler(*arguments)
        self._within: dict[tuple[types.Type, ...], Any] = {}

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What a caller needs to know of its types; it is compiled for these."""
        pysig, folded = self._compiler.fold_argument_types(args, kws)
        plain = tuple(types.unliteral(t) for t in folded)
        if plain not in self._within:
            self._compile_within(plain)
        name = self.py_func.__name__
        signatures = [self._within[plain].signature]
        template = typing.make_concrete_template(f"CallTemplate({name})", name, signatures)
        return template, pysig, plain, {}

    def get_overload(self, sig: Any) -> Any:
        return self._within[tuple(sigutils.normalize_signature(sig)[0])].entry_point

    @global_compiler_lock
    def _compile_within(self, args: tuple[types.Type, ...]) -> None:
        with event.trigger_event("numba:compile", data={"dispatcher": self, "args": args}):
            found = self._inner.compile(args, None)._replace(entry_point=_Key())
        self.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])
        self._within[args] = found
