"""The command `fastmlp completion`: print a script for completion in a shell."""

from __future__ import annotations

import click

from fastmlp.cli.options import Choice, CommandBase

__all__ = ["completion"]

# The command that installs the script of each shell; it is the first line of the script.
INSTALLATION = {
    "bash": "fastmlp completion bash > ~/.local/share/bash-completion/completions/fastmlp",
    "zsh": "fastmlp completion zsh > DIR/_fastmlp, DIR being one of $fpath",
    "fish": "fastmlp completion fish > ~/.config/fish/completions/fastmlp.fish",
}
PROGRAM = "fastmlp"
# click sets this variable when it calls the program for a completion.
VARIABLE = "_FASTMLP_COMPLETE"
EXAMPLES = """\
fastmlp completion bash > ~/.local/share/bash-completion/completions/fastmlp
source <(fastmlp completion bash)"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("shell", type=Choice(list(INSTALLATION)))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the completion script of a shell: bash (4.4 or later), zsh or fish."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    script = kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source()
    comment = f"# To install: {INSTALLATION[shell]}\n"
    # zsh requires #compdef in the first line of a file of $fpath.
    tag, newline, rest = script.partition("\n")
    if tag.startswith("#compdef"):
        click.echo(f"{tag}{newline}{comment}{rest}", nl=False)
    else:
        click.echo(comment + script, nl=False)
