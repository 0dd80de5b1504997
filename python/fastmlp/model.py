"""`MLP`: a network with its training, its history and its file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from os import PathLike
from typing import Any

import numpy.typing as npt

from fastmlp._argument_names import suggests_names
from fastmlp.activations import Activation
from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback, as_callbacks
from fastmlp.data import Preprocessing
from fastmlp.diagnosis import Evidence, Finding, initial_parameters, is_worth_a_look, tell
from fastmlp.diagnosis import diagnose as diagnosis
from fastmlp.history import History, Record
from fastmlp.initializers import Initializer
from fastmlp.inputs import InputGroup
from fastmlp.losses import Loss
from fastmlp.metrics.chosen import MetricLike, chosen_metrics
from fastmlp.network.architecture import checked_architecture
from fastmlp.network.chunks import Chunks
from fastmlp.network.network import (
    Network,
    folded_parameters,
    head_arguments,
    hidden_parameters,
)
from fastmlp.network.plan import Plan, TriedPlan
from fastmlp.network.samples import Data, column_names, some_elements
from fastmlp.network.standardization import LOOKED_AT, InputScaling
from fastmlp.optimizers import SHARES, Optimizer, checked_optimizer, require_plain_schedule
from fastmlp.schedules import Schedule
from fastmlp.stored_model import StoredModel, read_stored, write_stored
from fastmlp.training.continuation import Continuation, Planned, Progress
from fastmlp.training.defaults import (
    DEFAULT_ITERATIONS,
    DEFAULT_OPTIMIZER,
    default_optimizer,
    started_at_targets,
)
from fastmlp.training.fit_samples import FitSamples
from fastmlp.training.lbfgs import LBFGS, fit_lbfgs
from fastmlp.training.loop import ProgressFunction, TrainingLoop
from fastmlp.training.lr_finder import LearningRates, find_learning_rates
from fastmlp.training.processes import (
    WHOLE,
    Group,
    Shards,
    described_setting,
    digest,
    ends_together,
)
from fastmlp.training.refusals import (
    require_divisible,
    require_own_samples,
    require_plain_lbfgs,
    require_trainable_source,
)
from fastmlp.training.resumption import prepared
from fastmlp.training.run import Run
from fastmlp.training.shares import Given, Share
from fastmlp.training.stream import (
    UNKNOWN,
    Stream,
    default_buffer,
    require_no_length,
    require_readable_order,
    samples_of_epoch,
)
from fastmlp.validation import flag, integer, require_fields_held, thread_count

__all__ = ["MLP", "History", "load_mlp"]

Array = npt.NDArray[Any]
Function = Callable[["MLP", Record], object]
_LINES = 20  # that a fit of default length prints
_MOST_EPOCHS = 2**31 - 1  # steps, counted in 64 bits, stay below 2**63


class MLP(Network):
    """A multi-layer perceptron.

    Each layer computes ``activation(x W + b)`` with ``W`` of shape (in, out). The C++ core does all
    arithmetic; the results have the same bits for any number of threads and any instruction set.

    Parameters
    ----------
    layer_sizes : sequence of int
        Features, units of each hidden layer, outputs: two or more numbers >= 1.
    activation : str, Activation or list of these
        Activation of the hidden layers, one for all or one for each: "relu", "sigmoid", "tanh",
        "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus",
        "hard_sigmoid", "step", "sign", "identity", or an object such as
        ``fastmlp.LeakyReLU(slope=0.1)``.
    loss : str, Loss, callable or list of Loss
        "softmax_cross_entropy" and "hinge" take class labels 0..outputs-1 and read the outputs as
        scores, the first also rows of probabilities; "binary_cross_entropy" takes values in [0, 1]
        and reads the outputs as logits; "mse", "half_mse", "mae", "huber", "poisson" and "quantile"
        take values, (samples, outputs). Or an object such as ``fastmlp.Huber(delta=2.0)``; a
        function as `UserLoss` describes it; or a list of objects that say their ``outputs``, which
        are added.
    input_scale : float, optional
        Factor of every input; 1/255 turns bytes into numbers from 0 to 1. By default the first
        `fit` looks at its samples. Images of bytes get 1/255. Inputs that are far from unit scale
        (a column with a root mean square above 4, no number as large as 0.5, or a mean of 1 or more
        that is 20 deviations) are standardized by `standardization`. Others stay as they are, as
        all do with 1.
    dtype : {"float32", "float64"}
        Scalar type in which parameters are stored and all arithmetic is done, but for what
        `compute_dtype` names.
    seed : int
        Seed >= 0 of the initial weights, the shuffling and all other random numbers.
    initializer : str or Initializer, optional
        Distribution of the initial weights. The default is "he_normal" for ReLU and its relatives,
        "lecun_normal" for SELU, "glorot_uniform" for the others. Biases start at 0.
    output_activation : str or Activation
        Activation of the last layer. Losses that read logits take "identity". Softmax cross-entropy
        also takes "softmax", and binary cross-entropy "sigmoid": `forward` then returns
        probabilities, and nothing else changes.
    dropout : float or list of float
        Fraction in [0, 1) of each hidden layer's outputs that a step sets to 0; the others are
        scaled up (Srivastava et al. 2014).
    input_dropout : float
        Fraction in [0, 1) of the inputs that a step sets to 0.
    input_noise : float
        Standard deviation of the normal noise that each step adds to the inputs.
    batch_normalization : bool or list of bool
        Whether the hidden layers normalize between product and activation (Ioffe and Szegedy
        2015). Running moments keep 0.9 of their value per step; 1e-5 is added to variances.
    inputs : sequence of InputGroup, optional
        How the columns of ``x``, in order, become inputs of the first layer: `fastmlp.inputs`. By
        default each column is an input as it is.
    input_scaling : bool
        Whether each input of the first layer has a trained factor, initially 1.
    parametric : bool or list of bool
        Whether each unit of the hidden layers trains a mix a, initially 1, in
        ``z + a (activation(z) - z)`` (RealMLP, Holzmueller et al. 2024).
    members : int
        Members of an ensemble that is trained as one network. Each is trained on its own loss;
        predictions average their probabilities, rates or values.
    sharing : {"tabm", "tabm-mini", "packed"}
        What the members share. "tabm": the weights of the hidden layers; a member has factors of
        the inputs and outputs of each and biases of its own. "tabm-mini": everything but factors of
        the first inputs. "packed": nothing. The last layer is always a member's own (Gorishniy,
        Kotelnikov and Babenko 2025; BatchEnsemble: Wen, Tran and Ba 2020).
    own_batches : bool
        Whether each member is trained on batches that are drawn for it alone, which makes members
        more different from each other. By default a batch is that of all members. No effect
        without members.
    layer_normalization : bool or list of bool
        Whether the hidden layers normalize the pre-activations of each sample, over all units, to
        mean 0 and variance 1 before a trained factor and shift of each unit and the activation (Ba,
        Kiros and Hinton 2016). 1e-5 is added to variances. Not with `members` or
        `batch_normalization`.
    residual : bool or list of bool
        Whether a residual block ends at each hidden layer: the layer adds to its own
        pre-activations those of the layer two below, before both are normalized and activated (He,
        Zhang, Ren and Sun 2016). `dropout` of the layer then applies to its own part of the sum.
        True: blocks end at hidden layers 2, 4, and so on. Both layers need as many units. Not with
        `members` or `batch_normalization`.

    compute_dtype : {"bfloat16"}, optional
        Type to which the factors of the products of a training step are rounded: inputs,
        activations, weights and gradients, 8 significant bits of each. Sums, parameters, updates
        and predictions stay float32. Up to twice as fast on AMD's CPUs from Zen 4 on; the same
        bits elsewhere, but no faster than float32 (docs/bfloat16.md). Not with `members` or
        `LBFGS`. By default `dtype`.

    Attributes
    ----------
    history : History
        Measures of all epochs that led to the present parameters; `fit` without ``resume`` starts a
        new one.
    preprocessing : Preprocessing or None
        Conversion of samples as they come into ``x``, which the network carries and stores in its
        file. `fastmlp.Model` and the command line apply it; the methods of a network take ``x``.

    standardization : Standardization or None
        ``mean`` and ``deviation`` of each input, by which the network standardizes samples before
        all else; None: it does not.

    feature_names : tuple of str or None
        Names of the columns if `fit` got a data frame of numbers. Later frames may have these
        columns in any order; arrays have no names and are taken as they are.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range.
    MemoryError
        The parameters do not fit into memory.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((400, 2)).astype("float32")
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> model = MLP([2, 16, 2], seed=0)
    >>> history = model.fit(x, y, epochs=100, batch_size=20, verbose=0)
    >>> model.evaluate(x, y)["accuracy"] > 0.95
    True
    """

    @suggests_names
    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str | Activation | Sequence[str | Activation] = "relu",
        loss: Any = "softmax_cross_entropy",
        input_scale: float | None = None,
        dtype: str = "float32",
        seed: int = 0,
        initializer: str | Initializer | None = None,
        output_activation: str | Activation = "identity",
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        batch_normalization: bool | Sequence[bool] = False,
        inputs: Sequence[InputGroup] | None = None,
        input_scaling: bool = False,
        parametric: bool | Sequence[bool] = False,
        members: int = 1,
        sharing: str = "tabm",
        own_batches: bool = False,
        layer_normalization: bool | Sequence[bool] = False,
        residual: bool | Sequence[bool] = False,
        compute_dtype: str | None = None,
    ) -> None:
        super().__init__(
            checked_architecture(
                layer_sizes,
                activation=activation,
                loss=loss,
                input_scale=1.0 if input_scale is None else input_scale,
                dtype=dtype,
                seed=seed,
                initializer=initializer,
                output_activation=output_activation,
                dropout=dropout,
                input_dropout=input_dropout,
                input_noise=input_noise,
                batch_normalization=batch_normalization,
                inputs=inputs,
                input_scaling=input_scaling,
                parametric=parametric,
                members=members,
                sharing=sharing,
                own_batches=own_batches,
                layer_normalization=layer_normalization,
                residual=residual,
                compute_dtype=compute_dtype,
            )
        )
        self._continuation = Continuation()  # of the last fit, from which another may go on
        # Whether the first fit decides how inputs are scaled, and whether its time has come.
        self._scales_inputs = input_scale is None and inputs is None
        self._is_as_drawn = True
        self._findings: tuple[Finding, ...] = ()
        self.preprocessing: Preprocessing | None = None

    def __repr__(self) -> str:
        architecture = self._architecture
        sizes = "-".join(str(size) for size in architecture.layer_sizes)
        names = list(dict.fromkeys(a.name for a in architecture.activations)) or ["none"]
        losses = " + ".join(loss.name for loss in architecture.losses)
        further = f", {architecture.first_inputs} inputs" if architecture.inputs else ""
        if architecture.members > 1:
            further += f", {architecture.members} members, sharing={architecture.sharing!r}"
        described = f"activation={'/'.join(names)!r}, loss={losses!r}, {self.dtype}"
        if architecture.compute_dtype:
            described += f", products in {architecture.compute_dtype}"
        return f"MLP({sizes}, {described}{further})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the parameters and the state that ``fit(resume=True)`` needs."""
        return _restored, (self._stored(self.training_state()),)

    def _in_units(self, targets: Array, outputs: Array) -> tuple[Array, Array]:
        pre = self.preprocessing
        if pre is None or pre.task != "regression" or pre.outputs != outputs.shape[1]:
            return targets, outputs
        return pre.in_units(targets), pre.decode(outputs)

    def _stored(self, state: Mapping[str, Array]) -> StoredModel:
        return StoredModel(
            architecture=self._architecture,
            parameters=self.parameters(),
            frozen=[layer for layer, trains in enumerate(self._trainable) if not trains],
            history=self.history,
            preprocessing=self.preprocessing,
            was_trained=self.was_trained,
            training_state=state,
            refusal=self._refusal,
            feature_names=self.feature_names,
            standardization=self.standardization,
            scales_inputs=self._scales_inputs and self._is_new,
            is_new=self._is_new,
        )

    @property
    def _is_new(self) -> bool:
        """Whether the parameters are the initial ones, which no step has changed."""
        last = self._continuation
        stepped = last.progress.epoch > 0 or (last.steps > 0 and not last.has_diverged)
        return self._is_as_drawn and last.refusal is None and not stepped

    @property
    def history(self) -> History:
        """Measures of all epochs that led to the present parameters.

        Assign a history to change it.
        """
        return self._continuation.progress.whole_history

    @history.setter
    def history(self, history: History) -> None:
        now = self._continuation.progress
        self._continuation.settle(now.changed(history=history, recent=()))

    def _assign_all(self, arrays: list[tuple[str, int, Array]]) -> None:
        super()._assign_all(arrays)
        self._is_as_drawn = False
        # A training that is resumed continues from the parameters that were assigned last.
        now = self._continuation.progress
        if now.kept is not None:
            self._continuation.settle(now.changed(kept=None))

    @suggests_names
    @ends_together
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int | None = None,
        batch_size: int = 128,
        optimizer: str | Optimizer | LBFGS | None = None,
        validation_data: Sequence[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        threads: int | None = None,
        callbacks: Sequence[Callback | Function] = (),
        averaging: Averaging | None = None,
        dropout_schedule: Schedule | None = None,
        resume: bool = False,
        total_epochs: int | None = None,
        verbose: int = 1,
        progress: ProgressFunction | None = None,
        metrics: Sequence[MetricLike] = (),
        diagnose: bool = True,
        shards: int | None = None,
        communicator: Any = None,
        own_samples: bool = False,
        steps_per_epoch: int | None = None,
        shuffle_buffer: int | None = None,
    ) -> History:
        """Train on mini-batches.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features), or source
            Samples of any real type. Up to 64 MB are converted to the model's dtype once; larger
            arrays of uint8, float16, float32 or float64, such as memory maps, are read as they are.
            A sparse matrix stays sparse. Without `y` a source of chunks ``(x, y)`` or ``(x, y,
            sample_weight)`` of any size: an object of `fastmlp.streams`, an iterable such as a
            DataLoader of PyTorch, a sequence, a function that returns an iterable, or, for one
            epoch, an iterator. See docs/streams.md.
        y : array, or list of arrays with several losses
            Labels of shape (samples,) or values of shape (samples, outputs), as the loss needs.
        epochs : int, optional
            Passes over the samples, >= 1. With `resume`, the number of further epochs; 0 completes
            what an exception interrupted, such as the callbacks of the last epoch. The default is
            as many as make 1,000 steps, but at least 5, or with `resume` those that the training
            has left, if any; of `LBFGS` it is 200.
        batch_size : int
            Samples per step, >= 1. The last batch of an epoch may be smaller; its loss is averaged
            over its own size. With batch normalization the batches of an epoch have at least 2
            samples and differ by at most one, because moments of a few samples are unreliable.
        optimizer : str, Optimizer or LBFGS, optional
            The name of an optimizer, with its default settings, or an object. The default is
            ``Adam(learning_rate=0.002)``; for losses of values the outputs then begin at the mean
            of the targets, and steps of the last layer are in units of their deviation, so that
            targets may have any scale. `LBFGS` uses all samples in every iteration, and `epochs` is
            its number of iterations.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Samples that are evaluated after each epoch; the weights count in loss and accuracy.
        sample_weight : array of shape (samples,), optional
            Factor >= 0 of each sample's loss; the loss of a batch is divided by their sum.
        class_weight : mapping of class to float, or "balanced", optional
            Factor by label, multiplied with `sample_weight`. "balanced" gives every class the same
            total weight.
        shuffle : bool
            Draw a new order each epoch; it depends on the model's seed and the epoch only.
        drop_last : bool
            Leave out the samples that do not fill the last batch of an epoch. Fewer samples than
            `batch_size` make one batch, unless a source does not say their number.
        threads : int, optional
            Number of threads at most. By default the work of a step and the CPUs of the process
            decide. A training whose steps are faster with fewer threads goes over to them after a
            while (`plan` tells). The result does not depend on it.
        callbacks : sequence of Callback or callables
            A callable is called as ``callback(model, record)`` after each epoch and ends the
            training by returning True. ``record`` holds epoch (from 1), epochs, loss, seconds,
            learning_rate (of the epoch's first step) and, where they exist, accuracy, val_loss,
            val_accuracy and what `metrics` and callbacks ask for.
        averaging : EMA or SWA, optional
            Average of the parameters that the model ends with.
        dropout_schedule : Schedule, optional
            Factor from 0 to 1 of the rates of dropout for every step, such as
            ``fastmlp.schedules.FlatCosine(1.0)``.
        resume : bool
            Continue where the last `fit` (or `restore_training_state`) stopped, within an epoch
            too: optimizer, averages, schedule and callbacks keep their state, and epochs are
            counted on. With the same data and settings the result is that of one longer `fit`, to
            the last bit. Without `resume` everything but the parameters starts anew.
        total_epochs : int, optional
            Epochs of this fit and all that resume it, for which schedules are planned. The default
            is the number of epochs of this fit, or that of the fit that it resumes.
        verbose : int
            0 prints nothing, 1 prints a line per epoch to standard error, or 20 lines if `epochs`
            is the default.
        progress : callable, optional
            Function called at most every 25 ms as ``progress(samples_done, samples, mean_loss,
            accuracy)``.
        metrics : sequence of str, callable or (str, callable), optional
            Further measures of the validation samples, which the record of an epoch and the history
            contain as ``val_`` with the name: names of `fastmlp.metrics.METRICS`, such as "auc" or
            "top_k:3"; functions ``f(y_true, y_pred) -> float``, whose name is ``__name__``; or
            pairs of a name and such a function. A function gets the targets in the shape of what
            `predict` returns for the samples, and that: classes, labels 0 and 1, or values; targets
            that are probabilities are the class or label that they make most likely. It gets no
            weights. Callbacks and schedules can watch all of them; for a function, say whether
            larger is better by their ``mode``.
        diagnose : bool
            Whether to look for problems after the training: `findings`. One that makes the model
            worthless is a `TrainingWarning`. It takes about 1 % of a training of seconds, and
            changes nothing. A training on a source is not examined, nor one of fewer than 200 steps
            that resumes another.
        shards : int, optional
            Number of contiguous blocks of the rows of every batch, whose gradients are computed one
            after the other and added in a fixed binary tree. The default is 1, or the number of
            processes of `communicator`. The result depends on it, in rounding alone, but not on the
            number of processes that share the shards.
        communicator : mpi4py.MPI.Comm, optional
            Processes that train the model together, each with the same arguments and data: see
            docs/mpi.md. Each computes its part of the shards of every batch, and all end with the
            same parameters. The first prints, measures, and calls callbacks that write.
        own_samples : bool
            Whether every shard has samples of its own, a contiguous part of all, from which it
            takes its rows of every batch in an order of its own. Each process then passes those of
            its shards alone, which `fastmlp.rows_of_rank` tells. How inputs are scaled and outputs
            begin is decided by the first 2,000 samples of the first shard. Nothing is diagnosed.
        steps_per_epoch : int, optional
            Steps after which an epoch on a source ends, >= 1. A source that does not say how many
            samples it has needs it for schedules, in whose rates the length of an epoch counts.
        shuffle_buffer : int, optional
            Samples of a source among which each is drawn, >= 1; the order of its chunks is drawn
            too, if it has random access. The default is as many samples as fill 64 MiB, or as an
            epoch of `steps_per_epoch` has.

        Returns
        -------
        History
            Measures of this fit, one entry per epoch.

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind, shape or range, or `resume` cannot continue exactly;
            the message gives the reason. Nothing is changed.
        DivergedError
            The loss became NaN or infinite. The model has the weights of the last completed epoch,
            not their averages, and cannot be resumed.
        RuntimeError
            Another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
        >>> model = MLP([1, 16, 1], activation="tanh", loss="mse")
        >>> history = model.fit(x, x**2, epochs=500, batch_size=8, verbose=0)
        >>> len(history.loss), history.loss[-1] < 0.01
        (500, True)
        """
        group: Group | None = communicator  # by `ends_together`
        resume = flag("resume", resume)
        if shards is not None:
            shards = integer("shards", shards, 1)
        if epochs is not None:
            epochs = integer("epochs", epochs, 0 if resume else 1, _MOST_EPOCHS)
        batch_size = integer("batch_size", batch_size, 1)
        team = thread_count(threads)
        hooks = as_callbacks(callbacks)
        chosen = chosen_metrics(metrics)
        diagnoses = flag("diagnose", diagnose)
        own_samples = flag("own_samples", own_samples)
        if averaging is not None and not isinstance(averaging, Averaging):
            raise TypeError(f"averaging must be EMA or SWA, got {type(averaging).__name__}")
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable, got {type(progress).__name__}")
        shuffle = flag("shuffle", shuffle)
        drop_last = flag("drop_last", drop_last)
        if isinstance(optimizer, str) and optimizer.lower() == "lbfgs":
            optimizer = LBFGS()
        if optimizer is not None and not isinstance(optimizer, LBFGS):
            optimizer = checked_optimizer(optimizer)
            require_fields_held(optimizer, self.dtype, below_one=SHARES)
        if averaging is not None:
            require_fields_held(averaging, self.dtype, below_one=("decay",))
        require_plain_schedule("dropout_schedule", dropout_schedule)
        if total_epochs is not None:
            total_epochs = integer("total_epochs", total_epochs, max(epochs or 1, 1))
        if isinstance(optimizer, LBFGS):
            require_plain_lbfgs(
                {
                    "callbacks": bool(hooks),
                    "averaging": averaging is not None,
                    "resume": resume,
                    "total_epochs": total_epochs is not None,
                    "dropout_schedule": dropout_schedule is not None,
                    "metrics": bool(chosen),
                    "shards": shards is not None,
                    "communicator": group is not None,
                    "own_samples": own_samples,
                }
            )
        if shuffle_buffer is not None:
            shuffle_buffer = integer("shuffle_buffer", shuffle_buffer, 1, UNKNOWN)
        if own_samples:
            diagnoses = False
            require_own_samples(self.architecture, class_weight, shuffle)
        if y is not None:
            self._refuse_targets_of_source("fit", x)
        chunks = None if y is not None else self._chunks("fit", x, sample_weight, class_weight)
        if chunks is not None:
            diagnoses = False
            require_trainable_source(
                chunks.source,
                epochs,
                is_lbfgs=isinstance(optimizer, LBFGS),
                is_shared=group is not None or own_samples,
            )
        elif steps_per_epoch is not None or shuffle_buffer is not None:
            raise ValueError("steps_per_epoch and shuffle_buffer are for sources, got x and y")

        def train() -> History:
            begins = not resume and self._is_new
            parts = shards or (1 if group is None else group.size)
            if group is not None:
                group.agree({"own_samples": own_samples, "batch_size": batch_size, "shards": parts})
            weights = sample_weight, class_weight
            if own_samples:
                given = self._samples_of_share(
                    x, y, *weights, validation_data, batch_size, Shards(parts, group), resume=resume
                )
            elif chunks is None:
                data, validation = self._fitting_data(
                    x, y, *weights, validation_data, resume=resume
                )
                given = FitSamples(data, validation, len(data))
            else:
                given = self._samples_of_source(
                    chunks,
                    class_weight,
                    validation_data,
                    batch_size,
                    steps_per_epoch,
                    shuffle_buffer,
                    resume=resume,
                )
            data, validation, length = given.data, given.validation, given.number
            if isinstance(optimizer, LBFGS):
                iterations = DEFAULT_ITERATIONS if epochs is None else epochs
                self._findings = ()
                return fit_lbfgs(self, data, optimizer, iterations, threads, self._forget)
            resumed = self._continuation.progress if resume else None
            batch = given.batch_size(batch_size, resumed)
            count = given.epochs(batch, total_epochs, resumed) if epochs is None else epochs
            require_divisible(self.architecture, parts, batch)
            planned = Planned(
                length,
                batch,
                count,
                drop_last,
                shuffle,
                parts,
                given.buffer if shuffle else 0,
                own_samples,
            )
            rule = optimizer
            if rule is None:
                rule = default_optimizer(self.architecture, data)
            if length == UNKNOWN:
                require_no_length(rule.learning_rate, rule.decay_schedule, dropout_schedule)
            if given.stream is not None:
                require_readable_order(self.architecture, planned)
            if group is not None:
                if isinstance(validation, Chunks):
                    raise ValueError(
                        "communicator needs validation samples in memory, got a source; pass "
                        "validation_data=(x, y)"
                    )
                others = (total_epochs, rule, averaging, dropout_schedule, resume)
                settings = self._agreed(planned, data, validation, others)
                if given.share is not None:
                    settings["kinds of samples"] = given.share.kinds
                group.agree(settings | {"callbacks": [type(hook).__name__ for hook in hooks]})
            continuation = prepared(
                self,
                self._continuation,
                planned,
                rule,
                threads,
                resume,
                total_epochs,
                WHOLE if parts == 1 and group is None else Shards(parts, group),
            )
            assert continuation.run is not None
            if group is not None:
                plan = continuation.run.plan
                group.agree({"instruction set (FASTMLP_ISA)": plan["isa"]})
                group.begin()
            initial: dict[str, Array] | None = None

            def begin() -> None:
                nonlocal initial
                self._findings = ()
                if begins and self.was_trained:
                    self._draw_parameters()  # a first epoch diverged
                if begins and optimizer is None and self._trainable[-1]:
                    start = started_at_targets(self.architecture, self.parameters(), data)
                    self._put_parameters(start)
                if diagnoses and not resume:
                    initial = initial_parameters(self)
                self._put_continuation(continuation)

            shows = bool(verbose) and (group is None or group.is_first)
            if shows and (note := self._note(begins, count if epochs is None else None, rule)):
                print(note, file=sys.stderr, flush=True)
            training = TrainingLoop(
                self,
                continuation.run,
                given.step_samples,
                rule,
                continuation=continuation,
                begin=begin,
                resumes=resume,
                epochs=count,
                callbacks=hooks,
                validation=validation,
                averaging=averaging,
                threads=team,
                verbose=shows,
                print_every=max(1, count // _LINES) if epochs is None else 1,
                progress=progress if group is None or group.is_first else None,
                dropout_schedule=dropout_schedule,
                metrics=chosen,
                group=group,
                share=given.share,
            )
            fitted = training.fit()
            steps = len(fitted.loss) * planned.steps_per_epoch
            examines = diagnoses and (group is None or group.is_first)
            examines = examines and is_worth_a_look(steps, continues=resume)
            if examines and not isinstance(validation, Chunks):
                self._findings = self._examined(
                    fitted, data, validation, batch, rule, initial, team
                )
            return fitted

        history: History = self._network.exclusively(train)
        tell(self._findings, verbose=verbose, stacklevel=5)
        return history

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a look at the last `fit` found, problems first: code, level, message and cure.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.random.default_rng(0).standard_normal((500, 3))
        >>> model = MLP([3, 8, 2])
        >>> history = model.fit(x, (x[:, 0] > 0).astype(int), epochs=2, verbose=0)
        >>> model.findings[0].message, model.findings[0].cure
        ('the training had 8 steps, which is few', 'epochs=10')
        """
        return self._findings

    def _examined(
        self,
        fitted: History,
        data: Data,
        validation: Data | None,
        batch_size: int,
        optimizer: Optimizer,
        initial: dict[str, Array] | None,
        threads: int,
    ) -> tuple[Finding, ...]:
        """Return what a look at a training that has ended finds."""
        rate = optimizer.learning_rate
        evidence = Evidence(
            self,
            {name: fitted[name] for name in fitted},
            data,
            batch_size,
            rate=rate if isinstance(rate, float) else None,
            validation=validation,
            initial=initial,
            threads=threads,
            names=self.feature_names,
            optimizer=optimizer,
        )
        return tuple(diagnosis(evidence))

    def _fitting_data(
        self,
        x: npt.ArrayLike,
        y: Any,
        sample_weight: object,
        class_weight: object,
        validation_data: object,
        *,
        resume: bool,
    ) -> tuple[Data, Data | Chunks | None]:
        """Return the data of a fit, after its samples decided what is left to decide.

        Nothing is changed if they cannot be used.
        """
        before = self.feature_names, self._scaling
        if not resume:
            self.feature_names = column_names(x)
        try:
            if self._scales_inputs and self._is_new:
                self._refuse_swapped(x, y)
                self._choose_scale(x, sample_weight)
            data = self._training_data(x, y, sample_weight, class_weight)
            return data, self._checked_validation(validation_data)
        except BaseException:
            self.feature_names, scaling = before
            self._put_scaling(scaling)
            raise

    def _samples_of_share(
        self,
        x: Any,
        y: Any,
        sample_weight: object,
        class_weight: object,
        validation_data: object,
        batch_size: int,
        shards: Shards,
        *,
        resume: bool,
    ) -> FitSamples:
        """Return the samples of a fit of which each process has those of its shards."""
        several = len(self.architecture.losses) > 1
        given = Given(x, y, sample_weight, several, shards.group)
        batch = min(batch_size, given.all_samples)
        require_divisible(self.architecture, shards.count, batch)
        head = given.head(batch, shards.count)
        data, validation = self._fitting_data(*head, class_weight, validation_data, resume=resume)
        rows = self._rows(x, "x")
        own = self._data_of(rows, x, y, sample_weight, class_weight, of_part=True)
        share = Share(own, self.architecture.seed, shards, shards.group)
        share.require_distinct()
        return FitSamples(data, validation, given.all_samples, share=share)

    def _samples_of_source(
        self,
        chunks: Chunks,
        class_weight: object,
        validation_data: object,
        batch_size: int,
        steps_per_epoch: int | None,
        shuffle_buffer: int | None,
        *,
        resume: bool,
    ) -> FitSamples:
        """Return the samples of a fit that come from a source, whose first ones stand for all."""
        head = chunks.head(LOOKED_AT)
        data, validation = self._fitting_data(*head, class_weight, validation_data, resume=resume)
        stream = Stream(
            chunks,
            self.architecture.seed,
            limit=steps_per_epoch is not None,
            divides_evenly=any(self.architecture.batch_normalization),
        )
        resumed = self._continuation.progress.planned if resume else None
        number = samples_of_epoch(chunks, batch_size, steps_per_epoch, resumed)
        buffer = shuffle_buffer or default_buffer(data, batch_size, steps_per_epoch)
        return FitSamples(data, validation, number, stream, buffer)

    def _agreed(
        self, planned: Planned, data: Data, validation: Data | None, others: tuple[object, ...]
    ) -> dict[str, object]:
        """Return what all processes of a training must have alike, by its name for the user."""
        names = ("total_epochs", "optimizer", "averaging", "dropout_schedule", "resume")
        settings = self._architecture.arguments() | asdict(planned)
        settings |= dict(zip(names, others, strict=True))
        described: dict[str, object]
        described = {name: described_setting(value) for name, value in settings.items()}
        described["layer_sizes"] = described_setting(self.layer_sizes)
        described["trainable"] = described_setting(self.trainable)
        described["initial parameters"] = digest(*self.parameters().values())
        described["x"] = digest(*some_elements(data.rows))
        described["y"] = digest(*data.targets)
        described["sample_weight"] = digest(data.sample_weight)
        described["validation samples"] = described_setting(validation and len(validation))
        described["epochs and steps done"] = described_setting(
            (self._continuation.progress.epoch, self._continuation.steps)
        )
        return described

    def _note(self, begins: bool, epochs: int | None, rule: Optimizer) -> str:
        """Return a line about what `fit` has decided itself; empty if that is nothing."""
        parts = []
        scale = self.standardization
        if begins and scale is not None:
            low, high = scale.deviation.min(), scale.deviation.max()
            parts.append(
                f"inputs are standardized, their deviations are {low:.3g} to {high:.3g} "
                "(input_scale=1 leaves them as they are)"
            )
        elif begins and self._scales_inputs and self._architecture.input_scale != 1:
            parts.append("bytes are multiplied by 1/255 (input_scale=1 leaves them as they are)")
        if epochs is not None:
            rate = rule.learning_rate
            shown = f"{rate:g}" if isinstance(rate, float) else "a schedule"
            parts.append(f"{epochs:,} epochs of {type(rule).__name__}({shown})")
        return "; ".join(parts)

    def _forget(self, history: History) -> None:
        """Give up the state of another optimizer, because L-BFGS begins."""
        self._put_continuation(
            Continuation(
                Progress(history=history), "the last training was by LBFGS, which leaves no state"
            )
        )

    def training_state(self) -> dict[str, Array]:
        """Copy of the state that `fit` with ``resume=True`` continues from, without the parameters.

        Returns
        -------
        dict of str to array
            The state of the optimizer (``slots.<n>.<layer>.<kind>``, ``moments``, ``rule``),
            ``averages.<layer>.<kind>`` if any, the ``position`` in the epoch and, within an epoch,
            ``start.<layer>.<kind>``, the parameters at its start; ``epochs``; ``progress``, a JSON
            text with the plan of the training and the states of schedule and callbacks; and
            ``watched.<n>``, the arrays of these states. Empty before the first `fit`.

        Examples
        --------
        >>> model = MLP([2, 3, 1], loss="mse")
        >>> history = model.fit([[0.0, 1.0]], [[1.0]], epochs=2, verbose=0)
        >>> other = MLP([2, 3, 1], loss="mse")
        >>> other.set_parameters(model.parameters())
        >>> other.restore_training_state(model.training_state())
        >>> history = other.fit([[0.0, 1.0]], [[1.0]], epochs=1, resume=True, verbose=0)
        """
        state = self._continuation.to_arrays()
        return state | self._scaling.to_arrays() if state else state

    def _checked_state(self, state: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Return a state that a model like this one can continue from, or raise."""
        scaling, rest = InputScaling.from_state(state, self.layer_sizes[0])
        continuation = Continuation.from_arrays(rest, self.history)
        saved, rule = continuation.run_state(), continuation.rule
        assert saved is not None
        assert rule is not None
        scaling = scaling or self._scaling
        Run(Network(self._architecture.with_input_scale(scaling.factor)), 1, rule, 1).restore(saved)
        return continuation.to_arrays() | scaling.to_arrays()

    def restore_training_state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Let the next `fit` with ``resume=True`` continue from the state of a model like this one.

        Parameters
        ----------
        state : mapping of str to array
            As `training_state` returns it.

        Raises
        ------
        ValueError
            `state` is no such mapping. `fit` checks its arrays when it uses them.

        Examples
        --------
        >>> model = MLP([2, 3, 1], loss="mse")
        >>> history = model.fit([[0.0, 1.0]], [[1.0]], epochs=1, verbose=0)
        >>> state = model.training_state()
        >>> history = model.fit([[0.0, 1.0]], [[1.0]], epochs=9, resume=True, verbose=0)
        >>> model.restore_training_state(state)  # of the optimizer after the first epoch
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a mapping, got {type(state).__name__}")
        scaling, rest = InputScaling.from_state(state, self.layer_sizes[0])
        continuation = Continuation.from_arrays(rest, self.history)
        if scaling is not None:
            self._put_scaling(scaling)
        self._put_continuation(continuation)

    def _put_continuation(self, continuation: Continuation) -> None:
        """Replace the state of the last training, which may have changed the parameters."""
        self._is_as_drawn = self._is_new
        self._continuation = continuation

    def _refuse_resume(self, reason: str | None) -> None:
        """Let `fit` refuse ``resume=True`` for a reason; None lets it start anew."""
        self._put_continuation(Continuation(Progress(history=self.history), reason))

    @property
    def _refusal(self) -> str | None:
        """Reason why ``resume=True`` is refused, although the model was trained."""
        return self._continuation.refusal

    @property
    def was_trained(self) -> bool:
        """Whether a training stands behind the parameters, which ``resume=True`` would continue."""
        last = self._continuation
        return last.refusal is not None or last.run is not None or last.saved is not None

    def plan(
        self,
        *,
        batch_size: int | None = None,
        optimizer: str | Optimizer | None = None,
        threads: int | None = None,
    ) -> Plan:
        """Describe how `fit` computes a training step, and what the last training measured.

        Parameters
        ----------
        batch_size, optimizer, threads
            As in `fit`. The defaults are those of the last `fit`, or of a first one: 128 and Adam.

        Returns
        -------
        Plan
            Threads, splits, cache blocks and memory; ``print`` shows them in words.

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind or out of range.
        MemoryError
            The run would not fit into memory.

        Examples
        --------
        >>> MLP([784, 30, 10]).plan(batch_size=10, threads=1).flops
        958800
        """
        run = self._continuation.run
        if batch_size is None:
            batch_size = 128 if run is None else run.batch_size
        batch_size = integer("batch_size", batch_size, 1)
        if optimizer is not None:
            rule = checked_optimizer(optimizer).rule
        else:
            rule = DEFAULT_OPTIMIZER.rule if run is None else run.rule
        if threads is None and run is not None:
            threads = run.threads
        if run is None or not run.suits(self, batch_size, rule, threads):
            run = Run(self, batch_size, rule, threads)
        facts = run.plan
        return Plan(
            layer_sizes=self._architecture.layer_sizes,
            first_inputs=self._architecture.first_inputs,
            members=self._architecture.members,
            trains_inputs=self._architecture.trains_inputs,
            batch_size=batch_size,
            dtype=str(self.dtype),
            compute_dtype=self.compute_dtype,
            optimizer=rule,
            **facts | {"tried": tuple(TriedPlan(*way) for way in facts["tried"])},
        )

    @suggests_names
    def lr_find(
        self,
        x: npt.ArrayLike,
        y: Any,
        *,
        optimizer: str | Optimizer | None = None,
        sample_weight: npt.ArrayLike | None = None,
        lowest: float = 1e-6,
        highest: float = 10.0,
        steps: int = 100,
        batch_size: int = 128,
        threads: int | None = None,
    ) -> LearningRates:
        """Run a learning-rate range test (Smith 2017) and leave the model unchanged.

        Each step trains with a larger learning rate and records the loss.

        Parameters
        ----------
        x, y, sample_weight, batch_size, threads
            As in `fit`.
        optimizer : str or Optimizer, optional
            Optimizer of the test; its learning rate is ignored.
        lowest, highest : float
            First and last learning rate; they grow by a constant factor.
        steps : int
            Number of learning rates, >= 2.

        Returns
        -------
        LearningRates
            Rates, losses and a suggested rate, which is None if the curve tells none:
            ``problem`` says why.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 256).reshape(-1, 1)
        >>> MLP([1, 8, 1], loss="mse").lr_find(x, x**2, batch_size=8).suggestion > 1e-6
        True
        """
        model = self
        if self._scales_inputs and self._is_new:
            model = deepcopy(self)
            model._choose_scale(x)
        data = model._training_data(x, y, sample_weight, None)
        return find_learning_rates(
            model,
            data,
            default_optimizer(self.architecture, data)
            if optimizer is None
            else checked_optimizer(optimizer),
            lowest=lowest,
            highest=highest,
            steps=steps,
            batch_size=batch_size,
            threads=threads,
        )

    def initialize_from(self, x: npt.ArrayLike) -> None:
        """Fit weights and biases to samples, layer by layer, before the training.

        The pre-activations of each unit get the standard deviation 1 over the samples, and its bias
        becomes minus a random convex combination of five of them, so that kinks lie where the data
        lie. Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong
        pre-tuned MLPs and boosted trees on tabular data", NeurIPS 2024.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features)
            Samples; some thousands are enough. Memory grows with their number.

        Raises
        ------
        ValueError
            The network has members, normalization or residual blocks.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.random.default_rng(0).standard_normal((500, 3))
        >>> model = MLP([3, 8, 1], loss="mse", activation="identity")
        >>> model.initialize_from(x)
        >>> float(model.hidden_activations(x)[0].std(axis=0).round(3).max())
        1.0
        """
        architecture = self._architecture
        normalizes = any(architecture.batch_normalization) or architecture.finishes_rows
        if architecture.members > 1 or normalizes:
            raise ValueError(
                "initialize_from needs a network without members, normalization and residual blocks"
            )
        if self._scales_inputs and self._is_new:
            self._choose_scale(x)
        self._network.initialize_from_samples(self._rows(x), architecture.seed)
        self._is_as_drawn = False
        now = self._continuation.progress
        if now.kept is not None:
            self._continuation.settle(now.changed(kept=None))

    def keep_members(self, members: Sequence[int]) -> MLP:
        """Return an ensemble of some members of this one, which predicts faster.

        Parameters
        ----------
        members : sequence of int
            Numbers of two or more members to keep, from 0, without repetition.

        Returns
        -------
        MLP
            A model with the preprocessing and the history of this one.

        Examples
        --------
        >>> model = MLP([4, 8, 2], members=8)
        >>> model.keep_members([0, 3, 5]).architecture.members
        3
        """
        count = self._architecture.members
        kept = [integer("members", member, 0, count - 1) for member in members]
        if len(kept) < 2 or len(set(kept)) != len(kept):
            raise ValueError(f"members must name two or more different members, got {kept}")
        architecture = replace(self._architecture, members=len(kept))
        shapes = self._architecture.parameter_shapes()
        more = replace(self._architecture, members=count + 1).parameter_shapes()
        new = MLP(self.layer_sizes, **architecture.arguments())
        new.set_parameters(
            {
                name: array if shapes[name] == more[name] else array[kept]
                for name, array in self.parameters().items()
            }
        )
        new.history, new.preprocessing = deepcopy(self.history), self.preprocessing
        new.feature_names = self.feature_names
        self._hand_over(new, "keep_members")
        return new

    def replace_head(
        self, outputs: int, *, loss: str | Loss | None = None, seed: int | None = None
    ) -> MLP:
        """Return a model with the same hidden layers and a new last layer.

        Parameters
        ----------
        outputs : int
            Number of outputs of the new layer.
        loss : str or Loss, optional
            Loss of the new model; the default is that of this model.
        seed : int, optional
            Seed of the new weights and of all other random numbers; the default is that of this
            model.

        Returns
        -------
        MLP
            A model without frozen layers.

        Examples
        --------
        >>> model = MLP([8, 16, 10]).replace_head(3)
        >>> model.freeze(0)
        >>> model.layer_sizes, model.trainable
        ([8, 16, 3], [False, True])
        """
        sizes = [*self.layer_sizes[:-1], integer("outputs", outputs, 1)]
        new = MLP(sizes, **head_arguments(self, loss, seed))
        new.set_parameters({**new.parameters(), **hidden_parameters(self)})
        new.feature_names = self.feature_names
        self._hand_over(new, "replace_head")
        return new

    def fold_batch_norm(self) -> MLP:
        """Return a model in which batch normalization is part of the weights and biases.

        Returns
        -------
        MLP
            A model without batch normalization whose predictions are equal up to rounding. Where
            members share weights, it is part of their factors of outputs.

        Examples
        --------
        >>> MLP([4, 8, 2], batch_normalization=True).fold_batch_norm().parameters().keys()
        dict_keys(['layers.0.weights', 'layers.1.weights', 'layers.0.biases', 'layers.1.biases'])
        """
        arguments = self._architecture.arguments() | {"batch_normalization": False}
        new = MLP(self.layer_sizes, **arguments)
        new.set_parameters(folded_parameters(self))
        new.history, new.preprocessing = deepcopy(self.history), self.preprocessing
        new.feature_names = self.feature_names
        self._hand_over(new, "fold_batch_norm")
        return new

    folded = fold_batch_norm

    def _hand_over(self, new: MLP, maker: str) -> None:
        """Give a model made from this one its scaling; the state of an optimizer does not fit."""
        new._standardization = self.standardization
        if self._is_new:
            new._scales_inputs, new._is_as_drawn = self._scales_inputs, True
        if self.was_trained:
            new._refuse_resume(f"{maker}() made this from a model with other parameters")

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
            Parameters to write instead of the model's own, as `parameters` returns them.
        training_state : bool or mapping of str to array
            True also writes the state that `fit` with ``resume=True`` continues from, a mapping
            writes that state. Without a state, `fit` refuses ``resume=True`` after `fastmlp.load`.

        Raises
        ------
        TypeError, ValueError
            `parameters` or `training_state` are not those of a model like this one; a parameter is
            NaN or infinite; or there is no state to keep, although the model was trained. Nothing
            is written.
        OSError
            The file could not be written; an older one is unharmed.

        Examples
        --------
        >>> model = MLP([4, 8, 3], seed=1)
        >>> model.save("model.safetensors")
        >>> MLP.load("model.safetensors")
        MLP(4-8-3, activation='relu', loss='softmax_cross_entropy', float32)
        """
        if isinstance(training_state, Mapping):
            training_state = self._checked_state(training_state)
        else:
            keeps = flag("training_state", training_state)
            if keeps and self._refusal is not None:
                raise ValueError(f"training_state: there is none to keep: {self._refusal}")
            training_state = self.training_state() if keeps else {}
        stored = self._stored(training_state)
        if parameters is not None:
            stored = replace(stored, parameters=self._checked_parameters(parameters))
        write_stored(path, stored)

    @staticmethod
    def load(path: str | PathLike[str]) -> MLP:
        """Read the network of a model file; nothing in the file is executed.

        The network takes ``x``, also if the file holds a preprocessing, which `fastmlp.load`
        returns together with it.

        Parameters
        ----------
        path : str or os.PathLike
            File to read.

        Returns
        -------
        MLP

        Raises
        ------
        FormatError
            The file is damaged, hostile, or of a version this release cannot read.
        OSError
            The file cannot be opened.

        Examples
        --------
        >>> MLP([4, 8, 3]).save("model.safetensors")
        >>> MLP.load("model.safetensors").layer_sizes
        [4, 8, 3]
        """
        return load_mlp(path)


def load_mlp(path: str | PathLike[str]) -> MLP:
    """Read a model file; see `MLP.load`."""
    return read_stored(path, _restored)


def _restored(stored: StoredModel) -> MLP:
    """Make a model with the stored parameters and state."""
    architecture = stored.architecture
    model = MLP(architecture.layer_sizes, **architecture.arguments())
    model.set_parameters(stored.parameters)
    model.freeze(stored.frozen)
    model.history, model.preprocessing = stored.history, stored.preprocessing
    model.feature_names = stored.feature_names
    model._standardization = stored.standardization
    model._scales_inputs, model._is_as_drawn = stored.scales_inputs, stored.is_new
    if stored.training_state:
        model.restore_training_state(stored.training_state)
    elif stored.refusal is not None:
        model._refuse_resume(stored.refusal)
    return model
