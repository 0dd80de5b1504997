"""The argument `metrics` of `MLP.fit`: names and functions, measured on the validation samples."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import fastmlp
from fastmlp import metrics
from fastmlp.schedules import ReduceOnPlateau


def samples(seed, task, count=70):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3))
    value = x @ [1.0, -1.0, 0.3] + random.normal(size=count)
    if task == "classification":
        return x, np.digitize(value, [-1, 1])
    if task == "binary":
        return x, (value > 0).astype(float)
    if task == "multilabel":
        return x, np.stack([value > 0, x[:, 2] > 0.5], axis=1).astype(float)
    return x, np.stack([value, value + x[:, 0]], axis=1)


LOSSES = {
    "classification": ("softmax_cross_entropy", 3), "binary": ("binary_cross_entropy", 1),
    "multilabel": ("binary_cross_entropy", 2), "regression": ("mse", 2),
}  # fmt: skip
NAMES = {
    "classification": ["auc", "top_k:2", "cohen_kappa", "calibration_error:7"],
    "binary": ["mcc", "average_precision", "f1"],
    "multilabel": ["mcc", "average_precision", "accuracy"],
    "regression": ["explained_variance", "quantile_loss:0.9", "max_error"],
}


def network(task, **options):
    loss, outputs = LOSSES[task]
    return fastmlp.MLP([3, 6, outputs], loss=loss, seed=0, dtype="float64", **options)


def share_wrong(y_true, y_pred):
    assert y_true.shape == y_pred.shape
    return (y_true != y_pred).mean()


def largest(y_true, y_pred):
    return np.abs(y_true - y_pred).max()


class Recorder(fastmlp.Callback):
    def __init__(self):
        self.records, self.predictions, self.probabilities = [], [], []

    def on_epoch_end(self, training, record):
        self.records.append(record)


@pytest.mark.parametrize("task", LOSSES)
def test_names_and_functions_are_measured_after_each_epoch(task):
    x, y = samples(0, task)
    x_val, y_val = samples(1, task)
    weights = np.random.default_rng(2).exponential(size=len(x_val))
    expected = []

    def expect(training, record):
        model = training.model
        predicted = model.predict(x_val)
        kind = {"binary": "multilabel"}.get(task, task)
        values = metrics.measures(
            NAMES[task], kind, y_val, predicted, sample_weight=weights,
            probabilities=None if task == "regression" else model.predict_proba(x_val),
        )  # fmt: skip
        own = largest if task == "regression" else share_wrong
        expected.append(values | {"own": own(y_val, predicted)})

    recorder = Recorder()
    own = ("own", largest if task == "regression" else share_wrong)
    history = network(task).fit(
        x, y, epochs=3, validation_data=(x_val, y_val, weights), verbose=0,
        metrics=[*NAMES[task], own],
        callbacks=[fastmlp.LambdaCallback(on_epoch_end=expect), recorder],
    )  # fmt: skip
    for name in [*NAMES[task], "own"]:
        found = [record[f"val_{name}"] for record in recorder.records]
        assert found == pytest.approx([values[name] for values in expected], rel=1e-12), name
        assert history[f"val_{name}"] == found
        assert all(type(value) is float for value in found)


def test_names_of_functions():
    x, y = samples(0, "classification")
    sk = pytest.importorskip("sklearn.metrics")
    halved = functools.partial(share_wrong)
    history = network("classification").fit(
        x, y, epochs=2, validation_data=(x, y), verbose=0,
        metrics=[share_wrong, sk.matthews_corrcoef, ("partial", halved), ("λ", lambda t, p: 0.5),
                 metrics.mcc, metrics.log_loss],
    )  # fmt: skip
    further = ["val_mcc", "val_log_loss", "val_share_wrong", "val_matthews_corrcoef",
               "val_partial", "val_λ"]  # fmt: skip
    assert list(history)[4:] == further
    assert history["val_partial"] == history["val_share_wrong"]
    assert history["val_mcc"] == pytest.approx(history["val_matthews_corrcoef"], rel=1e-12)
    assert history["val_λ"] == [0.5, 0.5]
    # A metric of the library gets probabilities.
    assert history["val_log_loss"] == pytest.approx(history.val_loss, rel=1e-6)


def test_callbacks_and_schedules_watch_them(tmp_path):
    x, y = samples(0, "classification")
    values = iter([3.0, 1.0, 2.0, 4.0, 5.0])

    def measured(y_true, y_pred):
        return next(values)

    stopping = fastmlp.EarlyStopping("val_measured", patience=3)
    checkpoint = fastmlp.ModelCheckpoint(
        tmp_path / "{epoch}-{val_measured:.0f}.safetensors", "val_measured", mode="max"
    )
    schedule = ReduceOnPlateau(0.1, 0.5, patience=0, monitor="val_measured")
    recorder = Recorder()
    network("classification").fit(
        x, y, epochs=9, validation_data=(x, y), verbose=0, metrics=[measured],
        optimizer=fastmlp.SGD(schedule), callbacks=[stopping, checkpoint, recorder],
    )  # fmt: skip
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == (2, 1.0, 5)
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert saved == ["1-3.safetensors", "4-4.safetensors", "5-5.safetensors"]
    assert [r["learning_rate"] for r in recorder.records] == [0.1, 0.1, 0.1, 0.05, 0.025]


def test_a_name_of_the_user_comes_before_one_of_the_library():
    x, y = samples(0, "classification")
    stopping = fastmlp.EarlyStopping("val_rmse", patience=1)  # no metric of classes
    history = network("classification").fit(
        x, y, epochs=5, validation_data=(x, y), verbose=0, callbacks=[stopping],
        metrics=[("rmse", lambda y_true, y_pred: 2.0)],
    )  # fmt: skip
    assert history["val_rmse"] == [2.0, 2.0]


@pytest.mark.parametrize("task", ["classification", "binary", "multilabel"])
def test_targets_that_are_probabilities_count_as_what_is_most_likely(task):
    x, y = samples(0, task)
    soft = np.random.default_rng(1).random((len(x), LOSSES[task][1]))
    if task == "classification":
        soft /= soft.sum(axis=1, keepdims=True)
        hard = soft.argmax(axis=1)
    else:
        soft = soft[:, 0] if task == "binary" else soft
        hard = (soft > 0.5).astype(np.int64)
    seen = []

    def labels(y_true, y_pred):
        seen.append(y_true)
        return share_wrong(y_true, y_pred)

    histories = [
        network(task).fit(x, y, epochs=2, validation_data=(x, targets), verbose=0,
                          metrics=["auc", "mcc", "accuracy", labels])
        for targets in (soft, hard)
    ]  # fmt: skip
    for name in ("val_auc", "val_mcc", "val_accuracy", "val_labels"):
        assert histories[0][name] == histories[1][name]
    np.testing.assert_array_equal(seen[0], hard)
    if task != "multilabel":
        assert histories[0]["val_labels"] == pytest.approx(1 - np.array(histories[0].val_accuracy))


def test_they_change_nothing_else():
    x, y = samples(0, "classification")
    models = [network("classification"), network("classification")]
    plain = models[0].fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
    more = models[1].fit(x, y, epochs=3, validation_data=(x, y), verbose=0, metrics=["auc"])
    assert plain.val_loss == more.val_loss
    for name, array in models[0].parameters().items():
        np.testing.assert_array_equal(array, models[1].parameters()[name])


def test_targets_cannot_be_changed_by_a_function():
    x, y = samples(0, "regression")

    def careless(y_true, y_pred):
        y_true -= y_pred
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        network("regression").fit(
            x, y, epochs=1, validation_data=(x, y), verbose=0, metrics=[careless]
        )


def test_the_line_of_an_epoch_tells_them(capsys):
    x, y = samples(0, "classification")
    history = network("classification").fit(
        x, y, epochs=1, validation_data=(x, y), metrics=["auc", share_wrong]
    )
    line = capsys.readouterr().err
    assert f"  val_auc {history['val_auc'][0]:.4f}  val_share_wrong " in line


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        (["acuracy"], ValueError, "metric must be one of .* did you mean 'accuracy'"),
        (["val_auc"], ValueError, "named without val_, got 'val_auc'; write 'auc'"),
        (["rmse"], ValueError, "metric must be one of accuracy, .* for classification"),
        (["quantile_loss:2"], ValueError, "a quantile in"),
        (["top_k"], ValueError, "a number of classes >= 1 after the colon"),
        ("auc", TypeError, "metrics must be a list or tuple"),
        ([3], TypeError, "metrics must be names, functions or"),
        ([lambda t, p: 0.0], ValueError, "has no name .* or a pair such as"),
        ([functools.partial(share_wrong)], ValueError, "has no name"),
        ([("a", 3)], TypeError, r"a pair must be \(name, function\)"),
        ([("", share_wrong)], TypeError, r"a pair must be \(name, function\)"),
        (["auc", "auc"], ValueError, "different names, got 'auc' twice"),
        (["share_wrong", share_wrong], ValueError, "metric must be one of"),
        ([share_wrong, share_wrong], ValueError, "different names, got 'share_wrong' twice"),
        ([("loss", share_wrong)], ValueError, "must not have the name 'loss'"),
        ([("accuracy", share_wrong)], ValueError, "must not have the name 'accuracy'"),
        ([("nothing", lambda t, p: None)], TypeError, "metric nothing must return a number, got N"),
        ([("many", lambda t, p: np.ones(3))], TypeError, "metric many must return a number"),
    ],
)  # fmt: skip
def test_what_is_no_metric_is_refused(chosen, error, message):
    x, y = samples(0, "classification")
    with pytest.raises(error, match=message):
        network("classification").fit(
            x, y, epochs=1, validation_data=(x, y), metrics=chosen, verbose=0
        )


@pytest.mark.parametrize("chosen", [["auc"], [share_wrong]])
def test_they_need_validation_samples(chosen):
    x, y = samples(0, "classification")
    model = network("classification")
    before = model.parameters()
    with pytest.raises(ValueError, match=r"on validation samples, got none; pass validation_data="):
        model.fit(x, y, epochs=1, metrics=chosen, verbose=0)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_several_losses_and_lbfgs_are_refused():
    x, y = samples(0, "regression")
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match="LBFGS takes neither .* nor metrics"):
        network("regression").fit(
            x, y, optimizer="lbfgs", validation_data=(x, y), metrics=["mae"], verbose=0
        )
    losses = [fastmlp.MSE(outputs=1), fastmlp.MAE(outputs=1)]
    model = fastmlp.MLP([3, 4, 2], loss=losses)
    targets = [y[:, :1], y[:, 1:]]
    with pytest.raises(ValueError, match="left out with several losses, got 'largest'"):
        model.fit(x, targets, epochs=1, validation_data=(x, targets), metrics=[largest], verbose=0)
