"""Sessions end when nobody reads them, and the command begins like `fastmlp serve`."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import subprocess

import pytest

from fastmlp.play.live import Limits, Sessions
from fastmlp.play.session import Order, Playground
from fastmlp.play.settings import Settings
from fastmlp.web.refusal import RequestError
from support.cli_process import TIMEOUT, answer_signals, command, environment, run
from support.services import answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)


def test_a_session_ends_when_nobody_reads_it():
    async def live() -> None:
        sessions = Sessions(Limits(idle=0.2))
        name, _ = await sessions.open(lambda: Playground(Settings()))
        events = sessions.events(name, 30)
        await events.__anext__()
        await asyncio.sleep(0.6)
        sessions.get(name)  # somebody reads
        await events.aclose()
        for _ in range(5):
            await asyncio.sleep(0.1)
            sessions.get(name)  # somebody asks
        await asyncio.sleep(0.6)
        with pytest.raises(RequestError, match="has ended"):
            sessions.get(name)

    asyncio.run(live())


def test_a_second_stream_takes_the_place_of_the_first():
    async def live() -> None:
        sessions = Sessions(Limits())
        name, _ = await sessions.open(lambda: Playground(Settings()))
        first, second = sessions.events(name, 30), sessions.events(name, 30)
        await first.__anext__()
        await second.__anext__()
        sessions.end(name)
        for events in (first, second):
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(events.__anext__(), 10)

    asyncio.run(live())


class Timed(Playground):
    """A session that keeps the seconds of its frames."""

    def tick(self, seconds):
        self.seconds = seconds
        return super().tick(seconds)


@pytest.mark.parametrize("fps", [1, 4, 30, 60])
def test_the_training_has_most_of_the_time_of_a_frame(fps):
    async def live() -> None:
        sessions = Sessions(Limits())
        name, tab = await sessions.open(lambda: Timed(Settings()))
        await sessions.events(name, fps).__anext__()
        assert tab.session.seconds == pytest.approx(0.6 / fps)

    asyncio.run(live())


class WithoutFrames(Playground):
    """A session whose frames cannot be made."""

    def _frame(self):
        raise ValueError("there is no picture")


def test_a_frame_that_cannot_be_made_is_said_and_the_stream_goes_on():
    async def live() -> None:
        sessions = Sessions(Limits())
        name, tab = await sessions.open(lambda: WithoutFrames(Settings()))
        events = sessions.events(name, 30)
        assert b'event: failure\ndata: {"problem":"there is no picture"}' in (
            await events.__anext__()
        )
        await tab.do(lambda: tab.session.obey(Order(order="play")))
        assert b"there is no picture" in await events.__anext__()
        assert not tab.session.is_active
        await events.aclose()

    asyncio.run(live())


@pytest.mark.parametrize("seed", range(6), indirect=True)
def test_sessions_that_open_at_the_same_time_count(seed):
    """Tabs open in bursts and end: never are there more than allowed."""
    chance = random.Random(seed)
    most = chance.randint(1, 4)

    async def live() -> None:
        sessions = Sessions(Limits(sessions=most))
        held, refused = 0, 0
        for _ in range(4):
            made = [sessions.open(lambda: Playground(Settings())) for _ in range(most + 3)]
            for outcome in await asyncio.gather(*made, return_exceptions=True):
                if isinstance(outcome, RequestError):
                    refused += 1
                    continue
                name, tab = outcome
                tab.readers += 1
                held += 1
            assert held <= most, f"seed {seed}"
            for name in chance.sample(sorted(sessions._live), chance.randint(0, held)):
                sessions.end(name)
                held -= 1
        assert refused > 0

    asyncio.run(live())


# ---------------------------------------------------------------- the command


def test_the_line_of_json(tmp_path):
    process = subprocess.Popen(
        command("play", "--port", 0, "--json"), cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=answer_signals,
    )  # fmt: skip
    said = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (130, "fastmlp: interrupted\n")
    assert said["schema"] == "fastmlp.play"
    assert said["url"].startswith("http://127.0.0.1:")
    assert list(tmp_path.iterdir()) == []


def test_a_used_port_and_other_machines():
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        done = run("play", "--port", port)
        assert done.returncode == 2
        assert f"--port {port}: Address already in use; --port 0 takes a free one" in done.stderr
    with answering("play", "--host", "0.0.0.0", ends=False) as server:
        code, errors = server.end()
    assert code == 143
    assert "other machines can reach this service" in errors


def test_the_help_begins_with_examples():
    done = run("play", "--help")
    assert done.stdout.index("fastmlp play --open") < done.stdout.index("Usage")
    assert len(done.stdout.splitlines()) <= 50
