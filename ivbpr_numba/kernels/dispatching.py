"""How numba compiles a kernel: for Python with all that a call from there needs, for other kernels without.

Left to itself numba optimises a function and translates it to machine code on every level of calls: alone, in
each kernel that calls it, and in three wrappers around each parallel loop; and it compiles a function anew
for each constant that somebody passes. Nearly all of that is thrown away, since in the end the callers hold
the code of what they call. Here a kernel that another one calls is compiled once for its plain types, to LLVM
code without wrappers, and only what Python calls is optimised, translated and kept in the cache, whole.

This leans on numba's internals, as `cpu.vectors` does; `tests/kernels/test_dispatching.py` says what must
hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import compiler, dispatcher, environment, event, sigutils, types, typing
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.cpu import ParallelOptions
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import ParforPreLoweringPass
from numba.parfors.parfor import Parfor

__all__ = ["Kernel"]

# In a parallel kernel `prange` alone is parallel. An array that is filled or summed stays one thread's work:
# as one more parallel loop it would cost its compilation, and waking the threads.
LOOPS_ALONE = {
    **dict.fromkeys(("comprehension", "fusion", "inplace_binop", "numpy", "reduction"), False),
    **dict.fromkeys(("setitem", "stencil"), False),
    "prange": True,
}


class Whole(JITCodeLibrary):
    """LLVM code that is optimised and translated, all that it calls with it, when an address is asked for."""

    _translated = False

    def _optimize_final_module(self) -> None:
        """numba's step after linking: put off."""

    def _finalize_final_module(self) -> None:
        """numba's last step: put off."""
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
        """Address of a function, 0 where this library defines none of that name."""
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
    """Inside, numba puts whatever it compiles into a `Whole`; the compiler's lock is held."""
    if codegen._library_class is Whole:
        yield
        return
    before, codegen._library_class = codegen._library_class, Whole
    codegen.set_env = lambda name, found: None  # `_translate` does it: before, there is no such variable
    try:
        yield
    finally:
        codegen._library_class = before
        del codegen.set_env


def _inner(flags: Any) -> Any:
    """Flags for what compiled code alone calls."""
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
    """By what numba finds an inner kernel when it writes a call of it."""


class Kernel(CPUDispatcher):
    """A function compiled by numba, as by `numba.njit`.

    Parameters
    ----------
    py_func : function
        It does not call itself.
    targetoptions : dict
        Options of `numba.njit`; of a `parallel` one the loops over `prange` alone are parallel.
    """

    def __init__(self, py_func: Any, locals: Any = None, targetoptions: Any = None) -> None:
        options = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, **(targetoptions or {})}
        if options.get("parallel"):
            options["parallel"] = ParallelOptions(dict(LOOPS_ALONE))  # numba empties the dictionary
        super().__init__(py_func, locals or {}, options)
        how = (py_func, self.targetdescr, options, self.locals, _Pipeline)
        self._compiler = _Compiler(*how)
        self._inner_compiler = _InnerCompiler(*how)
        self._inner: dict[tuple[types.Type, ...], Any] = {}

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What numba asks when another kernel calls this one: its types; it is compiled for them."""
        signature, folded = self._compiler.fold_argument_types(args, kws)
        plain = tuple(types.unliteral(t) for t in folded)
        if plain not in self._inner:
            self._compile_inner(plain)
        name = self.py_func.__name__
        known = [self._inner[plain].signature]
        template = typing.make_concrete_template(f"CallTemplate({name})", name, known)
        return template, signature, plain, {}

    def get_overload(self, sig: Any) -> Any:
        """What numba asks when it writes the call."""
        return self._inner[tuple(sigutils.normalize_signature(sig)[0])].entry_point

    @global_compiler_lock
    def _compile_inner(self, args: tuple[types.Type, ...]) -> None:
        with event.trigger_event("numba:compile", data={"dispatcher": self, "args": args}):
            found = self._inner_compiler.compile(args, None)._replace(entry_point=_Key())
        self.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])
        self._inner[args] = found
