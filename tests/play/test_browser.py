"""The page of the plane in a real browser: every control, what it shows, and what it trains."""

from __future__ import annotations

import random
import re
import time
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from fastmlp.activations import ACTIVATIONS
from fastmlp.initializers import INITIALIZERS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.play.recipes import FEATURES, RECIPES
from support.browser import browser, opened, until
from support.playground import digest_of
from support.services import answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def server():
    with answering("play") as running:
        yield running


@pytest.fixture
def page(chromium, server):
    with visited(chromium, server) as page:
        yield page


@contextmanager
def visited(chromium, server, address="/", **settings):
    with opened(chromium, f"{server.url}{address}", **settings) as page:
        ready(page)
        yield page


def ready(page):
    until(page, "document.querySelector('#batch-at').textContent.includes(' of ')")


def text(page, name):
    return page.locator(f"#{name}").inner_text()


def number(page, name):
    return float(text(page, name).split()[0].replace(",", "").replace("\u2212", "-"))


def address(page):
    """Return the state in the address, which is written with a delay."""
    page.wait_for_timeout(700)
    return {name: value[0] for name, value in parse_qs(page.url.partition("#")[2]).items()}


def shown_code(page):
    """Return the digest and the program of the panel, which is filled when the network rests."""
    panel = page.locator("#code")
    if panel.get_attribute("open") is not None:
        panel.locator("summary").click()
    page.evaluate("document.querySelector('#digest').textContent = ''")
    panel.locator("summary").click()
    until(page, "document.querySelector('#digest').textContent.length === 64")
    return text(page, "digest"), page.locator("#python").text_content()


def same_in_python(page, tmp_path):
    digest, program = shown_code(page)
    assert digest_of(program, tmp_path) == digest
    return digest


def play_until(page, condition):
    page.click("#play")
    until(page, condition)
    page.click("#play")
    until(page, "document.querySelector('#play').textContent === 'Play'")


ACCURACY = "parseFloat(document.querySelector('#{}-right').textContent) >= {}"


# ---------------------------------------------------------------- whole trainings


def test_exclusive_or_is_learned_to_the_end(page, tmp_path):
    page.select_option("#data", "xor")
    until(page, "document.querySelector('#at').textContent === '0'")
    page.select_option("#speed", "ten")
    play_until(page, ACCURACY.format("train", 99))
    assert number(page, "test-right") > 90
    assert number(page, "train-loss") < 0.1
    same_in_python(page, tmp_path)


def test_the_spiral_is_learned_to_the_end(page, tmp_path):
    page.select_option("#data", "spiral")
    page.locator("#noise").fill("0.1")
    page.click("#more-layers")
    until(page, "document.querySelector('#layers-shown').textContent === '3 hidden layers'")
    for layer in range(3):
        for _ in range(8):
            count = page.locator(".net .column").nth(layer + 1).inner_text().split()[0]
            if count == "8":
                break
            page.get_by_role("button", name=f"Add a unit to hidden layer {layer + 1}").click()
            until(
                page,
                f"parseInt(document.querySelectorAll('.net .column')[{layer + 1}].textContent)"
                f" === {int(count) + 1}",
            )
    page.get_by_role("button", name="Input sin x₁").click()
    page.get_by_role("button", name="Input sin x₂").click()
    page.select_option("#optimizer", "adam")
    page.locator("#learning_rate").fill("0.005")
    page.locator("#learning_rate").press("Enter")
    page.select_option("#speed", "fast")
    play_until(page, ACCURACY.format("train", 99.5) + " && " + ACCURACY.format("test", 95))
    assert address(page)["hidden"] == "8,8,8"
    same_in_python(page, tmp_path)


# ---------------------------------------------------------------- buttons and numbers


def test_steps_epochs_and_reset(page, tmp_path):
    first = shown_code(page)[0]
    losses = [number(page, "train-loss")]
    for i in range(3):
        page.click("#step")
        until(page, f"document.querySelector('#batch-at').textContent.startsWith('{i + 1} of')")
        losses.append(number(page, "train-loss"))
    assert len(set(losses)) == 4
    same_in_python(page, tmp_path)
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    assert text(page, "batch-at") == "0 of 21"
    same_in_python(page, tmp_path)
    page.click("#reset")
    until(page, "document.querySelector('#at').textContent === '0'")
    assert shown_code(page)[0] == first


@pytest.mark.parametrize("speed", ["step", "epoch", "ten", "fast"])
def test_speeds_end_with_the_same_bits(page, tmp_path, speed):
    page.select_option("#speed", speed)
    play_until(page, "document.querySelector('#batch-at').textContent !== '0 of 21' "
                     "|| document.querySelector('#at').textContent !== '0'")  # fmt: skip
    until(page, "document.querySelector('#spoken').textContent.startsWith('Epoch')")
    same_in_python(page, tmp_path)
    assert address(page).get("speed", "epoch") == speed


def test_a_rate_that_changes_in_the_training_continues_it(page, tmp_path):
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    for name, value in (("learning_rate", "0.3"), ("batch_size", "32"), ("l2", "0.001")):
        page.locator(f"#{name}").fill(value)
        page.locator(f"#{name}").press("Enter")
    play_until(page, "parseInt(document.querySelector('#at').textContent) >= 6")
    assert address(page)["phases"] == "0:0.03:10:0,1:0.3:32:0.001"
    digest = same_in_python(page, tmp_path)
    page.reload()
    ready(page)
    until(page, f"document.querySelector('#at').textContent === '{address(page)['epoch']}'")
    assert shown_code(page)[0] == digest


# ---------------------------------------------------------------- everything that can be chosen


SELECTS = {
    "activation": [*ACTIVATIONS],
    "optimizer": [*OPTIMIZERS],
    "initializer": [*INITIALIZERS, ""],
    "loss": ["hinge", "mse", "softmax_cross_entropy"],
    "data": [name for name in RECIPES if name != "circles"],
}


@pytest.mark.parametrize("name", SELECTS)
def test_every_choice_of_a_list(page, tmp_path, name):
    for value in SELECTS[name]:
        page.select_option(f"#{name}", value)
        until(page, "document.querySelector('#at').textContent === '0'")
        page.click("#epoch")
        until(page, "document.querySelector('#at').textContent === '1'")
        assert page.locator("#problem").is_hidden(), value
    digest = same_in_python(page, tmp_path)
    assert len(digest) == 64
    seen = address(page)
    usual = {"loss": "softmax_cross_entropy", "initializer": "null"}
    assert seen.get(name, usual.get(name)) == (SELECTS[name][-1] or "null")


def test_every_number_and_switch(page, tmp_path):
    values = {"dropout": "0.2", "seed": "7", "momentum": "0.5", "batch_size": "20", "l2": "0.01",
              "learning_rate": "0.01", "data_seed": "3", "noise": "0.7", "samples": "200",
              "share": "60"}  # fmt: skip
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)
        page.locator(f"#{name}").press("Tab")
    page.check("#batch_normalization")
    page.select_option("#lines", "gradient")
    page.uncheck("#show-test")
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    seen = address(page)
    assert seen.pop("phases") == "0:0.01:20:0.01"
    assert seen.pop("batch_normalization") == "true"
    assert seen.pop("epoch") == "1"
    assert (seen.pop("lines"), seen.pop("points")) == ("gradient", "training")
    assert seen == {n: values[n] for n in values if n not in ("batch_size", "l2", "learning_rate")}
    assert text(page, "noise-shown") == "0.7"
    assert text(page, "share-shown") == "60 %"
    digest = same_in_python(page, tmp_path)
    with page.context.expect_page() as opening:
        page.evaluate("open(location.href)")
    other = opening.value
    ready(other)
    until(other, "document.querySelector('#at').textContent === '1'")
    assert shown_code(other)[0] == digest
    for name, value in (values | {"lines": "gradient"}).items():
        assert other.locator(f"#{name}").input_value() == value
    assert not other.locator("#show-test").is_checked()


def test_layers_and_units_by_plus_and_minus(page):
    def sizes():
        heads = page.locator(".net .column").all_inner_texts()
        return [int(head.split()[0]) for head in heads[1:-1]]

    def press(label, expected):
        page.get_by_role("button", name=label, exact=True).click()
        until(page, f"document.querySelectorAll('.net .unit:not(.input)').length === {expected}")

    assert sizes() == [6, 4]
    press("Add a hidden layer", 14)
    press("Add a unit to hidden layer 3", 15)
    press("Remove a unit from hidden layer 1", 14)
    assert sizes() == [5, 4, 5]
    for left in (9, 5, 0):
        press("Remove a hidden layer", left)
    assert page.locator("#fewer-layers").is_disabled()
    assert text(page, "layers-shown") == "0 hidden layers"
    for layers in range(1, 7):
        press("Add a hidden layer", 4 * layers)
    assert page.locator("#more-layers").is_disabled()
    # The keyboard stays where it was, although the network was drawn anew.
    plus = page.get_by_role("button", name="Add a unit to hidden layer 2", exact=True)
    plus.focus()
    for count in range(25, 33):
        page.keyboard.press("Enter")
        until(page, f"document.querySelectorAll('.net .unit:not(.input)').length === {count}")
    assert page.evaluate("document.activeElement.dataset.key") == "head-1-1" or plus.is_disabled()


@pytest.mark.parametrize("seed", range(3), indirect=True)
def test_quick_changes_add_up(page, tmp_path, seed):
    rng = random.Random(seed)
    wanted = {}
    steps = []
    for _ in range(40):
        name = rng.choice(["seed", "dropout", "samples", "noise", "learning_rate", "l2", "units"])
        value = {"seed": rng.randint(1, 99), "dropout": rng.choice([0.1, 0.2, 0.3]),
                 "samples": rng.randrange(30, 400, 10), "noise": rng.choice([0.5, 0.7, 1.2]),
                 "learning_rate": rng.choice([0.1, 0.2]), "l2": rng.choice([0.01, 0.02]),
                 "units": 1}[name]  # fmt: skip
        if name == "units" and wanted.get(name, 6) == 12:
            continue
        wanted[name] = wanted.get(name, 6) + 1 if name == "units" else value
        steps.append([name, str(value), rng.choice([0, 0, 5, 15, 40])])
    page.evaluate(
        """async (steps) => {
          for (const [name, value, pause] of steps) {
            if (name === "units") {
              document.querySelector("[data-key=head-0-1]").click();
            } else {
              const field = document.getElementById(name);
              field.value = value;
              field.dispatchEvent(new Event("change"));
            }
            await new Promise((done) => setTimeout(done, pause));
          }
        }""",
        steps,
    )
    page.wait_for_timeout(500)
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    seen = address(page)
    for name in ("seed", "dropout", "samples", "noise"):
        assert name not in wanted or seen[name] == str(wanted[name]), (seed, name)
    assert seen["hidden"] == f"{wanted.get('units', 6)},4"
    rate, penalty = wanted.get("learning_rate", 0.03), wanted.get("l2", 0)
    assert seen["phases"] == f"0:{rate}:10:{penalty}"
    same_in_python(page, tmp_path)


def test_inputs_are_chosen_and_one_must_stay(page, tmp_path):
    for title, _ in FEATURES.values():
        button = page.get_by_role("button", name=f"Input {title}", exact=True)
        before = button.get_attribute("aria-pressed")
        if title in ("x₁", "x₂"):
            assert before == "true"
            continue
        button.click()
        until(page, f"document.querySelector('[aria-label=\"Input {title}\"]')"
                    ".getAttribute('aria-pressed') === 'true'")  # fmt: skip
    assert address(page)["features"] == ",".join(FEATURES)
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    same_in_python(page, tmp_path)
    page.goto(page.url.partition("#")[0] + "#features=x1")
    ready(page)
    page.reload()
    ready(page)
    page.get_by_role("button", name="Input x₁", exact=True).click()
    until(page, "!document.querySelector('#problem').hidden")
    assert "needs an input" in text(page, "problem")


@pytest.mark.parametrize("value", ["-1", "", "1e9"])
def test_numbers_that_cannot_be_are_said(chromium, server, value):
    with visited(chromium, server, quiet=False) as page:
        page.locator("#learning_rate").fill(value)
        page.locator("#learning_rate").press("Tab")
        until(page, "!document.querySelector('#problem').hidden")
        assert text(page, "problem").startswith("Learning rate: ")
        page.locator("#learning_rate").fill("0.1")
        page.locator("#learning_rate").press("Tab")
        until(page, "document.querySelector('#problem').hidden")


# ---------------------------------------------------------------- mouse, keyboard, what is told


def test_sliders_are_dragged(page):
    for name, low, high in (("noise", 0, 3), ("samples", 20, 1000), ("share", 10, 90)):
        box = page.locator(f"#{name}").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.5, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=5)
        page.mouse.up()
        value = float(address(page)[name])
        assert low + 0.6 * (high - low) < value < high, name


def test_points_are_drawn_by_mouse_and_keyboard(page, tmp_path):
    page.select_option("#data", "drawn")
    until(page, "!document.querySelector('#drawing').hidden")
    count = len(address(page)["drawn"].split(","))
    page.get_by_role("radio", name="C").check()
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 60, steps=20)
    page.mouse.up()
    drawn = address(page)["drawn"].split(",")
    assert len(drawn) > count + 5
    assert {point.rpartition(":")[2] for point in drawn} == {"0", "1", "2"}
    page.get_by_role("radio", name="A").check()
    page.locator("#point-x1").fill("5")
    page.locator("#point-x2").fill("-4.5")
    page.locator("#add-point").press("Enter")
    assert address(page)["drawn"].split(",")[-1] == "5:-4.5:0"
    page.click("#undo-point")
    assert address(page)["drawn"].split(",") == drawn
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    same_in_python(page, tmp_path)
    page.click("#clear-points")
    until(page, "!document.querySelector('#lack').hidden")
    assert "4 points" in text(page, "lack")
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    assert "4 points" in page.locator("#step").get_attribute("title")
    assert page.locator("#play").is_disabled()
    assert text(page, "train-loss") == "-"
    assert "drawn" not in address(page)
    for drawn in range(1, 5):
        page.mouse.click(box["x"] + 40 * drawn, box["y"] + 40)
        until(page, f"(location.hash.match(/:/g) ?? []).length === {2 * drawn}")
    until(page, "document.querySelector('#lack').hidden")
    assert page.locator("#plane").bounding_box() == box  # it stays under the mouse
    address(page)
    page.reload()
    ready(page)
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    same_in_python(page, tmp_path)
    for drawn in (3, 2, 1, 0):
        page.click("#undo-point")
        until(page, f"(location.hash.match(/:/g) ?? []).length === {2 * drawn}")
    page.click("#undo-point")
    assert "no point" in text(page, "problem")


def test_there_is_room_for_500_points(chromium, server):
    drawn = ",".join(f"{i / 100}:{i % 7}:{i % 2}" for i in range(499))
    with visited(chromium, server, f"/#data=drawn&drawn={drawn}".replace(":6:", ":5:")) as page:
        page.click("#add-point")
        until(page, "location.hash.endsWith(',0:0:0')")
        page.click("#add-point")
        assert "500 points" in text(page, "problem")
        assert len(address(page)["drawn"].split(",")) == 500


def test_points_are_drawn_by_a_finger(chromium, server):
    with visited(chromium, server, "/#data=drawn&drawn=1:1:0,2:2:1,3:3:2,-1:1:0",
                 has_touch=True, viewport={"width": 390, "height": 800}) as page:  # fmt: skip
        page.locator("#plane").scroll_into_view_if_needed()
        box = page.locator("#plane").bounding_box()
        for share in (0.25, 0.75):
            page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        drawn = [point.split(":") for point in address(page)["drawn"].split(",")]
        assert len(drawn) == 6
        assert abs(float(drawn[4][0]) + 3) < 0.2
        assert abs(float(drawn[5][0]) - 3) < 0.2


def pointer(page, kind, right, down, **more):
    """Send an event to the plane, at shares of its sides."""
    page.evaluate(
        """([kind, right, down, more]) => {
          const plane = document.querySelector("#plane");
          plane.setPointerCapture = () => {};
          const box = plane.getBoundingClientRect();
          plane.dispatchEvent(new PointerEvent(kind, {
            clientX: box.x + right * box.width, clientY: box.y + down * box.height,
            pointerId: 1, isPrimary: true, button: 0, bubbles: true, cancelable: true, ...more,
          }));
        }""",
        [kind, right, down, more],
    )


def test_one_finger_or_the_main_button_draws(page):
    page.evaluate("location.hash = 'data=drawn&drawn=1:1:0'")
    until(page, "!document.querySelector('#lack').hidden")
    for button in (1, 2):
        pointer(page, "pointerdown", 0.5, 0.5, button=button)
        pointer(page, "pointermove", 0.9, 0.5, button=-1)
        pointer(page, "pointerup", 0.9, 0.5, button=button)
    pointer(page, "pointerdown", 0.25, 0.5)
    for right in (0.7, 0.8):
        pointer(page, "pointerdown", right, 0.75, pointerId=2, isPrimary=False)
        pointer(page, "pointermove", right, 0.9, pointerId=2, isPrimary=False, button=-1)
    pointer(page, "pointerup", 0.8, 0.9, pointerId=2, isPrimary=False)
    pointer(page, "pointermove", 0.25, 0.75, button=-1)
    pointer(page, "pointerup", 0.25, 0.75)
    assert address(page)["drawn"] == "1:1:0,-3:0:0,-3:-3:0"


def test_outputs_tell_their_numbers(page):
    names = ["Output class A", "Output class B"]
    for hidden, unit in ((2, "unit 1"), (0, "x₁")):
        until(page, f"document.querySelectorAll('.net .column').length === {hidden + 2}")
        for name in names:
            output = page.get_by_role("button", name=name, exact=True)
            output.focus()
            said = text(page, "detail")
            assert re.match(rf"{name}: bias −?\d.*; weights {unit} −?\d.*gradient \d", said)
            described = output.get_attribute("aria-describedby")
            assert page.locator(f"#{described}").inner_text() == said
        assert text(page, "output-title") == "Output"
        for _ in range(hidden):
            page.click("#fewer-layers")
    page.select_option("#data", "hills")
    output = page.get_by_role("button", name="Output y", exact=True)
    output.focus()
    assert text(page, "detail").startswith("Output y: bias")


def test_the_focus_goes_to_the_nearest_control(page):
    focused = "document.activeElement.dataset.key ?? document.activeElement.id"

    def press_until(name, expected, times):
        page.get_by_role("button", name=name, exact=True).focus()
        for _ in range(times):
            page.keyboard.press("Enter")
            page.wait_for_timeout(100)
        until(page, f"({focused}) === '{expected}'")

    press_until("Remove a unit from hidden layer 2", "head-1-1", 3)
    press_until("Add a unit to hidden layer 2", "head-1--1", 11)
    press_until("Remove a hidden layer", "more-layers", 2)
    press_until("Add a hidden layer", "fewer-layers", 6)
    page.locator("[data-key=unit-5-3]").focus()
    page.evaluate("location.hash = 'hidden=4,4,4,4,4,2'")
    until(page, f"({focused}) === 'unit-5-1'")
    page.evaluate("location.hash = 'hidden=4'")
    until(page, f"({focused}) === 'scroll'")


def test_the_output_is_shown_again_after_a_unit(chromium, server):
    settings = {"has_touch": True, "viewport": {"width": 390, "height": 800}}
    with visited(chromium, server, **settings) as page:
        title = "document.querySelector('#output-title').textContent"
        page.locator("[data-key=unit-0-2]").tap()
        until(page, f"{title} === 'Layer 1, unit 3'")
        page.locator("#diagnosis, #doctor-title").first.tap()
        until(page, f"{title} === 'Output'")
        page.locator("[data-key=unit-0-2]").focus()
        until(page, f"{title} === 'Layer 1, unit 3'")
        page.select_option("#data", "xor")
        until(page, f"{title} === 'Output'")


def test_classes_differ_by_their_shapes(chromium, server):
    """Points of the same color, as some people see them, are told apart."""
    drawn = ",".join(["0:0:0", "0:3:0", "3:0:1", "-3:0:2", *(f"{i / 9}:-5:0" for i in range(36))])
    opened_ = f"/#data=drawn&drawn={drawn}&share=90&points=training&data_seed=1"
    with visited(chromium, server, opened_, forced_colors="active") as page:
        shapes = page.evaluate("""() => {
          const plane = document.querySelector("#plane");
          const pen = plane.getContext("2d");
          return [[300, 300], [300, 150], [450, 300], [150, 300]].map(([x, y]) => {
            const { data } = pen.getImageData(x - 8, y - 8, 17, 17);
            const color = (i) => data.slice(4 * i, 4 * i + 3).join();
            const colors = Array.from({ length: 289 }, (_, i) => color(i));
            return colors.map((color) => Number(color === colors[144])).join("");
          });
        }""")
        assert min(shape.count("1") for shape in shapes) > 30
        assert shapes[0] == shapes[1]
        assert len(set(shapes)) == 3
        for name in "ABC":
            dot = page.locator(f"#classes .dot.{name}")
            color = dot.evaluate("dot => getComputedStyle(dot).backgroundColor")
            assert color not in ("rgb(0, 0, 0)", "rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
        outlines = {
            page.locator(f"#classes .dot.{name}").evaluate(
                "dot => getComputedStyle(dot).borderRadius + getComputedStyle(dot).clipPath"
            )
            for name in "ABC"
        }
        assert len(outlines) == 3


def test_links_lead_back_to_what_a_tab_showed(page):
    page.evaluate("location.hash = 'data=xor&epoch=3'")
    until(page, "document.querySelector('#at').textContent === '3'")
    page.get_by_role("link", name="Digits").click()
    page.evaluate("location.hash = 'hidden=16&step=2'")
    page.wait_for_timeout(100)
    page.get_by_role("link", name="Plane").click()
    ready(page)
    until(page, "document.querySelector('#at').textContent === '3'")
    assert page.locator("#data").input_value() == "xor"
    link = page.get_by_role("link", name="Digits")
    assert link.get_attribute("href").endswith("/digits#hidden=16&step=2")


def test_an_address_stays_while_it_opens(page):
    with held(page, "**/sessions/playground*") as waiting:
        page.evaluate("location.hash = 'data=moons'")
        wait_for(page, waiting)
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        assert page.url.endswith("#data=moons")


def test_units_and_lines_tell_their_numbers(page):
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    page.hover("[data-key=unit-0-2]")
    until(
        page, "document.querySelector('#detail').textContent.startsWith('Hidden layer 1, unit 3')"
    )
    hovered = text(page, "detail")
    assert re.search(r"bias −?\d.*weights x₁ −?\d[\d.]*, x₂ −?\d.*gradient \d", hovered)
    assert page.locator("#output-title").text_content() == "Layer 1, unit 3"
    page.mouse.move(5, 5)
    until(page, "document.querySelector('#detail').textContent.startsWith('Point at')")
    page.locator("[data-key=unit-0-1]").focus()
    page.keyboard.press("Tab")
    assert text(page, "detail") == hovered
    page.locator("#play").focus()
    # A place on the first line, in the middle of its way.
    place = page.evaluate("""() => {
      const line = document.querySelector('.net path.hit');
      const at = line.getPointAtLength(0.5 * line.getTotalLength());
      const box = line.ownerSVGElement.getBoundingClientRect();
      return [box.x + at.x, box.y + at.y];
    }""")
    page.mouse.move(*place)
    until(page, "document.querySelector('#detail').textContent.includes('weight')")
    assert re.match(r"x[₁₂] to unit \d of layer 1: weight −?\d", text(page, "detail"))


def test_dead_units_are_marked_and_diagnosed(chromium, server):
    dead = "/#hidden=8,8&activation=relu&data=hills&loss=mse&epoch=200"
    with visited(chromium, server, dead) as page:
        until(page, "document.querySelectorAll('.unit.dead').length >= 4")
        label = page.locator(".unit.dead").first.get_attribute("aria-label")
        assert re.fullmatch(r"Hidden layer \d, unit \d, dead", label)
        until(page, "document.querySelector('#findings').textContent.includes('dead units')")
        assert "leaky_relu" in text(page, "findings")


def test_losses_are_spoken_now_and_then(page):
    page.evaluate("""() => {
      window.spoken = 0;
      new MutationObserver(() => { window.spoken += 1; })
        .observe(document.querySelector('#spoken'), { childList: true });
    }""")
    page.click("#play")
    page.wait_for_timeout(3000)
    page.click("#play")
    until(page, "document.querySelector('#play').textContent === 'Play'")
    until(page, "document.querySelector('#spoken').textContent.includes('test accuracy')")
    assert page.evaluate("window.spoken") <= 4
    assert number(page, "at") > 10
    said = re.search(r"Epoch (\d+)", page.locator("#spoken").text_content())
    assert int(said[1]) == number(page, "at")


def test_the_command_and_the_points_are_offered(page):
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    shown_code(page)
    assert text(page, "command").startswith("fastmlp train train.csv --test test.csv --target y")
    with page.expect_download() as download:
        page.click("#train-csv")
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "x1,x2,y"
    assert len(lines) == 1 + 210
    page.select_option("#loss", "mse")
    until(page, "document.querySelector('#copy-command').disabled")


# ---------------------------------------------------------------- tabs, server, address


def test_two_tabs_at_once(chromium, server, tmp_path):
    with visited(chromium, server, "/#seed=1") as one, visited(chromium, server, "/#seed=2") as two:
        for page in (one, two):
            page.click("#play")
        for page in (one, two):
            until(page, "parseInt(document.querySelector('#at').textContent) > 15")
            page.click("#play")
            until(page, "document.querySelector('#play').textContent === 'Play'")
        assert same_in_python(one, tmp_path) != same_in_python(two, tmp_path)


def test_a_tab_that_nobody_sees_rests(page):
    def show(is_hidden):
        page.evaluate(f"""() => {{
          Object.defineProperty(document, "hidden", {{ value: {is_hidden}, configurable: true }});
          document.dispatchEvent(new Event("visibilitychange"));
        }}""")

    page.click("#play")
    until(page, "parseInt(document.querySelector('#at').textContent) > 3")
    show("true")
    page.wait_for_timeout(300)
    epoch = number(page, "at")
    page.wait_for_timeout(700)
    assert number(page, "at") == epoch
    show("false")
    until(page, f"parseInt(document.querySelector('#at').textContent) > {epoch + 3}")


def test_a_tab_that_plays_goes_on_after_the_server_came_back(chromium, tmp_path):
    with answering("play", ends=False) as first, visited(chromium, first, quiet=False) as page:
        page.click("#play")
        until(page, "parseInt(document.querySelector('#at').textContent) > 20")
        first.end()
        until(page, "!document.querySelector('#connection').hidden")
        epoch = number(page, "at")
        with answering("play", port=first.port):
            until(page, "document.querySelector('#connection').hidden")
            until(page, f"parseInt(document.querySelector('#at').textContent) > {epoch + 5}")
            page.click("#play")
            until(page, "document.querySelector('#play').textContent === 'Play'")
            same_in_python(page, tmp_path)


def test_the_server_goes_and_comes_back(chromium, tmp_path):
    with answering("play", ends=False) as first, visited(chromium, first, quiet=False) as page:
        play_until(page, "parseInt(document.querySelector('#at').textContent) > 10")
        page.click("#step")
        until(page, "document.querySelector('#batch-at').textContent.startsWith('1 of')")
        epoch = number(page, "at")
        digest = shown_code(page)[0]
        first.end()
        until(page, "!document.querySelector('#connection').hidden")
        assert "does not answer" in text(page, "connection")
        page.click("#epoch")
        until(page, "document.querySelector('#problem').textContent.includes('not answer')")
        with answering("play", port=first.port):
            until(page, "document.querySelector('#connection').hidden")
            until(page, f"document.querySelector('#at').textContent === '{epoch:.0f}'")
            until(page, "document.querySelector('#batch-at').textContent.startsWith('1 of')")
            assert shown_code(page)[0] == digest
            page.click("#epoch")
            until(page, f"document.querySelector('#at').textContent === '{epoch + 1:.0f}'")
            same_in_python(page, tmp_path)


@pytest.mark.parametrize("wrong", ["seed=-1", "hidden=99", "data=nothing", "noise=x", "phases=1:2"])
def test_a_wrong_address_is_said(chromium, server, wrong):
    with visited(chromium, server, f"/#{wrong}", quiet=False) as page:
        until(page, "!document.querySelector('#problem').hidden")
        assert "The address is wrong" in text(page, "problem")
        assert wrong.partition("=")[0] in text(page, "problem")


def test_an_address_that_is_edited_opens(page):
    page.evaluate("location.hash = '#hidden=3&epoch=4'")
    until(page, "document.querySelector('#at').textContent === '4'")
    assert page.locator(".unit:not(.input)").count() == 3


# ---------------------------------------------------------------- what is refused


REFUSED = {
    "learning_rate": ["1e30", "1000", "1e-46", "-1", ""],
    "batch_size": ["2.5", "0", "5000", ""],
    "l2": ["1e-50", "1e9"],
    "dropout": ["0.95", "1", "1e-300"],
    "momentum": ["0.9999999999", "1"],
    "seed": ["-1", "1.5"],
    "data_seed": ["-3", "1e9"],
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_a_refused_number_leaves_the_one_in_use(chromium, server, name, key):
    with visited(chromium, server, "/#seed=3", quiet=False) as page:
        field = page.locator(f"#{name}")
        used, before = field.input_value(), address(page)
        label = page.evaluate(f"document.querySelector('#{name}').labels[0].firstChild.textContent")
        for value in REFUSED[name]:
            field.fill(value)
            field.press(key)
            until(page, "!document.querySelector('#problem').hidden")
            until(page, f"document.querySelector('#{name}').value === '{used}'")
            assert text(page, "problem").startswith(f"{label.strip()}: ")
            page.wait_for_timeout(100)
            assert page.locator("#problem").is_visible()
            assert address(page) == before
            page.click("#reset")
            until(page, "document.querySelector('#problem').hidden")


def test_a_refused_switch_is_off_again_and_a_reload_keeps_all(chromium, server):
    opened_ = "/#data=spiral&phases=0:0.03:1:0"
    with visited(chromium, server, opened_, quiet=False) as page:
        page.click("#batch_normalization")
        until(page, "document.querySelector('#problem').textContent.includes('no batch of one')")
        until(page, "!document.querySelector('#batch_normalization').checked")
        assert "Batch size: must leave" in text(page, "problem")
        assert address(page) == {"data": "spiral", "phases": "0:0.03:1:0"}
        page.reload()
        ready(page)
        assert page.locator("#data").input_value() == "spiral"
        assert page.locator("#problem").is_hidden()


def test_what_is_typed_stays_while_an_answer_comes(page):
    with held(page, "**/settings") as waiting:
        page.select_option("#activation", "relu")
        wait_for(page, waiting)
        page.locator("#seed").press("End")
        page.keyboard.type("7")
    until(page, "location.hash.includes('activation=relu')")
    assert page.locator("#seed").input_value() == "07"


def test_a_training_that_diverged_goes_on_after_a_tuning(page, tmp_path):
    page.evaluate("location.hash = 'data=hills&loss=mse&activation=relu&phases=0:90:10:0'")
    until(page, "document.querySelector('#data').value === 'hills'")
    page.click("#play")
    until(page, "document.querySelector('#problem-of-training').textContent.includes('Reset')")
    for name in ("play", "step", "epoch"):
        assert page.locator(f"#{name}").is_disabled()
    assert page.locator("#reset").is_enabled()
    page.locator("#learning_rate").fill("0.01")
    page.locator("#learning_rate").press("Enter")
    until(page, "document.querySelector('#problem-of-training').hidden")
    epoch = number(page, "at")
    page.click("#epoch")
    until(page, f"document.querySelector('#at').textContent === '{epoch + 1:.0f}'")
    same_in_python(page, tmp_path)


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize("name", ["toString", "constructor", "__proto__", "hasOwnProperty"])
def test_names_of_every_object_are_no_settings(chromium, server, name):
    with visited(chromium, server, f"/#{name}=1&seed=5") as page:
        until(page, "document.querySelector('#seed').value === '5'")
        assert address(page) == {"seed": "5"}


WRONG = ["batch_normalization=TRUE", "seed=", "speed=bogus", "lines=bogus", "points=bogus",
         "epoch=x", "step=", "phases=0:0.1::0", "hidden=a", "drawn=1:1:",
         "samples=Infinity"]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_every_wrong_value_of_an_address_is_said(chromium, server, wrong):
    with visited(chromium, server, f"/#{wrong}", quiet=False) as page:
        until(page, "!document.querySelector('#problem').hidden")
        said = text(page, "problem")
        assert said.startswith("The address is wrong")
        assert wrong.partition("=")[0] in said
        assert address(page) == {}


def test_a_step_past_the_epoch_opens_at_its_end(page):
    page.evaluate("location.hash = 'phases=0:0.03:100:0&epoch=2&step=20'")
    until(page, "document.querySelector('#at').textContent === '3'")
    assert text(page, "batch-at") == "0 of 3"
    assert page.locator("#problem").is_hidden()


def test_a_focused_field_follows_the_address(page):
    page.locator("#seed").focus()
    page.evaluate("location.hash = 'seed=9'")
    until(page, "document.querySelector('#seed').value === '9'")


SLOW = "/#data=spiral&samples=1000&hidden=12,12,12,12,12,12&phases=0:0.001:1:0&epoch=900&step=1"


def test_a_reload_keeps_the_place_of_the_address(chromium, server):
    with visited(chromium, server, SLOW) as page:
        for _ in range(2):
            until(page, "document.querySelector('#connection').textContent.includes('h 900, b')")
            assert address(page)["epoch"] == "900"
            assert address(page)["step"] == "1"
            page.reload()
            ready(page)
        until(page, "document.querySelector('#connection').textContent.startsWith('Training up')")
        page.click("#reset")
        until(page, "document.querySelector('#connection').hidden")
        assert "epoch" not in address(page)


def test_larger_batches_on_the_way_to_the_place_of_the_address(page, tmp_path):
    page.evaluate(f"location.hash = '{SLOW[2:]}50'")
    until(page, "document.querySelector('#batch-at').textContent.endsWith('700')")
    page.locator("#batch_size").fill("32")
    page.locator("#batch_size").press("Enter")
    until(page, "document.querySelector('#at').textContent === '901'")
    page.click("#step")
    until(page, "document.querySelector('#batch-at').textContent === '1 of 22'")
    same_in_python(page, tmp_path)


def test_an_address_that_changes_while_the_server_is_away_opens_later(chromium):
    with answering("play", ends=False) as first, visited(chromium, first, quiet=False) as page:
        first.end()
        until(page, "!document.querySelector('#connection').hidden")
        page.evaluate("location.hash = 'data=moons&epoch=3'")
        page.wait_for_timeout(500)
        page.evaluate("location.hash = 'data=xor&epoch=2'")
        page.wait_for_timeout(500)
        assert "does not answer" in text(page, "connection")
        assert page.locator("#problem").is_hidden()
        with answering("play", port=first.port):
            until(page, "document.querySelector('#data').value === 'xor'")
            until(page, "document.querySelector('#at').textContent === '2'")
            assert page.locator("#connection").is_hidden()
            assert address(page) == {"data": "xor", "epoch": "2"}


def test_a_page_that_opens_unseen_listens_when_it_is_seen(chromium, server):
    with opened(chromium, f"{server.url}/files/play.css", quiet=False) as page:
        page.add_init_script(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        )
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.wait_for_timeout(1000)
        assert any("/sessions/playground" in url for url in asked)
        assert not any("/events" in url for url in asked)
        page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { value: false, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""")
        ready(page)


# ---------------------------------------------------------------- the code


def test_the_code_says_why_it_is_missing(chromium):
    with answering("play", ends=False) as server, visited(chromium, server, quiet=False) as page:
        server.end()
        until(page, "!document.querySelector('#connection').hidden")
        page.locator("#code summary").click()
        until(page, "document.querySelector('#code-problem').textContent.includes('not answer')")
        with answering("play", port=server.port):
            until(page, "document.querySelector('#digest').textContent.length === 64")
            assert page.locator("#code-problem").is_hidden()


@pytest.mark.parametrize("name", ["python", "command"])
def test_without_a_clipboard_the_text_is_selected(page, name):
    page.click("#epoch")
    until(page, "document.querySelector('#at').textContent === '1'")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    shown_code(page)
    button = page.locator(f"#copy-{name}")
    button.click()
    assert "Ctrl+C" in button.inner_text()
    selected = page.evaluate("getSelection().toString()")
    assert selected.strip() == page.locator(f"#{name}").inner_text().strip()


# ---------------------------------------------------------------- everybody


@contextmanager
def held(page, pattern):
    """Hold the first request to a path, until the block ends."""
    waiting = []

    def hold(route):
        if waiting:
            route.continue_()
        else:
            waiting.append(route)

    page.route(pattern, hold)
    yield waiting
    waiting[0].continue_()
    page.unroute(pattern)


def test_a_late_answer_keeps_the_message_of_a_later_action(page):
    with held(page, "**/settings") as waiting:
        page.select_option("#activation", "relu")  # which will be accepted
        wait_for(page, waiting)
        page.locator("#batch_size").fill("")
        page.locator("#batch_size").press("Enter")
        assert "must be a number" in text(page, "problem")
    until(page, "location.hash.includes('activation=relu')")
    assert "must be a number" in text(page, "problem")


def test_what_waits_for_its_turn_is_not_sent_to_the_next_session(page):
    points = ",".join(f"{x / 5}:{x / 7}:{x % 2}" for x in range(-20, 20))
    page.goto(page.url.partition("#")[0] + f"#data=drawn&drawn={points}")
    page.reload()
    ready(page)
    page.evaluate(
        """() => {
          for (let i = 0; i < 30; i += 1) document.getElementById("undo-point").click();
          document.getElementById("step").click();
          location.hash = "data=xor&epoch=3";
        }"""
    )
    until(page, "document.querySelector('#at').textContent === '3'")
    page.wait_for_timeout(1500)
    assert page.locator("#data").input_value() == "xor"
    assert (text(page, "at"), text(page, "batch-at").split()[0]) == ("3", "0")
    assert page.locator("#problem").is_hidden()
    assert address(page)["data"] == "xor"


def test_own_points_wait_for_those_that_batch_normalization_needs(chromium, server, tmp_path):
    start = "/#data=drawn&drawn=&share=10&batch_normalization=true"
    with visited(chromium, server, start, quiet=False) as page:
        for number in range(21):
            page.locator("#point-x1").fill(str(number / 4))
            page.locator("#point-x2").fill(str(number % 3))
            page.click("#add-point")
            if number == 6:
                needs = "document.querySelector('main').innerText.includes('normalization needs')"
                until(page, needs)
                assert page.locator("#play").is_disabled()
        until(page, "!document.querySelector('#play').disabled")
        assert page.locator("#problem").is_hidden()
        page.click("#epoch")
        until(page, "document.querySelector('#at').textContent === '1'")
        same_in_python(page, tmp_path)


def test_the_later_of_two_addresses_opens(page):
    with held(page, "**/sessions/playground*") as waiting:
        page.evaluate("location.hash = 'data=xor'")
        wait_for(page, waiting)
        page.evaluate("location.hash = 'data=moons'")
        until(page, "document.querySelector('#data').value === 'moons'")
    page.wait_for_timeout(700)
    assert page.locator("#data").input_value() == "moons"
    assert address(page)["data"] == "moons"


def wait_for(page, requests):
    for _ in range(100):
        if requests:
            return
        page.wait_for_timeout(50)
    raise AssertionError("there was no request")


def violations(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    result = axe.Axe().run(page)
    assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chromium, server, scheme, width):
    settings = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    dead = "/#hidden=8,8&activation=relu&data=hills&loss=mse&epoch=200"
    drawn = "/#data=drawn&drawn=1:1:0,2:2:1,3:3:2"
    for address_ in ("/", dead, drawn, f"{drawn},-1:1:0"):
        with visited(chromium, server, address_, **settings) as page:
            shown_code(page)
            violations(page)


@pytest.mark.parametrize("width", [360, 768, 1024, 1440])
def test_nothing_is_wider_than_the_window(chromium, server, width):
    with visited(chromium, server, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_has_large_switches_and_whole_words(chromium, server):
    with visited(chromium, server, viewport={"width": 390, "height": 800}) as page:
        for name in ("batch_normalization", "show-test"):
            assert page.locator(f"#{name}").bounding_box()["height"] >= 24
        needed = page.evaluate("""() => {
          const field = document.querySelector("#loss");
          const pen = document.createElement("canvas").getContext("2d");
          pen.font = getComputedStyle(field).font;
          return field.clientWidth - pen.measureText("cross-entropy").width;
        }""")
        assert needed > 30  # for the arrow and the padding


def test_many_lines_are_thin(chromium, server):
    widths = []
    for hidden in ("4", "12,12,12,12,12,12"):
        with visited(chromium, server, f"/#hidden={hidden}&lines=gradient") as page:
            widths.append(
                page.evaluate("""() => {
              const lines = [...document.querySelectorAll(".net path:not(.hit)")];
              return Math.max(...lines.map((line) => line.getAttribute("stroke-width")));
            }""")
            )
    assert widths[0] == 6.4
    assert widths[1] < 3


def test_whoever_wants_no_motion_gets_few_frames(chromium, server):
    with visited(chromium, server, reduced_motion="reduce") as page:
        page.click("#play")
        page.wait_for_timeout(2500)
        assert 2 <= number(page, "at") <= 14


def test_frames_per_second(chromium, server):
    """Nothing is required of this machine: the number is printed for whoever reads the log."""
    with visited(chromium, server, "/#hidden=8,8,8") as page:
        page.click("#play")
        until(page, "parseInt(document.querySelector('#at').textContent) > 5")
        before, start = number(page, "at"), time.monotonic()
        page.wait_for_timeout(4000)
        frames = (number(page, "at") - before) / (time.monotonic() - start)
        page.click("#play")
    print(f"{frames:.1f} frames a second of 3 layers of 8 units")
    assert frames > 1
