"""What the page trains has the bits of the program that it shows, whatever was pressed."""

from __future__ import annotations

import random
import shlex

import pytest

import fastmlp
from fastmlp.play.course import Course
from fastmlp.play.program import model_of, samples_of
from fastmlp.play.session import Order, Playground
from fastmlp.play.settings import Phase, Point, Settings, checked
from support.cli_process import run
from support.playground import Tab, digest_of, random_phase, random_settings
from support.services import answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def server():
    with answering("play") as running:
        yield running


def press(tab, rng):
    """Press something, and read what the training does until it rests."""
    kind = rng.choice(["step", "step", "epoch", "play", "play", "tune", "look"])
    if kind in ("step", "epoch"):
        tab.order(kind)
        tab.wait()
    elif kind == "play":
        tab.order("play", speed=rng.choice(["step", "epoch", "ten", "fast"]))
        tab.watch(rng.randint(1, 6))
        tab.order("pause")
    elif kind == "tune":
        changes = random_phase(rng)
        # With batch normalization some sizes leave a batch of one sample, which is refused.
        tab.post("tune", {name: changes[name] for name in rng.sample(list(changes), 2)})
    else:
        tab.watch(2)
        tab.code()


@pytest.mark.parametrize("seed", range(10), indirect=True)
def test_random_sequences_of_actions(server, seed, tmp_path):
    rng = random.Random(seed)
    tab = Tab(server, accepted(rng))
    for _ in range(rng.randint(1, 8)):
        press(tab, rng)
    code, state = tab.code(), tab.state()
    assert code["digest"] == state["digest"]
    assert digest_of(code["python"], tmp_path) == code["digest"]
    # The place and the settings are all that another tab needs.
    other = Tab(server, state["settings"], epoch=state["epoch"], step=state["step"])
    other.wait()
    assert other.state()["digest"] == state["digest"]


def accepted(rng):
    """Return random settings that can be trained."""
    while True:
        settings = random_settings(rng)
        try:
            Settings.model_validate(settings, strict=False)
        except ValueError:
            continue
        return settings


@pytest.mark.parametrize("seed", range(8), indirect=True)
def test_the_command_has_the_same_parameters(server, seed, tmp_path):
    rng = random.Random(seed)
    settings = accepted(rng)
    while settings["loss"] == "mse" and settings["data"] not in ("plane", "hills"):
        settings = accepted(rng)
    tab = Tab(server, settings, epoch=rng.randint(1, 12))
    tab.wait()
    code = tab.code()
    if code["problem"]:
        pytest.skip("the training diverged, and so does the command")
    same = checked(Settings, Settings.model_validate(settings, strict=False).model_dump())
    samples = samples_of(same)
    if len(set(samples.labels[: samples.trained].ravel().tolist())) < same.classes:
        assert not code["command"]
        assert "has no point of one" in code["reason"]
        return
    if any(len(set(column.tolist())) == 1 for column in samples.train[0].T):
        assert not code["command"]
        assert "the same in all rows" in code["reason"]
        return
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv").write_bytes(tab.get(f"{part}.csv").body)
    words = shlex.split(code["command"])
    assert words[:2] == ["fastmlp", "train"], code["reason"]
    done = run(*words[1:], "--out", "run", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trained = fastmlp.load(tmp_path / "run" / "last.safetensors").network
    course = Course(model_of(same), samples.train, samples.test, same)
    course.advance((code["epoch"], 0), 60)
    assert course.digest() == code["digest"]
    course.model.set_parameters(trained.parameters())
    assert course.digest() == code["digest"]


def test_settings_that_change_later_are_several_calls_of_fit(server, tmp_path):
    tab = Tab(server)
    tab.order("epoch")
    tab.wait()
    tab.order("step")
    tab.wait()
    tab.do("tune", {"learning_rate": 0.5})
    assert [phase["start"] for phase in tab.state()["settings"]["phases"]] == [0, 2]
    for _ in range(2):
        tab.order("epoch")
        tab.wait()
    code = tab.code()
    assert code["python"].count("model.fit(") == 2
    assert code["command"] == ""
    assert "changed during the training" in code["reason"]
    assert digest_of(code["python"], tmp_path) == code["digest"]


CHANGES = {
    "activation": "relu", "loss": "hinge", "optimizer": "adam", "momentum": 0.5, "dropout": 0.2,
    "batch_normalization": True, "initializer": "he_uniform", "seed": 1, "data": "xor",
    "samples": 200, "noise": 0.2, "data_seed": 1, "share": 60, "features": ("x1", "x2", "product"),
    "hidden": (6,), "phases": ({"learning_rate": 0.1},),
}  # fmt: skip


def digest(settings):
    samples = samples_of(settings)
    course = Course(model_of(settings), samples.train, samples.test, settings)
    course.advance((3, 0), 60)
    return course.digest()


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - {"drawn"}))
def test_every_setting_counts(name):
    usual = digest(Settings())
    assert digest(checked(Settings, {name: CHANGES[name]})) != usual


@pytest.mark.parametrize("name", sorted(set(Phase.model_fields) - {"start"}))
def test_every_setting_of_a_phase_counts(name):
    later = {"start": 1, name: {"learning_rate": 0.5, "batch_size": 20, "l2": 0.1}[name]}
    assert digest(checked(Settings, {"phases": ({}, later)})) != digest(Settings())


def test_drawn_points_count():
    points = [Point(x1=x1, x2=x2, label=int(x1 * x2 > 0)) for x1 in (-2, 1, 3) for x2 in (-1, 2)]
    usual = digest(Settings(data="drawn", drawn=tuple(points)))
    other = Point(x1=0, x2=0, label=1)
    assert digest(Settings(data="drawn", drawn=(*points[:-1], other))) != usual
    assert digest(Settings(data="drawn", drawn=tuple(points), data_seed=1)) != usual


def test_nothing_is_trained_unless_somebody_looks(server):
    tab = Tab(server)
    tab.order("play", speed="fast")
    assert tab.state()["epoch"] == 0
    assert tab.watch(3)["epoch"] > 0
    tab.order("pause")
    epoch = tab.state()["epoch"]
    assert tab.watch(1)["epoch"] == epoch


def test_a_training_that_diverges_keeps_its_last_epoch(server, tmp_path):
    wild = {"data": "hills", "loss": "mse", "activation": "relu",
            "phases": [{"learning_rate": 90.0}]}  # fmt: skip
    tab = Tab(server, wild)
    tab.order("play")
    frame = tab.wait()
    assert "diverged" in frame["problem"]
    code = tab.code()
    assert digest_of(code["python"], tmp_path) == code["digest"]
    tab.order("epoch")
    assert "diverged" in tab.wait()["problem"]
    tab.do("settings", {"data": "hills", "loss": "mse"})
    assert tab.wait()["problem"] == ""


@pytest.mark.parametrize("seed", range(12), indirect=True)
def test_a_training_that_diverged_goes_on_with_other_settings(server, seed, tmp_path):
    rng = random.Random(seed)
    tab = None
    while tab is None or not tab.state()["problem"]:
        tab = Tab(server, wild_settings(rng))
        for _ in range(rng.randint(0, 3)):
            tab.order(rng.choice(["step", "epoch"]))
            tab.wait()
        tab.order("play", speed=rng.choice(["step", "epoch", "ten", "fast"]))
        tab.watch(30)
        tab.order("pause")
    state = tab.state()
    assert "diverged" in state["problem"]
    assert "Reset" in state["problem"]
    next_one = Tab(server, state["settings"], epoch=state["epoch"] + 1).wait()
    assert "diverged" in next_one["problem"]  # the epochs that can be completed are
    for name in ("play", "step", "epoch"):
        tab.order(name)
        assert tab.wait()["epoch"] == state["epoch"]
    mended = tab.do("tune", {"learning_rate": 0.001, "batch_size": rng.choice([5, 10, 40])})
    assert mended["problem"] == ""
    assert (mended["epoch"], mended["step"]) == (state["epoch"], 0)
    for _ in range(rng.randint(0, 3)):
        press(tab, rng)
    code = tab.code()
    assert digest_of(code["python"], tmp_path) == code["digest"]


@pytest.mark.parametrize("seed", range(4), indirect=True)
def test_what_fit_refuses_is_a_problem_that_another_setting_solves(seed):
    """Whatever passes the checks of settings: here a rate that is 0 in float32."""
    rng = random.Random(seed)
    wrong = Phase.model_construct(start=3, learning_rate=1e-46, batch_size=10, l2=0.0)
    settings = Settings(seed=rng.randint(0, 99), dropout=rng.choice([0.0, 0.2]))
    samples = samples_of(settings)

    def trained(settings, *places):
        course = Course(model_of(settings), samples.train, samples.test, settings)
        for place in places:
            course.advance(place, 60)
        return course

    course = trained(settings, (rng.randint(0, 2), rng.randint(0, 20)))
    course.tune(settings.model_copy(update={"phases": (Phase(), wrong)}))
    course.advance((9, 0), 60)
    assert "learning_rate" in course.problem
    assert course.place == (3, 0)
    mended = settings.tuned(3, {"learning_rate": 0.1, "batch_size": 32})
    course.tune(mended)
    course.advance((5, 3), 60)
    assert course.problem == ""
    assert course.digest() == trained(mended, (5, 3)).digest()


def test_the_epochs_before_a_divergence_stay_however_they_were_trained():
    """In one call of `fit` that diverges, or each in a call of its own."""
    settings = Settings(data="hills", loss="mse", activation="relu", hidden=(8, 8),
                        phases=(Phase(learning_rate=3.0),))  # fmt: skip
    samples = samples_of(settings)
    at_once, one_by_one = (
        Course(model_of(settings), samples.train, samples.test, settings) for _ in range(2)
    )
    at_once._seconds_per_step = 1e-9  # so that the time allows all in one call
    at_once.advance((400, 0), 60)
    for epoch in range(1, 10):
        one_by_one.advance((epoch, 0), 60)
    assert "diverged" in at_once.problem
    assert at_once.place == one_by_one.place == (1, 0)
    assert at_once.digest() == one_by_one.digest()


def wild_settings(rng):
    """Return settings that are likely to diverge, at once or in a later phase."""
    settings = accepted(rng)
    settings |= {
        "data": "hills", "loss": "mse", "activation": rng.choice(["relu", "elu", "identity"]),
        "hidden": [8, 8], "phases": [{"learning_rate": rng.choice([0.01, 3.0, 90.0])}],
    }  # fmt: skip
    later = {"start": rng.randint(1, 3), "learning_rate": 90.0, "batch_size": 40}
    settings["phases"] += [later] * rng.randint(0, 1)
    return settings


@pytest.mark.parametrize("seed", range(6), indirect=True)
def test_a_step_that_the_epoch_does_not_have_is_its_end(server, seed, tmp_path):
    rng = random.Random(seed)
    settings = accepted(rng)
    settings["phases"] = [{"batch_size": rng.choice([3, 10, 500])}]
    epoch = rng.randint(0, 9)
    tab = Tab(server, settings, epoch=epoch, step=rng.choice([1000, 999_999_999]))
    assert tab.wait()["epoch"] == epoch + 1
    code = tab.code()
    assert (code["step"], code["busy"]) == (0, False)
    assert digest_of(code["python"], tmp_path) == code["digest"]


def test_larger_batches_while_a_tab_trains_up_to_its_place(server, tmp_path):
    tab = Tab(server, epoch=40, step=20)
    assert tab.state()["goal"] == [40, 20]
    tab.do("tune", {"batch_size": 32})
    frame = tab.wait()
    assert (frame["epoch"], frame["step"], frame["goal"]) == (41, 0, None)
    code = tab.code()
    assert digest_of(code["python"], tmp_path) == code["digest"]


def test_a_loss_that_is_not_finite_has_no_command(server, tmp_path):
    tab = Tab(server, {"samples": 20, "activation": "elu", "hidden": [8, 8, 8], "seed": 47,
                       "phases": [{"learning_rate": 1.0, "l2": 100.0}]}, epoch=2)  # fmt: skip
    assert tab.wait()["problem"] == ""
    code = tab.code()
    assert (code["command"], code["reason"][:22]) == ("", "A loss was not finite,")
    assert digest_of(code["python"], tmp_path) == code["digest"]


@pytest.mark.parametrize("seed", range(4), indirect=True)
def test_points_are_drawn_one_by_one(server, seed, tmp_path):
    rng = random.Random(seed)
    settings = accepted(rng)
    settings |= {"data": "drawn", "loss": "softmax_cross_entropy", "batch_normalization": False}
    tab = Tab(server, settings | {"drawn": []})
    points = [
        {"x1": rng.uniform(-6, 6), "x2": rng.uniform(-6, 6), "label": rng.randint(0, 2)}
        for _ in range(4)
    ]
    for count in (0, 1, 2, 3, 2, 1, 0, 3):
        tab.do("settings", settings | {"drawn": points[:count]})
        assert "4 points" in tab.wait()["problem"]
        assert len(tab.state()["points"]) == tab.state()["trained"] == count
        tab.do("tune", {"learning_rate": 0.2})
        for order in ("play", "step", "epoch", "reset"):
            assert "4 points" in tab.order(order)["problem"]
            frame = tab.wait()
            assert (frame["epoch"], frame["loss"]) == (0, None)
        code = tab.code()
        assert (code["python"], code["command"]) == ("", "")
        assert "4 points" in code["reason"]
        for part, lines in (("train", count), ("test", 0)):
            assert tab.get(f"{part}.csv").body.count(b"\n") == 1 + lines
    tab.do("settings", settings | {"drawn": points})
    tab.order("epoch")
    assert (tab.wait()["epoch"], tab.state()["problem"]) == (1, "")
    code = tab.code()
    assert digest_of(code["python"], tmp_path) == code["digest"]


def test_a_refusal_changes_nothing(server, monkeypatch, tmp_path):
    """Also one of the network itself, which comes after the points were made."""

    def refuse(settings):
        raise ValueError("no")

    session = Playground(checked(Settings, {}))
    session.obey(Order(order="play"))
    session.tick(0.02)
    before = session.start(), session.state()
    monkeypatch.setattr("fastmlp.play.session.model_of", refuse)
    with pytest.raises(ValueError, match="no"):
        session.begin_anew(checked(Settings, {"data": "xor", "samples": 40}))
    assert (session.start(), session.state()) == before


def test_two_tabs_train_at_once_and_do_not_meet(server):
    tabs = [Tab(server, {"seed": seed}) for seed in (1, 2)]
    with tabs[0].events() as first, tabs[1].events() as second:
        for tab in tabs:
            tab.order("play")
        for _ in range(40):
            next(first), next(second)
    for tab in tabs:
        tab.order("pause")
        state = tab.state()
        assert state["epoch"] > 5
        alone = Tab(server, state["settings"], epoch=state["epoch"], step=state["step"])
        alone.wait()
        assert alone.state()["digest"] == state["digest"]
    assert tabs[0].state()["digest"] != tabs[1].state()["digest"]
