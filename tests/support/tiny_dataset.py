"""A data set of a few bytes, and means to serve it from every kind of source."""

import gzip
import hashlib
import http.server
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from fastmlp.datasets import DatasetSpec, FileSpec, Mirror
from fastmlp.datasets.idx import build_idx

RNG = np.random.Generator(np.random.PCG64(1))
ARRAYS = {
    "x_train": RNG.integers(0, 256, (12, 3, 2), dtype=np.uint8),
    "y_train": RNG.integers(0, 4, 12, dtype=np.uint8),
    "x_test": RNG.integers(0, 256, (5, 3, 2), dtype=np.uint8),
    "y_test": RNG.integers(0, 4, 5, dtype=np.uint8),
}
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
RAW = {NAMES[role]: build_idx(array) for role, array in ARRAYS.items()}
GZ = {name: gzip.compress(raw, mtime=0) for name, raw in RAW.items()}
IMAGES, LABELS = NAMES["x_train"], NAMES["y_train"]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def tiny_files(raw=True, gz=False):
    return tuple(
        FileSpec(
            role,
            name,
            ARRAYS[role].shape,
            sha(RAW[name]) if raw else None,
            sha(GZ[name]) if gz else None,
        )
        for role, name in NAMES.items()
    )


TINY = DatasetSpec("tiny", tiny_files(), ("a", "b", "c", "d"))
TINY_GZ = replace(TINY, files=tiny_files(raw=False, gz=True))
TINY_FREE = replace(TINY, files=tiny_files(raw=False))


def write_set(directory, files=RAW, suffix="", rename=lambda name: name):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / f"{rename(name)}{suffix}").write_bytes(content)
    return directory


def check(data):
    for role, array in ARRAYS.items():
        np.testing.assert_array_equal(
            getattr(data, role), array.reshape(len(array), -1) if role[0] == "x" else array
        )
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.sha256 == {name: sha(raw) for name, raw in RAW.items()}


@contextmanager
def loopback_server():
    """Run an HTTP server on loopback; it serves `pages` and records `requests`."""
    pages, requests = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            content = pages.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        httpd.pages, httpd.requests = pages, requests
        httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
        try:
            yield httpd
        finally:
            httpd.shutdown()
            thread.join()


def serve(server, folder="/", files=GZ):
    server.pages.update({f"{folder}{name}.gz": content for name, content in files.items()})
    return Mirror(f"{server.url}{folder}")
