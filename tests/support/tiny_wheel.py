"""The tiny data set as a Python package, an index that serves it, a Python without pip."""

from __future__ import annotations

import base64
import functools
import gzip
import http.server
import io
import os
import pickle
import subprocess
import sysconfig
import tarfile
import threading
import venv
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import fastmlp
from support.tiny_dataset import ARRAYS

# Code that a package can make an installer or Python run; each would leave a folder behind.
TRAPS = {
    "tinyset/__init__.py": "import os; os.mkdir('imported')\n",
    "tinyset.pth": "import os; os.mkdir('at-start')\n",
    "setup.py": "import os; os.mkdir('set-up')\n",
    "tinyset-0.1.dist-info/entry_points.txt": "[console_scripts]\ntiny = tinyset:main\n",
}


def pickled_splits():
    """Return the set as the real package has it, with the name of a module of NumPy 1."""
    x, y = ARRAYS["x_train"].reshape(12, -1) / np.float32(256), ARRAYS["y_train"].astype(np.int64)
    test = ARRAYS["x_test"].reshape(5, -1) / np.float32(256), ARRAYS["y_test"].astype(np.int64)
    content = pickle.dumps(((x[:8], y[:8]), (x[8:], y[8:]), test), protocol=3)
    return gzip.compress(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def make_wheel(folder, content):
    folder.mkdir(parents=True)
    info = "tinyset-0.1.dist-info"
    files = TRAPS | {
        "tinyset/tiny.pkl.gz": content,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinyset\nVersion: 0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "tinyset-0.1-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return folder


def make_source_package(path, trap):
    """Write a source distribution that makes the folder `trap` when it is built."""
    files = {
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
        "backend-path = ['.']\n",
        "backend.py": f"import os; os.mkdir({str(trap)!r})\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tinyset\nVersion: 0.3\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"tinyset-0.3/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


@contextmanager
def package_index(folder, password=None):
    """Serve a folder on loopback; yield its address and the headers of all requests.

    With a password, of the user `me`, other requests are refused.
    """
    requests = []
    wanted = password and "Basic " + base64.b64encode(f"me:{password}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.headers)
            if wanted and self.headers["Authorization"] != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}", requests
        finally:
            httpd.shutdown()
            thread.join()


def python_without_pip(folder):
    """Make a virtual environment that has the packages of this one except pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-I", "-c", code], text=True).strip())
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in os.scandir(place):
            if not entry.name.startswith(("pip", "fastmlp")) and not entry.name.endswith(".pth"):
                (site / entry.name).symlink_to(entry.path)
    (site / "fastmlp").symlink_to(Path(fastmlp.__file__).parent)
    return python
