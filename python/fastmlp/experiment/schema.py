"""Declaration of all settings of a run: name, type, bounds, meaning, and command-line flag.

Settings are declared only here. Files, flags, variables, help pages, completion, the JSON Schema
for editors and the resolved config.toml of a run are derived from these declarations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fastmlp.activations import ACTIVATIONS
from fastmlp.errors import did_you_mean
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import LOSSES
from fastmlp.optimizers import OPTIMIZERS

__all__ = [
    "Config",
    "DataSection",
    "NetworkSection",
    "OptimizerSection",
    "ScheduleSection",
    "Section",
    "TrainingSection",
]

MAX_WIDTH = 1 << 20


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {str(value).lower()}")
    return value


def _items(value: object) -> object:
    """Split text such as `a,b` from the command line; a list from a file is unchanged."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _widths(value: object) -> object:
    if isinstance(value, str):
        if value.strip().lower() == "none":
            return []
        if not value.strip(" ,"):
            raise ValueError(f"expected widths such as 512,512 or none, got {value!r}")
    return [_no_bool(value)] if isinstance(value, int) else _items(value)


def _one_or_many(value: object) -> object:
    """Split text such as `0.5,0.2` from the command line; a single value is unchanged."""
    if isinstance(value, str) and "," in value:
        return _items(value)
    return value


def _fraction(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return _number(value, value.strip()[:-1], "a share such as 0.2 or 20%") / 100
    return _no_bool(value)


def _seconds(value: object) -> object:
    """Convert `90`, `90s`, `5m` or `2h` to seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    if isinstance(value, str) and value.strip()[-1:] in units:
        number = _number(value, value.strip()[:-1], "a time such as 90s, 5m or 2h")
        return number * units[value.strip()[-1]]
    return _no_bool(value)


def _number(value: str, digits: str, expected: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ValueError(f"expected {expected}, got {value!r}") from None


Real = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Rate = Annotated[Real, Field(ge=0, lt=1)]
Fraction = Annotated[
    float,
    BeforeValidator(_fraction, json_schema_input_type=float | str),
    Field(ge=0, le=1, allow_inf_nan=False),
]
Share = Annotated[
    float,
    BeforeValidator(_fraction, json_schema_input_type=float | str),
    Field(ge=0, lt=1, allow_inf_nan=False),
]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0, allow_inf_nan=False),
]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=1 << 30)]
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=1 << 30)]
Seed = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, lt=1 << 63)]
Layer = Annotated[int, BeforeValidator(_no_bool), Field(ge=-MAX_WIDTH, le=MAX_WIDTH)]
Width = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=MAX_WIDTH)]
Names = Annotated[tuple[str, ...], BeforeValidator(_items)]
# A name, or a table with a name and its parameters: {name = "leaky_relu", slope = 0.1}.
Choice = str | dict[str, Any]


def _setting(default: Any, text: str, flag: str | None = None, metavar: str | None = None) -> Any:
    """Return a field with its description and its flag."""
    extra: dict[str, Any] = {
        key: value for key, value in (("flag", flag), ("metavar", metavar)) if value
    }
    return Field(default, description=text, json_schema_extra=extra or None)


def _either(names: Iterable[str]) -> str:
    """Return the names as text such as "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


# A byte that was no text, as `os.fsdecode` keeps it.
_SURROGATE = re.compile("[\ud800-\udfff]")


class Section(BaseModel):
    """A table of the settings file; it is immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_utf8(cls, value: Any) -> Any:
        """Refuse names of other encodings, which the files of a run cannot hold."""
        texts = value if isinstance(value, (list, tuple)) else [value]
        for text in texts:
            if isinstance(text, str) and _SURROGATE.search(text):
                raise ValueError(
                    f"must be a name in UTF-8, got {text!r}; rename it, or set PYTHONUTF8=1 if the "
                    "encoding of the terminal is another one"
                )
        return value


class DataSection(Section):
    """The source of the samples, their division into parts, and their preprocessing."""

    source: str | None = _setting(
        None, "Name of a data set; table (CSV, TSV, JSON lines, Parquet, Feather), also a folder "
        "or a pattern of files; - for a table on standard input; arrays (NPZ); folder of IDX files "
        "or of images.",
    )  # fmt: skip
    test: str | None = _setting(None, "File with the test samples.", "--test", "FILE")
    target: Names = _setting((), "Column or columns to predict.", "--target", "NAME,NAME")
    features: Names = _setting(
        (), "Input columns; all others by default.", "--features", "NAME,NAME"
    )
    exclude: Names = _setting((), "Columns to leave out.", "--exclude", "NAME,NAME")
    categorical: Names = _setting(
        (), "Columns that hold names, whatever they look like.", "--categorical", "NAME,NAME"
    )
    numeric: Names = _setting((), "Columns that hold quantities.", "--numeric", "NAME,NAME")
    date: Names = _setting(
        (), "Columns that hold dates, perhaps with their format (sold=%d/%m/%Y).",
        "--date", "NAME,NAME",
    )  # fmt: skip
    id: Names = _setting((), "Columns of identifiers, left out.", "--id", "NAME,NAME")
    task: Literal["auto", "classification", "multilabel", "regression"] = _setting(
        "auto", "auto, classification, multilabel or regression.", "--task", "TASK"
    )
    test_fraction: Share | None = _setting(
        None, "Share of the samples kept for the test (0.2 or 20%); none if the data has a test "
        "part.", "--test-fraction", "F",
    )  # fmt: skip
    validation_fraction: Share | None = _setting(
        None, "Share of the training samples kept to select the best epoch; 0.1, or none if the "
        "data has a test part.", "--validation-fraction", "F",
    )  # fmt: skip
    stratify: bool = _setting(True, "Keep the shares of the classes in all parts.", "--stratify")
    split_seed: Seed = _setting(0, "Seed of the split.", "--split-seed", "N")
    standardize: bool | None = _setting(
        None,
        "Scale inputs as scaling says; by default unless they are bytes.",
        "--standardize",
    )
    scaling: Literal["standard", "shared", "robust", "quantile"] = _setting(
        "standard", "Scale of inputs: standard (mean 0, standard deviation 1), shared (mean 0, one "
        "standard deviation for all inputs, the default of images), robust (median 0, quartiles at "
        "a distance of 1) or quantile (quantiles of the standard normal distribution); with the "
        "last two categories stay 0 and 1.",
        "--scaling", "HOW",
    )  # fmt: skip
    category_inputs: Literal["one_hot", "code"] = _setting(
        "one_hot", "Inputs of a category: one_hot, one per name, or code, for networks that embed "
        "it.",
        "--category-inputs", "HOW",
    )  # fmt: skip
    standardize_target: bool = _setting(
        True,
        "Scale the targets of a regression to mean 0 and standard deviation 1.",
        "--standardize-target",
    )
    clamp_target: bool = _setting(
        False,
        "Limit the predictions of a regression to the range of the targets in the training part.",
        "--clamp-target",
    )
    missing: Literal["auto", "error", "mean", "median", "most_frequent"] = _setting(
        "auto",
        "Missing values: auto (median with an indicator, a level for categories), error, mean, "
        "median or most_frequent.",
        "--missing",
        "HOW",
    )
    unknown_categories: Literal["ignore", "error"] = _setting(
        "ignore", "Categories that the training part lacks: ignore or error.",
        "--unknown-categories", "HOW",
    )  # fmt: skip
    sample_weight: str | None = _setting(
        None, "Column with the weights of the samples.", "--sample-weight", "NAME"
    )
    separator: str | None = _setting(
        None, "Character between the columns of a text file; recognized by default.",
        "--separator", "C",
    )  # fmt: skip
    encoding: str | None = _setting(
        None, "Encoding of a text file, such as latin-1 or gbk; UTF-8 or recognized by default.",
        "--encoding", "NAME",
    )  # fmt: skip
    header: bool | None = _setting(
        None, "The first line of a text file names the columns; recognized by default.", "--header"
    )
    index_column: str | None = _setting(
        None, "Column that numbers the rows and is no feature.", "--index-column", "NAME"
    )
    decimal: Literal[".", ","] | None = _setting(
        None, 'Decimal sign of the numbers in a text file, "." or ","; by default each column '
        "tells.", "--decimal", "C",
    )  # fmt: skip
    thousands: str | None = _setting(None, "Sign between groups of digits.", "--thousands", "C")
    missing_token: Names = _setting(
        (), "Texts that stand for missing values, besides the usual ones.",
        "--missing-token", "TEXT,TEXT",
    )  # fmt: skip
    stream: bool = _setting(
        False, "Read the training samples block by block, for data that does not fit into memory: "
        "Parquet, Feather or Arrow files, pairs of .npy files, .npz, one or a folder of them.",
        "--stream",
    )  # fmt: skip
    data_dir: str | None = _setting(
        None, "Directory that is searched first for the files of a named data set.",
        "--data-dir", "DIR",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _read_impute(cls, values: Any) -> Any:
        """Read `impute`, the name that release 0.1 had for `missing`, in the files of its runs."""
        if isinstance(values, Mapping) and "impute" in values and "missing" not in values:
            values = {**values, "missing": values["impute"]}
            del values["impute"]
        return values


class NetworkSection(Section):
    """The arguments of `fastmlp.MLP`."""

    architecture: Literal["mlp", "realmlp", "realmlp-s", "tabm", "resnet"] | None = _setting(
        None, "Architecture: mlp, or for tables realmlp (the default), realmlp-s, tabm or resnet, "
        "with its own defaults of other settings.",
        "--architecture", "NAME",
    )  # fmt: skip
    members: Count | None = _setting(
        None, "Members of an ensemble that is trained as one network.", "--members", "N"
    )
    embedding: Choice | None = _setting(
        None, "Embedding of each number of an architecture for tables: none, periodic or "
        "piecewise_linear.",
        "--embedding", "NAME",
    )  # fmt: skip
    input_scaling: bool = _setting(False, "Train a factor of each input.", "--input-scaling")
    hidden: Annotated[tuple[Width, ...], BeforeValidator(_widths)] | None = _setting(
        None, "Widths of the hidden layers, or none.", "--hidden", "N,N"
    )
    activation: Annotated[Choice | list[Choice], BeforeValidator(_one_or_many)] | None = _setting(
        None, "Activation of the hidden layers, one for all or one for each: "
        f"{', '.join(ACTIVATIONS)}; by default that of the architecture, or relu.",
        "--activation", "NAME",
    )  # fmt: skip
    loss: Choice | None = _setting(
        None, f"{_either(LOSSES)}; by default the usual loss of the task.", "--loss", "NAME",
    )  # fmt: skip
    output_activation: Choice = _setting(
        "identity", "Activation of the last layer.", "--output-activation", "NAME"
    )
    dropout: Annotated[Rate | list[Rate], BeforeValidator(_one_or_many)] = _setting(
        0.0, "Share of each hidden layer's outputs dropped in a step, one for all or one for each.",
        "--dropout", "P",
    )  # fmt: skip
    input_dropout: Rate = _setting(
        0.0, "Share of the inputs dropped in a step.", "--input-dropout", "P"
    )
    input_noise: NotNegative = _setting(
        0.0, "Standard deviation of the normal noise added to the inputs.", "--input-noise", "D"
    )
    batch_normalization: Annotated[bool | list[bool], BeforeValidator(_one_or_many)] = _setting(
        False, "Batch normalization of the hidden layers.", "--batch-normalization"
    )
    initializer: Choice | None = _setting(
        None, f"{_either(INITIALIZERS)}; by default the usual one of the activation.",
        "--initializer", "NAME",
    )  # fmt: skip
    dtype: Literal["float32", "float64"] = _setting(
        "float32", "Precision of weights and arithmetic: float32 or float64.", "--dtype", "TYPE"
    )
    compute_dtype: Literal["bfloat16"] | None = _setting(
        None, "Type of the factors of a training step's products: bfloat16; by default dtype.",
        "--compute-dtype", "TYPE",
    )  # fmt: skip
    seed: Seed = _setting(
        0, "Seed of the initial weights, the order of the samples and all other random numbers.",
        "--seed", "N",
    )  # fmt: skip


class OptimizerSection(Section):
    """The optimizer; a setting that it lacks is an error."""

    name: str = _setting(
        "sgd", f"{_either((*OPTIMIZERS, 'lbfgs'))}.",
        "--optimizer", "NAME",
    )  # fmt: skip
    learning_rate: NotNegative | None = _setting(None, "Learning rate.", "--lr", "RATE")
    momentum: Rate | None = _setting(None, "Momentum of sgd or rmsprop.", "--momentum", "M")
    nesterov: bool | None = _setting(None, "Use Nesterov's momentum.", "--nesterov")
    l2: NotNegative | None = _setting(None, "Weight of the L2 penalty.", "--l2", "L2")
    l1: NotNegative | None = _setting(None, "Weight of the L1 penalty.", "--l1", "L1")
    decay: NotNegative | None = _setting(None, "Decoupled weight decay.", "--decay", "D")
    clip_norm: Positive | None = _setting(None, "Largest norm of a gradient.", "--clip-norm", "C")
    clip_value: Positive | None = _setting(
        None, "Largest absolute element of a gradient.", "--clip-value", "C"
    )
    max_norm: Positive | None = _setting(
        None, "Largest norm of the incoming weights of a unit.", "--max-norm", "C"
    )
    beta1: Rate | None = _setting(None, "Decay rate of the first moment.", "--beta1", "B")
    beta2: Rate | None = _setting(None, "Decay rate of the second moment.", "--beta2", "B")
    rho: Rate | None = _setting(None, "Decay rate of rmsprop.", "--rho", "R")
    epsilon: Positive | None = _setting(
        None, "Small number added to denominators.", "--epsilon", "E"
    )
    amsgrad: bool | None = _setting(None, "Use AMSGrad in adam or adamw.", "--amsgrad")
    centred: bool | None = _setting(None, "Use the centered variant of rmsprop.", "--centred")
    memory: Count | None = _setting(None, "Number of past steps that lbfgs uses.")
    tolerance: NotNegative | None = _setting(None, "Largest gradient element at which lbfgs stops.")
    evaluations: Count | None = _setting(None, "Largest number of loss evaluations of lbfgs.")

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value and info.data.get("momentum") == 0:
            raise ValueError("needs a momentum above 0")
        return value


class ScheduleSection(Section):
    """The learning-rate schedule; a setting that it lacks is an error."""

    name: Literal[
        "constant", "step", "exponential", "inverse_scaling", "linear", "cosine", "cos_log",
        "flat_cosine", "one_cycle", "plateau",
    ] = _setting(
        "constant", "constant, step, exponential, inverse_scaling, linear, cosine, cos_log, "
        "flat_cosine, one_cycle or plateau.", "--lr-schedule", "NAME",
    )  # fmt: skip
    per: Literal["epoch", "step"] | None = _setting(
        None, "Unit of the schedule: the rate changes after each epoch or each step."
    )
    factor: NotNegative | None = _setting(
        None, "Factor of the rate at each change of step (0.1), exponential and plateau (0.1)."
    )
    every: Count | None = _setting(
        None, "Epochs or steps between two changes of step; a third of the epochs by default."
    )
    power: NotNegative | None = _setting(None, "Exponent of inverse_scaling.")
    end: NotNegative | None = _setting(None, "Last rate of linear and cosine.")
    length: Count | None = _setting(
        None, "Epochs or steps of linear and cosine; the whole training by default."
    )
    cycles: Annotated[Count, Field(le=50)] | None = _setting(
        None, "Cycles of cos_log, of which each is twice as long as the one before."
    )
    warm_fraction: Share | None = _setting(None, "Share of one_cycle in which the rate rises.")
    start_divisor: Annotated[Real, Field(ge=1)] | None = _setting(
        None, "Highest rate of one_cycle divided by its first rate."
    )
    end_divisor: Annotated[Real, Field(ge=1)] | None = _setting(
        None, "First rate of one_cycle divided by its last rate."
    )
    patience: Index | None = _setting(
        None, "Epochs without an improvement before plateau reduces the rate."
    )
    minimum_change: NotNegative | None = _setting(
        None, "Smallest relative change that plateau counts as an improvement."
    )
    minimum: NotNegative | None = _setting(None, "Lowest rate of plateau.")
    cooldown: Index | None = _setting(
        None, "Epochs after a reduction in which plateau does not reduce the rate again."
    )
    monitor: str | None = _setting(None, "Quantity that plateau monitors.")
    mode: Literal["auto", "min", "max"] | None = _setting(
        None, "Whether a smaller (min) or larger (max) value is better for plateau."
    )
    warmup: Index = _setting(0, "Epochs of a linear ramp before the schedule.", "--warmup", "N")


class TrainingSection(Section):
    """Length of the training, mini-batches, stopping and checkpoints."""

    epochs: Count | None = _setting(
        None, "Passes over the training samples; iterations of lbfgs.", "--epochs", "N"
    )
    batch_size: Count | None = _setting(None, "Samples per mini-batch.", "--batch-size", "N")
    shuffle: bool = _setting(True, "Reorder the samples randomly in each epoch.", "--shuffle")
    drop_last: bool = _setting(False, "Leave out samples that do not fill a batch.", "--drop-last")
    threads: Annotated[Count, Field(le=1024)] | None = _setting(
        None, "Worker threads at most; the result is the same for any number.", "--threads", "N"
    )
    shards: Count | None = _setting(
        None, "Blocks of each batch whose gradients are added in a fixed tree; by default 1, or "
        "the number of processes of mpiexec, which share them.",
        "--shards", "N",
    )  # fmt: skip
    class_weight: Literal["balanced"] | dict[str, NotNegative] | None = _setting(
        None, "balanced, or a table of classes and their weights.", "--class-weight", "balanced"
    )
    patience: Count | None = _setting(
        None, "Stop after this number of epochs without an improvement.", "--patience", "N"
    )
    monitor: str | None = _setting(
        None, "Quantity that determines the best epoch, such as val_loss, loss, or val_ with a "
        "metric: val_accuracy, val_auc, val_f1, val_rmse, val_mae; by default val_loss, or loss if "
        "there is no other part.",
        "--monitor", "NAME",
    )  # fmt: skip
    averaging: Choice | None = _setting(
        None, "Average the weights: ema or swa.", "--averaging", "NAME"
    )
    time_limit: Seconds | None = _setting(
        None,
        "Train as many epochs as fit into this time (90s, 5m, 2h), at most those of epochs; the "
        "schedule has their length. The result depends on the machine.",
        "--time-limit",
        "TIME",
    )
    max_time: Seconds | None = _setting(
        None,
        "End the training at this time (90s, 5m, 2h); no epoch is started that would end later.",
        "--max-time",
        "TIME",
    )
    min_accuracy: Fraction | None = _setting(
        None, "Exit with code 6 if the accuracy reached is lower (0.98 or 98%).",
        "--min-accuracy", "A",
    )  # fmt: skip
    checkpoint_every: Count | None = _setting(
        None, "Epochs between two checkpoints; by default chosen so that saving takes at most 1 % "
        "of the time.",
        "--checkpoint-every", "N",
    )  # fmt: skip
    tensorboard: bool = _setting(
        False, "Write events for TensorBoard into the run's directory.", "--tensorboard"
    )
    initial_model: str | None = _setting(
        None, "Model file or run to start from.", "--init", "MODEL"
    )
    freeze: Annotated[tuple[Layer, ...], BeforeValidator(_items)] = _setting(
        (), "Layers that are not trained, counted from 0, or backwards from -1.", "--freeze", "N,N"
    )


class Config(Section):
    """All settings of a run: the content of fastmlp.toml and of a run's config.toml."""

    schema_version: Literal[1, 2] = 2
    data: DataSection = DataSection()
    network: NetworkSection = NetworkSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    training: TrainingSection = TrainingSection()

    @classmethod
    def checked(cls, values: Mapping[str, Any], origin: str = "") -> Config:
        """Check a nested mapping of settings and return them as `Config`.

        Parameters
        ----------
        values : mapping
            Settings by section.
        origin : str
            Name of the file, which starts the message of an error.

        Raises
        ------
        ValueError
            A setting is unknown, of the wrong type or out of range. The message is one line about
            the first wrong setting.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ValueError(_message(error, origin)) from None

    def values(self) -> dict[str, Any]:
        """Return the settings as a nested mapping, without those that are None."""
        return self.model_dump(mode="json", exclude_none=True)

    def given(self) -> dict[str, Any]:
        """Return the settings that were given, as a nested mapping, without those that are None.

        Defaults are left out, some of which the architecture replaces when the task is known.
        """
        return self.model_dump(mode="json", exclude_none=True, exclude_unset=True)


def _message(error: ValidationError, origin: str) -> str:
    errors = error.errors(include_url=False)
    # Of the alternatives of a union, the error of the deepest match is the most specific.
    setting = errors[0]["loc"][:2]
    first = max((e for e in errors if e["loc"][:2] == setting), key=lambda e: len(e["loc"]))
    place = [str(part) for part in first["loc"]]
    known = _keys_at(place[:-1])
    prefix = f"{origin}: " if origin else ""
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(place[-1], known) or f"; it has {', '.join(known)}"
        where = f"[{'.'.join(place[:-1])}]" if len(place) > 1 else "the file"
        return f"{prefix}{where} has no setting '{place[-1]}'{hint}"
    # The parts after section and name denote an alternative of a union.
    name = ".".join(place[:2])
    text = first["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    text = text[:1].lower() + text[1:]
    given = first["input"]
    if "got " not in text and isinstance(given, (str, int, float)) and given is not True:
        text += f", got {given!r}"
    if first["type"] == "literal_error" and isinstance(given, str):
        text += did_you_mean(given, re.findall("'([^']*)'", first["ctx"]["expected"]))
    return f"{prefix}{name}: {text}"


def _keys_at(place: list[str]) -> list[str]:
    fields = Config.model_fields
    for part in place:
        kind = fields[part].annotation if part in fields else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        fields = kind.model_fields
    return list(fields)
