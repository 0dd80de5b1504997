"""Each setting of a run: a value other than the default, one that is refused, and the message."""

from __future__ import annotations

# By field: a value that is not the default, a value that is refused, and the message about it.
TEXT = ("some text", 3, "valid string, got 3")
COUNT = (7, 0, "greater than or equal to 1, got 0")
INDEX = (7, -1, "greater than or equal to 0, got -1")
RATE = (0.25, 1.0, "less than 1, got 1.0")
POSITIVE = (2.5, 0, "greater than 0, got 0")
NOT_NEGATIVE = (0.5, -0.5, "greater than or equal to 0, got -0.5")
SWITCHED_OFF = (True, "perhaps", "got 'perhaps'")
SWITCHED_ON = (False, *SWITCHED_OFF[1:])
COLUMNS = (["a", "b"], [3], "valid string, got 3")
NOT_ONE_OF = "got 'other'"
ALIKE = {
    "data.source data.test data.sample_weight data.encoding data.index_column data.thousands "
    "data.data_dir schedule.monitor training.monitor training.initial_model": TEXT,
    "optimizer.memory optimizer.evaluations schedule.every schedule.length training.epochs "
    "training.batch_size training.shards training.patience training.checkpoint_every "
    "network.members": COUNT,
    "data.split_seed schedule.patience schedule.cooldown schedule.warmup": INDEX,
    "data.test_fraction data.validation_fraction network.input_dropout optimizer.momentum "
    "optimizer.beta1 optimizer.beta2 optimizer.rho schedule.warm_fraction": RATE,
    "optimizer.clip_norm optimizer.clip_value optimizer.max_norm optimizer.epsilon": POSITIVE,
    "network.input_noise optimizer.learning_rate optimizer.l2 optimizer.l1 optimizer.decay "
    "optimizer.tolerance schedule.factor schedule.power schedule.end schedule.minimum_change "
    "schedule.minimum": NOT_NEGATIVE,
    "data.standardize data.clamp_target data.header data.stream optimizer.nesterov "
    "optimizer.amsgrad optimizer.centred network.input_scaling training.tensorboard "
    "training.drop_last": SWITCHED_OFF,
    "data.stratify data.standardize_target training.shuffle": SWITCHED_ON,
    "data.target data.features data.exclude data.categorical data.numeric data.date data.id "
    "data.missing_token": COLUMNS,
}
CASES = {
    **{key: case for keys, case in ALIKE.items() for key in keys.split()},
    "data.task": ("regression", "other", NOT_ONE_OF),
    "network.compute_dtype": ("bfloat16", "other", NOT_ONE_OF),
    "data.category_inputs": ("code", "other", NOT_ONE_OF),
    "data.scaling": ("robust", "other", NOT_ONE_OF),
    "data.missing": ("median", "other", NOT_ONE_OF),
    "data.decimal": (",", "other", NOT_ONE_OF),
    "data.unknown_categories": ("error", "other", NOT_ONE_OF),
    "data.separator": (";", 3, "valid string, got 3"),
    "network.architecture": ("realmlp", "other", NOT_ONE_OF),
    "network.embedding": ({"name": "periodic", "bases": 8}, 3, "got 3"),
    "network.hidden": ([5, 4], [5, 0], "greater than or equal to 1, got 0"),
    "network.activation": ([{"name": "elu", "alpha": 0.5}, "tanh"], 3, "got 3"),
    "network.loss": ({"name": "huber", "delta": 2.0}, 3, "got 3"),
    "network.output_activation": ("softmax", 3, "got 3"),
    "network.dropout": ([0.1, 0.0], 1.0, "less than 1, got 1.0"),
    "network.batch_normalization": ([True, False], "perhaps", "got 'perhaps'"),
    "network.initializer": ({"name": "normal", "deviation": 0.1}, 3, "got 3"),
    "network.dtype": ("float64", "other", NOT_ONE_OF),
    "network.seed": (2**63 - 1, 2**63, f"got {2**63}"),
    "optimizer.name": ("adam", 3, "valid string, got 3"),
    "schedule.name": ("cosine", "other", NOT_ONE_OF),
    "schedule.per": ("step", "other", NOT_ONE_OF),
    "schedule.start_divisor": (25.0, 0.5, "greater than or equal to 1, got 0.5"),
    "schedule.end_divisor": (1e4, 0.5, "greater than or equal to 1, got 0.5"),
    "schedule.mode": ("max", "other", NOT_ONE_OF),
    "schedule.cycles": (7, 51, "less than or equal to 50, got 51"),
    "training.threads": (7, 1025, "less than or equal to 1024, got 1025"),
    "training.class_weight": ({"a.b": 2.0, 'c "d"': 0.5}, "other", NOT_ONE_OF),
    "training.averaging": ({"name": "ema", "decay": 0.99}, 3, "got 3"),
    "training.time_limit": (90.0, 0, "greater than 0, got 0"),
    "training.max_time": (90.0, 0, "greater than 0, got 0"),
    "training.min_accuracy": (0.98, 1.5, "less than or equal to 1, got 1.5"),
    "training.freeze": ([0, -1], ["x"], "valid integer"),
}
