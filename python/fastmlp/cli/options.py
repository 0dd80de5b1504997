"""Parts of all commands: the state of one call, common options, parameter types, help pages."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastmlp._system import quoted
from fastmlp.cli.variables import unknown_variables, variable_of
from fastmlp.errors import did_you_mean

__all__ = [
    "Choice",
    "CommandBase",
    "Fraction",
    "GroupBase",
    "Number",
    "State",
    "Whole",
    "common_options",
    "data_dir_option",
    "encoding_option",
    "format_page",
    "header_option",
    "offline_option",
    "quiet_option",
    "separator_option",
    "state_of",
    "threads_option",
    "unknown",
]

_DATA_ARGUMENTS = ("dataset", "samples")
CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

# click.ParamType is generic since click 8.4 and not subscriptable in earlier releases.
if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """The switches needed to report an error, even if the command was never called.

    `next_steps` are commands, as words, that a user may want after this one.
    """

    command: str | None = None
    debug: bool = False
    json: bool = False
    no_color: bool = False
    result_printed: bool = False
    is_silent: bool = False  # another process reports errors
    next_steps: list[tuple[str, ...]] = field(default_factory=list)

    def suggest(self, *words: object) -> None:
        """Add a command that a user may want next; its arguments must exist."""
        self.next_steps.append(tuple(map(_as_argument, words)))


def _as_argument(word: object) -> str:
    """Return a word of a command; a path that looks like an option begins with its folder."""
    text = str(word)
    return f".{os.sep}{text}" if isinstance(word, PurePath) and text.startswith("-") else text


def state_of(ctx: click.Context) -> State:
    """Return the state of this call."""
    return ctx.find_root().ensure_object(State)


def format_page(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, examples: str
) -> None:
    """Write a help page: summary, examples, usage, details, options."""
    text = (command.help or "").strip()
    summary, _, details = text.partition("\n\n")
    formatter.write_text(" ".join(summary.split()))
    if examples:
        with formatter.section("Examples"):
            for line in examples.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
    formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    if details:
        formatter.write_paragraph()
        formatter.write_text(" ".join(details.split()))
    command.format_options(ctx, formatter)
    command.format_epilog(ctx, formatter)


class HelpPage(click.Command):
    """A command or group whose help page shows examples before the options.

    Its options can be set by variables, and errors about unknown ones suggest names.
    """

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        kwargs["context_settings"] = CONTEXT_SETTINGS | kwargs.get("context_settings", {})
        super().__init__(*args, **kwargs)
        self.examples = examples
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.allow_from_autoenv:
                parameter.envvar = parameter.envvar or _variable(parameter)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page with the examples before the options."""
        format_page(self, ctx, formatter, self.examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the error about an unknown option suggests the one that is meant."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            flags = [
                flag.lstrip("-")
                for parameter in self.get_params(ctx)
                for flag in (*parameter.opts, *parameter.secondary_opts)
                if flag.startswith("--")
            ]
            hint = did_you_mean(name.lstrip("-"), flags).replace("'", "'--", 1)
            raise click.UsageError(f"no such option '{name}'{hint}", ctx) from None


def _variable(option: click.Option) -> str | None:
    """Return the variable of an option, which is the same in all commands."""
    flag = next((flag for flag in option.opts if flag.startswith("--")), None)
    return None if flag is None else variable_of(flag)


class CommandBase(HelpPage):
    """A command whose name appears in error reports, and after which others are suggested."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; files that are left over probably come from a pattern."""
        ctx.allow_extra_args = True  # so that the error is made here
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            ctx.fail(_leftover(self, rest))
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; if it succeeds, print what to do next."""
        state = state_of(ctx)
        state.command = ctx.command_path.removeprefix("fastmlp ")
        if not ctx.params.get("quiet"):
            for name, hint in unknown_variables():
                click.echo(f"fastmlp: warning: unknown variable {name}{hint}", err=True)
        outcome = super().invoke(ctx)
        if not (outcome or state.json or ctx.params.get("quiet")):
            label = "next:"
            for words in filter(_is_shown_whole, state.next_steps):
                click.echo(f"{label} {quoted('fastmlp', *words)}", err=True)
                label = " " * len(label)
        return outcome


def _is_shown_whole(words: Sequence[str]) -> bool:
    """Whether the terminal has all letters of a command, so that it can be pasted."""
    try:
        "".join(words).encode(getattr(sys.stderr, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _leftover(command: click.Command, rest: list[str]) -> str:
    """Return the message about arguments that a command does not take."""
    shown = " ".join(rest[:3]) + (f" and {len(rest) - 3} more" if len(rest) > 3 else "")
    text = f"Got unexpected extra argument{'s' if len(rest) > 1 else ''} ({shown})"
    takes_data = any(parameter.name in _DATA_ARGUMENTS for parameter in command.params)
    if takes_data and all(map(os.path.exists, rest)):
        text += "; quote the pattern of a table in several files, as in 'part-*.csv'"
    return text


class GroupBase(HelpPage, click.Group):
    """A group whose error about an unknown command suggests the nearest name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; the error about an unknown one suggests the nearest name."""
        name, commands = args[0], self.list_commands(ctx)
        if name not in commands and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(unknown("command", name, commands), ctx)
        return super().resolve_command(ctx, args)


def unknown(what: str, name: str, choices: Iterable[str]) -> str:
    """Return the message about an unknown name, with the one that is meant."""
    known = list(choices)
    hint = did_you_mean(name, known) or (f"; choose from {', '.join(known)}" if known else "")
    return f"no such {what} '{name}'{hint}"


def _store(name: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    def callback(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
        # Both a group and its command have the option; either can switch it on.
        state = state_of(ctx)
        setattr(state, name, bool(value) or getattr(state, name))
        return value

    return callback


def common_options(*, json_option: bool = True) -> Callable[[F], F]:
    """Return a decorator that adds --json, --no-color and --debug; `State` holds their values."""

    def decorate(function: F) -> F:
        rows = [
            ("--debug", "debug", "Show the traceback of an error."),
            ("--no-color", "no_color", "Print without colors (NO_COLOR does the same)."),
        ]
        if json_option:
            rows.append(("--json", "json", "Print exactly one JSON object on standard output."))
        for flag, name, text in rows:
            function = click.option(
                flag, is_flag=True, is_eager=True, expose_value=False, callback=_store(name),
                help=text,
            )(function)  # fmt: skip
        return function

    return decorate


class Choice(click.Choice):  # type: ignore[type-arg]
    """A name out of several; the error suggests the one that is meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or report one that is none of them."""
        if value not in self.choices:
            hint = did_you_mean(str(value), self.choices)
            self.fail(f"must be one of {', '.join(self.choices)}, got {value!r}{hint}", param, ctx)
        return super().convert(value, param, ctx)


class Number(_ParamType):
    """A finite float within bounds (click's FloatRange accepts NaN and infinity)."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
        self.low, self.high, self.open_low = low, high, open_low

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the number and check the bounds; the upper bound is exclusive."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.fail(f"expected a number, got {value!r}", param, ctx)
        above = number > self.low if self.open_low else number >= self.low
        if not (above and number < self.high and math.isfinite(number)):
            sign = ">" if self.open_low else ">="
            upper = f" and < {self.high:g}" if math.isfinite(self.high) else ""
            self.fail(f"must be {sign} {self.low:g}{upper}, got {value}", param, ctx)
        return number


class Whole(_ParamType):
    """An integer within inclusive bounds, which the help does not show, unlike with IntRange."""

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the integer and check the bounds."""
        try:
            number = int(value)
        except (TypeError, ValueError):
            self.fail(f"expected an integer, got {value!r}", param, ctx)
        if not self.low <= number <= self.high:
            self.fail(f"must lie in {self.low}..{self.high}, got {value}", param, ctx)
        return number


class Fraction(_ParamType):
    """A share between 0 and 1; a percentage such as 98% is accepted."""

    name = "fraction"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse `0.98` or `98%`."""
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"expected a fraction such as 0.98 or 98%, got {value!r}", param, ctx)
        if not 0.0 <= share <= 1.0:
            self.fail(f"must lie between 0 and 1 (or 0% and 100%), got {value}", param, ctx)
        return share


# ---------------------------------------------------------------- options of several commands


def _go_offline(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        os.environ["FASTMLP_OFFLINE"] = "1"  # `fastmlp.datasets` reads this variable


offline_option = click.option(
    "--offline", is_flag=True, expose_value=False, callback=_go_offline,
    help="Never use the network.",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=Whole(1, 1024), default=None, metavar="N", help="Worker threads."
)
separator_option = click.option(
    "--separator", default=None, metavar="C", help="Character between the columns of a text file."
)
encoding_option = click.option(
    "--encoding", default=None, metavar="NAME", help="Encoding of a text file, such as latin-1."
)
header_option = click.option(
    "--header/--no-header", default=None, help="Whether the first line names the columns."
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(), default=None, metavar="DIR",
    help="Directory that is searched first for the files of a named data set.",
)  # fmt: skip


def quiet_option(what: str = "result") -> Callable[[F], F]:
    """Return the option --quiet, with which a command prints only `what`."""
    return click.option("-q", "--quiet", is_flag=True, help=f"Print the {what} only, no progress.")
