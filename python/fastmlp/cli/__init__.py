"""The `fastmlp` command.

Only `main` is public.  `commands/` has one module per command, imported when the command is called;
what commands share is in the modules beside it, which know no command; `app` is above both.
`fastmlp --help` imports no command, and so neither NumPy nor the core.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    args : sequence of str, optional
        Arguments without the program's name; `sys.argv[1:]` when omitted.

    Returns
    -------
    int
        0 ok, 1 unexpected, 2 usage or configuration, 3 data missing or corrupt, 4 model file
        invalid, 5 training diverged, 6 a requested check failed, 7 an extra is missing,
        130 Ctrl-C, 143 SIGTERM.
    """
    from fastmlp.cli.app import run

    return run(args)
