"""The page of digits: drawings become images of MNIST, and the network is trained and asked."""

from __future__ import annotations

import base64
import random

import numpy as np
import pytest

import fastmlp
from fastmlp.errors import DataUnavailableError
from fastmlp.play.digits import as_digit
from support.browser import browser, opened, until
from support.playground import Tab, digest_of
from support.services import JSON, answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def mnist():
    try:
        return fastmlp.datasets.load("mnist")
    except DataUnavailableError as error:
        pytest.skip(f"needs MNIST: {error}")


@pytest.fixture(scope="module")
def server(mnist):
    with answering("play") as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


# ---------------------------------------------------------------- drawings


@pytest.mark.parametrize("seed", range(20), indirect=True)
def test_a_drawing_is_moved_and_scaled_like_images_of_mnist(seed):
    rng = random.Random(seed)
    height, width = rng.randint(1, 112), rng.randint(1, 112)
    top, left = rng.randint(0, 112 - height), rng.randint(0, 112 - width)
    pixels = np.zeros((112, 112))
    pixels[top : top + height, left : left + width] = 255
    digit = as_digit(pixels)
    assert (digit.dtype, digit.shape) == (np.uint8, (28, 28))
    rows, columns = digit.any(axis=1).nonzero()[0], digit.any(axis=0).nonzero()[0]
    assert max(len(rows), len(columns)) == 20
    assert len(rows) == max(1, round(20 * height / max(height, width)))
    center = np.argwhere(digit).mean(axis=0) + 0.5
    assert np.abs(center - 14.5).max() <= 0.5
    assert digit.max() == 255
    # Where it was drawn does not count.
    moved = np.zeros((112, 112))
    moved[:height, :width] = 255
    assert (as_digit(moved) == digit).all()


def test_images_of_mnist_stay_what_they_are(mnist):
    images = mnist.x_test[:300].reshape(-1, 28, 28)
    for image in images:
        assert (as_digit(np.kron(image, np.ones((4, 4)))) == image).all()


def test_an_empty_board_is_an_empty_image():
    assert not as_digit(np.zeros((112, 112))).any()


# ---------------------------------------------------------------- sessions


def test_a_training_has_the_bits_of_its_program(server, tmp_path):
    tab = Tab(server, {"hidden": [8], "phases": [{"learning_rate": 0.05, "batch_size": 500}]},
              kind="digits")  # fmt: skip
    for _ in range(2):
        tab.order("step")
        tab.wait()
    tab.order("play")
    tab.watch(5)
    tab.order("pause")
    epoch = tab.state()["epoch"]
    tab.order("epoch")
    assert tab.wait()["epoch"] == epoch + 1
    tab.do("tune", {"learning_rate": 0.01})
    tab.order("step")
    tab.wait()
    code = tab.code()
    assert (code["epoch"], code["step"]) == (epoch + 1, 1)
    assert digest_of(code["python"], tmp_path) == code["digest"]


def test_a_network_that_was_trained_knows_test_images(server, mnist):
    tab = Tab(server, kind="digits", epoch=1)
    frame = tab.wait()
    assert frame["accuracy"][1] > 0.9
    assert len(base64.b64decode(frame["templates"])) == 32 * 784
    right = 0
    for number in range(30):
        tab.do("look", {"test": number})
        opinion = tab.wait()["opinion"]
        image = np.frombuffer(base64.b64decode(opinion["image"]), np.uint8)
        assert (image == mnist.x_test[number]).all()
        assert abs(sum(opinion["probabilities"]) - 1) < 1e-3
        right += int(np.argmax(opinion["probabilities"]) == opinion["label"])
    assert right >= 25
    examples = tab.wait()["examples"]
    assert len(examples["labels"]) == 12
    tab.do("look", {})
    assert tab.wait()["opinion"] is None


def test_wrong_drawings(server):
    tab = Tab(server, kind="digits")
    for body in ({"pixels": [0]}, {"pixels": [256] * 112**2}, {"pixels": [0.5] * 112**2},
                 {"test": 10_000}, {"test": -1}, {"tests": 1}, []):  # fmt: skip
        assert tab.post("look", body).error(422)
    assert "other page" in tab.get("train.csv").error(404)
    for settings in ('{"hidden": [200]}', '{"hidden": []}', '{"data": "xor"}'):
        answer = server.ask("POST", "/sessions/digits", settings, {"Content-Type": JSON})
        assert answer.error(422)


@pytest.fixture(scope="module")
def without_mnist(tmp_path_factory):
    place = str(tmp_path_factory.mktemp("nothing"))
    nowhere = {"FASTMLP_OFFLINE": "1", "XDG_CACHE_HOME": place, "HOME": place}
    with answering("play", "--data-dir", place, **nowhere) as server:
        answer = server.ask("POST", "/sessions/digits", "{}", {"Content-Type": JSON})
        if answer.status == 200:
            pytest.skip("MNIST is in a place of another tool")
        yield server


def test_without_mnist_the_server_says_what_to_do(without_mnist):
    answer = without_mnist.ask("POST", "/sessions/digits", "{}", {"Content-Type": JSON})
    assert "mnist" in answer.error(503)
    assert Tab(without_mnist).wait()["epoch"] == 0  # the plane needs no data


@pytest.fixture(scope="module")
def with_damaged_mnist(tmp_path_factory):
    place = tmp_path_factory.mktemp("damaged")
    for part in ("train", "t10k"):
        for name in ("images-idx3", "labels-idx1"):
            (place / f"{part}-{name}-ubyte.gz").write_bytes(b"no gzip")
    nowhere = {"FASTMLP_OFFLINE": "1", "XDG_CACHE_HOME": str(place), "HOME": str(place)}
    with answering("play", "--data-dir", place, **nowhere) as server:
        yield server


def test_mnist_that_cannot_be_read_is_said(with_damaged_mnist, chromium):
    answer = with_damaged_mnist.ask("POST", "/sessions/digits", "{}", {"Content-Type": JSON})
    assert "gzip" in answer.error(503)
    for address in ("", "#hidden=999"):
        with opened(chromium, f"{with_damaged_mnist.url}/digits{address}", quiet=False) as page:
            said = "document.querySelector('#problem-of-training').textContent.includes('gzip')"
            until(page, said)
            assert page.locator("#connection").is_hidden()
            for button in ("#play", "#step", "#epoch"):
                assert page.locator(button).is_disabled()
            page.locator("#seed").fill("3")
            page.locator("#seed").press("Enter")
            page.wait_for_timeout(300)
            assert page.evaluate(said)


def test_without_mnist_the_page_says_what_to_do(without_mnist, chromium):
    with opened(chromium, f"{without_mnist.url}/digits", quiet=False) as page:
        until(page, "!document.querySelector('#problem-of-training').hidden")
        assert "mnist" in page.inner_text("#problem-of-training")
        assert page.locator("#connection").is_hidden()


# ---------------------------------------------------------------- in the browser


def test_digits_are_drawn_and_recognized(server, chromium, tmp_path):
    with opened(chromium, f"{server.url}/digits") as page:
        until(page, "document.querySelector('#train-loss').textContent !== '-'")
        assert "Nothing yet" in page.inner_text("#trained-on")
        page.click("#play")
        until(page, "parseInt(document.querySelector('#at').textContent) >= 2")
        page.click("#play")
        until(page, "document.querySelector('#play').textContent === 'Play'")
        box = page.locator("#drawing-board").bounding_box()
        draw(page, box, [(0.5, 0.15), (0.5, 0.85)])
        until(page, "document.querySelector('#verdict').textContent.startsWith('It says 1')")
        assert page.locator("#examples li").count() == 12
        assert page.locator("#units li").first.inner_text() != ""
        page.click("#clear")
        until(page, "document.querySelector('#verdict').textContent.startsWith('Draw')")
        draw(page, box, [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)])
        until(page, "document.querySelector('#verdict').textContent.startsWith('It says 7')")
        # Without a mouse: a test image by its number.
        page.locator("#test-image").fill("2")
        page.locator("#test-image").press("Tab")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#verdict').textContent.includes('label')")
        assert "The label of the image is 1." in page.inner_text("#verdict")
        board = "document.querySelector('#drawing-board').getContext('2d')"
        assert page.evaluate(f"{board}.getImageData(0, 0, 112, 112).data.some(v => v === 251)")
        page.locator("#next-image").press("Enter")
        until(page, "document.querySelector('#verdict').textContent.includes('image is 0.')")
        page.locator("#code summary").click()
        until(page, "document.querySelector('#digest').textContent.length === 64")
        program = page.locator("#python").text_content()
        assert digest_of(program, tmp_path) == page.inner_text("#digest")


def draw(page, box, places):
    for number, (right, down) in enumerate(places):
        at = box["x"] + right * box["width"], box["y"] + down * box["height"]
        page.mouse.move(*at, steps=8)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def test_settings_of_digits_are_in_the_address(server, chromium):
    with opened(chromium, f"{server.url}/digits", quiet=False) as page:
        until(page, "document.querySelector('#train-loss').textContent !== '-'")
        page.locator("#hidden").fill("16, 8")
        page.locator("#hidden").press("Enter")
        until(page, "document.querySelectorAll('#units li').length === 16")
        page.select_option("#optimizer", "adam")
        page.click("#step")
        until(page, "document.querySelector('#batch-at').textContent.startsWith('1 of')")
        page.wait_for_timeout(700)
        assert "hidden=16,8&" in page.url
        assert "optimizer=adam" in page.url
        page.locator("#hidden").fill("1000")
        page.locator("#hidden").press("Enter")
        page.locator("#hidden").fill("a")
        page.locator("#hidden").press("Enter")
        until(page, "document.querySelector('#problem').textContent.includes('widths')")
        page.reload()
        until(page, "document.querySelector('#batch-at').textContent.startsWith('1 of')")
        assert page.locator("#hidden").input_value() == "16, 8"


def test_batches_count_as_images_that_were_seen(server, chromium):
    with opened(chromium, f"{server.url}/digits#step=3") as page:
        until(page, "document.querySelector('#batch-at').textContent === '3 of 600'")
        assert "has seen 300 images, in 0 complete passes over all and a part" in (
            page.inner_text("#trained-on")
        )
        epochs = page.evaluate("""async () => {
          const { drawCurve } = await import("/files/curve.js");
          const texts = [];
          const canvas = { clientWidth: 300, clientHeight: 100, getContext: () => new Proxy({}, {
            get: (_, name) => (name === "fillText" ? (text) => texts.push(text) : () => {}),
            set: () => true,
          }) };
          for (const epochs of [[0, 0.0017], [0.9983, 1.0017], [0, 7], [3, 90]]) {
            drawCurve(canvas, { epochs, train: [1, 1], test: [1, 1] });
          }
          return texts;
        }""")
        ends = [one for one in epochs if one not in ("0", "0.5", "1") or one.startswith("epoch")]
        assert ends == ["epoch 0", "0.0017", "epoch 0.9983", "1.0017", "epoch 0", "7",
                        "epoch 3", "90"]  # fmt: skip


def test_the_board_says_where_to_draw_until_there_is_a_digit(server, chromium):
    with opened(chromium, f"{server.url}/digits") as page:
        until(page, "document.querySelector('#train-loss').textContent !== '-'")
        here = page.locator("#draw-here")
        assert here.is_visible()
        draw(page, page.locator("#drawing-board").bounding_box(), [(0.5, 0.15), (0.5, 0.85)])
        assert here.is_hidden()
        page.click("#clear")
        assert here.is_visible()
        page.click("#show-image")
        until(page, "document.querySelector('#draw-here').hidden")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(server, chromium, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    settings = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with opened(chromium, f"{server.url}/digits#epoch=1", **settings) as page:
        until(page, "document.querySelector('#at').textContent === '1'")
        page.click("#show-image")
        until(page, "document.querySelector('#verdict').textContent.includes('label')")
        page.locator("#code summary").click()
        until(page, "document.querySelector('#digest').textContent.length === 64")
        result = axe.Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
