"""The `fastmlp` command.

Only `main` is public. `commands/` has one module per command, imported when the command is called.
The modules beside it hold code that several commands use and import no command; `app` imports both.
`fastmlp --help` imports no command, and therefore neither NumPy nor the core.
"""

from __future__ import annotations

from fastmlp.cli.launch import connecting, launched
from fastmlp.cli.signals import Signals, Terminated, postponed

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in fastmlp/__init__.py
    from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    args : sequence of str, optional
        Arguments without the program's name; by default ``sys.argv[1:]``, and then the process is
        expected to end after the call: it answers Ctrl-C and SIGTERM until its end.

    Returns
    -------
    int
        Exit code: 0 ok, 1 unexpected error, 2 usage or configuration, 3 data missing or corrupt,
        4 model file invalid, 5 training diverged, 6 a requested check failed, 7 an extra is
        missing, 130 Ctrl-C, 141 standard output was closed, 143 SIGTERM.
    """
    signals = Signals()
    if args is not None:
        from fastmlp.cli.app import run

        return run(args, signals)
    signals.answer()
    try:
        if launched() > 1:
            connecting.enter_context(postponed())
        signals.start()
        from fastmlp.cli.app import run

        return run(None, signals)
    except (KeyboardInterrupt, Terminated) as error:  # while another error was reported
        code = signals.failed(error)
        signals.finish(code)
        return code
