"""What a sweep searches, and Optuna's journal of it."""

from __future__ import annotations

import json
import math
import re

import pytest

from fastmlp.errors import FormatError
from fastmlp.experiment.search import Dimension, changed, distinct
from fastmlp.experiment.settings import resolve

RATE = "optimizer.learning_rate"


# ---------------------------------------------------------------- dimensions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{RATE}=1e-4..0.3:log", Dimension(RATE, 1e-4, 0.3, log=True)),
        (f" {RATE} = 0.1 .. 0.3 ", Dimension(RATE, 0.1, 0.3)),
        (f"{RATE}=1..10", Dimension(RATE, 1.0, 10.0)),
        ("training.batch_size=16..256:log", Dimension("training.batch_size", 16, 256, log=True)),
        ("training.batch_size=1e1..1e2", Dimension("training.batch_size", 10, 100)),
        ("training.patience=2..4", Dimension("training.patience", 2, 4)),
        ("network.dropout=0..0.5", Dimension("network.dropout", 0.0, 0.5)),
        ("network.hidden=8..64", Dimension("network.hidden", 8, 64)),
        (
            "network.hidden=64|128|256,128|none",
            Dimension("network.hidden", choices=("64", "128", "256,128", "none")),
        ),
        (
            'network.activation=relu | {name = "leaky_relu", slope = 0.1}',
            Dimension("network.activation", choices=("relu", '{name = "leaky_relu", slope = 0.1}')),
        ),
        (
            "optimizer.nesterov=true|false",
            Dimension("optimizer.nesterov", choices=("true", "false")),
        ),
    ],
)
def test_dimensions_and_their_text(text, expected):
    dimension = Dimension.parse(text)
    assert dimension == expected
    for end, other in zip(dimension.ends, expected.ends, strict=True):
        assert type(end) is type(other)
    assert Dimension.parse(dimension.text()) == dimension


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RATE, f"expected SECTION.NAME=LOW..HIGH or =ONE|OTHER, got '{RATE}'"),
        (f"{RATE}=", f"expected SECTION.NAME=LOW..HIGH or =ONE|OTHER, got '{RATE}='"),
        ("lr=1..2", "a setting must be written SECTION.NAME, got 'lr'"),
        ("=1..2", "a setting must be written SECTION.NAME, got ''"),
        ("optimizer.=1..2", "a setting must be written SECTION.NAME, got 'optimizer.'"),
        ("optimizer.lr=1..2", "[optimizer] has no setting 'lr'; did you mean 'learning_rate'?"),
        ("optimizer.learning_rat=1..2", "did you mean 'learning_rate'?"),
        ("optimzer.l2=0..1", "the section must be network or optimizer or schedule or training"),
        ("data.standardize=true|false", "data.standardize: the data is the same for all trials"),
        ("training.monitor=loss|val_loss", "training.monitor: is the quantity by which all trials"),
        ("training.threads=1|2", "training.threads: changes nothing that a trial measures"),
        ("training.max_time=1..2", "training.max_time: is the same for all trials"),
        (f"{RATE}=0.1", f"{RATE}: needs LOW..HIGH or two choices ONE|OTHER, got '0.1'"),
        (f"{RATE}=0.1..", f"{RATE}: needs two numbers LOW..HIGH, got '0.1..'"),
        (f"{RATE}=1..2..3", f"{RATE}: needs two numbers LOW..HIGH, got '1..2..3'"),
        (f"{RATE}=a..b", f"{RATE}: needs two numbers LOW..HIGH, got 'a..b'"),
        (f"{RATE}=0.1..0.1", f"{RATE}: the upper bound must be above 0.1, got 0.1"),
        (f"{RATE}=2..1", f"{RATE}: the upper bound must be above 2, got 1"),
        (f"{RATE}=nan..1", f"{RATE}: the upper bound must be above nan, got 1"),
        (f"{RATE}=0.1..inf", f"{RATE}: input should be a finite number"),
        (f"{RATE}=-1..1", f"{RATE}: input should be greater than or equal to 0, got -1"),
        (f"{RATE}=0..1:log", f"{RATE}: a range by logarithm must start above 0, got 0"),
        (f"{RATE}=0.1..1:ln", f"{RATE}: a range may end in :log, got ':ln'"),
        ("network.dropout=0..1", "network.dropout: input should be less than 1, got 1"),
        ("training.epochs=1..2.5", "training.epochs: input should be a valid integer"),
        ("network.dtype=1..2", "network.dtype: input should be 'float32' or 'float64'"),
        ("network.dtype=float32|float16", "network.dtype: input should be 'float32' or 'float64'"),
        ("network.activation=relu|", "choices must differ and not be empty, got 'relu|'"),
        ("network.activation=relu|relu", "choices must differ and not be empty"),
    ],
)
def test_wrong_dimensions_are_named(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Dimension.parse(text)


def test_dimensions_are_distinct():
    with pytest.raises(ValueError, match=f"{RATE}: is given 2 times"):
        distinct([f"{RATE}=0.1..0.2", "network.seed=0..9", f"{RATE}=0.1|0.2"])
    with pytest.raises(ValueError, match="needs a setting to search"):
        distinct([])


# ---------------------------------------------------------------- settings of a trial


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (RATE, 0.25, 0.25),
        ("network.hidden", 12, (12,)),
        ("network.hidden", "12,6", (12, 6)),
        ("network.hidden", "none", ()),
        ("network.dropout", "0.1,0.2", [0.1, 0.2]),
        ("network.batch_normalization", "true", True),
        ("training.averaging", '{name = "ema", decay = 0.5}', {"name": "ema", "decay": 0.5}),
        ("training.averaging", "swa", "swa"),
    ],
)
def test_values_are_read_as_on_the_command_line(key, value, expected):
    section, _, name = key.partition(".")
    config = changed(resolve("iris", [{"network": {"hidden": [5, 5]}}]), {key: value})
    assert getattr(getattr(config, section), name) == expected


def test_another_optimizer_drops_the_settings_of_the_one_before():
    config = resolve("iris", [{"optimizer": {"name": "sgd", "momentum": 0.9, "l2": 0.1}}])
    other = changed(config, {"optimizer.name": "lion", "optimizer.beta1": 0.5}).optimizer
    given = other.model_dump(exclude_none=True)
    assert given == {"name": "lion", "beta1": 0.5}
    # The recipe of tables has a rate for this one, as on the command line.
    assert changed(config, {"optimizer.name": "adam"}).optimizer.learning_rate == 0.003
    same = changed(config, {"optimizer.name": "sgd"})
    assert same == config


def test_settings_of_a_trial_are_a_fixed_point():
    """They are written to best.toml, and resolved once more by `fastmlp train --config`."""
    config = resolve("iris", [{"schedule": {"name": "constant"}}])
    trial = changed(config, {"schedule.name": "cosine", "optimizer.name": "adam"})
    assert resolve(None, [trial.values()]) == trial


# ---------------------------------------------------------------- the journal

DIMENSIONS = (Dimension(RATE, 1e-3, 1.0, log=True), Dimension("network.hidden", 4, 64))


@pytest.fixture
def make_study(tmp_path):
    pytest.importorskip("optuna")
    from fastmlp.experiment.study import Study

    def make(name: str = "journal.log", **arguments) -> Study:
        settings = {"monitor": "val_loss", "seed": 0, "prune": False} | arguments
        return Study(tmp_path / name, DIMENSIONS, **settings)

    return make


def finish(study, pending, values=None):
    """A trial with a loss that depends on its rate."""
    for epoch, value in enumerate(values or [abs(math.log(pending.settings[RATE]))], 1):
        if study.report(pending, epoch, value):
            return study.tell(pending, "pruned")
    return study.tell(pending, "complete")


def grow(study, total: int) -> list:
    while len(study) < total:
        finish(study, study.ask())
    return study.trials()


def test_trials_depend_on_seed_and_number_alone(make_study):
    whole = grow(make_study("a.log"), 20)
    assert [trial.number for trial in whole] == list(range(20))
    assert len({trial.settings[RATE] for trial in whole}) == 20
    assert all(1e-3 <= t.settings[RATE] <= 1 for t in whole)
    assert all(type(t.settings["network.hidden"]) is int for t in whole)
    assert grow(make_study("b.log", seed=1), 3) != whole[:3]
    # In portions, as after an interruption: both before and after the first random trials.
    for total in (3, 14, 20):
        parts = grow(make_study("c.log"), total)
    assert parts == whole


def test_a_trial_that_nobody_finished_is_drawn_once_more(make_study):
    expected = grow(make_study("a.log"), 15)
    study = make_study("b.log")
    grow(study, 6)
    first, second = study.ask(), study.ask()  # two workers at a time
    study.report(first, 1, 0.1)
    finish(study, second)
    beside = make_study("b.log")
    assert [trial.number for trial in beside.trials()] == list(range(8))  # the process lives
    study.close()  # as a kill does
    again = make_study("b.log")
    assert [trial.number for trial in again.trials()] == [0, 1, 2, 3, 4, 5, 7]
    redone = again.ask()
    assert redone.settings == first.settings
    finish(again, redone)
    assert [t.settings for t in again.trials()] == [t.settings for t in expected[:8]]


def test_states_epochs_and_the_best(make_study):
    study = make_study()
    assert study.best() is None
    assert finish(study, study.ask(), [3.0, 1.0, math.nan, 1.0, 2.0]).best_epoch == 2
    finish(study, study.ask(), [1.0])
    diverged = study.ask()
    study.report(diverged, 1, 0.5)
    assert study.tell(diverged, "diverged").state == "diverged"
    study.tell(study.ask(), "diverged")
    trials = study.trials()
    assert [t.state for t in trials] == ["complete", "complete", "diverged", "diverged"]
    assert [t.epochs for t in trials] == [5, 1, 1, 0]
    assert [t.best_epoch for t in trials] == [2, 1, 1, None]
    assert [t.value for t in trials] == [1.0, 1.0, 0.5, None]
    assert study.best().number == 0  # the first of two that are as good
    assert study.trials() == make_study().trials()


def test_larger_accuracies_are_better(make_study):
    study = make_study(monitor="val_accuracy", prune=True)
    for values in ([0.1, 0.9, 0.2], [0.95], [0.5], [0.6] * 4, [0.7] * 4):
        finish(study, study.ask(), values)
    assert study.best().number == 1
    assert study.trials()[0].best_epoch == 2
    assert finish(study, study.ask(), [0.99] * 4).state == "complete"
    assert finish(study, study.ask(), [0.01] * 4).state == "pruned"


def test_pruning_leaves_three_epochs_and_the_first_five_trials(make_study):
    study = make_study(prune=True)
    for number in range(5):
        assert finish(study, study.ask(), [1.0 + number] * 6).state == "complete"
    worse = finish(study, study.ask(), [9.0] * 6)
    assert (worse.state, worse.epochs) == ("pruned", 3)
    assert finish(study, study.ask(), [0.5] * 6).state == "complete"
    without = make_study("b.log")
    for number in range(5):
        finish(without, without.ask(), [1.0 + number] * 6)
    assert finish(without, without.ask(), [9.0] * 6).state == "complete"


@pytest.mark.parametrize("bytes_left", [1, 20])
def test_a_torn_last_line_costs_what_it_said_and_nothing_else(make_study, tmp_path, bytes_left):
    expected = grow(make_study(), 4)
    journal = tmp_path / "journal.log"
    content = journal.read_bytes()
    journal.write_bytes(content + content.splitlines()[-1][:bytes_left])
    study = make_study()
    assert study.trials() == expected
    grow(study, 6)
    assert make_study().trials()[:4] == expected
    for line in journal.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("junk", [b"no journal\n" * 2, b"\xff\xfe\n\n", b"[]\n", b'{"a": 1}\n'])
def test_a_damaged_journal_is_named(make_study, tmp_path, junk):
    journal = tmp_path / "journal.log"
    journal.write_bytes(junk)
    with pytest.raises(FormatError, match=r"journal\.log: is not the journal of a sweep"):
        make_study()


def test_optuna_is_silent_and_its_verbosity_is_as_before(make_study, caplog):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.INFO)
    optuna.logging.enable_propagation()
    try:
        optuna.create_study()
        assert caplog.messages  # otherwise it would have said something
        caplog.clear()
        grow(make_study(prune=True), 12)
        assert caplog.messages == []
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.disable_propagation()
