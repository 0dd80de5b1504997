"""The command `fastmlp help`: show the help of the program or of a command."""

from __future__ import annotations

from typing import Any

import click

from fastmlp.cli.options import CommandBase, unknown

__all__ = ["help"]


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a command, or of one below those named before."""
    found = _found(ctx, ctx.params.get("command") or ())
    if not isinstance(found.command, click.Group):
        return []
    return [name for name in found.command.list_commands(found) if name.startswith(incomplete)]


@click.command(cls=CommandBase, examples="fastmlp help train\nfastmlp help runs list")
@click.argument("command", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete)
@click.pass_context
def help(ctx: click.Context, /, *, command: tuple[str, ...]) -> None:  # noqa: A001 - its name
    """Show the help of a command.

    It is what 'fastmlp COMMAND --help' shows.
    """
    click.echo(_found(ctx, command).get_help(), color=ctx.color)


def _found(ctx: click.Context, names: tuple[str, ...]) -> click.Context:
    """Return the context of the command that is named by the words after `fastmlp`."""
    found = ctx.find_root()
    for name in names:
        group: Any = found.command
        choices = group.list_commands(found) if isinstance(group, click.Group) else []
        if name not in choices:
            raise click.UsageError(unknown("command", name, choices), ctx)
        command = group.get_command(found, name)
        found = click.Context(
            command, info_name=name, parent=found, help_option_names=found.help_option_names
        )
    return found
