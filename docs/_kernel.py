"""What the kernel of each page begins with: a command that fails is an error, as in a script."""


def _begin() -> None:
    import subprocess
    import sys

    from IPython import get_ipython

    shell = get_ipython()

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
