"""The model: a network that is trained, with names, defaults, messages and a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy.typing as npt

from fastmlp.activations import Activation
from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback, as_callbacks
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.history import History, Record
from fastmlp.initializers import Initializer
from fastmlp.losses import Loss
from fastmlp.network.architecture import checked_architecture
from fastmlp.network.network import (
    Network,
    folded_parameters,
    head_arguments,
    hidden_parameters,
)
from fastmlp.network.plan import Plan
from fastmlp.optimizers import SHARES, Optimizer, checked_optimizer
from fastmlp.stored_model import StoredModel, read_stored, write_stored
from fastmlp.training.continuation import Continuation, Planned, Progress
from fastmlp.training.lbfgs import LBFGS, fit_lbfgs
from fastmlp.training.loop import ProgressFunction, TrainingLoop
from fastmlp.training.lr_finder import LearningRates, find_learning_rates
from fastmlp.training.resumption import prepared
from fastmlp.training.run import Run
from fastmlp.validation import flag, integer, require_fields_held, thread_count

__all__ = ["MLP", "History", "load"]

Array = npt.NDArray[Any]
Function = Callable[["MLP", Record], object]
_MOST_EPOCHS = 2**31 - 1  # steps, counted in 64 bits, stay below 2**63


class MLP(Network):
    """A multi-layer perceptron.

    Layer ``l`` computes ``act(x W + b)`` with ``W`` of shape (in, out); all arithmetic is done by
    the C++ core, with the same bits for any number of threads and on any instruction set.

    Parameters
    ----------
    layer_sizes : sequence of int
        Features, hidden layers, outputs: at least two positive numbers.
    activation : str, Activation or list of these
        Of the hidden layers, one for all or one for each: "relu", "sigmoid", "tanh", "leaky_relu",
        "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "hard_sigmoid", "step", "sign",
        "identity", or an object such as ``fastmlp.LeakyReLU(slope=0.1)``.
    loss : str, Loss, callable or list of Loss
        "softmax_cross_entropy" and "hinge" take class labels 0..outputs-1 and read the outputs as
        scores, the first also rows of probabilities; "binary_cross_entropy" takes values in [0, 1]
        and reads the outputs as logits; "mse", "half_mse", "mae", "huber", "poisson" and "quantile"
        take values, (samples, outputs). Or an object such as ``fastmlp.Huber(delta=2.0)``; a
        function as `UserLoss` describes it; or a list of objects that say their ``outputs``, which
        are added.
    input_scale : float
        Every input is multiplied by it, 1/255 for bytes to [0, 1].
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int
        Of the initial weights, the shuffling and all other randomness, >= 0.
    initializer : str or Initializer, optional
        "he_normal" by default for ReLU and its relatives, "lecun_normal" for SELU,
        "glorot_uniform" for the others. Biases are 0.
    output_activation : str or Activation
        Of the last layer. Losses that read logits take "identity"; or, the first "softmax" and the
        second "sigmoid", which changes what `forward` returns and nothing else.
    dropout : float or list of float
        Share of each hidden layer's outputs that a step sets to 0, in [0, 1); the others are scaled
        up (Srivastava et al. 2014).
    input_dropout : float
        The same for the inputs.
    input_noise : float
        Deviation of the normal noise that each step adds to the inputs.
    batch_normalization : bool or list of bool
        Of the hidden layers, between product and activation (Ioffe and Szegedy 2015). Running
        moments keep 0.9 of the old ones; 1e-5 is added to variances.

    Attributes
    ----------
    history : History
        Of all epochs that led to the present parameters; a `fit` without ``resume`` begins anew.
    preprocessing : Preprocessing or None
        How raw samples become ``x``; kept in the model's file, applied by the command line and by
        nothing else.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range.
    MemoryError
        The parameters do not fit into memory.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str | Activation | Sequence[str | Activation] = "relu",
        loss: Any = "softmax_cross_entropy",
        input_scale: float = 1.0,
        dtype: str = "float32",
        seed: int = 0,
        initializer: str | Initializer | None = None,
        output_activation: str | Activation = "identity",
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        batch_normalization: bool | Sequence[bool] = False,
    ) -> None:
        super().__init__(
            checked_architecture(
                layer_sizes,
                activation=activation,
                loss=loss,
                input_scale=input_scale,
                dtype=dtype,
                seed=seed,
                initializer=initializer,
                output_activation=output_activation,
                dropout=dropout,
                input_dropout=input_dropout,
                input_noise=input_noise,
                batch_normalization=batch_normalization,
            )
        )
        self._continuation = Continuation()  # of the last fit, from which another may go on
        self.preprocessing: Preprocessing | None = None

    def __repr__(self) -> str:
        architecture = self._architecture
        sizes = "-".join(str(size) for size in architecture.layer_sizes)
        names = list(dict.fromkeys(a.name for a in architecture.activations)) or ["none"]
        losses = " + ".join(loss.name for loss in architecture.losses)
        return f"MLP({sizes}, activation={'/'.join(names)!r}, loss={losses!r}, {self.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies hold the parameters and what `fit` with ``resume=True`` needs."""
        return _restored, (self._stored(self.training_state()),)

    def _stored(self, state: Mapping[str, Array]) -> StoredModel:
        return StoredModel(
            architecture=self._architecture,
            parameters=self.parameters(),
            frozen=[layer for layer, trains in enumerate(self._trainable) if not trains],
            history=self.history,
            preprocessing=self.preprocessing,
            was_trained=self.was_trained,
            training_state=state,
            refusal=self.refusal,
        )

    @property
    def history(self) -> History:
        """Of all epochs that led to the present parameters."""
        return self._continuation.progress.history

    @history.setter
    def history(self, history: History) -> None:
        now = self._continuation.progress
        self._continuation.settle(replace(now, history=history))

    def _assign_all(self, arrays: list[tuple[str, int, Array]]) -> None:
        super()._assign_all(arrays)
        # What is assigned counts: a training that is resumed goes on from there.
        now = self._continuation.progress
        if now.kept is not None:
            self._continuation.settle(replace(now, kept=None))

    def fit(
        self,
        x: npt.ArrayLike,
        y: Any,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        optimizer: Optimizer | LBFGS | None = None,
        validation_data: Sequence[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        threads: int | None = None,
        callbacks: Sequence[Callback | Function] = (),
        averaging: Averaging | None = None,
        resume: bool = False,
        total_epochs: int | None = None,
        verbose: int = 1,
        progress: ProgressFunction | None = None,
    ) -> History:
        """Train on mini-batches.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features)
            uint8 is used as it is; other real types are converted to the model's dtype. A sparse
            matrix is never made dense as a whole.
        y : array, or list of arrays with several losses
            Labels of shape (samples,), or values of shape (samples, outputs), by the loss.
        epochs, batch_size : int
            At least 1. The last batch of an epoch may be smaller and is averaged over its own size.
            With `resume`, `epochs` are further ones; 0 finishes what an exception broke off, such
            as calls of callbacks after the last epoch.
            With batch normalization, whose moments of a few samples are worth little, an epoch is
            cut into as many batches of sizes that differ by one at most, each of at least 2.
        optimizer : Optimizer or LBFGS, optional
            ``SGD(learning_rate=0.1, momentum=0.9)`` by default. `LBFGS` takes all samples at once,
            and `epochs` for its iterations.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Evaluated after each epoch; the weights count in its loss and its accuracy.
        sample_weight : array of shape (samples,), optional
            Factors of the samples' losses, >= 0; the loss of a batch is divided by their sum.
        class_weight : mapping of class to float, or "balanced", optional
            Factors by the label, multiplied with `sample_weight`; "balanced" gives every class the
            same total weight.
        shuffle : bool
            A new order each epoch, a function of the model's seed and the epoch alone.
        drop_last : bool
            Leave out, in each epoch, the samples that do not fill a batch. Fewer samples than
            `batch_size` are one batch.
        threads : int, optional
            By default chosen by the work of a step and the CPUs of the process. The result does
            not depend on it.
        callbacks : sequence of Callback or callables
            A callable is called as ``callback(model, record)`` after each epoch; True ends the
            training. ``record`` holds epoch (from 1), epochs, loss, seconds, learning_rate and,
            where they exist, accuracy, val_loss, val_accuracy.
        averaging : EMA or SWA, optional
            The model ends with averages of its parameters.
        resume : bool
            Go on where the last `fit` (or `restore_training_state`) left off, within an epoch too:
            optimizer, averages, schedule and callbacks keep their state, and epochs are counted on.
            With the same data and settings the result is that of one longer `fit`, to the last bit.
            Otherwise everything but the parameters starts anew.
        total_epochs : int, optional
            Epochs of this and all fits that go on from it together, which schedules are planned
            for; by default those of this fit, or of the one that it resumes as long as they last.
        verbose : int
            0 is silent, 1 prints a line per epoch to standard error.
        progress : callable, optional
            Called at most every 25 ms as ``progress(samples_done, samples, mean_loss, accuracy)``.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind, shape or range; or `resume` cannot go on exactly,
            for the reason that is given. Nothing is changed then.
        DivergedError
            The loss became NaN or infinite; the model has the weights of the last completed epoch,
            not their averages. It cannot be resumed.
        RuntimeError
            Another thread is training this model.
        """
        resume = flag("resume", resume)
        epochs = integer("epochs", epochs, 0 if resume else 1, _MOST_EPOCHS)
        batch_size = integer("batch_size", batch_size, 1)
        team = thread_count(threads)
        hooks = as_callbacks(callbacks)
        if averaging is not None and not isinstance(averaging, Averaging):
            raise TypeError(f"averaging must be EMA or SWA, got {type(averaging).__name__}")
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable, got {type(progress).__name__}")
        shuffle = flag("shuffle", shuffle)
        drop_last = flag("drop_last", drop_last)
        if not isinstance(optimizer, LBFGS):
            optimizer = checked_optimizer(optimizer)
            require_fields_held(optimizer, self.dtype, below_one=SHARES)
        if averaging is not None:
            require_fields_held(averaging, self.dtype, below_one=("decay",))
        data = self._training_data(x, y, sample_weight, class_weight)
        validation = self._checked_validation(validation_data)
        if total_epochs is not None:
            total_epochs = integer("total_epochs", total_epochs, max(epochs, 1))
        if isinstance(optimizer, LBFGS):
            if hooks or averaging is not None or resume or total_epochs is not None:
                refused = "callbacks nor averaging nor resume nor total_epochs"
                raise ValueError(f"LBFGS takes neither {refused}")
            iterations = epochs
            return self._network.exclusively(
                lambda: fit_lbfgs(self, data, optimizer, iterations, threads, self._forget)
            )

        def train() -> History:
            planned = Planned(len(data), min(batch_size, len(data)), epochs, drop_last, shuffle)
            continuation = prepared(
                self, self._continuation, planned, optimizer, threads, resume, total_epochs
            )
            assert continuation.run is not None
            training = TrainingLoop(
                self,
                continuation.run,
                data,
                optimizer,
                continuation=continuation,
                begin=lambda: setattr(self, "_continuation", continuation),
                resumes=resume,
                epochs=epochs,
                callbacks=hooks,
                validation=validation,
                averaging=averaging,
                threads=team,
                verbose=bool(verbose),
                progress=progress,
            )
            return training.fit()

        return self._network.exclusively(train)

    def _forget(self, history: History) -> None:
        """L-BFGS begins: what another optimizer would go on from is lost."""
        self._continuation = Continuation(
            Progress(history=history), "the last training was by LBFGS, which leaves no state"
        )

    def training_state(self) -> dict[str, Array]:
        """Copy of what `fit` with ``resume=True`` goes on from, besides the parameters.

        Returns
        -------
        dict of str to array
            Of the core: state of the optimizer (``slots.<n>.<layer>.<kind>``, ``moments``,
            ``rule``), ``averages.<layer>.<kind>`` where there are, ``position`` in the epoch and,
            within one, ``start.<layer>.<kind>``, the parameters it began with. Besides these
            ``epochs``; ``progress``, a text in JSON with the plan of the training and the states of
            schedule and callbacks; and ``watched.<n>``, the arrays of these. Empty where there is
            nothing to go on from, as before the first `fit`.
        """
        return self._continuation.to_arrays()

    def _checked_state(self, state: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """A state that a model like this one can go on from, or an error."""
        continuation = Continuation.from_arrays(state, self.history)
        saved, rule = continuation.run_state(), continuation.rule
        assert saved is not None
        assert rule is not None
        Run(Network(self._architecture), 1, rule, 1).restore(saved)
        return continuation.to_arrays()

    def restore_training_state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Let the next `fit` with ``resume=True`` go on from `state`, of a model like this one.

        Raises
        ------
        ValueError
            `state` is not what `training_state` gives; arrays are checked when `fit` uses them.
        """
        self._continuation = Continuation.from_arrays(state, self.history)

    def refuse_resume(self, reason: str | None) -> None:
        """Have `fit` refuse ``resume=True``, for None where it would begin anew without a word."""
        self._continuation = Continuation(Progress(history=self.history), reason)

    @property
    def refusal(self) -> str | None:
        """Why ``resume=True`` is refused, although the model was trained."""
        return self._continuation.refusal

    @property
    def was_trained(self) -> bool:
        """Whether ``resume=True`` has, or would need, more than the parameters."""
        last = self._continuation
        return last.refusal is not None or last.run is not None or last.saved is not None

    def plan(
        self,
        *,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        threads: int | None = None,
    ) -> Plan:
        """How `fit` would compute a step: print it to read it in words.

        Parameters
        ----------
        batch_size, optimizer, threads
            As in `fit`.

        Returns
        -------
        Plan

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind or out of range.
        MemoryError
            The run would not fit into memory.
        """
        batch_size = integer("batch_size", batch_size, 1)
        optimizer = checked_optimizer(optimizer)
        return Plan(
            layer_sizes=self._architecture.layer_sizes,
            batch_size=batch_size,
            dtype=str(self.dtype),
            optimizer=optimizer.rule,
            **Run(self, batch_size, optimizer.rule, threads).plan,
        )

    def lr_find(
        self,
        x: npt.ArrayLike,
        y: Any,
        *,
        optimizer: Optimizer | None = None,
        sample_weight: npt.ArrayLike | None = None,
        lowest: float = 1e-6,
        highest: float = 10.0,
        steps: int = 100,
        batch_size: int = 128,
        threads: int | None = None,
    ) -> LearningRates:
        """Losses while the learning rate grows; the model is afterwards as it was before.

        Parameters
        ----------
        x, y, sample_weight, batch_size, threads
            As in `fit`.
        optimizer : Optimizer, optional
            Its learning rate is replaced.
        lowest, highest : float
            Of the rates, which grow by a constant factor.
        steps : int
            At least 2.

        Returns
        -------
        LearningRates
        """
        return find_learning_rates(
            self,
            self._training_data(x, y, sample_weight, None),
            checked_optimizer(optimizer),
            lowest=lowest,
            highest=highest,
            steps=steps,
            batch_size=batch_size,
            threads=threads,
        )

    def replace_head(
        self, outputs: int, *, loss: str | Loss | None = None, seed: int | None = None
    ) -> MLP:
        """A model with the same hidden layers and a new last layer.

        Parameters
        ----------
        outputs : int
        loss : str or Loss, optional
            That of this model by default.
        seed : int, optional
            Of the new weights and of everything random; this model's by default.

        Returns
        -------
        MLP
            Nothing is frozen in it.
        """
        sizes = [*self.layer_sizes[:-1], integer("outputs", outputs, 1)]
        new = MLP(sizes, **head_arguments(self, loss, seed))
        new.set_parameters({**new.parameters(), **hidden_parameters(self)})
        self._refuse_resume_of(new, "replace_head")
        return new

    def folded(self) -> MLP:
        """The same predictions without batch normalisation: it becomes part of weights and biases.

        Returns
        -------
        MLP
            Equal outputs up to rounding.
        """
        arguments = self._architecture.arguments() | {"batch_normalization": False}
        new = MLP(self.layer_sizes, **arguments)
        new.set_parameters(folded_parameters(self))
        new.history, new.preprocessing = deepcopy(self.history), self.preprocessing
        self._refuse_resume_of(new, "folded")
        return new

    def _refuse_resume_of(self, new: MLP, maker: str) -> None:
        """The state of an optimizer does not fit another network."""
        if self.was_trained:
            new.refuse_resume(f"{maker}() made this of a model with other parameters")

    def save(
        self,
        path: str | PathLike[str],
        *,
        parameters: Mapping[str, npt.ArrayLike] | None = None,
        training_state: bool | Mapping[str, npt.ArrayLike] = False,
    ) -> None:
        """Write the model to a safetensors file, atomically and with a digest over all of it.

        Parameters
        ----------
        path : str or os.PathLike
            File to create or replace, whole or not at all.
        parameters : mapping of str to array, optional
            In place of the model's own, as `parameters` gives them.
        training_state : bool or mapping of str to array
            Keep what `fit` with ``resume=True`` goes on from, too, the model's or this one;
            otherwise it is refused after `fastmlp.load`.

        Raises
        ------
        TypeError, ValueError
            `parameters` or `training_state` are not those of a model like this one; a parameter is
            NaN or infinite; or there is no state to keep, although the model was trained. Nothing
            is written.
        OSError
            The file could not be written; an older one is unharmed.
        """
        if isinstance(training_state, Mapping):
            training_state = self._checked_state(training_state)
        else:
            keeps = flag("training_state", training_state)
            if keeps and self.refusal is not None:
                raise ValueError(f"training_state: there is none to keep: {self.refusal}")
            training_state = self.training_state() if keeps else {}
        stored = self._stored(training_state)
        if parameters is not None:
            stored = replace(stored, parameters=self._checked_parameters(parameters))
        write_stored(path, stored)


def load(path: str | PathLike[str]) -> MLP:
    """Read a model that `MLP.save` wrote; nothing in the file is executed.

    Raises
    ------
    FormatError
        The file is damaged, hostile, or of a version this release cannot read.
    OSError
        The file cannot be opened.
    """
    return read_stored(path, _restored)


def _restored(stored: StoredModel) -> MLP:
    """A model with the parameters and the state of another."""
    architecture = stored.architecture
    model = MLP(architecture.layer_sizes, **architecture.arguments())
    model.set_parameters(stored.parameters)
    model.freeze(stored.frozen)
    model.history, model.preprocessing = stored.history, stored.preprocessing
    if stored.training_state:
        model.restore_training_state(stored.training_state)
    elif stored.refusal is not None:
        model.refuse_resume(stored.refusal)
    return model
