"""The variables FASTMLP_*: that of an option, and those that nothing reads."""

from __future__ import annotations

import os
from collections.abc import Iterator

__all__ = ["OF_OPTIONS", "unknown_variables", "variable_of"]

# Those of options that some command has, here as text, so that none is imported for them.
_NAMES = """
ACTIVATION ALL AMSGRAD ARCHITECTURE AVERAGING BATCH_NORMALIZATION BATCH_SIZE BETA1 BETA2 CATEGORICAL
CATEGORY_INPUTS CENTRED CHECK CHECKPOINT_EVERY CLAMP_TARGET CLASS_WEIGHT CLIP_NORM CLIP_VALUE
COMPUTE_DTYPE CONFIG DATA_DIR DATE DEBUG DECAY DECIMAL DROPOUT DROP_LAST DRY_RUN DTYPE EMBEDDING
ENCODING ENGINE EPOCHS EPSILON EXCLUDE FEATURES FOLDS FORMAT FREEZE GROUP HEADER HIDDEN HIGHEST HOST
ID INDEX_COLUMN INIT INITIALIZER INPUT_DROPOUT INPUT_NOISE INPUT_SCALING JOBS JSON KEEP L1 L2
LEARNING_CURVE LOSS LOWEST LR LR_SCHEDULE MAX_BYTES MAX_NORM MAX_ROWS MAX_SESSIONS MAX_TIME MEMBERS
METRIC MIN_ACCURACY MISSING MISSING_TOKEN MOMENTUM MONITOR NAME NESTEROV NO_COLOR NUMERIC OFFLINE
OPEN OPTIMIZER OUT OUTPUT OUTPUT_ACTIVATION OVERWRITE PART PATIENCE PORT PREDICT PROBABILITIES
PROCESSES PRUNE QUIET REPEATS REPORT RESUME RHO ROUNDS RUNS SAMPLE_WEIGHT SCALING SEARCH SECONDS
SEED SEPARATOR SHARDS SHUFFLE SORT SPLIT_SEED STANDARDIZE STANDARDIZE_TARGET STEPS STRATIFY STREAM
SWEEP_SEED TARGET TASK TENSORBOARD TERMINAL TEST TEST_FRACTION THOUSANDS THREADS TIME TIMEOUT
TIME_LIMIT TRIALS UNKNOWN_CATEGORIES VALIDATION_FRACTION VERBOSE WARMUP WITH WORKLOAD YES
"""
OF_OPTIONS = frozenset(f"FASTMLP_{name}" for name in _NAMES.split())
# The last is read when the core is built.
_OTHERS = frozenset({"FASTMLP_ISA", "FASTMLP_SET", "FASTMLP_THREADING"})


def variable_of(flag: str) -> str:
    """Return the variable of an option: FASTMLP_LR_SCHEDULE for --lr-schedule."""
    return f"FASTMLP_{flag.lstrip('-').replace('-', '_').upper()}"


def unknown_variables() -> Iterator[tuple[str, str]]:
    """Yield the variables FASTMLP_* that no command reads, with the end of a message about each."""
    known = OF_OPTIONS | _OTHERS
    for name in sorted(os.environ):
        if name.startswith("FASTMLP_") and name not in known:
            from fastmlp.errors import did_you_mean

            short = {text.removeprefix("FASTMLP_"): text for text in sorted(known)}
            hint = did_you_mean(name.removeprefix("FASTMLP_"), short)
            yield name, hint.replace("'", "'FASTMLP_", 1)
