"""JSON Schemas of the output of commands with --json, as docs/json-output.md describes it."""

from __future__ import annotations

from typing import Any

from fastmlp.cli.printing import SCHEMA_VERSION

Schema = dict[str, Any]
Fields = dict[str, Schema]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
ANYTHING: Schema = {}


def constant(*values: Any) -> Schema:
    return {"enum": list(values)}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": schema, "minItems": least}


def mapping(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def record(fields: Fields, optional: Fields | None = None) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": fields | (optional or {}),
        "required": list(fields),
        "additionalProperties": False,
    }


def each(schema: Schema, names: str) -> Fields:
    """Return several fields of the same kind; `names` are separated by blanks."""
    return dict.fromkeys(names.split(), schema)


TASK = constant("classification", "multilabel", "regression")
STATUS = constant(
    "completed", "stopped_early", "time_limit", "interrupted", "terminated", "diverged",
    "check_failed",
)  # fmt: skip

# ---------------------------------------------------------------- parts of several objects

PER_CLASS = record(
    each(TEXT, "class") | each(SHARE, "precision recall f1") | each(NUMBER, "support")
)
ERRORS = each(NUMBER, "mse rmse mae r2")
MEASURES: Fields = {
    "task": TASK,
    "samples": COUNT,
    "loss": NUMBER,
    "per_class": maybe(many(PER_CLASS, 1)),
    "per_target": maybe(many(record(each(TEXT, "target") | ERRORS), 1)),
    "confusion_matrix": maybe(many(many(NUMBER, 2), 2)),
}
MACRO = each(SHARE, "macro_precision macro_recall macro_f1")
BY_TASK: tuple[Fields, ...] = (
    each(SHARE, "accuracy") | MACRO,
    each(SHARE, "subset_accuracy label_accuracy") | MACRO,
    ERRORS,
)
FINDING = record(
    {"level": constant("problem", "warning", "hint")} | each(TEXT, "code message cure page")
)
INFO = (
    each(TEXT, "version isa compiler numpy python cpu platform")
    | each(COUNT, "threads openmp")
    | {"isas_available": many(TEXT, 1)}
)
ENVIRONMENT = record(
    INFO
    | {
        "threads_requested": maybe(COUNT),
        "seed": COUNT,
        "started": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"},
        "data_sha256": mapping(DIGEST),
    }
)
EPOCH = record(
    each(COUNT, "epoch epochs") | {"loss": maybe(NUMBER), "seconds": NUMBER},
    each(SHARE, "accuracy val_accuracy") | {"learning_rate": NUMBER, "val_loss": maybe(NUMBER)},
)
CONFIG = record(
    {"schema_version": constant(2)}
    | each({"type": "object"}, "data network optimizer schedule training")
)
RUN_SUMMARY = (
    each(TEXT, "name path status")
    | each(maybe(TEXT), "data task measure part monitor started problem")
    | each(maybe(COUNT), "epochs_completed epochs folds_completed folds best_epoch")
    | each(maybe(NUMBER), "value best_value seconds")
)
OF_NUMBERS: Fields = {
    "kind": constant("number"),
    "format": many(TEXT, 3),
    "fill": maybe(NUMBER),
    "indicator": FLAG,
}
OF_CATEGORIES: Fields = {
    "kind": constant("category"),
    "categories": many(TEXT, 1),
    "reads": constant("text", "number", "boolean"),
    "fill": maybe(TEXT),
    "missing_level": FLAG,
    "refuses_missing": FLAG,
}
OF_DATES: Fields = {
    "kind": constant("date"),
    "format": TEXT,
    "parts": many(TEXT, 1),
    "fill": maybe(NUMBER),
    "indicator": FLAG,
}
COLUMN: Schema = {
    "anyOf": [
        record({"name": TEXT, "missing": many(TEXT)} | of_kind)
        for of_kind in (OF_NUMBERS, OF_CATEGORIES, OF_DATES)
    ]
}
PREPROCESSING = record(
    each(maybe(many(TEXT, 1)), "feature_names class_names target_names source_names")
    | each(maybe(many(COLUMN, 1)), "columns target_schema")
    | each(maybe(TEXT), "weight encoding separator lacks")
    | {
        "version": constant(2),
        "task": TASK,
        "features": COUNT,
        "unknown_categories": constant("error", "ignore"),
        "image_shape": maybe(many(COUNT, 2)),
        "indexed_classes": FLAG,
        "label_type": constant("text", "integer", "number", "boolean"),
        "weight_format": many(TEXT, 3),
        "left_out": many(many(TEXT, 2)),
        "arrays": many(TEXT),
    }
)
TRIAL = record(
    {"number": COUNT, "state": TEXT, "settings": mapping(ANYTHING), "epochs": COUNT}
    | {"best_epoch": maybe(COUNT), "value": maybe(NUMBER)}
)
PLACE: Fields = {"path": TEXT, "writable": FLAG, "bytes_free": COUNT}

# ---------------------------------------------------------------- objects

TRAIN: Fields = {
    "status": STATUS,
    "exit_code": COUNT,
    "message": maybe(TEXT),
    "dataset": TEXT,
    "task": TASK,
    "notes": many(TEXT),
    "layer_sizes": many(COUNT, 2),
    **each(COUNT, "parameters epochs epochs_completed"),
    "monitor": TEXT,
    "best_epoch": maybe(COUNT),
    "best_value": maybe(NUMBER),
    "selected": constant("best", "last"),
    "evaluated_on": constant("test", "validation", "training"),
    "measured_on": maybe(constant("validation", "test")),
    "samples": mapping(COUNT),
    "test": {"anyOf": [*(record(MEASURES | of_task) for of_task in BY_TASK), record({})]},
    "two_classes": maybe(record(each(NUMBER, "auc average_precision brier"))),
    "findings": many(FINDING),
    "baselines": many(record({"name": TEXT, "metrics": mapping(NUMBER)})),
    **each(NUMBER, "training_seconds wall_seconds"),
    "samples_per_second": maybe(NUMBER),
    "directory": TEXT,
    "model": maybe(TEXT),
    "config": CONFIG,
    "environment": ENVIRONMENT,
    "history": many(EPOCH),
}
LAYER = record(
    each(COUNT, "inputs outputs parameters")
    | each(FLAG, "batch_normalization layer_normalization residual")
    | {"activation": TEXT, "weight_norm": NUMBER}
)
NAMED: Schema = {"type": ["string", "object"]}
INSPECT: Fields = {
    **each(TEXT, "file"),
    **each(COUNT, "bytes parameters"),
    "sha256": DIGEST,
    "kind": constant("model", "checkpoint"),
    "history": record(each(many(NUMBER), "loss accuracy val_loss val_accuracy")),
}
OF_A_MODEL: Fields = {
    "layer_sizes": many(COUNT, 2),
    "dtype": constant("float32", "float64"),
    "compute_dtype": constant("bfloat16", None),
    "seed": COUNT,
    **each(NUMBER, "input_scale input_dropout input_noise"),
    **each({"type": ["string", "object", "array"]}, "loss activation"),
    **each(NAMED, "output_activation initializer"),
    "dropout": {"type": ["number", "array"]},
    **each({"type": ["boolean", "array"]}, "batch_normalization layer_normalization residual"),
    "inputs": many({"type": "object"}),
    "input_scaling": FLAG,
    "parametric": {"type": ["boolean", "array"]},
    "members": COUNT,
    "sharing": maybe(TEXT),
    "own_batches": FLAG,
    "standardizes": FLAG,
    "first_inputs": COUNT,
    "layers": many(LAYER, 1),
    "preprocessing": maybe(PREPROCESSING),
}
OF_A_CHECKPOINT: Fields = {"epoch": COUNT, "best_epoch": maybe(COUNT), "optimizer": TEXT}
EVALUATE: Fields = {
    "status": constant("completed", "check_failed"),
    **each(TEXT, "model data"),
    "part": constant("test", "validation", "training", "all"),
    **MEASURES,
}
CHECK = record(
    {"passed": FLAG},
    each(TEXT, "output problem")
    | {"samples": COUNT, "max_difference": maybe(NUMBER), "tolerance": NUMBER}
    | {"label_differences": maybe(COUNT)},
)
EXPORT: Fields = {
    "status": constant("completed", "check_failed"),
    **each(TEXT, "model file"),
    "format": constant("onnx", "npz", "c"),
    "bytes": COUNT,
    "check": maybe(CHECK),
}
LOOK: Fields = {"origin": TEXT, "train": maybe(TEXT)}
OF_A_TABLE: Fields = {
    "rows": COUNT,
    "columns": many(
        record(each(TEXT, "name kind use detail values") | each(COUNT, "missing distinct"))
    ),
    "task": maybe(TASK),
    "guess": maybe(TEXT),
    "choices": many(many(TEXT, 1)),
    **each(many(TEXT), "targets notes suspicions obstacles"),
}
OF_ARRAYS: Fields = {
    **each(COUNT, "samples features"),
    **each(NUMBER, "lowest highest"),
    "dtype": TEXT,
    "image_shape": maybe(many(COUNT, 2)),
    "class_names": maybe(many(TEXT)),
    "test_samples": maybe(COUNT),
    "task": maybe(TASK),
    "targets": maybe(TEXT),
}
LR_FIND: Fields = {
    "suggestion": maybe(NUMBER),
    "problem": maybe(TEXT),
    "lowest_loss_at": NUMBER,
    "rates": many(NUMBER, 2),
    "losses": many(maybe(NUMBER), 2),
    "picture": maybe(TEXT),
}
SWEEP: Fields = each(TEXT, "directory monitor best_config") | {
    "search": many(TEXT, 1),
    "best": TRIAL,
    "trials": many(TRIAL, 1),
}
COMPARED = record(
    each(TEXT, "run status")
    | each(maybe(TEXT), "data evaluated_on")
    | {"layer_sizes": maybe(many(COUNT, 2)), "epochs": COUNT, "seconds": NUMBER},
    each(SHARE, "accuracy subset_accuracy macro_f1") | each(NUMBER, "rmse r2 loss"),
)
LIBRARY = record(
    {"library": TEXT, "epochs": COUNT, "seconds": NUMBER}
    | {"metrics": mapping(NUMBER), "left_out": many(TEXT)}
)
DATASET = record(
    each(TEXT, "name kind")
    | each(COUNT, "samples features")
    | each(maybe(COUNT), "test_samples classes")
    | {"task": TASK, "image_shape": maybe(many(COUNT, 2)), "path": maybe(TEXT)}
)
DATA_FILE = record(
    each(TEXT, "name file path")
    | {"status": constant("ok", "missing", "damaged"), "sha256": maybe(DIGEST)}
)
SETTING = record({"value": ANYTHING, "from": TEXT, "place": TEXT})
CHANGED = record({"setting": TEXT, "value": ANYTHING, "recipe": ANYTHING})
SETTINGS_FILE = record(
    {"kind": constant("user", "local"), "path": TEXT, "exists": FLAG, "problem": maybe(TEXT)}
)
RUNS_SHOW: Fields = RUN_SUMMARY | {
    "settings_changed": maybe(many(CHANGED)),
    "result": {"type": "object"},
    "environment": {"anyOf": [ENVIRONMENT, record({})]},
    "files": many(record({"file": TEXT, "bytes": COUNT}), 1),
    "checkpoints": many(TEXT),
}
INFO_COMMAND: Fields = INFO | {
    "cpus": maybe(COUNT),
    "load_average": many(NUMBER, 3),
    "executable": TEXT,
    "extras": mapping(mapping(maybe(TEXT))),
    "cache": record(PLACE | {"datasets": mapping(COUNT)}),
    "directory": record(PLACE),
    "config_files": many(SETTINGS_FILE, 2),
    "variables": mapping(TEXT),
    "warnings": many(TEXT),
    "checks": maybe(many(record({"name": TEXT, "passed": FLAG, "detail": TEXT}), 1)),
}

SCORE = record({name: maybe(NUMBER) for name in ("mean", "std", "low", "high")})
CV: Fields = {
    **each(TEXT, "directory data"),
    "task": TASK,
    **each(COUNT, "samples folds_per_repeat repeats"),
    **each(maybe(TEXT), "group time"),
    "chooses_epoch": FLAG,
    "test": maybe({"type": "object"}),
    "validation": maybe(mapping(record({name: maybe(NUMBER) for name in ("mean", "std")}))),
    "scores": mapping(SCORE),
    "folds": many(
        record(
            each(COUNT, "repeat fold training test epochs")
            | {"best_epoch": maybe(COUNT), "seconds": NUMBER}
            | {"measures": mapping(maybe(NUMBER)), "unknown": many(TEXT)}
        ),
        2,
    ),
}

# By the field "schema": the fields besides schema, schema_version and command.
REQUIRED: dict[str, Fields] = {
    "fastmlp.train": TRAIN,
    "fastmlp.plan": {"config": CONFIG, "out": TEXT},
    "fastmlp.evaluate": EVALUATE,
    "fastmlp.importance": each(TEXT, "model data metric")
    | {
        "score": NUMBER,
        "samples": COUNT,
        "columns": many(
            record(
                {"column": TEXT, "mean": NUMBER, "deviation": NUMBER, "values": many(NUMBER, 1)}
            ),
            1,
        ),
    },
    "fastmlp.predict": each(TEXT, "model data")
    | {"samples": COUNT, "rows": many(mapping(ANYTHING), 1)},
    "fastmlp.serve": each(TEXT, "model url"),
    "fastmlp.play": each(TEXT, "url"),
    "fastmlp.export": EXPORT,
    "fastmlp.inspect": INSPECT,
    "fastmlp.plot": {"run": TEXT, "pictures": many(record(each(TEXT, "kind file")), 1)},
    "fastmlp.report": each(TEXT, "run report part") | {"plots": many(TEXT, 1)},
    "fastmlp.look": LOOK,
    "fastmlp.lr-find": LR_FIND,
    "fastmlp.cv": CV,
    "fastmlp.sweep": SWEEP,
    "fastmlp.compare": {
        "runs": many(COMPARED, 1),
        "differences": mapping(many(ANYTHING, 1)),
        "libraries": many(LIBRARY),
    },
    "fastmlp.bench": each({"type": "object"}, "settings machine"),
    "fastmlp.data.list": {"datasets": many(DATASET, 1)},
    "fastmlp.data.fetch": {"datasets": many(record({"name": TEXT, "path": maybe(TEXT)}), 1)},
    "fastmlp.data.verify": {"files": many(DATA_FILE)},
    "fastmlp.data.path": each(TEXT, "name path"),
    "fastmlp.data.clear": {
        "datasets": many(record({"name": TEXT, "freed_bytes": COUNT})),
        "freed_bytes": COUNT,
    },
    "fastmlp.config.init": {"path": TEXT, "dataset": maybe(TEXT)},
    "fastmlp.config.show": {"dataset": maybe(TEXT), "settings": mapping(mapping(SETTING))},
    "fastmlp.config.validate": {
        "status": constant("ok", "error"),
        "exit_code": COUNT,
        "files": many(record({"file": TEXT, "problems": many(TEXT)}), 1),
    },
    "fastmlp.runs.list": {"directory": TEXT, "runs": many(record(RUN_SUMMARY))},
    "fastmlp.runs.show": RUNS_SHOW,
    "fastmlp.runs.rm": {
        "dry_run": FLAG,
        "removed": many(record({"path": TEXT, "bytes": COUNT})),
    },
    "fastmlp.info": INFO_COMMAND,
    "fastmlp.error": {"status": constant("error"), "exit_code": COUNT, "error": TEXT},
}
# Further fields: those of one task, or of one kind of file.
VARIANTS: dict[str, tuple[Fields, ...]] = {
    "fastmlp.bench": ({"workloads": many({}, 1)}, {"networks": many({}, 1)}),
    "fastmlp.evaluate": BY_TASK,
    "fastmlp.inspect": (OF_A_MODEL, OF_A_CHECKPOINT),
    "fastmlp.look": (OF_A_TABLE, OF_ARRAYS),
}


def schema_of(name: str) -> Schema:
    """Return the complete schema of one object."""
    error = name == "fastmlp.error"
    command = maybe(TEXT) if error else TEXT
    head = {
        "schema": constant(name),
        "schema_version": constant(1 if error else SCHEMA_VERSION),
        "command": command,
    }
    variants = VARIANTS.get(name, ({},))
    return {"anyOf": [record(head | REQUIRED[name] | variant) for variant in variants]}
