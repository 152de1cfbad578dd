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

from numba.core import compiler, dispatcher, environment, event, sigutils, types, typing
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import ParforPreLoweringPass
from numba.parfors.parfor import Parfor

__all__ = ["Kernel"]


class Whole(JITCodeLibrary):
    """LLVM code that is optimised and translated only when an address in it is asked for.

    What a caller links in is optimised with the caller, whole, instead of once on every level of calls.
    """

    _translated = False

    def _optimize_final_module(self) -> None:
        """The step of numba's `finalize` after linking: put off."""

    def _finalize_final_module(self) -> None:
        """The last step of `finalize`: put off."""
        self._finalized = True

    def _translate(self) -> None:
        self._ensure_finalized()
        if self._translated:
            return
        self._translated = True
        super()._optimize_final_module()
        self._final_module.verify()
        super()._finalize_final_module()
        for variable in self._final_module.global_variables:
            found = environment.lookup_environment(variable.name)
            if found is not None:
                type(self._codegen).set_env(self._codegen, variable.name, found)

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        if not any(f.name == name and not f.is_declaration for f in self._final_module.functions):
            return 0
        self._translate()
        return super().get_pointer_to_function(name)

    def _get_compiled_object(self) -> bytes:
        self._translate()
        return super()._get_compiled_object()


@contextmanager
def _whole(codegen: Any) -> Iterator[None]:
    """Inside, whatever numba compiles is optimised and translated only where an address is asked for."""
    if codegen._library_class is Whole:
        yield
        return
    before, codegen._library_class = codegen._library_class, Whole
    codegen.set_env = lambda name, found: None  # there is no such variable yet
    try:
        yield
    finally:
        codegen._library_class = before
        del codegen.set_env


def _inner(flags: Any) -> Any:
    """The flags for code that only compiled code calls."""
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return flags


@register_pass(mutates_CFG=False, analysis_only=False)
class _InnerBodies(FunctionPass):
    """The body of a parallel loop is called by compiled code alone, also where Python calls the kernel."""

    _name = "ivbpr_inner_bodies"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for statement in block.body:
                if isinstance(statement, Parfor):
                    statement.flags = _inner(statement.flags.copy())
        return True


class _Pipeline(compiler.CompilerBase):
    """numba's own, with `_InnerBodies`."""

    def define_pipelines(self) -> list[Any]:
        passes = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        if self.state.flags.auto_parallel.enabled:
            passes.add_pass_after(_InnerBodies, ParforPreLoweringPass)
        passes.finalize()
        return [passes]


class _Compiler(dispatcher._FunctionCompiler):
    def compile(self, args: tuple[types.Type, ...], return_type: types.Type | None) -> Any:
        with _whole(self.targetdescr.target_context.codegen()):
            return super().compile(args, return_type)


class _InnerCompiler(_Compiler):
    def _customize_flags(self, flags: Any) -> Any:
        return _inner(flags)


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
        arguments = (py_func, self.targetdescr, options, self.locals, _Pipeline)
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
