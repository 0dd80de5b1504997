"""From real files to a network's inputs, and from a file of the preprocessing to other files."""

import json

import numpy as np
import pytest

import fastmlp
from fastmlp import FormatError
from fastmlp.data import Options, Preprocessing, prepare, read, read_samples
from support.cli_process import run

PEOPLE = """\
age,city,code,income,bought
31,Rom,7,1200.5,yes
45,Ulm,x1,,no
,Rom,7,800,no
29,Bonn,x1,950,yes
52,Ulm,x1,2100,yes
38,Bonn,x1,1800,no
61,Rom,7,,no
33,Ulm,x1,1500,yes
"""


@pytest.fixture
def people(tmp_path):
    pytest.importorskip("polars")
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    return path


def after_a_file(preprocessing):
    config = json.loads(json.dumps(preprocessing.config()))
    arrays = {name: array.copy() for name, array in preprocessing.arrays().items()}
    return Preprocessing.from_config(config, arrays)


def test_from_a_csv_file_to_predictions_for_another(people, tmp_path):
    options = Options(target=("bought",), missing="median", test_fraction=0.25)
    prepared = prepare(read(str(people)), options)
    assert prepared.name == "people"
    assert prepared.task == "classification"
    p = after_a_file(prepared.preprocessing)
    assert p.feature_names[0] == "age"
    assert p.feature_names[-3:] == ("code=7", "code=x1", "income")
    assert list(prepared.sha256) == ["people.csv"]

    model = fastmlp.MLP([p.features, 4, p.outputs], seed=0)
    model.fit(prepared.train.x, prepared.train.y, epochs=2, verbose=0)
    later = tmp_path / "later.csv"
    later.write_text("income,age,code,city\n1000,40,7,Ulm\n,,7,Rom\n")  # codes are numbers here
    x = p.inputs(read_samples(later))
    assert x.shape == (2, p.features)
    classes = p.decode(np.asarray(model.predict(x)))
    assert set(classes.tolist()) <= {"yes", "no"}
    whole = p.inputs(read_samples(people))
    for part in (prepared.train, prepared.validation, prepared.test):
        assert (whole[:, None] == part.x).all(axis=2).any(axis=0).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("31,Rom", "31,Linz", "later.csv: line 2, column 'city': 'Linz' does not occur"),
        ("29,Bonn", "old,Bonn", "later.csv: line 5, column 'age': must be a number, got 'old'"),
        ("29,Bonn", "29,", "later.csv: line 5, column 'city': lacks a value"),
        ("age,", "Age,", "later.csv: column 'age' is missing; did you mean 'Age'"),
    ],
)
def test_errors_name_the_line_of_the_file(people, tmp_path, old, new, message):
    full = PEOPLE.replace(",,", ",0,").replace("\n,", "\n44,")
    people.write_text(full)
    prepared = prepare(
        read(str(people)),
        Options(
            target=("bought",),
            test_fraction=0,
            validation_fraction=0,
            missing="error",
            unknown_categories="error",
        ),
    )
    later = tmp_path / "later.csv"
    later.write_text(full.replace(old, new, 1))
    with pytest.raises(FormatError, match=message):
        prepared.preprocessing.inputs(read_samples(later))


def test_a_gap_in_the_file_is_named(people):
    with pytest.raises(
        FormatError, match="people.csv: 3 values cannot be used; .* --missing auto"
    ) as e:
        prepare(read(str(people)), Options(target=("bought",), missing="error"))
    places = [(3, "income"), (4, "age"), (8, "income")]
    lines = [f"  line {line}, column {name!r}: lacks a value" for line, name in places]
    assert str(e.value).splitlines()[1:] == lines
    with pytest.raises(ValueError, match="target .* age, city, code, income, bought"):
        prepare(read(str(people)), Options())


def test_columns_that_cannot_be_used(tmp_path):
    polars = pytest.importorskip("polars")
    import datetime

    path = tmp_path / "days.parquet"
    day = datetime.timedelta(days=1)
    columns = {"when": [day] * 4, "a": [1, 2, 3, 4], "y": ["p", "q", "p", "q"]}
    polars.DataFrame(columns).write_parquet(path)
    raw = read(str(path))
    with pytest.raises(ValueError, match="column 'when' holds duration; leave it out"):
        prepare(raw, Options(features=("a", "when")))
    with pytest.raises(ValueError, match="target column 'when' must hold numbers or names"):
        prepare(raw, Options(target=("when",)))
    prepared = prepare(raw, Options())
    assert prepared.preprocessing.feature_names == ("a",)
    assert prepared.preprocessing.left_out == (("when", "holds duration"),)
    assert "left out: 'when' (holds duration)" in prepared.notes


@pytest.mark.parametrize(
    ("y", "task", "outputs"),
    [
        (np.array([3, 1, 3, 1]), "classification", 2),
        (np.array([3, 1, 2, 1]), "regression", 1),
        (np.array(["b", "a", "b", "a"]), "classification", 2),
        (np.array([0.5, 1.25, 2, 3]), "regression", 1),
        (np.array([[0.5, 1], [1, 2], [3, 1], [0, 0]]), "regression", 2),
        (np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 0]], float), "multilabel", 3),
    ],
)
def test_from_an_npz_file(tmp_path, y, task, outputs):
    path = tmp_path / "mine.npz"
    x = np.arange(8, dtype=np.float32).reshape(4, 2) ** 2
    np.savez(path, x=x, y=y)
    prepared = prepare(read(str(path)), Options(test_fraction=0, validation_fraction=0))
    p = after_a_file(prepared.preprocessing)
    assert (prepared.task, p.outputs, p.features) == (task, outputs, 2)
    assert prepared.train.x.dtype == np.float32
    np.testing.assert_array_equal(p.inputs(read_samples(path)), prepared.train.x)
    decoded = p.decode(prepared.train.y)
    if task == "classification":
        assert decoded.tolist() == [str(value) for value in y]
    elif task == "regression":
        np.testing.assert_allclose(decoded, y.reshape(4, -1), atol=1e-15)
    else:
        assert decoded.tolist() == ["1", "0;1;2", "", "0"]


def test_classes_of_images_are_counted_by_name(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for directory, classes in (("all", ("cat", "dog", "fish")), ("some", ("cat", "fish"))):
        for name in classes:
            (tmp_path / directory / name).mkdir(parents=True)
            for i in range(4):
                gray = {"cat": 20, "dog": 120, "fish": 230}[name] + i
                pixels = np.full((3, 3), gray, np.uint8)
                image.fromarray(pixels).save(tmp_path / directory / name / f"{i}.png")
    prepared = prepare(read(str(tmp_path / "all")), Options(test_fraction=0, validation_fraction=0))
    model = fastmlp.MLP([9, 16, 3], input_scale=prepared.input_scale, seed=0)
    model.preprocessing = prepared.preprocessing
    model.fit(prepared.train.x, prepared.train.y, epochs=400, batch_size=12, verbose=0)
    assert model.evaluate(prepared.train.x, prepared.train.y)["accuracy"] == 1
    model.save(tmp_path / "model.safetensors")
    done = run("evaluate", "model.safetensors", "some", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["accuracy"] == 1
    assert measured["confusion_matrix"] == [[4, 0, 0], [0, 0, 0], [0, 0, 4]]


def test_named_sets():
    pytest.importorskip("sklearn")
    iris = prepare(read("iris"), Options())
    assert iris.task == "classification"
    assert iris.preprocessing.class_names == ("setosa", "versicolor", "virginica")
    assert len(iris.preprocessing.feature_names) == 4
    assert np.bincount(iris.train.y).tolist() == [36, 36, 36]
    assert np.bincount(iris.test.y).tolist() == [10, 10, 10]
    diabetes = prepare(read("diabetes"), Options())
    assert diabetes.task == "regression"
    assert diabetes.train.y.shape[1] == 1
    digits = prepare(read("digits"), Options(test_fraction=0.5))
    assert digits.preprocessing.image_shape == (8, 8)
