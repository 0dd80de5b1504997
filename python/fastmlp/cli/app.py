"""The `fastmlp` program: loading of commands by name, signals, exit codes of errors.

This module imports neither NumPy nor the core.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, cast

import click

import fastmlp
from fastmlp import _files
from fastmlp._system import is_closed_pipe
from fastmlp.cli.errors import CliError, ExitCode, classify, error_json, printable, use_color
from fastmlp.cli.launch import connecting
from fastmlp.cli.options import GroupBase, State, common_options
from fastmlp.cli.signals import Signals, Terminated

__all__ = ["cli", "run"]

COMPLETION_VARIABLE = "_FASTMLP_COMPLETE"
# One line of help per command, so that the group's help and completion import no command.
COMMANDS = {
    "train": "Train a network and keep the run in a directory.",
    "evaluate": "Measure a model on samples.",
    "importance": "Show which columns the predictions depend on.",
    "predict": "Predict for new samples, from files or a pipe.",
    "serve": "Answer requests over HTTP.",
    "play": "Open a playground: watch networks learn, in the browser.",
    "export": "Write a model as ONNX, NPZ or a C header.",
    "inspect": "Show the content of a model file or checkpoint.",
    "plot": "Draw curves, weights, confusion matrix and more.",
    "report": "Write the report of a run as one HTML file.",
    "look": "Show what a table holds, and the command that trains on it.",
    "lr-find": "Find a learning rate by a range test.",
    "cv": "Train and test a model on each fold of the data.",
    "sweep": "Search for settings with several processes.",
    "compare": "Put runs, or other libraries, side by side.",
    "bench": "Compare the time of training steps with other libraries.",
    "data": "List, fetch, verify and clear data sets.",
    "config": "Create, show and check settings files.",
    "runs": "List, show and remove runs.",
    "info": "Show version, CPU, extras; check the installation.",
    "completion": "Print the completion script of a shell.",
    "help": "Show the help of a command.",
}

GROUP_EXAMPLES = """\
fastmlp train mnist
fastmlp train flowers.csv --target species --epochs 50
fastmlp predict runs/001-mnist new.csv --probabilities > answers.csv
fastmlp report runs/001-mnist
fastmlp data list"""


class LazyGroup(GroupBase):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; its module has the same name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"fastmlp.cli.commands.{name}"), name)
        assert isinstance(command, click.Command)
        if cmd_name != "train":
            connecting.close()
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names of commands without importing them."""
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"fastmlp {fastmlp.__version__}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    examples=GROUP_EXAMPLES,
    epilog=(
        "Every long option can also be set by a variable: --epochs by FASTMLP_EPOCHS. "
        "A flag overrides the variable. Exit codes: 0 ok, 1 unexpected, 2 usage, 3 data missing "
        "or corrupt, 4 model file invalid, 5 diverged, 6 requested check failed, 7 extra missing, "
        "130 Ctrl-C, 141 the output was closed, 143 SIGTERM."
    ),
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@common_options(json_option=False)
def cli() -> None:
    """Train multi-layer perceptrons on CPUs, fast and reproducible to the last bit."""


def _report(error: BaseException, state: State, args: Sequence[str]) -> int:
    """Print the error as one line on standard error and return the exit code."""
    code, message = classify(error)
    if state.is_silent:
        return int(code)
    message = printable(message)
    if state.debug or "--debug" in args:
        traceback.print_exception(error, file=sys.stderr)
    head = "error:" if code not in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) else ""
    if head and use_color(no_color=state.no_color or "--no-color" in args):
        head = click.style(head, fg="red", bold=True)
    click.echo(f"fastmlp: {head} {message}".replace(":  ", ": "), err=True, color=True)
    # A usage error may occur before --json is parsed, so the raw arguments are searched too.
    if (state.json or "--json" in args) and not state.result_printed:
        with contextlib.suppress(OSError):  # standard output may be what failed
            click.echo(json.dumps(error_json(state.command, code, message)))
    _discard_unwritable_output()
    return int(code)


class _Lenient:
    """Standard error that drops what nobody reads any more: progress must not end work."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it if the pipe is closed."""
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or drop its content if the pipe is closed."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if not is_closed_pipe(error):
            raise error
        _discard(self._stream)


@contextlib.contextmanager
def _standard_streams() -> Iterator[None]:
    """Give a process without standard output or error one that discards everything.

    A character that the encoding of a stream lacks is written as its number.
    """
    with contextlib.ExitStack() as stack:
        if sys.stdout is None:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        if sys.stderr is None:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stack.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="backslashreplace")
        stack.enter_context(contextlib.redirect_stderr(cast("Any", _Lenient(sys.stderr))))
        yield


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each Python warning as one line, without the source line that issued it."""

    def show(message: Warning | str, *_rest: Any, **_more: Any) -> None:
        click.echo(f"fastmlp: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@_standard_streams()
@_warnings_as_lines()
def run(args: Sequence[str] | None, signals: Signals) -> int:
    """Run the command line and convert every error to an exit code; see `fastmlp.cli.main`."""
    arguments = list(sys.argv[1:] if args is None else args)
    state = State()
    signals.report = lambda error: _report(error, state, arguments)
    signals.clean_up = _files.remove_unfinished
    code = _code_of(arguments, state, signals)
    signals.finish(code)
    return code


def _code_of(arguments: list[str], state: State, signals: Signals) -> int:
    """Run the command line, report its error, if any, and return the exit code."""
    try:
        code = _call(arguments, state)
        sys.stdout.flush()  # what cannot be written is an error of the command
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    except (Exception, KeyboardInterrupt, Terminated) as error:
        if is_closed_pipe(error):  # without a message: `fastmlp data list | head -1`
            _discard_unwritable_output()
            return int(ExitCode.PIPE_CLOSED)
        # Libraries turn the exception of a signal into others.
        is_other = signals.first is not None and not isinstance(error, (CliError, click.Abort))
        failure = signals.exception() if is_other else error
        return (
            _report(failure, state, arguments) if signals.first is None else signals.failed(failure)
        )
    finally:
        _files.remove_unfinished()


def _call(arguments: list[str], state: State) -> int:
    """Run a command, or complete one for a shell, and return the exit code."""
    # Not `cli.main`, which ends the process by itself where a pipe is closed.
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "fastmlp", COMPLETION_VARIABLE, instruction)
    try:
        with cli.make_context("fastmlp", arguments, obj=state) as ctx:
            outcome = cli.invoke(ctx)
    except click.exceptions.Exit as end:
        outcome = end.exit_code
    return int(outcome) if isinstance(outcome, int) else 0


def _discard_unwritable_output() -> None:
    """Discard the rest of standard output if it cannot be written.

    The interpreter flushes it at exit, which would raise the error again and end with code 120.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)


def _discard(stream: Any) -> None:
    """Let everything that is written to a stream vanish."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)
