"""Errors about methods of other libraries, which say what does the same here."""

from __future__ import annotations

__all__ = ["missing_attribute"]

_PARAMETERS = "parameters() returns all weights, and set_parameters(...) takes them"
_FILES = "save(path) writes the model, and fastmlp.load(path) reads it"
_CPU = "fastmlp computes on CPUs"
_STEP = "fit(x, y, epochs=1, resume=True) continues a training"
_MODE = "fit trains, and predict is without dropout"
_SIZES = "MLP([4, 16, 3]) makes all layers"
# By the name in Keras, PyTorch or scikit-learn.
_INSTEAD = {
    "add": _SIZES,
    "backward": "loss_and_gradients(x, y) returns gradients",
    "coef_": _PARAMETERS,
    "coefs_": _PARAMETERS,
    "compile": "fit takes optimizer=..., and MLP takes loss=...",
    "cpu": _CPU,
    "cuda": _CPU,
    "eval": _MODE,
    "fit_generator": "fit takes whole arrays",
    "get_weights": _PARAMETERS,
    "layers": "layer_sizes, weights and biases describe the layers",
    "load_state_dict": _PARAMETERS,
    "load_weights": _FILES,
    "partial_fit": _STEP,
    "predict_classes": "predict(x) returns classes",
    "save_weights": _FILES,
    "score": 'evaluate(x, y)["accuracy"] is the score of classes',
    "set_weights": _PARAMETERS,
    "state_dict": _PARAMETERS,
    "step": _STEP,
    "summary": "print(model) shows the layers, print(model.plan()) a training step",
    "to": _CPU,
    "train": _MODE,
    "train_on_batch": _STEP,
    "zero_grad": _STEP,
}


def missing_attribute(owner: object, name: str) -> AttributeError:
    """Return the error for an attribute that `owner` lacks, for its ``__getattr__``."""
    instead = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
    message = f"{type(owner).__name__!r} object has no attribute {name!r}{instead}"
    return AttributeError(message, name=name, obj=owner)
