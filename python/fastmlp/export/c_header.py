"""C: a network as one header that needs nothing but <math.h>."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp._files import atomic_write
from fastmlp.export.c_comment import introduction
from fastmlp.export.c_functions import constants, functions
from fastmlp.export.inference import describe

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["to_c"]

# Underscores at the ends or in pairs would make names that C and C++ keep for themselves.
_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*", re.ASCII)


def to_c(model: MLP, path: str | PathLike[str], *, name: str | None = None) -> None:
    """Write a model as a header for C99 and C++11 without dependencies.

    All in it is ``static``: constant arrays, and the functions

    - ``NAME_predict(x, outputs)``: what `MLP.forward` gives; the values of a regression in the
      units of the targets, rates with the Poisson loss;
    - ``NAME_probabilities(x, probabilities)``, where the loss makes probabilities;
    - ``NAME_classify(x)`` returns the index of the class, or 0 or 1 for a single yes or no; for
      several labels ``NAME_classify(x, labels)`` sets 0 or 1 each.

    ``x`` is one sample as it comes: missing values (NaN), standardisation and ``input_scale`` are
    part of the code. With a preprocessing that has categories it is a row of what
    ``model.preprocessing.inputs`` returns. Numbers are ``float``, those of a float64 model
    ``double``; batch normalisation is part of weights and biases. The comment at the top shows the
    calls and tells the need of stack: the outputs of two hidden layers.

    Parameters
    ----------
    model : MLP
    path : str or os.PathLike
        File to create or replace, whole or not at all.
    name : str, optional
        Begins all names of the header; made of the file's name by default.

    Raises
    ------
    TypeError, ValueError
        `model` is no MLP, a parameter is NaN or infinite, or `name` cannot begin a name in C.
    OSError
        The file could not be written; an older one is unharmed.
    """
    prefix = _prefix_of(path) if name is None else _checked_name(name)
    inference = describe(model, folds=True)
    guard = f"FASTMLP_EXPORT_{prefix}_H"
    lines = (
        *introduction(inference, prefix, Path(path).name),
        "",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <math.h>",
        *constants(inference, prefix),
        *functions(inference, prefix),
        "",
        f"#endif /* {guard} */",
        "",
    )
    atomic_write(path, "\n".join(lines).encode(errors="backslashreplace"))


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "name must be letters, digits and single underscores, begin with a letter and end "
            f"without an underscore, got {name!r}"
        )
    return name


def _prefix_of(path: str | PathLike[str]) -> str:
    words = re.findall(r"[A-Za-z0-9]+", Path(path).stem)
    joined = "_".join(words)
    return joined if _NAME.fullmatch(joined) else "_".join(("model", *words))
