"""What the kernel of each page begins with.

A command that fails is an error, as in a script. Folders of the computer that makes the site have
names that mean something to a reader.
"""


def _begin() -> None:
    import re
    import subprocess
    import sys
    import warnings
    from pathlib import Path

    from IPython import get_ipython

    shell = get_ipython()
    folders = {str(Path.cwd()): "~/study", sys.prefix: "~/study/.venv", str(Path.home()): "~"}
    folder = re.compile("|".join(map(re.escape, folders)))
    cell = re.compile(r"/tmp/ipykernel_\d+/\d+\.py:\d+")

    class Shown:
        """A stream in whose text such folders are replaced."""

        def __init__(self, stream) -> None:
            self._stream = stream

        def write(self, text: str) -> int:
            text = cell.sub("<cell>", folder.sub(lambda found: folders[found[0]], text))
            return self._stream.write(text)

        def __getattr__(self, name: str):
            return getattr(self._stream, name)

    sys.stdout, sys.stderr = Shown(sys.stdout), Shown(sys.stderr)

    # Of a library that would draw its progress as a widget.
    warnings.filterwarnings("ignore", "IProgress not found")

    class CommandFailed(Exception):
        """A command ended with another code than 0; it has said why."""

        def _render_traceback_(self) -> list[str]:
            return [str(self)]

    def system(command: str) -> None:
        line = ["bash", "-o", "pipefail", "-c", shell.var_expand(command, depth=1)]
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
        ) as process:
            for printed in process.stdout:
                sys.stdout.write(printed)
        if process.returncode not in (0, 141):  # 141: the reader left early, as head does
            raise CommandFailed(f"exit code {process.returncode}")

    shell.system = system


_begin()
del _begin
