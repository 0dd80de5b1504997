"""Preparation of samples that do not fit into memory: what is learned, held out and trained.

One pass over all blocks of the files draws the validation and the test part and some samples of the
training part, from which the preprocessing is learned. These three are in memory, of a size that
does not depend on that of the files. The training reads the others block by block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION, Options
from fastmlp.data.preparation import Prepared, prepare, samples_of
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.sample_files import SampleFiles, joined_parts, rows_of
from fastmlp.data.split import is_drawn
from fastmlp.data.table import Part, RawData, Table
from fastmlp.data.table_targets import find_targets, missing_targets
from fastmlp.streams import Source

__all__ = ["Division", "TrainingRows", "prepare_stream"]

# Of each part in memory.
_MOST_SAMPLES = 50_000
_MOST_BYTES = 32 << 20
# Classes of each of which a sample is sure to be in the training part.
_MOST_CLASSES = 1000

Mask = NDArray[np.bool_]


@dataclass
class Division:
    """Which samples are in which part: a function of the seed and of the position in the files.

    Attributes
    ----------
    seed : int
    fractions : dict of str to float
        Probabilities of "test", of "validation" among the others, and of "learned", from which the
        preprocessing is learned, among the rest.
    kept : list of int
        Positions of samples that are of the part "learned" whatever is drawn: the first one of each
        class.
    """

    seed: int
    fractions: Mapping[str, float]
    kept: list[int] = field(default_factory=list)

    def masks(self, start: int, stop: int) -> dict[str, Mask]:
        """Return masks of the parts of consecutive samples; "training" includes "learned"."""
        kept = np.asarray(self.kept, np.int64)
        always = np.zeros(stop - start, bool)
        always[kept[(kept >= start) & (kept < stop)] - start] = True
        left, masks = np.ones(stop - start, bool), {}
        for draw, (part, fraction) in enumerate(self.fractions.items()):
            drawn = is_drawn(start, stop, fraction, self.seed, draw=draw)
            if part == "learned":
                masks["training"] = left
                masks[part] = left & drawn | always
            else:
                masks[part] = left & drawn & ~always
                left = left & ~masks[part]
        return masks


class TrainingRows(Source):
    """The training part of files, as samples of a network.

    Parameters
    ----------
    files : SampleFiles
    division : Division
    preprocessing : Preprocessing
    targets : dict of str to sequence of str
        Columns of the targets, with texts of missing values: samples that lack one are left out.
    samples : int
        Number of samples of the training part.
    """

    def __init__(
        self,
        files: SampleFiles,
        division: Division,
        preprocessing: Preprocessing,
        targets: Mapping[str, tuple[str, ...]],
        samples: int,
    ) -> None:
        self._files = files.with_reading(preprocessing.reading(files.reading))
        self._division, self._preprocessing = division, preprocessing
        self._targets = targets
        self.name, self.chunks, self.samples = files.origin, files.blocks, samples

    def chunk(self, number: int) -> tuple[NDArray[Any], ...]:
        part, pre = self._files.part(number), self._preprocessing
        masks = _masks(part, self._files.range(number), self._division, self._targets)
        if not masks["training"].any():
            return np.empty((0, pre.features)), np.empty(0)
        part = rows_of(part, masks["training"])
        weights = pre.weights(part)
        x, y = pre.inputs(part.x), pre.targets(part)
        return (x, y) if weights is None else (x, y, weights)


def _masks(
    part: Part,
    positions: tuple[int, int],
    division: Division,
    targets: Mapping[str, tuple[str, ...]],
) -> dict[str, Mask]:
    """Return the masks of the parts of a block, without samples that lack a target."""
    masks = division.masks(*positions)
    if targets and isinstance(part.x, Table):
        present = ~missing_targets(part.x, targets)
        masks = {name: mask & present for name, mask in masks.items()}
    return masks


def prepare_stream(
    files: SampleFiles,
    options: Options,
    preprocessing: Preprocessing | None = None,
    *,
    test: SampleFiles | None = None,
) -> tuple[Prepared, Options]:
    """Find the targets, divide the samples, and learn the preprocessing, in one pass.

    Parameters
    ----------
    files : SampleFiles
        Samples with targets.
    options : Options
        Choices as of `prepare`. Parts are drawn without regard to the classes, of which the first
        sample of each is in the training part.
    preprocessing : Preprocessing, optional
        Preprocessing of a model, which is applied instead of learning one.
    test : SampleFiles, optional
        Samples of which the test part is drawn, in place of `files`: all, if they are not too many.

    Returns
    -------
    prepared : Prepared
        Its training part is `Prepared.stream`.
    options : Options
        The options with the fractions that were chosen for those that were not given.

    Raises
    ------
    FormatError
        Values are missing or cannot be used. Those of the training part are looked at as far as
        the preprocessing is learned from them; the training reports the others.
    ValueError
        The options do not fit the source, or a part would not fit into memory.
    """
    options = _with_fractions(options, files, test)
    division = _division_of(options, files)
    held = _held(files, options, division)
    if test is not None:
        share = {"test": min(1.0, _most_samples(test) / len(test)), "learned": 0.0}
        held.parts["test"] = _drawn(test, Division(options.split_seed, share))
    raw = RawData(
        files.name,
        held.parts["learned"],
        held.parts.get("test"),
        image_shape=files.image_shape,
        sha256=files.digests() | ({} if test is None else test.digests()),
    )
    whole = replace(options, test_fraction=0.0, validation_fraction=0.0)
    prepared = prepare(raw, whole, preprocessing)
    validation = None
    if "validation" in held.parts:
        validation = samples_of(held.parts["validation"], prepared.preprocessing)
    stream = TrainingRows(
        files, division, prepared.preprocessing, held.targets, held.sizes["training"]
    )
    prepared = replace(prepared, validation=validation, stream=stream)
    counts = ", ".join(f"{size:,} for {part}" for part, size in prepared.sizes.items())
    learned = f"the preprocessing is learned from {len(prepared.train):,} training samples"
    notes = (*prepared.notes, f"stream: {counts} samples; {learned}")
    if held.unlabeled:
        notes += (f"target: {held.unlabeled:,} of {len(files):,} rows have none and are left out",)
    return replace(prepared, notes=notes), options


def _most_samples(files: SampleFiles) -> int:
    return max(1, min(_MOST_SAMPLES, _MOST_BYTES // files.row_bytes))


def _with_fractions(options: Options, files: SampleFiles, test: SampleFiles | None) -> Options:
    """Return the options with fractions whose parts fit into memory."""
    if test is not None and options.test_fraction:
        raise ValueError(
            f"test_fraction must be 0 or left out with a file of test samples, got "
            f"{options.test_fraction}"
        )
    most = _most_samples(files) / len(files)
    usual = {"test_fraction": TEST_FRACTION, "validation_fraction": VALIDATION_FRACTION}
    chosen = {}
    for name, fraction in usual.items():
        asked = getattr(options, name)
        if asked is None:
            asked = 0.0 if test is not None else min(fraction, most)
        elif asked > most * (1 + 1e-9):
            raise ValueError(
                f"{name} must be at most {most:.4g} with stream, which holds up to "
                f"{_most_samples(files):,} of these samples in memory for each part, got {asked}"
            )
        chosen[name] = asked
    return replace(options, **chosen)


def _division_of(options: Options, files: SampleFiles) -> Division:
    held, validation = options.test_fraction or 0.0, options.validation_fraction or 0.0
    training = max(1.0, len(files) * (1 - held) * (1 - validation))
    learned = min(1.0, _most_samples(files) / training)
    fractions = {"test": held, "validation": validation, "learned": learned}
    return Division(options.split_seed, fractions)


# ---------------------------------------------------------------- the pass over all blocks


@dataclass
class _Held:
    """What a pass over all samples takes into memory.

    Attributes
    ----------
    parts : dict of str to Part
        By name those of "learned", "validation" and "test" that have samples.
    sizes : dict of str to int
        Numbers of samples of each part and of "training".
    targets : dict of str to tuple of str
        Columns of the targets, with texts of missing values.
    unlabeled : int
        Number of samples without a target.
    """

    parts: dict[str, Part]
    sizes: dict[str, int]
    targets: dict[str, tuple[str, ...]]
    unlabeled: int


def _held(files: SampleFiles, options: Options, division: Division) -> _Held:
    """Take the held out and the learned samples; keep the first sample of each class."""
    parts: dict[str, list[Part]] = {"learned": [], "validation": [], "test": []}
    sizes = {"training": 0}
    targets: dict[str, tuple[str, ...]] = {}
    labeled = 0
    seen: dict[str, set[Any]] = {}
    for block in range(files.blocks):
        part = files.part(block)
        if isinstance(part.x, Table) and not targets and options.missing != "error":
            targets = dict.fromkeys(find_targets(part.x, options), options.missing_token)
        start, stop = files.range(block)
        division.kept += (start + np.flatnonzero(_firsts(part, options, seen))).tolist()
        masks = _masks(part, (start, stop), division, targets)
        for name, mask in masks.items():
            sizes[name] = sizes.get(name, 0) + int(mask.sum())
            if name in parts and mask.any():
                parts[name].append(rows_of(part, mask))
        labeled += sum(int(masks[name].sum()) for name in ("training", "validation", "test"))
    if not parts["learned"]:
        raise ValueError(f"{files.origin} has no samples for training, got {len(files):,} in all")
    joined = {name: joined_parts(taken, files.origin) for name, taken in parts.items() if taken}
    return _Held(joined, sizes, targets, len(files) - labeled)


def _drawn(files: SampleFiles, division: Division) -> Part:
    """Return the test part of files of their own."""
    taken = []
    for block in range(files.blocks):
        mask = division.masks(*files.range(block))["test"]
        if mask.any():
            taken.append(rows_of(files.part(block), mask))
    if not taken:
        raise ValueError(f"{files.origin} has no samples for the test part")
    return joined_parts(taken, files.origin)


def _firsts(part: Part, options: Options, seen: dict[str, set[Any]]) -> Mask:
    """Return a mask of the samples with a target that no sample before had.

    `seen` holds the values of each target, to which new ones are added until there are so many
    that they are no classes.
    """
    if isinstance(part.x, Table):
        columns = {n: part.x.columns[n] for n in find_targets(part.x, options)
                   if n in part.x.columns}  # fmt: skip
        first = {name: cells.is_first_distinct().to_numpy() for name, cells in columns.items()}
        values = {name: cells.filter(first[name]).to_list() for name, cells in columns.items()}
    else:
        assert part.y is not None
        y = part.y.reshape(len(part.y), -1)
        first, values = {}, {}
        for at in range(y.shape[1]):
            distinct, places = np.unique(y[:, at], return_index=True)
            mask = np.zeros(len(y), bool)
            mask[places] = True
            order = np.argsort(places)
            first[str(at)], values[str(at)] = mask, distinct[order].tolist()
    new = np.zeros(len(part.x), bool)
    for name, mask in first.items():
        known = seen.setdefault(name, set())
        for row, value in zip(np.flatnonzero(mask).tolist(), values[name], strict=True):
            is_class = value is not None and not (isinstance(value, float) and value % 1)
            if is_class and value not in known and len(known) < _MOST_CLASSES:
                known.add(value)
                new[row] = True
    return new
