"""Models, and commands that answer in a process of their own, with requests over their socket."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp.data import Preprocessing
from support.cli_process import TIMEOUT, answer_signals, command, environment

JSON = "application/json"
TOWNS = ("Bonn", "Kiel", '<script>alert("x")</script>', "Köln & Umgebung", "'single'")


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        assert self.status == 200, self.body
        return self.json["rows"]

    def error(self, status: int) -> str:
        """Return the message of a refusal, which must have this status."""
        assert self.status == status, self.body[:500]
        assert self.headers["content-type"] == JSON
        assert list(self.json) == ["error"]
        return self.json["error"]


class Service:
    """A service that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def predict(self, body: Any, kind: str = JSON, query: str = "") -> Answer:
        """Ask for predictions; what is neither text nor bytes is written as JSON."""
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        content = body.encode() if isinstance(body, str) else body
        return self.ask("POST", f"/predict{query}", content, {"Content-Type": kind})

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return exit code and standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors


@contextmanager
def service(*args: object, cwd: Path | None = None, ends: bool = True) -> Iterator[Service]:
    """Run `fastmlp serve` on a free port."""
    with answering("serve", *args, cwd=cwd, ends=ends) as running:
        yield running


@contextmanager
def answering(
    name: str, *args: object, cwd: Path | None = None, ends: bool = True, port: int = 0,
    **variables: str,
) -> Iterator[Service]:  # fmt: skip
    """Run a command that answers over HTTP, by default on a free port."""
    process = subprocess.Popen(
        command(name, *args, "--port", port), cwd=cwd, env=environment(**variables), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=answer_signals,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = ""
        while not url:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=TIMEOUT)
            url = line.split()[1] if line.startswith("address ") else ""
        running = Service(process, url)
        yield running
        if ends:
            assert running.end() == (143, "fastmlp: terminated\n")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=TIMEOUT)


# ---------------------------------------------------------------- models


def houses(rows: int = 240) -> dict[str, Any]:
    """Return columns of every kind, some with gaps, and targets of every task."""
    random = np.random.default_rng(4)
    size = random.uniform(20, 200, rows)
    towns = random.integers(0, len(TOWNS), rows)
    days = random.integers(0, 700, rows).tolist()
    first = np.datetime64("2023-01-01")
    return {
        "size": ["" if i % 11 == 0 else f"{v:.2f}" for i, v in enumerate(size)],
        "weight": [f"{v:,.1f}".replace(",", " ").replace(".", ",") for v in 90 * size],
        "town": [TOWNS[i] for i in towns],
        "rooms": random.integers(1, 7, rows).astype(str).tolist(),
        "garden": [("no", "yes")[i] for i in random.integers(0, 2, rows)],
        "sold": [str(first + day) for day in days],
        "seen": [f"{day % 28 + 1:02d}.{day % 12 + 1:02d}.2024" for day in days],
        "price": [f"{v:.0f}" for v in 3000 * size + 20_000 * towns],
        "rent": [f"{v:.1f}" for v in 9 * size],
        "kind": [("small", "large;old", "=1+1")[int(v // 70)] for v in size],
    }


def table_model(*targets: str, **settings: Any) -> fastmlp.MLP:
    """Return a model of `houses` for targets; the other targets are left out."""
    frame = houses()
    for name in {"price", "rent", "kind"} - set(targets):
        del frame[name]
    settings = {"epochs": 3, "seed": 2, "hidden": [6], "categorical": ["rooms"]} | settings
    return fastmlp.Model(target=list(targets), **settings).fit(frame, verbose=0).network


def image_model(shape: tuple[int, ...] = (6, 5)) -> fastmlp.MLP:
    features = int(np.prod(shape))
    network = fastmlp.MLP([features, 4, 3], input_scale=1 / 255, seed=3)
    network.preprocessing = Preprocessing(
        "classification", features, image_shape=shape, class_names=("cat", "dog", "eel"),
        indexed_classes=True,
    )  # fmt: skip
    return network


def labels_model() -> fastmlp.MLP:
    """Return a model of several labels, of which names hold the sign that joins them."""
    network = fastmlp.MLP([3, 8, 4], loss="binary_cross_entropy", seed=8)
    network.preprocessing = Preprocessing("multilabel", 3, class_names=("a", "b", "a;b", "<i>"))
    return network
