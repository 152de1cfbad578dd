"""Wiring: commands, the options before them, and the one place where errors become exit codes."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

import ivbpr_numba
from ivbpr_cli.commands import (
    auc,
    compare,
    demo,
    doctor,
    explain,
    features,
    fit,
    guide,
    inspect,
    interact,
    network,
    network_evaluate,
    prepare,
    recommend,
    report,
    score,
    serve,
    similar,
    table2,
    trends,
    tune,
    update,
    verify,
    warmup,
    world,
)
from ivbpr_cli.failures import describe
from ivbpr_cli.output import drop_stdout, say_error, say_warning
from ivbpr_cli.settings import State, add_environment, add_root_options, with_screen
from ivbpr_cli.streams import open_streams
from ivbpr_numba.errors import Interrupted

__all__ = ["build", "main", "run"]

HELP = "Visually aware recommendation with reasons: prepare, fit, judge, recommend, explain."

_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "prepare": prepare.prepare,
    "fit": fit.fit,
    "tune": tune.tune,
    "update": update.update,
    "auc": auc.auc,
    "compare": compare.compare,
    "table2": table2.table2,
    "recommend": recommend.recommend,
    "similar": similar.similar,
    "score": score.score,
    "explain": explain.explain,
    "interact": interact.interact,
    "trends": trends.trends,
    "serve": serve.serve,
    "report": report.report,
    "inspect": inspect.inspect,
    "verify": verify.verify,
    "world": world.world,
    "guide": guide.guide,
    "doctor": doctor.doctor,
    "warmup": warmup.warmup,
}
_FEATURES: dict[str, Callable[..., None]] = {
    "table": features.table,
    "import": features.import_,
    "extract": features.extract,
    "info": features.info,
    "examples": features.examples,
}
_NETWORK: dict[str, Callable[..., None]] = {
    "train": network.train,
    "export": network.export,
    "evaluate": network_evaluate.evaluate,
}
_GROUPS = {
    "features": (_FEATURES, "Feature files: from a catalogue, a matrix or photos, and what is in them."),
    "network": (_NETWORK, "The attribute network: train, judge, export."),
}


def _version(value: bool | None) -> None:
    if value:
        typer.echo(f"ivbpr {ivbpr_numba.__version__}")
        raise typer.Exit


def _start(
    version: Annotated[
        bool | None, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = None,
) -> None:
    """Nothing to do before the command: the options have been remembered by their callbacks."""


def build() -> Any:
    """The command tree, every option with its environment names."""
    settings: dict[str, Any] = {"no_args_is_help": True, "pretty_exceptions_enable": False}
    app = typer.Typer(name="ivbpr", help=HELP, **settings)
    app.callback()(add_root_options(_start))
    for name, function in _COMMANDS.items():
        app.command(name)(with_screen(function))
    for name, (functions, help) in _GROUPS.items():
        group = typer.Typer(help=help, **settings)
        for own, function in functions.items():
            group.command(own)(with_screen(function))
        if functions:
            app.add_typer(group, name=name)
    root = typer.main.get_command(app)
    add_environment(root)
    return root


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    state, root = State(), None
    try:
        with _terminate_like_interrupt(), _warnings_as_lines():
            root = build()
            code = root.main(list(arguments), prog_name="ivbpr", standalone_mode=False, obj=state)
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        drop_stdout()
        return 0
    except SystemExit as left:
        if not isinstance(left.__context__, BrokenPipeError):
            raise
        drop_stdout()  # the reader of a help has left
        return 0
    except (_Terminated, KeyboardInterrupt) as stop:
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    except Exception as error:
        if state.debug or "--debug" in arguments:
            traceback.print_exc()
        code, text = describe(error, state.command, root)
        if isinstance(error, Interrupted) and error.resume_with is not None:
            text = f"{text} Go on with: {_resuming(arguments, error.resume_with)}"
        if text:
            say_error(text)
        return code


def _resuming(arguments: Sequence[str], resume_with: str) -> str:
    """The command line that goes on where this one was interrupted."""
    kept = [a for a in arguments if a not in ("--overwrite", "--resume")]
    return shlex.join(["ivbpr", *kept, *([f"--{resume_with}"] if resume_with else [])])


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show what the library warns of as it shows its own warnings: a sentence, each once, without a place."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, UserWarning):
            shown(message, category, *where, **more)
        elif str(message) not in said:
            said.add(str(message))
            say_warning(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        shown, warnings.showwarning = warnings.showwarning, show
        yield


class _Terminated(BaseException):
    """SIGTERM has come."""


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that temporary files are removed; `fit` has its own way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _Terminated

    def again(lost: sys.UnraisableHookArgs) -> None:
        """The exception was lost in code that raises none (`__del__`, a callback): send the signal anew."""
        number = {_Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}.get(lost.exc_type)
        if number is None:
            hook(lost)
        else:
            main = threading.main_thread().ident or 0
            threading.Timer(0.01, signal.pthread_kill, [main, number]).start()

    before, hook = signal.signal(signal.SIGTERM, stop), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def main() -> None:
    """Entry point of the ``ivbpr`` script."""
    open_streams()
    sys.exit(run(sys.argv[1:]))
