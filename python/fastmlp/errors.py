"""Exceptions and warnings for which Python has none."""

from collections.abc import Iterable

__all__ = [
    "ConvergenceWarning",
    "DataUnavailableError",
    "DivergedError",
    "FormatError",
    "RankError",
    "SourceError",
    "TrainingWarning",
    "did_you_mean",
]


class FormatError(ValueError):
    """A file is damaged, truncated, hostile, or of a version this release cannot read.

    The message names the file and the field.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastmlp
    >>> _ = Path("model.safetensors").write_bytes(b"no model")
    >>> try:
    ...     model = fastmlp.load("model.safetensors")
    ... except fastmlp.FormatError as error:
    ...     print(error)
    model.safetensors: is no model file of fastmlp
    """


class DataUnavailableError(RuntimeError):
    """No source provides a data set; the message lists the sources and their errors.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import fastmlp
    >>> spec = fastmlp.datasets.get_spec("mnist")
    >>> nowhere = replace(spec, name="own-digits", copies=(), mirrors=(), wheel=None)
    >>> try:
    ...     data = fastmlp.datasets.load(nowhere)
    ... except fastmlp.DataUnavailableError as error:
    ...     print(str(error).splitlines()[0])
    own-digits was found in none of its sources:
    """


class SourceError(RuntimeError):
    """A source of samples failed while it was read; ``__cause__`` is its own exception.

    Examples
    --------
    >>> import fastmlp
    >>> def chunks():
    ...     yield [[0.0], [1.0]], [0, 1]
    ...     raise OSError("the disk is full")
    >>> try:
    ...     history = fastmlp.MLP([1, 2]).fit(chunks, verbose=0)
    ... except fastmlp.SourceError as error:
    ...     print(f"{error} ({type(error.__cause__).__name__})")
    chunks, chunk 1: OSError: the disk is full (OSError)
    """


class RankError(RuntimeError):
    """Another process of a training failed; ``__cause__`` is its exception, if it can be sent.

    Attributes
    ----------
    rank : int
        Its rank in the communicator.

    Examples
    --------
    >>> import fastmlp
    >>> def train():  # in place of a `fit` with a communicator of MPI, of which rank 2 fails
    ...     raise fastmlp.RankError(2, "OSError: the disk is full")
    >>> try:
    ...     train()
    ... except fastmlp.RankError as error:
    ...     print(error.rank, "-", error)
    2 - rank 2 failed: OSError: the disk is full
    """

    def __init__(self, rank: int, error: str) -> None:
        super().__init__(f"rank {rank} failed: {error}")
        self.rank = rank


class ConvergenceWarning(UserWarning):
    """An optimizer stopped before it converged; the message says why and suggests a cure.

    Examples
    --------
    >>> import warnings
    >>> import fastmlp
    >>> x, y = [[-1.0], [-0.5], [0.5], [1.0]], [0, 0, 1, 1]
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", fastmlp.ConvergenceWarning)
    ...     try:
    ...         history = model.fit(x, y, epochs=3, optimizer=fastmlp.LBFGS(), verbose=0)
    ...     except fastmlp.ConvergenceWarning as warning:
    ...         print(warning)
    LBFGS ended before it converged: it reached its limit of iterations, 3; raise epochs, ...
    """


class TrainingWarning(UserWarning):
    """A training has learned nothing or much less than it could; the message names the cure.

    It begins with the code of the finding, by which ``warnings.filterwarnings`` can select it.

    Examples
    --------
    >>> import warnings
    >>> import fastmlp
    >>> x, y = [[-1.0], [-0.5], [0.5], [1.0]], [0, 0, 1, 1]
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always", fastmlp.TrainingWarning)
    ...     warnings.filterwarnings("ignore", "loss-does-not-move", fastmlp.TrainingWarning)
    ...     history = model.fit(x, y, epochs=9, optimizer=fastmlp.SGD(1e-9), verbose=0)
    >>> [str(warning.message).partition(":")[0] for warning in told]
    ['rate-too-low']
    """


class DivergedError(RuntimeError):
    """The loss of a training became NaN or infinite.

    The model has the weights of the last completed epoch.

    Attributes
    ----------
    epoch : int
        Epoch of the loss, counted from 1.
    step : int
        Step of that epoch, counted from 1.

    Examples
    --------
    >>> import fastmlp
    >>> x, y = [[-1.0], [0.0], [1.0]], [-3.0, 0.0, 3.0]
    >>> model = fastmlp.MLP([1, 8, 1], loss="mse", seed=0)
    >>> try:
    ...     history = model.fit(x, y, epochs=50, optimizer=fastmlp.SGD(1e6), verbose=0)
    ... except fastmlp.DivergedError as error:
    ...     print(error.epoch, "-", error)
    3 - training diverged in epoch 3 at step 1: the loss is NaN or infinite. ...
    """

    def __init__(self, message: str, epoch: int, step: int) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one that is meant, or nothing.

    It is the name in another spelling, what another library calls so, or the nearest name.

    Examples
    --------
    >>> did_you_mean("Trian", ["train", "test"])
    "; did you mean 'train'?"
    >>> did_you_mean("ReLU", ["elu", "relu"])
    "; did you mean 'relu'?"
    >>> did_you_mean("categorical_crossentropy", ["mse", "softmax_cross_entropy"])
    "; did you mean 'softmax_cross_entropy'?"
    >>> did_you_mean("xyz", ["train", "test"])
    ''
    """
    import difflib  # only where there is an error: it is slow to load

    from fastmlp._synonyms import synonym

    names = list(known)
    meant = synonym(name, names)
    if meant is None and synonym(name, ["bfloat16"]) and "float32" in names:
        return "; it is a compute_dtype (--compute-dtype): products round to it"
    if meant is None:
        lowered = {text.lower(): text for text in names}
        near = difflib.get_close_matches(name.lower(), lowered, n=3)
        if not near:
            return ""
        meant = lowered[min(near, key=lambda text: _distance(name.lower(), text))]
    return f"; did you mean {meant!r}?"


def _distance(first: str, second: str) -> int:
    """Return the number of typing errors: characters left out, added, replaced or exchanged."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(second, 1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
