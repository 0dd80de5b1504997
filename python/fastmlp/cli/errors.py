"""Exit codes, the exceptions that have them, and the error line of a failed command.

This module is loaded at every start, `--help` included, and imports nothing slow.
"""

from __future__ import annotations

import enum
import errno
import os
import sys
from typing import IO, Any

import click

from fastmlp.cli.signals import Terminated
from fastmlp.errors import DataUnavailableError, DivergedError, FormatError, RankError
from fastmlp.extras import MissingExtraError

__all__ = [
    "CheckFailedError",
    "CliError",
    "ConfigError",
    "DataError",
    "ExitCode",
    "classify",
    "error_json",
    "printable",
    "use_color",
]


class ExitCode(enum.IntEnum):
    """Exit code of the process; scripts rely on these numbers."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    DATA = 3
    MODEL_FILE = 4
    DIVERGED = 5
    CHECK_FAILED = 6
    EXTRA_MISSING = 7
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


class CliError(Exception):
    """An error with its own exit code; the message is printed unchanged."""

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, message: str, exit_code: ExitCode | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class ConfigError(CliError):
    """The command line, a variable or a path is invalid."""

    exit_code = ExitCode.USAGE


class DataError(CliError):
    """A data set is missing, damaged or inconsistent."""

    exit_code = ExitCode.DATA


class CheckFailedError(CliError):
    """A requirement such as --min-accuracy is not met; the result itself is already printed."""

    exit_code = ExitCode.CHECK_FAILED


def classify(error: BaseException) -> tuple[ExitCode, str]:
    """Return the exit code and the message for the exception that ended a command."""
    if isinstance(error, CliError):
        return error.exit_code, str(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return ExitCode.INTERRUPTED, "interrupted"
    if isinstance(error, Terminated):
        return ExitCode.TERMINATED, "terminated"
    if isinstance(error, click.ClickException):
        return ExitCode.USAGE, _usage_message(error)
    if isinstance(error, RankError):
        if error.__cause__ is None:
            return ExitCode.UNEXPECTED, str(error)
        code, message = classify(error.__cause__)
        return code, f"rank {error.rank} failed: {message}"
    if isinstance(error, DataUnavailableError):
        return ExitCode.DATA, str(error)
    if isinstance(error, DivergedError):
        return ExitCode.DIVERGED, str(error)
    if isinstance(error, FormatError):
        return ExitCode.MODEL_FILE, str(error)
    if isinstance(error, MissingExtraError):
        return ExitCode.EXTRA_MISSING, str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("fastmlp"):
        return ExitCode.EXTRA_MISSING, f"the package {error.name!r} is needed and not installed"
    if isinstance(error, MemoryError):
        return ExitCode.UNEXPECTED, f"out of memory {error}".rstrip()
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
        return ExitCode.USAGE, "the working directory does not exist any more"
    if isinstance(error, OSError):
        no_path = error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
        return ExitCode.USAGE if no_path else ExitCode.UNEXPECTED, str(error)
    if isinstance(error, ImportError) and str(error).startswith("FASTMLP_"):
        return ExitCode.USAGE, str(error)
    text = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
    return ExitCode.UNEXPECTED, f"{text} (run again with --debug for the traceback)"


def _is_nowhere() -> bool:
    """Whether the working directory was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _usage_message(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        message = f"{message} (see '{context.command_path} --help')"
    return message[:1].lower() + message[1:]


def error_json(command: str | None, code: ExitCode, message: str) -> dict[str, Any]:
    """Return the object that `--json` prints when a command has no result to show."""
    return {
        "schema": "fastmlp.error",
        "schema_version": 1,
        "command": command,
        "status": "error",
        "exit_code": int(code),
        "error": message,
    }


def printable(text: str) -> str:
    """Return `text` with control characters escaped; names in files must not move the cursor."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def use_color(stream: IO[str] | None = None, *, no_color: bool = False) -> bool:
    """Return whether to color `stream`, by default standard error.

    --no-color and NO_COLOR switch colors off; otherwise FORCE_COLOR switches them on; otherwise
    only a terminal is colored. An empty variable counts as not set (no-color.org).
    """
    if no_color or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    target = sys.stderr if stream is None else stream
    return target.isatty() and os.environ.get("TERM") != "dumb"
