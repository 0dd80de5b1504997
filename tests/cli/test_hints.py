"""What people mean by a name that does not exist: typing errors, names of other libraries."""

from __future__ import annotations

import inspect

import click
import pytest

import fastmlp
from fastmlp.activations import ACTIVATIONS
from fastmlp.cli import main
from fastmlp.cli.app import cli
from fastmlp.cli.variables import OF_OPTIONS, unknown_variables, variable_of
from fastmlp.errors import did_you_mean
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import LOSSES
from fastmlp.metrics import METRICS
from fastmlp.optimizers import OPTIMIZERS

SCHEDULES = ("constant", "step", "exponential", "linear", "cosine", "cos_log", "flat_cosine",
             "one_cycle", "plateau", "inverse_scaling")  # fmt: skip
NAMES = [
    (ACTIVATIONS, "Relu relu, ReLU relu, RELU relu, rleu relu, leakyrelu leaky_relu, swish silu, "
     "SiLU silu, linear identity, none identity, logistic sigmoid, GELU gelu, Tanh tanh, "
     "sigmod sigmoid, LeakyReLU leaky_relu, hardsigmoid hard_sigmoid"),
    (LOSSES, "crossentropy softmax_cross_entropy, cross_entropy softmax_cross_entropy, "
     "categorical_crossentropy softmax_cross_entropy, CrossEntropyLoss softmax_cross_entropy, "
     "sparse_categorical_crossentropy softmax_cross_entropy, bce binary_cross_entropy, "
     "binary_crossentropy binary_cross_entropy, BCEWithLogitsLoss binary_cross_entropy, MSE mse, "
     "mean_squared_error mse, MSELoss mse, squared_error mse, l2 mse, l1 mae, L1Loss mae, "
     "SmoothL1Loss huber, pinball quantile, log_loss softmax_cross_entropy, "
     "softmax-cross-entropy softmax_cross_entropy, mean_absolute_error mae, huberloss huber"),
    (OPTIMIZERS, "Adamw adamw, AdamW adamw, adma adam, sgdm sgd, SGD sgd, RMSProp rmsprop, "
     "rms_prop rmsprop, aadm adam, nadm nadam, momentum sgd"),
    (INITIALIZERS, "xavier glorot_uniform, xavier_normal glorot_normal, kaiming he_normal, "
     "he he_normal, kaiming_uniform he_uniform, HeNormal he_normal, glorot_unifrom glorot_uniform"),
    (SCHEDULES, "cosin cosine, CosineAnnealingLR cosine, OneCycleLR one_cycle, StepLR step, "
     "ReduceLROnPlateau plateau, onecycle one_cycle, expontential exponential"),
    (METRICS, "acc accuracy, roc_auc auc, f1_score f1, r2_score r2, mean_squared_error mse, "
     "crossentropy log_loss, logloss log_loss, AUC auc, accurracy accuracy, RMSE rmse"),
]  # fmt: skip
OPTIONS = {
    "--learning_rate": "--lr", "--learning-rate": "--lr", "--learn-rate": "--lr", "--eta": "--lr",
    "--batchsize": "--batch-size", "--batch_size": "--batch-size", "--bs": "--batch-size",
    "--hidden-layers": "--hidden", "--hidden_layer_sizes": "--hidden", "--layers": "--hidden",
    "--n-epochs": "--epochs", "--num_epochs": "--epochs", "--epoch": "--epochs",
    "--max-iter": "--epochs", "--random-state": "--seed", "--n_jobs": "--threads",
    "--validation-split": "--validation-fraction", "--test-size": "--test-fraction",
    "--weight-decay": "--decay", "--scheduler": "--lr-schedule", "--lr_schedule": "--lr-schedule",
    "--label": "--target", "--traget": "--target", "--drop": "--dropout", "--optim": "--optimizer",
    "--output-dir": "--out", "--early-stopping": "--patience", "--n-splits": "--folds",
    "--delimiter": "--separator", "--criterion": "--loss", "--no-reports": "--no-report",
}  # fmt: skip


@pytest.mark.parametrize(
    ("known", "given", "meant"),
    [(known, *pair.split()) for known, pairs in NAMES for pair in pairs.split(", ")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_that_is_meant(known, given, meant):
    assert did_you_mean(given, known) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("given", ["xyz", "", "?", "zzzzzz", "loss-of-mine"])
def test_nothing_is_made_up(given):
    assert did_you_mean(given, ["relu", "tanh"]) == ""


@pytest.mark.parametrize(("given", "meant"), OPTIONS.items())
def test_an_option_that_is_meant(capsys, given, meant):
    assert main(["train", "iris", given, "3"]) == 2
    said = capsys.readouterr().err
    assert f"no such option '{given}'; did you mean '{meant}'?" in said


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("train iris --dry-run --lr-schedule cosin", "cosine"),
        ("train iris --dry-run --activation Relu", "relu"),
        ("train iris --dry-run --optimizer adma", "adam"),
        ("train iris --dry-run --architecture real_mlp", "realmlp"),
        ("train iris --dry-run --dtype fp32", "float32"),
        ("train iris --dry-run -s optimizer.lr=3", "learning_rate"),
        ("train iris --dry-run -s network.hidden_layers=3", "hidden"),
        ("train iriss", "iris"),
        ("trian iris", "train"),
        ("evalaute 1", "evaluate"),
        ("export 1 --format onx", "onnx"),
        ("runs lst", "list"),
    ],
)
def test_a_value_that_is_meant(tmp_path, monkeypatch, capsys, arguments, hint):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    assert f"did you mean '{hint}'?" in capsys.readouterr().err


# ---------------------------------------------------------------- variables


def options_of(command: click.Command, ctx: click.Context):
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Option):
            yield parameter
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            yield from options_of(below, click.Context(below, parent=ctx, info_name=name))


def test_the_known_variables_are_those_of_all_options():
    options = list(options_of(cli, click.Context(cli, info_name="fastmlp")))
    assert {option.envvar for option in options if option.envvar} == OF_OPTIONS
    for option in options:
        if option.envvar:
            assert option.envvar in {variable_of(flag) for flag in option.opts}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("EPOCH", "EPOCHS"), ("LEARNING_RATE", "LR"), ("BATCHSIZE", "BATCH_SIZE"), ("SEDD", "SEED"),
     ("Epochs", "EPOCHS"), ("THREAD", "THREADS"), ("DATADIR", "DATA_DIR")],
)  # fmt: skip
def test_a_variable_that_is_meant(monkeypatch, capsys, name, meant):
    monkeypatch.setenv(f"FASTMLP_{name}", "3")
    assert main(["data", "list"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if name in line]
    assert warned == [
        f"fastmlp: warning: unknown variable FASTMLP_{name}; did you mean 'FASTMLP_{meant}'?"
    ]


def test_known_variables_are_no_mistake(monkeypatch, capsys):
    for name in ("FASTMLP_EPOCHS", "FASTMLP_SET", "FASTMLP_RUNS", "FASTMLP_OFFLINE"):
        monkeypatch.setenv(name, "")
    assert list(unknown_variables()) == []
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- Python


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: fastmlp.MLP([2, 2], activation="Relu"), "did you mean 'relu'"),
        (lambda: fastmlp.MLP([2, 2], loss="crossentropy"), "did you mean 'softmax_cross_entropy'"),
        (lambda: fastmlp.MLP([2, 2], loss="MSE"), "did you mean 'mse'"),
        (lambda: fastmlp.MLP([2, 2], initializer="xavier"), "did you mean 'glorot_uniform'"),
        (lambda: fastmlp.MLP([2, 2], batch_norm=True), "here it is batch_normalization"),
        (lambda: fastmlp.SGD(eta=1.0), "here it is learning_rate"),
    ],
    ids=lambda value: inspect.getsource(value).strip()[:40] if callable(value) else "",
)
def test_python_says_the_same(make, hint):
    with pytest.raises((TypeError, ValueError), match=hint):
        make()
