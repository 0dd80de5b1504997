"""`fastmlp serve`: requests that are wrong, too large, too slow or too many, and its end."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import fastmlp
from support.cli_process import TIMEOUT, environment, run
from support.services import JSON, houses, service, table_model

for package in ("fastapi", "uvicorn", "polars"):
    pytest.importorskip(package)

WHOLE = {name: cells[1] for name, cells in houses().items()}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve")
    table_model("kind").save(path / "kind.safetensors")
    fastmlp.MLP([3, 4, 2], seed=1).save(path / "plain.safetensors")
    classes = 2000
    fastmlp.MLP([1, classes], seed=1).save(path / "many.safetensors")
    # A prediction of it takes a while.
    fastmlp.MLP([2, 3000, 3000, 3000, 2], seed=1).save(path / "slow.safetensors")
    return path


@pytest.fixture(scope="module")
def kind(work):
    with service("kind.safetensors", cwd=work) as running:
        yield running
        assert "prediction" in running.predict(WHOLE).rows[0]


@pytest.fixture(scope="module")
def plain(work):
    with service("plain.safetensors", cwd=work) as running:
        yield running
        assert "prediction" in running.predict([[1, 2, 3]]).rows[0]


# ---------------------------------------------------------------- bodies

NOT_ROWS = {
    "": "holds no object",
    "   \n": "holds no object",
    "[]": "holds no object",
    '{"rows": []}': "holds no object",
    "{}": "objects are empty",
    "{": "is no JSON object",
    '{"size": 1': "is no JSON object",
    '{"size": 1}}': "is no JSON object",
    "{'size': 1}": "is no JSON object",
    "size=1&town=Kiel": "is no JSON object",
    "<row/>": "is no JSON object",
    "nul": "is no JSON object",
    "null": "row 1: must be an object",
    "17": "row 1: must be an object",
    '"text"': "row 1: must be an object",
    "[1, 2]": "row 1: must be an object",
    "[[1, 2, 3]]": "row 1: must be an object",
    '[{"size": 1}, 5]': "row 2: must be an object",
    '{"rows": [{"size": 1}, {"size": [1]}]}': "row 2, key 'size': must be one value, got an array",
    '{"size": {"a": 1}}': "row 1, key 'size': must be one value, got an object",
    '{"size": 1, "size": 2}': "row 1, key 'size': occurs twice",
    '{"size": "\\ud800"}': "row 1, key 'size': holds half of a character",
    "[" * 100_000: "is nested too deeply",
    "[" * 100_000 + "]" * 100_000: "nested too deeply",
    '{"size":' * 50_000 + "1" + "}" * 50_000: "nested too deeply",
}


@pytest.mark.parametrize("body", NOT_ROWS, ids=lambda body: body[:20])
def test_bodies_that_are_no_rows(kind, body):
    assert NOT_ROWS[body] in kind.predict(body).error(400)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b'{"size": "\xe4"}', b'{"size": "\0"}', b"\0"])
def test_bodies_that_are_no_text(kind, plain, body):
    assert kind.predict(body).error(400)
    assert plain.predict(body).error(400)
    assert kind.predict(body, "text/csv").error(400)


ROWS_OF_PLAIN = {
    "17": "row 1: must be an object",
    "[1, 2, 3]": "row 1: must be an object",
    "[[[1, 2, 3]]]": "row 1, must have 3 numbers, got 1",
    "[[{}, 2, 3]]": "row 1, column 'x0': must be a number, got an object",
    "[[]]": "row 1, must have 3 numbers, got 0",
    '{"rows": {"x0": 1}}': "must be one value, got an object",
    '{"x0": 1, "x1": 2}': "column 'x2' is missing",
    '{"x0": 1, "x1": 2, "x2": "a"}': "row 1, column 'x2': must be a number, got 'a'",
    "[" * 100_000: "nested too deeply",
    f"[[{'9' * 1_000_000}, 0, 0]]": "row 1, column 'x0': must be finite in float32, got inf",
}


@pytest.mark.parametrize("body", ROWS_OF_PLAIN, ids=lambda body: body[:20])
def test_bodies_that_are_no_rows_of_numbers(plain, body):
    answer = plain.predict(body)
    assert ROWS_OF_PLAIN[body] in answer.error(answer.status)
    assert answer.status in (400, 422)


def test_rows_that_no_model_can_serve_name_row_and_column(kind):
    message = kind.predict({"other": 1}).error(422)
    assert message.startswith("body: columns 'size', 'weight', 'town'")
    bad = WHOLE | {"weight": "much"}
    message = kind.predict(bad).error(422)
    assert "body: row 1, column 'weight': must be a number such as -1" in message
    assert "got 'much'" in message
    huge = "9" * 100_000
    assert len(kind.predict(WHOLE | {"weight": huge}).error(422)) < 500
    assert kind.predict({huge: 1, "size": {}}).error(400)
    assert len(kind.predict({huge: [1]} | {huge * 2: 1}).error(400)) < 500
    assert "prediction" in kind.predict(WHOLE | {"size": "NaN", "x" * 9_000: 1}).rows[0]


def test_types_of_content(kind, plain):
    row = json.dumps(WHOLE)
    for name in (
        "", "text/plain", "application/x-www-form-urlencoded", "x", "multipart/form-data",
        "application/octet-stream", "application/json, text/csv", "\xff/json", ";;",
    ):  # fmt: skip
        message = kind.predict(row, name).error(415)
        assert message.startswith("Content-Type: must be one of application/json")
    assert "takes no images" in kind.predict(b"\x89PNG", "image/png").error(415)
    assert "prediction" in kind.predict(row, "Application/JSON; charset=UTF-8").rows[0]
    assert "prediction" in kind.predict(row, "application/problem+json").rows[0]
    assert "prediction" in kind.predict(row.encode("utf-16"), f"{JSON}; charset=utf-16").rows[0]
    assert "encoding" in kind.predict(row, f"{JSON}; charset=klingon").error(400)
    assert "encoding" in kind.predict(row, f"{JSON}; charset=base64").error(400)
    assert kind.predict(row.encode("utf-16")).error(400)  # JSON is UTF-8 unless it says otherwise
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    assert "Content-Encoding" in kind.ask("POST", "/predict", b"x", headers).error(415)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_bodies_are_refused_or_answered(kind, plain, seed):
    draw = random.Random(seed)
    whole = json.dumps({"rows": [WHOLE, WHOLE]}).encode()
    table = b"size,town\n1.5,Kiel\n2,Bonn\n"
    for _ in range(80):
        body = bytearray(draw.choice((whole, table, b"[[1, 2, 3], [4, 5, 6]]")))
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(body))
            body[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        for running in (kind, plain):
            for name in (JSON, "application/x-ndjson", "text/csv"):
                answer = running.predict(bytes(body), name)
                assert answer.status in (200, 400, 422)
                assert set(answer.json) == {"rows" if answer.status == 200 else "error"}


# ---------------------------------------------------------------- paths


def test_other_paths_and_methods(kind):
    assert "not found" in kind.get("/nothing").error(404)
    assert "not found" in kind.get("/docs").error(404)
    assert "not found" in kind.get("/../../etc/passwd").error(404)
    assert "method not allowed" in kind.get("/predict").error(405)
    for method in ("PUT", "DELETE", "PATCH"):
        kind.ask(method, "/predict", b"{}").error(405)
    kind.ask("POST", "/schema", b"{}").error(405)
    kind.get("/predict?x=<script>").error(405)


def test_pages_of_others_get_nothing(kind):
    """No header lets pages of others read answers, nor may they reach it by a name of theirs."""
    origin = {"Origin": "http://example.org", "Content-Type": JSON}
    for answer in (
        kind.ask("POST", "/predict", json.dumps(WHOLE).encode(), origin),
        kind.ask("OPTIONS", "/predict", None, origin | {"Access-Control-Request-Method": "POST"}),
        kind.get("/"),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    for host in ("example.org", "example.org:80", "127.0.0.1.example.org", "[::2]", ""):
        assert "Host" in kind.get("/health", Host=host).error(403)
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:80"):
        assert kind.get("/health", Host=host).status == 200


# ---------------------------------------------------------------- limits


def test_bodies_beyond_the_limit(work):
    with service("kind.safetensors", "--max-bytes", 5000, cwd=work) as running:
        row = json.dumps(WHOLE)
        assert "prediction" in running.predict(row.ljust(5000)).rows[0]
        message = "body: must have 5000 bytes at most"
        assert running.predict(row.ljust(5001)).error(413) == message
        assert running.predict(row.ljust(20_000_000)).error(413) == message
        parts = (b" " * 1000 for _ in range(1000))
        answer = running.ask("POST", "/predict", parts, {"Content-Type": JSON})
        assert answer.error(413) == message
        with running.connect() as client:  # who asks first need not send it
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 6000\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
        # What is too much is not kept.
        before = most_memory(running.process.pid)
        parts = (b" " * 1_000_000 for _ in range(150))
        assert running.ask("POST", "/predict", parts, {"Content-Type": JSON}).error(413) == message
        assert most_memory(running.process.pid) - before < 50_000_000


def most_memory(pid):
    """The memory of a process in bytes, at its most."""
    with open(f"/proc/{pid}/status") as stream:
        (line,) = [line for line in stream if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


def test_twenty_megabytes_are_too_many_by_default(kind):
    body = b'{"rows": [' + b"1," * 10_000_000 + b"1]}"
    assert kind.predict(body).error(413) == "body: must have 10000000 bytes at most"


def test_rows_beyond_the_limit(work):
    row = json.dumps(WHOLE)
    names = ",".join(WHOLE)
    cells = ",".join('"' + cell.replace('"', '""') + '"' for cell in WHOLE.values())
    with service("kind.safetensors", "--max-rows", 3, cwd=work) as running:
        for count, status in ((3, 200), (4, 413), (5, 413), (500, 413)):
            listed = ",".join([row] * count)
            bodies = [
                (f"[{listed}]", JSON),
                (f'{{"rows": [{listed}]}}', JSON),
                ("\n\n".join([row] * count), "application/x-ndjson"),
                (f"[{listed}]", "application/x-ndjson"),
                ("\n".join([names, *[cells] * count]), "text/csv"),
            ]
            for body, kind in bodies:
                answer = running.predict(body, kind)
                assert answer.status == status, body
                if status == 413:
                    assert answer.error(413) == "body: must hold 3 rows at most"
    with service("plain.safetensors", "--max-rows", 3, cwd=work) as running:
        assert len(running.predict([[1, 2, 3]] * 3).rows) == 3
        assert running.predict([[1, 2, 3]] * 4).error(413) == "body: must hold 3 rows at most"


def test_probabilities_beyond_the_limit(work):
    with service("many.safetensors", cwd=work) as running:
        assert len(running.predict([[1]] * 500).rows[0]["probabilities"]) == 2000
        assert "?probabilities=false" in running.predict([[1]] * 501).error(413)
        assert len(running.predict([[1]] * 501, query="?probabilities=false").rows) == 501


def test_slow_clients_do_not_keep_others_waiting(work):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with service("kind.safetensors", "--timeout", 1.5, cwd=work) as running:
        silent, halting, dripping = (running.connect() for _ in range(3))
        halting.sendall(head[:40])
        dripping.sendall(head + b"Content-Length: 1000\r\n\r\n")
        started = time.monotonic()
        assert "prediction" in running.predict(WHOLE).rows[0]
        assert time.monotonic() - started < 1.5
        for _ in range(4):
            dripping.sendall(b"{")
            time.sleep(0.1)
        answer = dripping.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"must arrive within 1.5 s" in answer + dripping.recv(10_000)
        for client in (silent, halting):
            assert client.recv(1000) == b""  # closed
            client.close()
        dripping.close()


def test_a_connection_that_is_kept_is_watched_for_its_next_request(work):
    with service("plain.safetensors", "--timeout", 1.5, cwd=work) as running:
        kept = http.client.HTTPConnection(running.host, running.port, timeout=TIMEOUT)
        for _ in range(3):  # which as a whole take longer than one may
            kept.request("GET", "/health")
            assert json.loads(kept.getresponse().read())["status"] == "ok"
            time.sleep(0.8)
        kept.sock.sendall(b"GET /heal")
        started = time.monotonic()
        assert kept.sock.recv(1000) == b""  # closed
        assert time.monotonic() - started < 10
        kept.close()


def test_answers_that_take_too_long_and_requests_beyond_those_that_wait(work):
    with service("slow.safetensors", "--timeout", 0.5, "--threads", 1, cwd=work) as running:
        rows = [[0.5, 1.5]] * 9000
        assert "longer than 0.5 s; send fewer rows" in running.predict(rows).error(503)
        assert running.get("/health").status == 200
    with service("plain.safetensors", cwd=work) as running:
        head = (
            "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 15\r\n\r\n"
        )
        waiting = [running.connect() for _ in range(64)]
        for client in waiting:
            client.sendall(head.encode())
        time.sleep(0.5)
        refused = running.predict([[1, 2, 3]])
        assert "try again later" in refused.error(503)
        assert refused.headers["retry-after"] == "1"
        assert running.get("/health").status == 200
        for client in waiting:
            client.sendall(b"[[1, 2.5, 3.0]]")
        for client in waiting:
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            client.close()
        assert len(running.predict([[1, 2, 3]]).rows) == 1


def test_clients_that_leave(kind):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for sent in (
        b"",
        b"GET",
        head,
        head + b"Content-Length: 50\r\n\r\n{",
        b"\x16\x03\x01\x02",
        b"\0",
    ):
        with kind.connect() as client:
            client.sendall(sent)
    with kind.connect() as client:
        client.sendall(head + b"Content-Length: 2\r\n\r\n{}")
    assert "prediction" in kind.predict(WHOLE).rows[0]


# ---------------------------------------------------------------- start and end


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_signals_end_it_when_what_it_does_is_done(work, number, code, said):
    with service("slow.safetensors", "--threads", 1, cwd=work, ends=False) as running:
        found = []

        def ask():
            found.append(running.predict([[0.5, 1.5]] * 800))

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.2)
        idle = running.connect()
        ended, errors = running.end(number)
        assert (ended, errors.strip()) == (code, f"fastmlp: {said}")
        thread.join()
        assert len(found[0].rows) == 800
        idle.close()
        with pytest.raises(OSError, match="refused"):
            running.connect()


def test_a_request_that_does_not_end_is_refused_at_the_end(work):
    with service("plain.safetensors", cwd=work, ends=False) as running, running.connect() as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        time.sleep(0.3)
        code, errors = running.end()
        assert code == 143
        assert "Traceback" not in errors
        assert errors.endswith("fastmlp: terminated\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 503 ")


def test_a_used_port_and_other_wrong_addresses(work):
    with service("plain.safetensors", cwd=work) as running:
        done = run("serve", "plain.safetensors", "--port", running.port, cwd=work)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"--port {running.port}: Address already in use; --port 0" in done.stderr
        assert done.stderr.count("\n") == 1
    done = run("serve", "plain.safetensors", "--host", "no.such.host.invalid", cwd=work)
    assert done.returncode == 2
    assert "--host no.such.host.invalid" in done.stderr
    assert run("serve", "plain.safetensors", "--port", "70000", cwd=work).returncode == 2
    assert run("serve", "nothing", cwd=work).returncode == 4
    assert run("serve", ".", cwd=work).returncode == 4


def test_the_line_of_json(work):
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmlp.cli", "serve", "plain.safetensors", "--port=0", "--json"],
        cwd=work, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    document = json.loads(process.stdout.readline())
    assert document["schema"] == "fastmlp.serve"
    assert document["model"] == "plain.safetensors"
    port = int(document["url"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request("GET", "/health")
    assert json.loads(connection.getresponse().read())["status"] == "ok"
    connection.close()
    process.terminate()
    assert process.communicate(timeout=TIMEOUT)[0] == ""
    assert process.returncode == 143


def test_other_machines_are_told_of(work):
    with service("plain.safetensors", "--host", "0.0.0.0", cwd=work, ends=False) as running:
        running.host = "127.0.0.1"
        assert running.get("/health", Host="any.name.at.all").status == 200
        code, said = running.end()
        assert code == 143
        assert said.startswith("fastmlp: warning: other machines can reach this service\n")


def test_a_run_is_named_by_its_number(work, tmp_path):
    done = run(
        "train", "iris", "--epochs", "1", "--no-report", "-q", cwd=tmp_path,
    )  # fmt: skip
    if done.returncode == 7:
        pytest.skip("needs scikit-learn")
    with service(1, cwd=tmp_path) as running:
        assert running.get("/health").json["model"] == "001-iris"


def test_missing_packages_are_named(work):
    for package in ("fastapi", "uvicorn"):
        hidden = f"import sys; sys.modules[{package!r}] = None\n"
        program = f"{hidden}from fastmlp.cli import main\nsys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", program, "serve", "plain.safetensors"], cwd=work,
            env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 7
        assert done.stderr == (
            f"fastmlp: error: {package} is needed; run \"pip install 'fastmlp[serve]'\"\n"
        )


def test_nothing_is_written(work):
    before = sorted(os.listdir(work))
    with service("kind.safetensors", cwd=work) as running:
        running.predict(WHOLE)
        running.get("/")
    assert sorted(os.listdir(work)) == before


def test_addresses_of_the_sixth_version(work):
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    with service("plain.safetensors", "--host", "::1", cwd=work) as running:
        assert running.url.startswith("http://[::1]:")
        running.host = "::1"
        assert running.get("/health").status == 200
