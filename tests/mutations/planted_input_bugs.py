"""Bugs that mutations.py plants in the checks of arguments, arrays and files."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["INPUT_MUTATIONS"]

INPUT_MUTATIONS = [
    Mutation(
        "an optimizer keeps the number that it was given",
        "python/fastmlp/optimizers.py",
        "                keep(self, **{name: real(name, value, 0.0, 1.0, below=True)})\n",
        "                real(name, value, 0.0, 1.0, below=True)\n",
    ),
    Mutation(
        "the memory of L-BFGS in a byte",
        "python/fastmlp/training/lbfgs.py",
        '            memory=integer("memory", self.memory, 1),\n',
        "",
    ),
    Mutation(
        "an integer stays NumPy's",
        "python/fastmlp/_scalars.py",
        "        result = int(operator.index(value))",
        "        result = operator.index(value) and value",
    ),
    Mutation(
        "an estimator computes in the type of its parameters",
        "python/fastmlp/estimators/parameters.py",
        "            return float(value) if value == np.inf else real(name, value, -np.inf)\n",
        "            return value\n",
    ),
    Mutation(
        "infinity in single precision passes",
        "python/fastmlp/validation.py",
        "    if not math.isfinite(held):\n",
        "    if not math.isfinite(value):\n",
    ),
    Mutation(
        "a number that becomes 0 passes",
        "python/fastmlp/validation.py",
        "    elif held == 0 and value != 0 and not vanishes:\n",
        "    elif held == 0 and value != 0 and vanishes:\n",
    ),
    Mutation(
        "rates of schedules are not checked",
        "python/fastmlp/training/run.py",
        "        self._require_settings_held(settings, learning_rates)\n",
        "",
    ),
    Mutation(
        "integers beyond all floats",
        "python/fastmlp/_scalars.py",
        "    except OverflowError:\n",
        "    except ZeroDivisionError:\n",
    ),
    Mutation(
        "weights that the core cannot divide by",
        "python/fastmlp/validation.py",
        "    if not total <= 1 / least or smallest < least:\n",
        "    if not total <= np.inf:\n",
    ),
    Mutation(
        "unaligned arrays reach the core",
        "python/fastmlp/validation.py",
        "    return result if flags.aligned and flags.c_contiguous",
        "    return result if flags.c_contiguous",
    ),
    Mutation(
        "estimators hand on what scikit-learn does not align",
        "python/fastmlp/estimators/samples.py",
        "        return core_array(rows, rows.dtype)\n",
        "        return rows\n",
    ),
    Mutation(
        "columns wrap before they are compared",
        "python/fastmlp/network/samples.py",
        "    _require_within(name, indices[: int(starts[-1])], width)\n",
        "    _require_within(name, indices[: int(starts[-1])].astype(np.int32), width)\n",
    ),
    Mutation(
        "row starts may fall",
        "python/fastmlp/network/samples.py",
        " or (starts[1:] < starts[:-1]).any()",
        "",
    ),
    Mutation(
        "the order of columns is believed",
        "python/fastmlp/network/samples.py",
        "    if not _is_sorted(columns, starts):\n",
        "    if not rows.has_canonical_format:\n",
    ),
    Mutation(
        "layers are made before their tensors are counted",
        "python/fastmlp/stored_model.py",
        "    _require_shapes(architecture, tensors)\n",
        "",
    ),
    Mutation(
        "any ratio of compression",
        "python/fastmlp/_bytes.py",
        "    if unpacked > most_bytes_from(packed):\n",
        "    if unpacked > 1 << 60:\n",
    ),
    Mutation(
        "long texts in a dictionary",
        "python/fastmlp/data/parquet.py",
        '            require_ratio(f"column {series.name!r}", size, bytes_so_far)\n',
        "",
    ),
]
