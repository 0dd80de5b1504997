"""A run that goes on from a checkpoint, and runs that end before their epochs are over."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment import settings
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.runner import (
    Experiment,
    Outcome,
    load_experiment,
    save_checkpoint,
    train,
)
from fastmlp.loggers import TensorBoard
from support.continuation_cases import scalars

# A rate so high that the validation loss goes up and down: rates fall, the best epoch comes early.
RESTLESS = {
    "data": {"validation_fraction": 0.3},
    "network": {"hidden": [12]},
    "optimizer": {"name": "sgd", "learning_rate": 2.0, "momentum": 0.9},
    "schedule": {"name": "plateau", "patience": 1, "factor": 0.7, "minimum": 0.5},
    "training": {"epochs": 30, "batch_size": 50, "checkpoint_every": 1},
}


# What a run may go on with; by turns, in place of what stands above.
KINDS = {
    "cosine": {"schedule": {"name": "cosine"}},
    "linear": {"schedule": {"name": "linear", "per": "epoch"}},
    "one_cycle": {"schedule": {"name": "one_cycle"}, "optimizer": {"name": "adam"}},
    "warm up": {"schedule": {"name": "plateau", "warmup": 9, "patience": 0, "factor": 0.5}},
    "ema": {"training": {"averaging": "ema", "epochs": 12}, "schedule": {"name": "step"}},
    "swa": {"training": {"averaging": "swa"}, "optimizer": {"name": "nadam", "clip_norm": 1.0}},
    "patience": {"training": {"patience": 6}, "schedule": {"name": "exponential", "factor": 0.9}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_cut_again_and_again_is_one_run(kind, tmp_path):
    pytest.importorskip("tensorboardX")
    events = {"training": {"tensorboard": True, "epochs": 12}}
    expected = trained(experiment_of(events, KINDS[kind]), tmp_path / "whole", logs=True)
    experiment = experiment_of(events, KINDS[kind])
    path = tmp_path / "run"
    run, model, outcome = trained(experiment, path, stop_after=2, logs=True)
    for stop_after in (2, 3, 7, None):  # at 2 once more: nothing was won before it was cut again
        checkpoint, problems = run.checkpoints.newest()
        assert problems == []
        model, outcome = experiment.new_model(), Outcome()
        if stop_after is not None and len(expected[2].records) <= stop_after:
            continue
        train_until(experiment, model, run, outcome, stop_after, checkpoint)
    assert measured(outcome) == measured(expected[2])
    for name, array in expected[1].parameters().items():
        np.testing.assert_array_equal(model.parameters()[name], array)
    assert scalars(path / "tensorboard") == scalars(tmp_path / "whole" / "tensorboard")


def experiment_of(*layers: dict) -> Experiment:
    return load_experiment(settings.resolve("moons", [RESTLESS, *layers]))


def trained(experiment: Experiment, path, stop_after: int | None = None, logs: bool = False):
    """Model and outcome of a run, which an exception cuts off after some epoch."""
    run = RunDirectory.create("moons", path)
    model, outcome = experiment.new_model(), Outcome()
    train_until(experiment, model, run, outcome, stop_after, None, logs=logs)
    return run, model, outcome


def train_until(experiment, model, run, outcome, stop_after, checkpoint, logs=True):
    def listen(record, is_best):
        # Before the checkpoint of this epoch, as a kill may come.
        if stop_after is not None and record["epoch"] > stop_after:
            raise KeyboardInterrupt

    try:
        train(
            experiment, model, run, outcome, listener=listen, checkpoint=checkpoint,
            callbacks=[TensorBoard(run.tensorboard_path)] if logs else [],
        )  # fmt: skip
    except KeyboardInterrupt:
        assert stop_after is not None


def measured(outcome: Outcome) -> list[dict]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in outcome.records]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return trained(experiment_of(), tmp_path_factory.mktemp("expected") / "run")


def test_the_problem_is_restless(expected):
    """Else the next test would show nothing."""
    _, _, outcome = expected
    rates = [record["learning_rate"] for record in outcome.records]
    assert len(set(rates[:10])) > 1
    assert len(set(rates[10:])) > 1
    assert 1 < outcome.best_epoch < 30


@pytest.mark.parametrize("epoch", [1, 2, 5, 10, 17, 24, 29])
def test_a_run_goes_on_as_if_nothing_had_been(expected, tmp_path, epoch):
    _, model, outcome = expected
    experiment = experiment_of({"training": {"threads": 2}})
    run, _, _ = trained(experiment, tmp_path / "run", stop_after=epoch)
    checkpoint, problems = run.checkpoints.newest()
    assert problems == []
    assert checkpoint.epoch == epoch
    again, resumed = experiment.new_model(), Outcome()
    train(experiment, again, run, resumed, checkpoint=checkpoint)
    assert measured(resumed) == measured(outcome)
    assert (resumed.best_epoch, resumed.best_value) == (outcome.best_epoch, outcome.best_value)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], array)
    for name, array in outcome.best_parameters.items():
        np.testing.assert_array_equal(resumed.best_parameters[name], array)
    assert again.history.loss == model.history.loss


@pytest.mark.parametrize("epoch", [1, 5, 17, 29])
def test_a_signal_between_the_callbacks_of_an_epoch(expected, tmp_path, epoch):
    """After the epoch was noted, before all were told: it is told again, and noted once."""
    _, model, outcome = expected
    experiment = experiment_of({"training": {"threads": 2}})
    run, cut, before = trained(experiment, tmp_path / "run", stop_after=epoch)
    save_checkpoint(cut, run, before)
    checkpoint, _ = run.checkpoints.newest()
    assert checkpoint.epoch == epoch + 1
    again, resumed = experiment.new_model(), Outcome()
    run.write_records(checkpoint.records)
    train(experiment, again, run, resumed, checkpoint=checkpoint)
    assert measured(resumed) == measured(outcome)
    assert len(run.records()) == len(outcome.records)
    assert (resumed.best_epoch, resumed.best_value) == (outcome.best_epoch, outcome.best_value)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], array)


def test_patience_ends_a_run_and_a_resumed_one_at_the_same_epoch(tmp_path):
    experiment = experiment_of({"training": {"patience": 4}})
    run, model, outcome = trained(experiment, tmp_path / "run")
    assert outcome.status == "stopped_early"
    assert len(outcome.records) == outcome.best_epoch + 4 < 30
    # Killed after its last checkpoint, before the result was written: nothing is left to train.
    checkpoint, _ = run.checkpoints.newest()
    again, resumed = experiment.new_model(), Outcome()
    train(experiment, again, run, resumed, checkpoint=checkpoint)
    assert resumed.status == "stopped_early"
    assert measured(resumed) == measured(outcome)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], array)


def test_no_epoch_begins_that_would_end_after_the_time(tmp_path):
    _, _, outcome = trained(experiment_of({"training": {"max_time": 1e-6}}), tmp_path / "run")
    assert (outcome.status, len(outcome.records)) == ("time_limit", 1)
    _, _, whole = trained(experiment_of({"training": {"max_time": 600}}), tmp_path / "whole")
    assert (whole.status, len(whole.records)) == ("completed", 30)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cosine", {"per": "step", "end": 0.0}),
        ("step", {"per": "epoch", "factor": 0.1, "every": 10}),
        ("plateau", {"factor": 0.1, "patience": 10, "cooldown": 0, "monitor": "val_loss"}),
        ("one_cycle", {"warm_fraction": 0.3, "start_divisor": 25.0, "end_divisor": 1e4}),
    ],
)
def test_defaults_of_the_schedule_are_written_out(name, written):
    """Another file may have named another schedule before; the recipe names a third."""
    config = settings.resolve(
        "moons", [{"schedule": {"name": "constant"}, "training": {"epochs": 30}},
                  {"schedule": {"name": name}}],
    )  # fmt: skip
    section = load_experiment(config).config.schedule
    assert {key: getattr(section, key) for key in written} == written


def test_a_model_that_was_trained_before_is_a_start(tmp_path):
    _, model, _ = trained(experiment_of(), tmp_path / "run")
    path = tmp_path / "model.safetensors"
    model.save(path)
    started = experiment_of({"training": {"initial_model": str(path)}}).new_model()
    for name, array in fastmlp.MLP.load(path).parameters().items():
        np.testing.assert_array_equal(started.parameters()[name], array)
