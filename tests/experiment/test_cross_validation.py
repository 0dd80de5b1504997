"""Cross-validation in Python: what folds learn, what they answer, and that nothing else counts."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import FormatError
from fastmlp.data import Options, read
from fastmlp.experiment.cross_validation import run_folds
from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
from fastmlp.experiment.fold_training import fold_model_path
from fastmlp.experiment.folds import Division, fold_experiment, make_plan, reading_of_folds
from fastmlp.experiment.settings import resolve
from fastmlp.network.network import Network
from support.cli_process import run

pytest.importorskip("polars")

QUICK = {"epochs": 4, "hidden": [6], "verbose": 0, "seed": 3}


def houses(rows: int = 120, seed: int = 0) -> dict[str, list]:
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, rows)
    town = draw.choice(["Bonn", "Kiel", "Jena"], rows)
    beds = draw.choice(["2", "3", "NA"], rows)
    days = draw.integers(0, 900, rows).astype("timedelta64[D]") + np.datetime64("2020-01-01")
    return {
        "size": [f"{value:.1f}" for value in size],
        "town": town.tolist(),
        "beds": beds.tolist(),
        "sold": [str(day) for day in days],
        "owner": [f"o{number}" for number in draw.integers(0, 25, rows)],
        "price": [f"{value:.2f}" for value in 1000 * size + 50_000 * (town == "Kiel")],
        "kind": np.where(size > 110, "large", "small").tolist(),
    }


def write(path: Path, columns: dict[str, list], rows=None) -> Path:
    names = list(columns)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        lines = list(zip(*columns.values(), strict=True))
        writer.writerows(lines if rows is None else [lines[row] for row in rows])
    return path


def plan_of(path, division, **settings):
    sections: dict = {"data": {}, "network": {"hidden": [6], "seed": 3}, "training": {"epochs": 4}}
    sections["data"] |= settings
    config = resolve(str(path), [sections])
    return make_plan(config, read(str(path), reading=reading_of_folds(config, division)), division)


def same(first: dict, second: dict) -> bool:
    return list(first) == list(second) and all(
        np.asarray(first[name]).tolist() == np.asarray(second[name]).tolist() for name in first
    )


def parameters(network: Network) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(network.parameters().items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- folds and rows


@pytest.mark.parametrize("seed", range(8))
def test_every_row_is_tested_once_per_repeat(seed):
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    rows, folds, repeats = int(draw.integers(30, 90)), int(draw.integers(2, 6)), 1 + seed % 3
    table = houses(rows, seed)
    gaps = np.flatnonzero(draw.random(rows) < 0.1)
    for row in gaps:
        table["kind"][row] = ""
    plan_settings = {"target": "kind", "exclude": "price", "folds": folds, "repeats": repeats}
    result = fastmlp.cross_validate(table, **plan_settings, **QUICK, processes=1)
    tested = result.out_of_fold
    labeled = np.setdiff1d(np.arange(rows), gaps) + 1
    assert tested["row"].tolist() == np.repeat(labeled, repeats).tolist()
    assert tested["repeat"].tolist() == list(range(1, repeats + 1)) * len(labeled)
    for one in result.folds:
        held = (tested["repeat"] == one.repeat) & (tested["fold"] == one.fold)
        assert held.sum() == one.test
        assert one.test + one.training == len(labeled)
    assert result.predictions["row"].tolist() == labeled.tolist()
    truth = [table["kind"][row - 1] for row in labeled]
    assert result.predictions["target"].tolist() == truth


def test_repeats_are_averaged():
    result = fastmlp.cross_validate(
        houses(), target="kind", exclude="price", folds=3, repeats=3, processes=1, **QUICK
    )
    divisions = result.out_of_fold["fold"].reshape(-1, 3).T.tolist()
    assert divisions[0] != divisions[1] != divisions[2] != divisions[0]
    by_repeat = result.out_of_fold["p(large)"].reshape(-1, 3).astype(np.float64)
    assert result.predictions["p(large)"] == pytest.approx(by_repeat.mean(axis=1), abs=1e-15)
    larger = result.predictions["p(large)"] > 0.5
    assert result.predictions["prediction"].tolist() == np.where(larger, "large", "small").tolist()


def test_groups_and_times_divide_and_are_no_inputs(tmp_path):
    path = write(tmp_path / "houses.csv", houses())
    table = houses()
    plan = plan_of(path, Division(4, 2, group="owner"), target=["price"])
    owners = np.array(table["owner"])
    for fold in plan.folds:
        assert not set(owners[fold.train]) & set(owners[fold.test])
        assert sorted([*fold.train, *fold.test]) == list(range(120))
    plan = plan_of(path, Division(4, time="sold"), target=["price"])
    days = np.array(table["sold"], "datetime64[D]")
    for fold in plan.folds:
        assert days[fold.train].max() < days[fold.test].min()
    columns = fold_experiment(plan, plan.folds[0]).prepared.preprocessing.columns
    assert [column.name for column in columns] == ["size", "town", "beds", "owner", "kind"]


# ---------------------------------------------------------------- what a fold learns


@pytest.mark.parametrize("target", ["kind", "price"])
def test_a_fold_is_what_train_makes_of_its_training_part(tmp_path, target):
    path = write(tmp_path / "houses.csv", houses())
    others = {"kind": ["price"], "price": ["kind"]}[target]
    plan = plan_of(path, Division(3), target=[target], exclude=others)
    place = CrossValidationDirectory(tmp_path / "cv")
    place.begin(plan)
    run_folds(plan, place, processes=1)
    for fold in plan.folds:
        part = write(tmp_path / "part.csv", houses(), fold.train)
        done = run(
            "train", part, "--target", target, "--exclude", others[0], "--test-fraction", 0,
            "--hidden", 6, "--seed", 3, "--epochs", 4, "--no-report", "-q",
            "--out", tmp_path / f"run-{fold.name}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        trained = fastmlp.load(tmp_path / f"run-{fold.name}")
        ours = fastmlp.load(fold_model_path(place.path, fold))
        assert parameters(ours.network) == parameters(trained.network)
        assert same(ours.preprocessing.arrays(), trained.preprocessing.arrays())
        assert ours.preprocessing.columns == trained.preprocessing.columns
        assert ours.class_names == trained.class_names


def test_nothing_of_the_test_part_reaches_the_model(tmp_path):
    """Other values, a category, a class and gaps that only the test part has."""
    before = houses()
    plan = plan_of(
        write(tmp_path / "a.csv", before), Division(3), target=["kind"], exclude=["price"],
        stratify=False,
    )  # fmt: skip
    after = houses()
    for row in plan.folds[0].test:
        after["size"][row] = "99999.5"
        after["town"][row] = "Rome"
        after["kind"][row] = "giant"
        after["beds"][row] = "NA"
        after["sold"][row] = "1999-01-01"
    changed = plan_of(
        write(tmp_path / "a.csv", after), Division(3), target=["kind"], exclude=["price"],
        stratify=False,
    )  # fmt: skip
    assert changed.folds[0].test.tolist() == plan.folds[0].test.tolist()
    one = fold_experiment(plan, plan.folds[0]).prepared
    two = fold_experiment(changed, changed.folds[0]).prepared
    assert one.preprocessing == two.preprocessing
    for first, second in ((one.train, two.train), (one.validation, two.validation)):
        assert first.x.tobytes() == second.x.tobytes()
        assert first.y.tobytes() == second.y.tobytes()
    assert one.test is None
    assert two.test is None
    # The same change to the training part of another fold is seen: the comparison can fail.
    seen = fold_experiment(changed, changed.folds[1]).prepared.preprocessing
    assert seen != fold_experiment(plan, plan.folds[1]).prepared.preprocessing
    assert "giant" in seen.class_names


def test_a_class_that_a_fold_has_not_seen_counts_as_an_error():
    table = {"x": np.arange(40.0), "when": np.arange(40), "y": ["b", "c"] * 15 + ["a"] * 10}
    result = fastmlp.cross_validate(
        table, target="y", time="when", folds=3, validation_fraction=0.0, **QUICK, processes=1
    )
    last = result.folds[-1]
    assert last.unknown == ("a",)
    assert last.measures["accuracy"] == 0
    assert np.isnan(last.measures["loss"])
    assert result.out_of_fold["p(a)"].tolist() == [0.0] * 30
    both = result.out_of_fold["p(b)"] + result.out_of_fold["p(c)"]
    assert both == pytest.approx(np.ones(30), abs=1e-6)
    assert set(result.out_of_fold["prediction"]) <= {"b", "c"}
    assert result.model.class_names == ("b", "c")
    assert not np.isnan(result.folds[0].measures["loss"])


def test_kinds_of_columns_are_found_in_all_rows():
    """A column that looks otherwise in a fold is read as in the whole table."""
    code = ["07"] + ["8", "9"] * 29 + ["8"]  # a leading zero: names
    table = {"code": code, "x": np.arange(60.0), "y": ["a", "b"] * 30}
    result = fastmlp.cross_validate(table, target="y", folds=4, **QUICK, processes=1)
    kinds = [model.preprocessing.columns[0].kind for model in result.model.models]
    assert kinds == ["category"] * 4
    assert result.model.predict([{"code": "07", "x": 1.0}]).shape == (1,)


# ---------------------------------------------------------------- the same bits


def test_processes_and_threads_change_nothing(tmp_path):
    path = write(tmp_path / "houses.csv", houses())
    settings = {"target": "price", "folds": 4, "repeats": 2, **QUICK}
    results = [
        fastmlp.cross_validate(
            path, **settings, processes=n, directory=tmp_path / str(n), threads=t
        )
        for n, t in ((1, 2), (2, None), (3, 1))
    ]
    first = results[0]
    for other in results[1:]:
        assert same(first.out_of_fold, other.out_of_fold)
        assert first.scores == other.scores
        assert [f.measures for f in first.folds] == [f.measures for f in other.folds]
    for name in ("predictions.csv", "out-of-fold.csv", "models.json"):
        assert len({(tmp_path / str(n) / name).read_bytes() for n in (1, 2, 3)}) == 1
    for model in sorted((tmp_path / "1" / "folds").glob("*/model.safetensors")):
        others = [tmp_path / str(n) / model.relative_to(tmp_path / "1") for n in (2, 3)]
        assert {other.read_bytes() for other in others} == {model.read_bytes()}


def test_answers_are_those_of_the_saved_models(tmp_path):
    path = write(tmp_path / "houses.csv", houses())
    out = tmp_path / "cv"
    fastmlp.cross_validate(
        path, target="kind", exclude="price", folds=3, **QUICK, directory=out, processes=1
    )
    rows = list(csv.DictReader((out / "out-of-fold.csv").read_text().splitlines()))
    for fold in ("1", "2", "3"):
        model = out / "folds" / f"1-{fold}" / "model.safetensors"
        done = run("predict", model, path, "--probabilities")
        said = list(csv.DictReader(io.StringIO(done.stdout)))
        for row in rows:
            if row["fold"] == fold:
                answer = said[int(row["row"]) - 1]
                assert answer == {name: row[name] for name in answer}


# ---------------------------------------------------------------- all models together


@pytest.mark.parametrize("target", ["kind", "price"])
def test_models_answer_together_with_their_mean(tmp_path, target):
    path = write(tmp_path / "houses.csv", houses())
    out = tmp_path / "cv"
    exclude = {"kind": "price", "price": "kind"}[target]
    result = fastmlp.cross_validate(
        path, target=target, exclude=exclude, folds=3, **QUICK, directory=out, processes=1
    )
    rows = [{"size": "120.5", "town": "Kiel", "beds": 3, "sold": "2021-02-03", "owner": "o1"}] * 2
    models = result.model.models
    if target == "kind":
        shares = [m.predict_proba(rows).astype(float) for m in models]
        mean = np.mean([one / one.sum(axis=1, keepdims=True) for one in shares], axis=0)
        assert result.model.predict_proba(rows) == pytest.approx(mean, abs=1e-15)
        best = np.array(result.model.classes)[mean.argmax(axis=1)]
        assert result.model.predict(rows).tolist() == best.tolist()
    else:
        mean = np.mean([m.predict(rows) for m in models], axis=0)
        assert result.model.predict(rows) == pytest.approx(mean, rel=1e-15)
    loaded = fastmlp.load(out)
    assert loaded.predict(str(path)).tolist() == result.model.predict(str(path)).tolist()
    loaded.save(tmp_path / "bag")
    again = fastmlp.load(tmp_path / "bag")
    assert again.predict(rows).tolist() == result.model.predict(rows).tolist()
    said = run("predict", out, path).stdout.splitlines()[1:]
    expected = loaded.predict(str(path)).tolist()
    assert said == [str(value) for value in expected]
    measured = loaded.evaluate(str(path))
    truth = np.array(houses()[target], object)
    if target == "kind":
        assert measured.accuracy == (truth == loaded.predict(str(path))).mean()
    else:
        errors = truth.astype(float) - loaded.predict(str(path))
        assert measured.metrics["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    with pytest.raises(ValueError, match="has no export"):
        loaded.export("x.onnx")


def test_models_that_know_different_classes():
    def model(names):
        table = {"x": np.arange(40.0), "y": np.array(names)[np.arange(40) // 20].tolist()}
        return fastmlp.Model(target="y", epochs=9).fit(table, verbose=0)

    one, two = model(["a", "c"]), model(["d", "b"])
    bag = fastmlp.BaggedModel([one, two])
    assert bag.class_names == ("a", "b", "c", "d")
    rows = {"x": [1.0, 30.0]}
    shares = np.zeros((2, 4))
    shares[:, [0, 2]] = one.predict_proba(rows)
    shares[:, [1, 3]] = two.predict_proba(rows)
    assert bag.predict_proba(rows) == pytest.approx(shares / 2, rel=1e-6)
    assert bag.predict(rows)[0] in ("a", "d")
    assert bag.evaluate(rows | {"y": ["d", "b"]}).samples == 2
    with pytest.raises(FormatError, match="'e' is none of the 4 classes"):
        bag.evaluate(rows | {"y": ["d", "e"]})


def test_losses_without_probabilities_vote():
    models = [
        fastmlp.Model(target="kind", exclude="price", loss="hinge", seed=s, epochs=3).fit(
            houses(seed=s), verbose=0
        )
        for s in range(3)
    ]
    bag = fastmlp.BaggedModel(models)
    votes = np.stack([model.predict(houses(seed=9)) for model in models])
    count = (votes == "large").sum(axis=0)
    assert bag.predict(houses(seed=9)).tolist() == np.where(count > 1, "large", "small").tolist()
    with pytest.raises(ValueError, match="probabilities"):
        bag.predict_proba(houses(seed=9))
    result = fastmlp.cross_validate(
        houses(), target="kind", exclude="price", loss="hinge", folds=3, repeats=2, **QUICK
    )
    assert "p(large)" not in result.out_of_fold
    assert result.scores["accuracy"].mean > 0.3


def test_labels_and_several_targets():
    draw = np.random.default_rng(0)
    table = {"x": draw.normal(size=90), "z": draw.normal(size=90)}
    table |= {"up": (table["x"] > 0).astype(int), "far": (table["z"] > 1).astype(int)}
    result = fastmlp.cross_validate(table, target=["up", "far"], folds=3, **QUICK)
    assert result.task == "multilabel"
    expected = [";".join(n for n in ("up", "far") if table[n][i]) for i in range(90)]
    assert result.predictions["target"].tolist() == expected
    assert result.model.predict(table).shape == (90, 2)
    numbers = {"x": table["x"], "a": table["x"] * 2, "b": table["z"]}
    result = fastmlp.cross_validate(numbers, target=["a", "b"], folds=3, repeats=2, **QUICK)
    assert list(result.predictions) == [
        "row", "target(a)", "target(b)", "prediction(a)", "prediction(b)"
    ]  # fmt: skip
    assert result.predictions["target(a)"].tolist() == numbers["a"].tolist()


def test_arrays_named_sets_and_images(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 3))
    y = np.where(x[:, 0] > 0, 5, 7)
    result = fastmlp.cross_validate(x, y, folds=3, **QUICK)
    assert result.model.predict(x).dtype.kind == "i"
    assert result.predictions["target"].tolist() == [str(value) for value in y.tolist()]
    result = fastmlp.cross_validate(x, x @ [1.0, 2.0, 3.0], folds=3, **QUICK)
    assert result.task == "regression"
    assert result.predictions["target"] == pytest.approx(x @ [1.0, 2.0, 3.0])
    from support.cli_process import write_idx_directory

    images = write_idx_directory(tmp_path / "images", 120)
    result = fastmlp.cross_validate(str(images), folds=3, epochs=40, hidden=[8], verbose=0)
    assert [fold.test for fold in result.folds] == [40] * 3  # of the training part alone
    assert result.scores["accuracy"].mean > 0.6
    measured = result.model.evaluate(str(images))
    assert measured.samples == 80


def test_samples_with_weights():
    table = houses()
    table["w"] = [1.0 + (i % 3) for i in range(120)]
    result = fastmlp.cross_validate(
        table, target="kind", exclude="price", sample_weight="w", folds=3, **QUICK, processes=1
    )
    rows = result.out_of_fold["row"]
    hits = result.out_of_fold["prediction"] == result.out_of_fold["target"]
    weight = np.array(table["w"])[rows - 1]
    for one in result.folds:
        held = result.out_of_fold["fold"] == one.fold
        expected = np.average(hits[held], weights=weight[held])
        assert one.measures["accuracy"] == pytest.approx(expected)


# ---------------------------------------------------------------- continuation


def test_the_same_call_continues_and_another_one_is_refused(tmp_path):
    settings = {"target": "kind", "exclude": "price", "folds": 3, **QUICK, "processes": 1}
    out = tmp_path / "cv"
    first = fastmlp.cross_validate(houses(), **settings, directory=out)
    models = {path: path.stat().st_mtime_ns for path in out.glob("folds/*/model.safetensors")}
    again = fastmlp.cross_validate(houses(), **settings, directory=out, threads=1)
    assert same(first.out_of_fold, again.out_of_fold)
    assert {path: path.stat().st_mtime_ns for path in models} == models
    with pytest.raises(ValueError, match="folds is 3 there, and 4 here"):
        fastmlp.cross_validate(houses(), **{**settings, "folds": 4}, directory=out)
    with pytest.raises(ValueError, match=r"training\.epochs is 4 there, and 5 here"):
        fastmlp.cross_validate(houses(), **{**settings, "epochs": 5}, directory=out)
    with pytest.raises(ValueError, match="the data has changed"):
        fastmlp.cross_validate(houses(seed=1), **settings, directory=out)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        fastmlp.cross_validate(houses(), **settings, directory=other)
    assert (other / "mine.txt").read_text() == "mine"


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "folds must be >= 2"),
        ({"folds": 2.5}, "folds must be an integer"),
        ({"repeats": 0}, "repeats must be >= 1"),
        ({"folds": 5000, "repeats": 5000}, "folds x repeats must be at most"),
        ({"time": "sold", "repeats": 2}, "repeats must be 1 with time"),
        ({"time": "sold", "group": "owner"}, "group and time exclude each other"),
        ({"time": "sold", "stratify": True}, "stratify must be left out with time"),
        ({"group": "ower"}, "group must name a column of data, got 'ower'; did you mean 'owner'"),
        ({"time": "when"}, "time must name a column of"),
        ({"group": "kind"}, "group must be a column of its own, 'kind' is the target"),
        ({"time": "town"}, "time must name a column of dates or numbers"),
        ({"group": "town", "folds": 4}, "at most 3, the number of groups"),
        ({"folds": 121}, "folds must be at most 120"),
        ({"folds": 100}, "the number of samples of the class"),
        ({"test_fraction": 0.2}, "test_fraction must be 0 or left out"),
        ({"processes": 0}, "processes must be >= 1"),
        ({"group": 3}, "group must be the name of a column"),
        ({"epoch": 3}, "no setting 'epoch'; did you mean 'epochs'"),
        ({"fold": 3}, "no setting 'fold'; did you mean 'folds'"),
        ({"process": 3}, "no setting 'process'; did you mean 'processes'"),
        ({"lr": 0.1, "learning_rate": 0.1}, "are one setting"),
        ({"hidden": [0]}, "hidden"),
        ({"optimizer": "none"}, "optimizer"),
        ({"features": ["size", "owner"], "group": "owner"}, "is among the features"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        fastmlp.cross_validate(
            houses(), **{"target": "kind", "exclude": "price", **QUICK, **arguments}
        )
    assert message in str(caught.value), str(caught.value)


def test_wrong_data_is_named():
    table = houses()
    table["owner"][4] = ""
    settings = {"target": "kind", "exclude": "price", **QUICK}
    with pytest.raises(FormatError, match="row 5, column 'owner': lacks a group"):
        fastmlp.cross_validate(table, group="owner", **settings)
    table["sold"][7] = None
    with pytest.raises(FormatError, match="row 8, column 'sold': lacks a time"):
        fastmlp.cross_validate(table, time="sold", **settings)
    with pytest.raises(ValueError, match="group names a column of a table"):
        fastmlp.cross_validate(np.zeros((9, 2)), np.arange(9) % 2, group="a", **QUICK)
    rare = houses(30)
    rare["kind"][:2] = ["odd", "odd"]
    with pytest.raises(ValueError, match="at most 2, the number of samples of the class 'odd'"):
        fastmlp.cross_validate(rare, **settings)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_fold_names_it(processes):
    """In its training part the first fold has one class alone."""
    table = {"x": np.arange(40.0), "when": np.arange(40), "y": ["a"] * 25 + ["b", "a"] * 7 + ["b"]}
    with pytest.raises(ValueError, match="must hold two or more classes"):
        fastmlp.cross_validate(table, target="y", time="when", **QUICK, processes=processes)
    with pytest.raises(fastmlp.DivergedError, match=r"fold \d of repeat 1: "):
        fastmlp.cross_validate(
            houses(), target="kind", exclude="price", optimizer="sgd", lr=1e30, **QUICK,
            processes=processes,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not the list of a bag of models"),
        (b"[]", "is not the list"),
        (b'{"format": "fastmlp bagged model", "models": []}', "must be a list of files"),
        (b'{"format": "fastmlp bagged model", "models": ["../x"]}', "must be a list of files"),
        (b'{"format": "fastmlp bagged model", "models": ["/etc/passwd"]}', "must be a list of f"),
        (b'{"format": "fastmlp bagged model", "models": [3]}', "must be a list of files"),
        (b'{"format": "other", "models": ["x"]}', "must be a list of files"),
        (b'{"format": "fastmlp bagged model", "models": {"a": 1}}', "must be a list of files"),
        (b"[" * 100_000, "is not the list"),
    ],
)
def test_a_hostile_list_of_models_is_refused(tmp_path, content, message):
    (tmp_path / "models.json").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        fastmlp.load(tmp_path)


def test_models_that_do_not_belong_together_are_refused(tmp_path):
    one = fastmlp.Model(epochs=1, target="kind", exclude="price").fit(houses(), verbose=0)
    two = fastmlp.Model(epochs=1, target="price", exclude="kind").fit(houses(), verbose=0)
    with pytest.raises(ValueError, match="models must have one task"):
        fastmlp.BaggedModel([one, two])
    with pytest.raises(ValueError, match="at least one"):
        fastmlp.BaggedModel([])
    with pytest.raises(TypeError, match="got str"):
        fastmlp.BaggedModel(["x"])
    with pytest.raises(ValueError, match="without one"):
        fastmlp.BaggedModel([fastmlp.MLP([2, 3])])
    assert Options().stratify
