"""`fastmlp.Model`: data of any kind in, labels as they came out, one file for all of it."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import FormatError
from fastmlp.experiment.keywords import settings_by_keyword

pl = pytest.importorskip("polars")
ROWS = 240
PLAIN = {"architecture": "mlp", "epochs": 30, "seed": 1}


def columns(seed: int = 0) -> dict[str, list]:
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, ROWS)
    town = draw.choice(["Bonn", "Kiel"], ROWS)
    return {
        "size": size.tolist(),
        "town": town.tolist(),
        "price": (3000 * size + 90_000 * (town == "Kiel")).tolist(),
        "kind": np.where(size > 100, "large", "small").tolist(),
    }


@pytest.fixture(scope="module")
def model():
    """A classifier that has learned its rule."""
    return fastmlp.Model(target="kind", exclude="price", **PLAIN).fit(columns(), verbose=0)


# ---------------------------------------------------------------- settings


def test_settings_are_those_of_the_command_line():
    available = fastmlp.Model.settings_available()
    for name in ("target", "exclude", "missing", "hidden", "epochs", "lr", "learning_rate", "seed"):
        assert name in available
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean 'epochs'"):
        fastmlp.Model(epoch=3)
    with pytest.raises(ValueError, match="epochs"):
        fastmlp.Model(epochs=-1)
    with pytest.raises(TypeError, match="learning_rate and lr are one setting"):
        fastmlp.Model(learning_rate=0.1, lr=0.1)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("source", "the first argument of fit"),
        ("test", r"fit\(data, test=...\)"),
        ("min_accuracy", "Model.evaluate"),
        ("checkpoint_every", "ModelCheckpoint"),
        ("tensorboard", "TensorBoard"),
        ("verbose", "argument of fit"),
        ("callbacks", "argument of fit"),
    ],
)
def test_what_stands_in_the_place_of_settings_without_a_meaning(name, instead):
    assert name not in fastmlp.Model.settings_available()
    with pytest.raises(TypeError, match=f"no setting '{name}': .*{instead}"):
        fastmlp.Model(**{name: "x"})


def test_every_setting_that_is_available_is_used():
    """A setting that is read by no code behind `fit` has no effect, and is not available."""
    root = Path(fastmlp.__file__).parent
    files = [root / "experiment" / name for name in ("build.py", "fitting.py")]
    runner = (root / "experiment" / "runner.py").read_text()
    text = "".join(file.read_text() for file in files)
    text += runner[runner.index("class StopRule") : runner.index("class RunRecorder")]
    text += runner[runner.index("def fit(") : runner.index("def train(")]
    places = set(settings_by_keyword().values())
    options = {field.name for field in dataclasses.fields(fastmlp.data.Options)}
    unused = {
        name
        for section, name in places
        if section in ("data", "training") and name not in options and f".{name}" not in text
    }
    assert unused == set()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ({"beta1": 0.8}, {"beta1": 0.8, "optimizer": "sgd"}, "sgd has no beta1"),
        ({"momentum": 0.8}, {"momentum": 0.8, "optimizer": "adam"}, "adam has no momentum"),
        ({"optimizer": "lbfgs"}, {"optimizer": "adamm"}, "did you mean 'adam'"),
        ({"activation": "tanh"}, {"activation": "tanhh"}, "did you mean 'tanh'"),
        ({"averaging": "ema"}, {"averaging": "emma"}, "did you mean 'ema'"),
    ],
)
def test_settings_that_are_wrong_for_any_data_are_refused_at_once(right, wrong, message):
    fastmlp.Model(**right)
    with pytest.raises(ValueError, match=message):
        fastmlp.Model(**wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("separator", ";"), ("encoding", "latin-1"), ("header", True), ("data_dir", "sets")],
)
def test_how_a_file_is_read_means_nothing_for_a_frame(name, value):
    with pytest.raises(ValueError, match=f"{name} must be left out for samples in memory"):
        fastmlp.Model(**{name: value}).fit(columns(), verbose=0)


def test_a_column_of_a_frame_that_numbers_the_rows():
    data = {"number": list(range(ROWS)), **columns()}
    model = fastmlp.Model(target="kind", index_column="number", epochs=1).fit(data, verbose=0)
    assert "number" not in [column.name for column in model.preprocessing.columns]
    with pytest.raises(FormatError, match="column 'nr', which numbers the rows, is missing"):
        fastmlp.Model(target="kind", index_column="nr").fit(data, verbose=0)


# ---------------------------------------------------------------- names of columns


def dated():
    days = [f"{1 + i % 12:02d}/{1 + i % 11:02d}/2024" for i in range(ROWS)]
    long = [f"{('Jan', 'Feb', 'Mar')[i % 3]} {1 + i % 28}, 2024" for i in range(ROWS)]
    return {"sold": days, "seen": long, "code": [i % 7 for i in range(ROWS)], **columns()}


@pytest.mark.parametrize(
    "date",
    [
        {"sold": "%d/%m/%Y", "seen": None},
        ["sold=%d/%m/%Y", "seen"],
        "sold=%d/%m/%Y,seen",
        "sold=%d/%m/%Y, seen=%b %d",
    ],
    ids=repr,
)
def test_dates_by_mapping_list_or_text(date):
    if date == "sold=%d/%m/%Y, seen=%b %d":  # the format of "seen" ends at the comma
        with pytest.raises(ValueError, match="'seen'"):
            fastmlp.Model(target="kind", date=date).fit(dated(), verbose=0)
        return
    model = fastmlp.Model(target="kind", date=date, epochs=1).fit(dated(), verbose=0)
    formats = {c.name: getattr(c, "format", None) for c in model.preprocessing.columns}
    assert formats["sold"] == "%d/%m/%Y"
    assert formats["seen"] == "%b %d, %Y"


def test_a_format_of_dates_may_hold_a_comma():
    data = dated()
    del data["sold"]
    for date in ("seen=%b %d, %Y", {"seen": "%b %d, %Y"}):
        model = fastmlp.Model(target="kind", date=date, epochs=1).fit(data, verbose=0)
        assert model.preprocessing.columns[0].format == "%b %d, %Y"
    for wrong in ({"seen": 3}, {3: "%b"}):
        with pytest.raises(TypeError, match="date must map names of columns to formats"):
            fastmlp.Model(date=wrong)


@pytest.mark.parametrize("kind", ["frame", "file"])
def test_a_text_with_commas_is_one_name_if_a_column_has_it_else_several(tmp_path, kind):
    def fitted(data, **settings):
        if kind == "file":
            data = {name: list(map(str, cells)) for name, cells in data.items()}
            path = tmp_path / "t.csv"
            head = ",".join(f'"{name}"' for name in data)
            rows = [",".join(row) for row in zip(*data.values(), strict=True)]
            path.write_text("\n".join([head, *rows]) + "\n")
            data = path
        return fastmlp.Model(target="kind", epochs=1, **settings).fit(data, verbose=0)

    data = columns()
    data["01"], data["02"] = (
        [f"0{i % n}" if kind == "file" else i % n for i in range(ROWS)] for n in (3, 4)
    )
    model = fitted(data, categorical="01, 02", exclude="price,size")
    kinds = {c.name: type(c).__name__ for c in model.preprocessing.columns}
    assert kinds == dict.fromkeys(("town", "01", "02"), "CategoryColumn")
    data["01,02"] = data["size"]
    model = fitted(data, exclude="01,02")
    assert {"01", "02", "size"} <= {column.name for column in model.preprocessing.columns}
    assert "01,02" not in [column.name for column in model.preprocessing.columns]
    with pytest.raises(ValueError, match="'03'"):
        fitted(data, exclude="01,03")
    with pytest.raises(ValueError, match="'01,03'"):
        fitted(data, exclude=["01,03"])


def test_texts_for_missing_values_are_split_by_the_caller():
    with pytest.raises(ValueError, match=r"\['-9', 'x'\] for 2 texts, or \['-9,x'\] for one"):
        fastmlp.Model(missing_token="-9,x")
    data = {**columns(), "odd": ["-9,x", "1", "2"] * (ROWS // 3)}
    model = fastmlp.Model(target="kind", missing_token=["-9,x"], epochs=1).fit(data, verbose=0)
    assert model.schema()["columns"][-1]["kind"] == "number"


def test_one_name_needs_no_list():
    data = columns()
    data["a,b"] = data.pop("price")
    model = fastmlp.Model(target="kind", exclude="a,b", epochs=1).fit(data, verbose=0)
    assert [column.name for column in model.preprocessing.columns] == ["size", "town"]


def test_a_model_that_is_not_trained_says_so():
    model = fastmlp.Model(target="kind")
    assert repr(model) == "Model(target='kind', not trained)"
    assert repr(fastmlp.Model()) == "Model(not trained)"
    for use in (lambda: model.predict(columns()), lambda: model.task, lambda: model.save("m")):
        with pytest.raises(RuntimeError, match="must be trained with fit"):
            use()


# ---------------------------------------------------------------- data


def test_targets_apart_are_targets_inside(model):
    data = columns()
    labels = data.pop("kind")
    apart = fastmlp.Model(exclude="price", **PLAIN).fit(data, labels, verbose=0)
    assert (apart.predict(data) == model.predict(columns())).all()
    assert np.array_equal(apart.predict_proba(data), model.predict_proba(columns()))
    assert apart.evaluate(data, labels).metrics == model.evaluate(columns()).metrics
    with pytest.raises(ValueError, match="y must be left out"):
        fastmlp.Model().fit({**data, "target": labels}, labels, verbose=0)
    with pytest.raises(ValueError, match="y must have a target for each of 240 rows, got 3"):
        fastmlp.Model().fit(data, labels[:3], verbose=0)
    with pytest.raises(ValueError, match="y must be left out for a file"):
        fastmlp.Model().fit("t.csv", labels, verbose=0)


def test_several_targets():
    data = columns()
    both = {"price": data.pop("price"), "double": [2 * size for size in data["size"]]}
    model = fastmlp.Model(exclude="kind", epochs=3).fit(data, both, verbose=0)
    assert model.preprocessing.target_names == ("price", "double")
    assert model.predict(data).shape == (ROWS, 2)
    as_array = fastmlp.Model(exclude="kind", epochs=3)
    as_array.fit(data, np.stack(list(both.values()), axis=1), verbose=0)
    assert as_array.preprocessing.target_names == ("target_0", "target_1")


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [True, False], ["01", "1"], [1.5, 2.5], ["True", "False"], [7, 1000]],
    ids=repr,
)
def test_labels_come_back_as_they_were(labels):
    data = columns()
    given = [labels[size > 100] for size in data["size"]]
    settings = {"categorical": "target"} if labels == [1.5, 2.5] else {}
    del data["price"], data["kind"]
    model = fastmlp.Model(epochs=30, **settings).fit(data, given, verbose=0)
    answers = model.predict(data).tolist()
    assert {type(answer) for answer in answers} == {type(labels[0])}
    assert np.mean([a == g for a, g in zip(answers, given, strict=True)]) > 0.9
    assert sorted(model.classes.tolist(), key=str) == sorted(labels, key=str)


def test_arrays_need_targets_and_keep_their_labels():
    x = np.random.default_rng(0).standard_normal((200, 3))
    y = (x[:, 0] > 0).astype(int) + 3
    model = fastmlp.Model(epochs=20).fit(x, y, verbose=0)
    assert set(model.predict(x).tolist()) == {3, 4}
    assert model.evaluate(x, y).metrics["accuracy"] > 0.9
    with pytest.raises(ValueError, match="y must be given"):
        fastmlp.Model().fit(x, verbose=0)


def test_weights_decide_about_the_best_epoch_and_the_measures():
    draw = np.random.default_rng(3)
    x = draw.standard_normal((2000, 2))
    truth = x.sum(axis=1) > 0
    good = np.arange(2000) % 2 == 0
    data = {
        "a": x[:, 0], "b": x[:, 1], "weight": good.astype(float),
        "label": np.where(good, truth, ~truth).astype(int),
    }  # fmt: skip
    settings = {"target": "label", "sample_weight": "weight", "epochs": 30}
    model = fastmlp.Model(**settings).fit(data, verbose=0)
    clean = {"a": x[:, 0], "b": x[:, 1], "label": truth.astype(int), "weight": np.ones(2000)}
    assert model.evaluate(clean).metrics["accuracy"] > 0.97
    weighted = model.evaluate(data)
    assert weighted.metrics["accuracy"] > 0.97
    assert weighted.confusion.sum() == good.sum()
    with pytest.warns(UserWarning, match="no column 'weight'"):
        model.evaluate({name: data[name] for name in ("a", "b", "label")})


# ---------------------------------------------------------------- samples set aside


def file_of(data, place):
    rows = zip(*data.values(), strict=True)
    lines = [",".join(data), *(",".join(map(str, row)) for row in rows)]
    place.write_text("\n".join(lines) + "\n")
    return place


def test_evaluate_measures_what_fit_set_aside(tmp_path):
    settings = {"target": "kind", "exclude": "price", "epochs": 3}
    data, other = columns(), columns(7)
    model = fastmlp.Model(**settings).fit(data, test=other, verbose=0)
    assert model.evaluate().as_json() == model.evaluate(other).as_json()
    path = file_of(other, tmp_path / "other.csv")
    model.fit(data, test=path, verbose=0)
    assert model.evaluate().as_json() == model.evaluate(other).as_json()
    shares = fastmlp.Model(**settings, test_fraction=0.25).fit(data, verbose=0)
    assert shares.evaluate().samples == ROWS // 4
    assert fastmlp.Model(**settings).fit(path, verbose=0).evaluate().samples == ROWS // 5
    x, y = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    arrays = fastmlp.Model(epochs=1).fit(x, y, test=(x[:30], y[:30]), verbose=0)
    assert arrays.evaluate().as_json() == arrays.evaluate(x[:30], y[:30]).as_json()
    labels, others = data.pop("kind"), other.pop("kind")
    apart = fastmlp.Model(exclude="price", epochs=3).fit(
        data, labels, test=(other, others), verbose=0
    )
    assert apart.evaluate().as_json() == model.evaluate(other, others).as_json()


def test_evaluate_says_that_nothing_was_set_aside(model, tmp_path):
    with pytest.raises(ValueError, match="data must be given, because the last fit set no samples"):
        model.evaluate()
    with pytest.raises(ValueError, match="data must be given with y"):
        model.evaluate(y=[1])
    held = fastmlp.Model(target="kind", **PLAIN).fit(columns(), test=columns(7), verbose=0)
    held.save(tmp_path / "m.safetensors")
    size = len(pickle.dumps(model))
    assert len(pickle.dumps(held)) < 2 * size
    for other in (
        fastmlp.load(tmp_path / "m.safetensors"),
        pickle.loads(pickle.dumps(held)),
        copy.deepcopy(held),
    ):
        with pytest.raises(ValueError, match="a model from a file or a copy holds no samples"):
            other.evaluate()
    with pytest.raises(RuntimeError, match="must be trained"):
        fastmlp.Model().evaluate()


def test_classes_of_a_test_of_another_source_are_matched_by_name(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for place, names in (("photos", ("dark", "light")), ("more", ("light",))):
        for name in names:
            (tmp_path / place / name).mkdir(parents=True)
            for number in range(30):
                level = (200 if name == "light" else 40) + number
                image.new("L", (6, 6), level).save(tmp_path / place / name / f"{number}.png")
    model = fastmlp.Model(epochs=10)
    model.fit(tmp_path / "photos", test=tmp_path / "more", verbose=0)
    assert model.evaluate().confusion.sum(axis=1).tolist() == [0, 30]


def test_an_evaluation_is_shown_in_short(model):
    text = repr(model.evaluate(columns()))
    assert text.startswith("Evaluation('classification', samples=240, loss=0.")
    assert "accuracy=" in text
    assert len(text) < 200


def test_fit_tells_the_epoch_that_it_keeps(capsys):
    model = fastmlp.Model(target="kind", epochs=3)
    model.fit(columns(), verbose=1)
    best = int(np.argmin(model.history.val_loss)) + 1
    assert f"kept epoch {best}, the best by val_loss\n" in capsys.readouterr().err
    model.fit(columns(), verbose=0)
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- answers


def test_rows_that_cannot_be_served(model):
    rows = [{"size": "90", "town": "Bonn"}, {"size": "wide", "town": "Kiel"}]
    answers = model.predictions(rows, probabilities=True)
    assert answers.columns["prediction"].tolist() == ["small", None]
    assert answers.problems.tolist() == [None, "column 'size': must be a number, got 'wide'"]
    assert answers.probabilities["p(small)"][1] is None
    with pytest.raises(FormatError, match="row 2, column 'size': must be a number"):
        model.predict(rows)
    with pytest.raises(FormatError, match="must be a number"):
        model.predictions(rows[1:])
    with pytest.raises(FormatError, match="columns 'size', 'town' are missing"):
        model.predict({"other": [1.0]})


@pytest.fixture(scope="module")
def dated_model():
    """A model of each kind of column."""
    data = dated()
    data["gone"] = [None if i % 5 else 1.0 for i in range(ROWS)]
    data["open"] = [i % 3 == 0 for i in range(ROWS)]
    settings = {"target": "kind", "date": {"sold": "%d/%m/%Y"}, "exclude": "price", "epochs": 2}
    return fastmlp.Model(**settings).fit(data, verbose=0)


def test_an_absent_key_is_a_missing_value_in_every_form(dated_model, tmp_path):
    model = dated_model
    row = {name: cells[0] for name, cells in dated().items()} | {"gone": 1.0, "open": True}
    names = [column.name for column in model.preprocessing.columns]
    assert set(names) == {"sold", "seen", "code", "size", "town", "gone", "open"}
    for name in names:
        short = {key: value for key, value in row.items() if key != name}
        expected = model.predict_proba([row | {name: None}])
        for given in (short, [short], (short,)):
            assert np.array_equal(model.predict_proba(given), expected), name
        assert np.array_equal(model.predict_proba([short, row])[:1], expected)
        for suffix, text in (("jsonl", json.dumps(short)), ("json", json.dumps([short]))):
            path = tmp_path / f"rows.{suffix}"
            path.write_text(text)
            assert np.array_equal(model.predict_proba(path), expected), (name, suffix)
            measured = model.evaluate(path)
            assert np.array_equal(measured.probabilities, expected)
        assert np.array_equal(model.evaluate([short]).probabilities, expected)
    (tmp_path / "parts").mkdir()
    for number in range(2):
        (tmp_path / "parts" / f"{number}.jsonl").write_text(json.dumps(short))
    for source in ("parts", "parts/*.jsonl"):
        assert np.array_equal(model.predict_proba(tmp_path / source)[1:], expected)
    with pytest.raises(FormatError, match="are missing"):
        model.predict([{"other": 1}])
    for columns_ in ({name: [value] for name, value in short.items()}, pl.DataFrame([short])):
        with pytest.raises(FormatError, match=f"column '{names[-1]}' is missing"):
            model.predict(columns_)


def test_misspelled_keys_are_told(model, tmp_path):
    row = {"sise": 90, "town": "Bonn", "else": 1, "kind": "small", "price": 3}
    message = "'sise' is no column of the model; did you mean 'size'?"
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    for given in (row, [row], path):
        for use in (model.predict, model.evaluate):
            with pytest.warns(UserWarning, match=re.escape(message)) as told:
                use(given)
            assert len(told) == 1
    model.predict({"size": 90, "town": "Bonn", "sise": 90})


def test_a_key_that_a_model_requires_is_a_problem_of_its_row():
    model = fastmlp.Model(target="kind", exclude="price", missing="error", epochs=1)
    model.fit(columns(), verbose=0)
    rows = [{"size": 1.0, "town": "Bonn"}, {"size": 1.0}]
    assert model.predictions(rows).problems.tolist()[0] is None
    for given in (rows, rows[1:], rows[1]):
        with pytest.raises(FormatError, match="row [12], column 'town'"):
            model.predict(given)


def test_one_row_is_a_dict_of_values(model):
    row = {"size": 90, "town": "Bonn"}
    assert model.predict(row).tolist() == model.predict([row]).tolist()
    assert model.predict_proba(row).shape == (1, 2)
    assert model.predictions(row).problems is None


def test_a_schema_is_json(model):
    schema = json.loads(json.dumps(model.schema()))
    assert [column["name"] for column in schema["columns"]] == ["size", "town"]
    assert schema["class_names"] == ["large", "small"]
    assert schema["target_schema"][0]["name"] == "kind"


# ---------------------------------------------------------------- files and copies


def test_files_and_copies_answer_alike(model, tmp_path):
    data = columns(5)
    expected = model.predict_proba(data)
    model.save(tmp_path / "m.safetensors")
    loaded = fastmlp.load(tmp_path / "m.safetensors")
    assert isinstance(loaded, fastmlp.Model)
    assert loaded.schema() == model.schema()
    also = fastmlp.Model.load(tmp_path / "m.safetensors")
    for other in (loaded, also, pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict_proba(data), expected)
    network = fastmlp.MLP.load(tmp_path / "m.safetensors")
    assert isinstance(network, fastmlp.MLP)
    assert np.array_equal(network.predict_proba(model.inputs(data)), expected)


def test_a_network_alone_comes_back_as_one(tmp_path):
    fastmlp.MLP([2, 3, 2]).save(tmp_path / "m.safetensors")
    assert isinstance(fastmlp.load(tmp_path / "m.safetensors"), fastmlp.MLP)
    with pytest.raises(ValueError, match=r"a network alone; fastmlp\.MLP\.load reads it"):
        fastmlp.Model.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("suffix", [".h", ".npz"])
def test_exports_by_suffix(model, tmp_path, suffix):
    model.export(tmp_path / f"m{suffix}")
    assert (tmp_path / f"m{suffix}").stat().st_size > 100
    with pytest.raises(ValueError, match=r"must end in \.onnx, \.h or \.npz"):
        model.export(tmp_path / "m.txt")


def test_estimators(model):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score

    data = columns()
    estimator = model.to_estimator()
    assert (estimator.predict(data) == model.predict(data)).all()
    assert estimator.classes_.tolist() == ["large", "small"]
    assert (pickle.loads(pickle.dumps(estimator)).predict(data) == model.predict(data)).all()
    labels = np.array(data["kind"])
    assert clone(estimator).fit(data, labels).score(data, labels) > 0.9
    x = np.stack([data["size"], data["price"]], axis=1)
    free = clone(estimator).set_params(exclude=None)
    assert cross_val_score(free, x, labels).min() > 0.9
    prices = fastmlp.Model(target="price").fit(data, verbose=0).to_estimator()
    assert prices.score(data, data["price"]) > 0.9


def test_settings_are_parameters_of_estimators(model):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    estimator = model.to_estimator()
    shown = "ModelClassifier(architecture='mlp', epochs=30, exclude='price', seed=1)"
    assert repr(estimator) == shown
    given = {name: value for name, value in estimator.get_params().items() if value is not None}
    assert given == {"architecture": "mlp", "epochs": 30, "exclude": "price", "seed": 1}
    assert set(estimator.get_params()) < set(fastmlp.Model.settings_available())
    assert not {"target", "task", "separator"} & set(estimator.get_params())
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.raises(ValueError, match="no parameter 'epoch'; did you mean 'epochs'"):
        estimator.set_params(epoch=3)
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean 'epochs'"):
        fastmlp.ModelClassifier(epoch=3)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns())
    search = GridSearchCV(estimator, {"epochs": [1, 20], "hidden": [[4], (16, 8)]}, cv=2)
    search.fit(frame.drop(columns="kind"), frame["kind"])
    assert search.best_params_["epochs"] == 20
    hidden = search.best_estimator_.network_.layer_sizes[1:-1]
    assert hidden == list(search.best_params_["hidden"])


def test_estimators_of_models_that_are_not_trained():
    pytest.importorskip("sklearn")
    data = columns()
    price, kind = data.pop("price"), data.pop("kind")
    regressor = fastmlp.Model(task="regression").to_estimator()
    assert isinstance(regressor, fastmlp.ModelRegressor)
    assert regressor.fit(data, price).score(data, price) > 0.9
    assert isinstance(fastmlp.Model(task="multilabel").to_estimator(), fastmlp.ModelClassifier)
    with pytest.raises(ValueError, match="task must be 'classification', .*ModelRegressor"):
        fastmlp.Model(epochs=5).to_estimator()
    several = {"a": [k == "small" for k in kind], "b": [t == "Bonn" for t in data["town"]]}
    labels = fastmlp.ModelClassifier(epochs=20).fit(data, several)
    assert labels.predict(data).shape == (ROWS, 2)
    assert labels.classes_.tolist() == ["a", "b"]


# ---------------------------------------------------------------- images


def test_an_image_is_made_like_those_of_the_training(tmp_path):
    image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for label, brightness in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(draw.normal(brightness, 20, (8, 6)), 0, 255).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    model = fastmlp.Model(epochs=10).fit(tmp_path / "photos", verbose=0)
    (tmp_path / "new").mkdir()
    for name, color in (("a.png", (10, 20, 30)), ("b.jpg", (220, 230, 240))):
        image.new("RGB", (31, 17), color).save(tmp_path / "new" / name)
    assert model.predict(tmp_path / "new").tolist() == ["dark", "light"]
    assert model.predict(tmp_path / "new" / "b.jpg").tolist() == ["light"]


@pytest.mark.parametrize("name", ["fit", "cross_validate"])
@pytest.mark.parametrize(
    ("samples", "y", "message"),
    [
        ("file", "kind", "y must be left out for a file.*pass target='kind'"),
        ("rows", "kind", "y must have a target for each row, got 'kind'; .*target='kind'"),
        ("rows", 3, "y must have a target for each row, got 3$"),
        ("rows", np.zeros((2, 2, 2)), "y must have a target for each row, got 3 dimensions"),
        ("frame", {"b": 3}, "y must have a target for each of 2 rows, got 1"),
        ("array", "kind", r"y must hold numbers or text for each of 2 samples, got .* \(\)"),
    ],
)
def test_targets_that_are_none(name, samples, y, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,kind\n1,x\n2,y\n")
    data = {
        "file": path,
        "rows": [[1, 2], [3, 4]],
        "frame": {"a": [1, 2]},
        "array": np.array([[1.0, 2], [3, 4]]),
    }[samples]
    fit = fastmlp.Model().fit if name == "fit" else fastmlp.cross_validate
    with pytest.raises(ValueError, match=message):
        fit(data, y)
