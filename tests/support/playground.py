"""Tabs of the playground: sessions of a server, by its socket."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastmlp.activations import ACTIVATIONS
from fastmlp.initializers import INITIALIZERS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.play.recipes import FEATURES, RECIPES
from fastmlp.play.settings import CLASS_LOSSES, VALUE_LOSSES
from support.cli_process import TIMEOUT, environment
from support.services import JSON, Answer, Service


class Tab:
    """A session as a tab has it."""

    def __init__(
        self, server: Service, settings: Any = None, kind: str = "playground",
        epoch: int = 0, step: int = 0,
    ) -> None:  # fmt: skip
        self.server = server
        path = f"/sessions/{kind}?epoch={epoch}&step={step}"
        answer = server.ask("POST", path, json.dumps(settings or {}), {"Content-Type": JSON})
        assert answer.status == 200, answer.body
        self.name = answer.json["session"]

    def post(self, what: str, body: Any) -> Answer:
        """Send an order or settings."""
        content = body if isinstance(body, (str, bytes)) else json.dumps(body)
        path = f"/sessions/{self.name}/{what}"
        return self.server.ask("POST", path, content, {"Content-Type": JSON})

    def do(self, what: str, body: Any) -> dict[str, Any]:
        """Send what must be accepted."""
        answer = self.post(what, body)
        assert answer.status == 200, answer.body
        return answer.json

    def order(self, name: str, **more: str) -> dict[str, Any]:
        return self.do("order", {"order": name, **more})

    def get(self, what: str) -> Answer:
        return self.server.get(f"/sessions/{self.name}/{what}")

    def state(self) -> dict[str, Any]:
        return self.get("state").json

    def code(self) -> dict[str, Any]:
        return self.get("code").json

    @contextmanager
    def events(self, fps: int = 60) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """Read events: pairs of a name and the content."""
        connection = http.client.HTTPConnection(
            self.server.host, self.server.port, timeout=TIMEOUT
        )  # fmt: skip
        try:
            connection.request("GET", f"/sessions/{self.name}/events?fps={fps}")
            response = connection.getresponse()
            assert response.status == 200
            yield _events(response)
        finally:
            connection.close()

    def watch(self, frames: int) -> dict[str, Any]:
        """Read so many frames, or fewer if the network rests; return the last one."""
        with self.events() as events:
            seen = 0
            for name, content in events:
                if name == "frame":
                    seen += 1
                    if seen == frames or not (content["playing"] or content["busy"]):
                        return content
        raise AssertionError("the stream has ended")

    def wait(self) -> dict[str, Any]:
        """Read frames until the network rests; return the last one."""
        return self.watch(10**9)


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    while line := response.readline().decode().rstrip("\n"):
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
            assert response.readline() == b"\n"
        else:
            assert line.startswith(":"), line
            assert response.readline() == b"\n"


def digest_of(program: str, folder: Path) -> str:
    """Run a program that the page shows; return the digest that it prints last."""
    path = folder / "shown.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path], env=environment(), capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\n{program}"
    return done.stdout.split()[-1]


def random_settings(rng: random.Random) -> dict[str, Any]:
    """Return settings of the playground from all that it has."""
    data = rng.choice(list(RECIPES))
    is_classes = RECIPES[data].classes is not None
    settings: dict[str, Any] = {
        "data": data,
        "samples": rng.randint(20, 300),
        "noise": rng.choice([0, 0.3, 1.5]),
        "data_seed": rng.randint(0, 99),
        "share": rng.randint(10, 90),
        "features": rng.sample(list(FEATURES), rng.randint(1, len(FEATURES))),
        "hidden": [rng.randint(1, 12) for _ in range(rng.randint(0, 4))],
        "activation": rng.choice(list(ACTIVATIONS)),
        "loss": rng.choice(CLASS_LOSSES if is_classes else VALUE_LOSSES),
        "optimizer": rng.choice(list(OPTIMIZERS)),
        "dropout": rng.choice([0, 0, 0.3]),
        "batch_normalization": rng.random() < 0.25,
        "initializer": rng.choice([None, *INITIALIZERS]),
        "seed": rng.randint(0, 99),
        "phases": [random_phase(rng)],
    }
    if settings["optimizer"] in ("sgd", "rmsprop"):
        settings["momentum"] = rng.choice([0, 0.9])
    if data == "drawn":
        # Of a mouse, of somebody who types whole numbers, on a line, or on one point.
        digits, width, height = rng.choice([2, 0]), rng.choice([6, 6, 0]), rng.choice([6, 6, 0])
        settings["drawn"] = [
            {
                "x1": round(rng.uniform(-width, width), digits),
                "x2": round(rng.uniform(-height, height), digits),
                "label": rng.randint(0, 2),
            }
            for _ in range(rng.randint(4, 60))
        ]
    return settings


def random_phase(rng: random.Random) -> dict[str, Any]:
    """Return settings that may change in a training."""
    return {
        "learning_rate": rng.choice([0.001, 0.01, 0.03, 0.1, 3]),
        "batch_size": rng.choice([3, 10, 32, 500]),
        "l2": rng.choice([0, 0.01]),
    }
