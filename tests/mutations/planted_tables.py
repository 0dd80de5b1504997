"""Bugs in reading, preparing, serving and exporting tables, to be planted one at a time."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["TABLE_MUTATIONS"]

TABLE_MUTATIONS = [
    Mutation(
        "a row is typed by its file",
        "python/fastmlp/data/preprocessing.py",
        "            as_text=frozenset(texts.union(also)),\n",
        "            as_text=frozenset(also),\n",
    ),
    Mutation(
        "numbers are read as plain ones",
        "python/fastmlp/data/columns.py",
        "        return read_numbers(cells, self.format, self.missing)\n",
        "        return read_numbers(cells, PLAIN, self.missing)\n",
    ),
    Mutation(
        "the user's texts for missing values are forgotten",
        "python/fastmlp/data/schema.py",
        "NumberColumn(name, finding.format, (*options.missing_token, *NUMBER_MISSING))",
        "NumberColumn(name, finding.format, NUMBER_MISSING)",
    ),
    Mutation(
        "an unknown category is the last one",
        "python/fastmlp/data/columns.py",
        "        known = np.flatnonzero(codes >= 0)\n",
        "        known = np.flatnonzero(codes >= UNKNOWN)\n",
    ),
    Mutation(
        "replacements are learned from all rows",
        "python/fastmlp/data/schema.py",
        "_learned(table.columns[name][rows], name, finding, options)",
        "_learned(table.columns[name], name, finding, options)",
    ),
    Mutation(
        "inputs are standardized by the test part",
        "python/fastmlp/data/preparation.py",
        'x["train"], schema, notes, whole)',
        "x[min(x)], schema, notes, whole)",
    ),
    Mutation(
        "weights of samples are ignored",
        "python/fastmlp/data/preprocessing.py",
        "        if self.weight is None or not isinstance(part.x, Table):\n",
        "        if self.weight is not None or not isinstance(part.x, Table):\n",
    ),
    Mutation(
        "the encoding of the model is ignored",
        "python/fastmlp/data/preprocessing.py",
        "            usual_encoding=self.encoding,\n",
        "",
    ),
    Mutation(
        "the columns of a file without names are those of the file",
        "python/fastmlp/data/preprocessing.py",
        "            names=self.source_names or options.names,\n",
        "            names=options.names,\n",
    ),
    Mutation(
        "numbers of JSON have points where the column has commas",
        "python/fastmlp/data/preprocessing.py",
        "            decimal_comma=self._decimal_comma,\n",
        "",
    ),
    Mutation(
        "labels are text",
        "python/fastmlp/data/preprocessing.py",
        "            return names.astype(np.int64)\n",
        "            return names\n",
    ),
    Mutation(
        "the indicator of missing values is 0",
        "python/fastmlp/data/columns.py",
        "            inputs[:, 1] = numbers.missing\n",
        "            inputs[:, 1] = 0.0\n",
    ),
    Mutation(
        "weeks begin on Sunday",
        "python/fastmlp/data/columns.py",
        '"weekday": ((days + 3) % 7)',
        '"weekday": ((days + 4) % 7)',
    ),
    Mutation(
        "a point in time is that of its zone",
        "python/fastmlp/data/cells.py",
        'cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)',
        "cells.dt.replace_time_zone(None)",
    ),
    Mutation(
        "rows without a target are an error",
        "python/fastmlp/data/targets.py",
        '    if options.missing != "error":\n        raw = _labeled(raw, {column.name: column.missing_'
        "tokens",
        '    if options.missing == "error":\n        raw = _labeled(raw, {column.name: column.missing_'
        "tokens",
    ),
    Mutation(
        "lists and bytes are text",
        "python/fastmlp/data/cells.py",
        "    return bool(cells.dtype.is_numeric() or cells.dtype in others)\n",
        "    return bool(cells.dtype.is_numeric() or cells.dtype in (*others, cells.dtype))\n",
    ),
    Mutation(
        "the index of a frame is a feature",
        "python/fastmlp/data/schema.py",
        "        elif name in table.index and name not in options.features:\n",
        "        elif name in table.index and name in options.features:\n",
    ),
    Mutation(
        "1.234 is plain in a file with decimal commas",
        "python/fastmlp/data/schema.py",
        "    return _with_consistent_decimals(table, options, found)\n",
        "    return found\n",
    ),
    Mutation(
        "weights of classes are ignored by L-BFGS",
        "python/fastmlp/experiment/runner.py",
        "        class_weight=build.class_weights(experiment.config, experiment.prepared.preprocessing)"
        ",\n        threads=settings.threads,\n        shards=settings.shards,\n",
        "        threads=settings.threads,\n        shards=settings.shards,\n",
    ),
    Mutation(
        "exported C: the month begins a day late",
        "python/fastmlp/export/c_columns.py",
        "(5 * of_year + 2) / 153",
        "(5 * of_year + 1) / 153",
    ),
    Mutation(
        "exported ONNX: weeks begin on Sunday",
        "python/fastmlp/export/onnx_columns.py",
        'graph.add("Add", days, 3), 7)',
        'graph.add("Add", days, 4), 7)',
    ),
    Mutation(
        "exported ONNX: the missing level is that of values",
        "python/fastmlp/export/onnx_columns.py",
        "graph.cast(missing, np.float64), axis=1)\n    return _with_missing(graph, column, missing, ones",
        'graph.cast(graph.add("Not", missing), np.float64), axis=1)\n'
        "    return _with_missing(graph, column, missing, ones",
    ),
    Mutation(
        "a service reads a body by its own cells",
        "python/fastmlp/service/samples.py",
        "    reading = reading_for(model, Reading(encoding=charset))\n",
        "    reading = Reading(encoding=charset)\n",
    ),
]
