"""`fastmlp info`: what this installation is and what it runs on."""

from __future__ import annotations

from typing import Any

import click

from fastmlp.cli.options import CommandBase, common_options, state_of

__all__ = ["info"]


@click.command(cls=CommandBase, examples="fastmlp info\nfastmlp info --json")
@common_options()
@click.pass_context
def info(ctx: click.Context, /) -> None:
    """Show version, CPU, instruction set and threads."""
    import fastmlp
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    facts: dict[str, Any] = dict(fastmlp.info())
    state = state_of(ctx)
    if state.json:
        head = {"schema": "fastmlp.info", "schema_version": SCHEMA_VERSION, "command": "info"}
        print_json(head | facts, state)
        return
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        click.echo(f"{name.replace('_', ' '):<16}{shown}")
