"""Requests that no page sends: sizes, wrong JSON, other hosts, too many sessions, the end."""

from __future__ import annotations

import http.client
import json
import random
import time

import pytest

from support.playground import Tab, random_settings
from support.services import JSON, answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def server():
    with answering("play") as running:
        yield running
        assert Tab(running).wait()["problem"] == ""


WRONG = {
    "": "JSON",
    "nul": "JSON",
    "[]": "body: input should be an object",
    "17": "body: input should be an object",
    '{"hidden": "8"}': "hidden: ",
    '{"hidden": [0]}': "hidden.0: ",
    '{"hidden": [13]}': "hidden.0: ",
    '{"hidden": [1, 1, 1, 1, 1, 1, 1]}': "hidden: ",
    '{"hidden": [1e99]}': "hidden.0: ",
    '{"features": []}': "features: ",
    '{"features": ["x1", "x1"]}': "features: must be different",
    '{"features": ["__import__(1)"]}': "features.0: must be one of x1, x2",
    '{"data": "circle"}': "data: must be one of circles, xor",
    '{"activation": "rel"}': "did you mean 'relu'",
    '{"samples": 10000000}': "samples: ",
    '{"samples": true}': "samples: ",
    '{"noise": NaN}': "noise: ",
    '{"noise": 1e400}': "noise: ",
    '{"noise": -1}': "noise: ",
    '{"loss": "mae"}': "loss: must be one of softmax_cross_entropy, hinge, mse",
    '{"seed": -1}': "seed: ",
    '{"seed": 99999999999999999999999}': "seed: ",
    '{"nois": 1}': "nois: is not known; did you mean 'noise'?",
    '{"phases": []}': "phases: ",
    '{"phases": [{"start": 5}]}': "phases: must start at growing epochs",
    '{"phases": [{"learning_rate": 0}]}': "phases.0.learning_rate: ",
    '{"phases": [{"learning_rate": 1e-46}]}': "phases.0.learning_rate: ",
    '{"phases": [{"l2": 1e-50}]}': "phases.0.l2: must be 0 or at least 1e-10, got 1e-50",
    '{"momentum": 0.9999999999}': "momentum: ",
    '{"dropout": 1e-300}': "dropout: must be 0 or at least 1e-10, got 1e-300",
    '{"phases": [{"learning_rate": "fast"}]}': "phases.0.learning_rate: ",
    '{"phases": [{"batch_size": 0}]}': "phases.0.batch_size: ",
    '{"optimizer": "adam", "momentum": 0.5}': "momentum: must be 0 for adam",
    '{"batch_normalization": true, "phases": [{"batch_size": 1}]}': "batch_size: must leave no",
    '{"drawn": [{"x1": 7, "x2": 0, "label": 0}]}': "drawn.0.x1: ",
    "[" * 50_000: "JSON",
    '{"hidden":' * 15_000: "JSON",
}


@pytest.mark.parametrize("body", WRONG, ids=lambda body: body[:30])
def test_wrong_settings_are_refused_by_name(server, body):
    answer = server.ask("POST", "/sessions/playground", body, {"Content-Type": JSON})
    assert WRONG[body] in answer.error(422)
    tab = Tab(server)
    assert WRONG[body] in tab.post("settings", body).error(422)
    assert tab.wait()["epoch"] == 0


@pytest.mark.parametrize(
    ("what", "body"),
    [("order", {"order": "stop"}), ("order", {"order": "play", "speed": "warp"}), ("order", {}),
     ("order", {"order": ["play"]}), ("tune", {"learning_rate": -1}), ("tune", {"seed": 1}),
     ("tune", {"batch_size": 1.5}), ("tune", {"l2": "x"}), ("tune", []),
     ("tune", {"learning_rate": 1e-46}), ("tune", {"l2": 1e-50}), ("order", None)],
)  # fmt: skip
def test_wrong_orders(server, what, body):
    tab = Tab(server)
    before = tab.state()
    assert tab.post(what, body).error(422)
    assert tab.state() == before


@pytest.mark.parametrize("seed", range(5), indirect=True)
def test_damaged_settings_are_refused_or_taken(server, seed):
    rng = random.Random(seed)
    text = bytearray(json.dumps(random_settings(rng)).encode())
    for _ in range(30):
        damaged = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        answer = server.ask(
            "POST", "/sessions/playground", bytes(damaged), {"Content-Type": JSON}
        )  # fmt: skip
        assert answer.status in (200, 422), answer.body
        if answer.status == 422:
            assert answer.error(422)


def test_places_that_no_training_reaches(server):
    for query in (
        "epoch=-1",
        "epoch=x",
        "epoch=1e3",
        "epoch=100001",
        "epoch=9999999999",
    ):
        answer = server.ask(
            "POST", f"/sessions/playground?{query}", "{}", {"Content-Type": JSON}
        )  # fmt: skip
        assert answer.error(422), query


def test_bodies_that_no_page_sends(server):
    for kind in ("Application/JSON", "application/json ;charset=utf-8", JSON):
        answer = server.ask("POST", "/sessions/playground", "{}", {"Content-Type": kind})
        assert answer.status == 200, kind
    kinds = ("text/plain", "application/x-www-form-urlencoded", "")
    for kind in kinds:  # those that a form of another page may send without being asked
        answer = server.ask("POST", "/sessions/playground", "{}", {"Content-Type": kind})
        assert "application/json" in answer.error(415)
    large = json.dumps({"drawn": [{"x1": 1, "x2": 1, "label": 0}] * 10_000})
    answer = server.ask("POST", "/sessions/playground", large, {"Content-Type": JSON})
    assert "200000 bytes" in answer.error(413)


def test_pages_of_others_get_nothing(server):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        assert "Host" in server.get("/", Host=host).error(403)
        answer = server.ask(
            "POST", "/sessions/playground", "{}", {"Content-Type": JSON, "Host": host}
        )  # fmt: skip
        assert "Host" in answer.error(403)
    assert "access-control-allow-origin" not in server.get("/").headers


def test_what_is_not_there(server):
    tab = Tab(server)
    for path in ("/x", "/files/../pages.py", "/files/%2e%2e%2fpages.py", "/files/pages.py",
                 "/sessions/none/state", "/sessions/none/events", "/openapi.json", "/docs",
                 f"/sessions/{tab.name}/other.csv"):  # fmt: skip
        assert server.get(path).error(404), path
    assert server.ask("POST", "/sessions/other", "{}", {"Content-Type": JSON}).error(404)
    assert server.ask("DELETE", "/").error(405)
    assert "other page" in tab.post("look", {"test": 1}).error(404)
    tab.do("end", {})
    assert "has ended" in tab.post("order", {"order": "play"}).error(404)
    assert tab.post("end", {}).status == 200


def test_the_tab_that_waits_longest_makes_room(tmp_path):
    with answering("play", "--max-sessions", 3) as server:
        tabs = [Tab(server) for _ in range(3)]
        with tabs[0].events() as first, tabs[2].events() as third:
            next(first), next(third)
            fourth = Tab(server)  # in place of the second, which nobody reads
            assert tabs[1].get("state").error(404)
            with fourth.events() as events:
                next(events)
                answer = server.ask("POST", "/sessions/playground", "{}", {"Content-Type": JSON})
                assert "3 sessions are open" in answer.error(503)
            assert tabs[0].state()["epoch"] == 0


def test_an_end_with_open_streams_is_quick(tmp_path):
    with answering("play", ends=False) as server:
        tab = Tab(server)
        tab.order("play")
        with tab.events() as events:
            next(events)
            start = time.monotonic()
            assert server.end() == (143, "fastmlp: terminated\n")
            assert time.monotonic() - start < 4
            assert sum(1 for _ in events) < 1000  # it ends


def test_clients_that_leave_in_the_middle(server):
    for kind in range(20):
        tab = Tab(server, {"hidden": [12, 12]})
        tab.order("play", speed="fast")
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request("GET", f"/sessions/{tab.name}/events")
        connection.getresponse().read(1 + 5000 * kind)
        connection.close()
        tab.order("pause")
        state = tab.state()
        same = Tab(server, state["settings"], epoch=state["epoch"], step=state["step"])
        same.wait()
        assert same.state()["digest"] == state["digest"]
