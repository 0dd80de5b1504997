"""`Plan`: the decisions of the core for a network, a batch size and a number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Plan", "TriedPlan"]


# Those with kInRegisters in cpp/kernels/optimizer.inl.hpp.
_RULES_IN_REGISTERS = ("sgd", "momentum", "nesterov", "lion")


class TriedPlan(NamedTuple):
    """What a run has measured of one way to take its steps."""

    threads: int
    splits: tuple[str, ...]
    steps: int
    seconds_per_step: float


@dataclass(frozen=True)
class Plan:
    """How the core computes a training step. No decision changes a bit of the result.

    `fastmlp.MLP.plan` returns it; ``print`` shows it in words.

    Attributes
    ----------
    layer_sizes : tuple of int
        Features, units of each hidden layer, outputs.
    first_inputs : int
        Inputs of the first layer: what the input stage makes of the features.
    members : int
        Members of the ensemble; each layer has a row of every member for each sample.
    trains_inputs : bool
        Whether parameters before the first layer, of embeddings or factors of inputs, are trained.
    batch_size : int
        Samples per step.
    dtype, compute_dtype, optimizer, isa : str
        Scalar type, type of the factors of products, update rule, instruction set of the kernels.
    threads : int
        Number of threads.
    splits : tuple of str
        How the threads share each layer. ``"rows"``: each thread takes rows of the batch in the
        forward pass and blocks of the weights in the update. ``"outputs"``: each thread has its
        own outputs of the layer in both.
    transposes_weights : tuple of bool
        Whether the gradient of each layer's input is computed from transposed blocks of the
        weights; otherwise the batch is in the SIMD lanes and the weights are read as they are.
        The entry of the first layer has no meaning unless `trains_inputs`.
    own_input : bool
        Whether each thread gathers the whole batch for itself.
    barriers : int
        Number of times that the threads wait for each other in a step.
    row_block, depth_block : int
        Samples and inner dimension of the block that stays in the second-level cache.
    panel, tile_rows : int
        Columns of a panel, and rows of the largest register tile.
    panel_group : int
        Number of output panels whose gradients stay in cache while the input is read.
    tried : tuple of TriedPlan
        What the last training has measured, if `MLP.plan` is asked for a plan like its own:
        threads, splits, steps and seconds per step of every way that it took. This plan is the way
        that it would take next.
    parameter_bytes : int
        Size of weights and biases as stored, in whole panels.
    run_bytes : int
        Memory that a training adds: optimizer state, parameters at the start of the epoch,
        activations, gradients.

    Examples
    --------
    >>> from fastmlp import MLP
    >>> plan = MLP([784, 512, 10]).plan(batch_size=64, threads=1)
    >>> plan.threads, plan.barriers
    (1, 0)
    """

    layer_sizes: tuple[int, ...]
    first_inputs: int
    members: int
    trains_inputs: bool
    batch_size: int
    dtype: str
    compute_dtype: str
    optimizer: str
    isa: str
    threads: int
    splits: tuple[str, ...]
    transposes_weights: tuple[bool, ...]
    own_input: bool
    barriers: int
    row_block: int
    depth_block: int
    panel: int
    tile_rows: int
    panel_group: int
    parameter_bytes: int
    run_bytes: int
    tried: tuple[TriedPlan, ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations of the layers in a step.

        Each of three products takes two per weight and row; the first layer needs no gradient of
        its input where nothing before it is trained.
        """
        sizes = self._sizes
        weights = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
        unused = 0 if self.trains_inputs else 2 * sizes[0] * sizes[1]
        return self.batch_size * self.members * (6 * weights - unused)

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Inputs of the first layer and outputs of all layers."""
        return (self.first_inputs, *self.layer_sizes[1:])

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.layer_sizes))
        ensemble = f" x {self.members} members" if self.members > 1 else ""
        columns = self.layer_sizes[0]
        lines = [
            f"{sizes}{ensemble} in {self.dtype}, batches of {self.batch_size}, {self.optimizer}",
            f"  work      {_number(self.flops / 1e6)} MFLOP per step",
            f"  threads   {self._team()}",
            *(f"  layer {i:<3} {self._layer(i)}" for i in range(1, len(self.layer_sizes))),
            f"  products  {self._arithmetic()}, register tiles of up to {self.tile_rows} x "
            f"{self.panel} sums",
            f"            blocks of {self.row_block} samples x {self.depth_block} inputs in cache",
            f"  update    {self.optimizer} on {self._gradients()}, "
            f"{self.panel_group} x {self.panel} outputs at a time",
            f"  input     {self._input(columns)}",
            f"  memory    {_bytes(self.parameter_bytes)} of parameters and "
            f"{_bytes(self.run_bytes)} for the training",
        ]
        if len(self.tried) > 1:
            ways = [self._way(way) for way in self.tried]
            lines.append(f"  tried     {', '.join(ways)}")
        return "\n".join(lines)

    def _way(self, way: TriedPlan) -> str:
        team = f"{way.threads} thread{'' if way.threads == 1 else 's'}"
        if "outputs" in way.splits:
            team += " with outputs of their own"
        return f"{team} {_number(way.seconds_per_step * 1e6)} us per step"

    def _gradients(self) -> str:
        if self.compute_dtype == self.dtype and self.optimizer in _RULES_IN_REGISTERS:
            return "the registers that hold the gradient"
        return "blocks of the gradient in the first-level cache"

    def _arithmetic(self) -> str:
        if self.compute_dtype == self.dtype:
            return self.isa
        return f"{self.isa}, factors in {self.compute_dtype}"

    def _input(self, columns: int) -> str:
        if self.first_inputs != columns:
            return f"{columns} columns become {self.first_inputs} inputs of the first layer"
        if self.trains_inputs:
            return f"{columns} columns, with trained parameters before the first layer"
        if self.compute_dtype == "bfloat16":
            return f"{columns} columns, rounded to bfloat16 in pairs"
        if self.members > 1:
            return f"{columns} columns, the same for all members"
        return "columns that are zero in the whole batch are left out where they are many"

    def _team(self) -> str:
        if self.threads == 1:
            return "1, no waiting"
        return f"{self.threads}, one team for the whole epoch, {self.barriers} barriers per step"

    def _layer(self, layer: int) -> str:
        inputs, outputs = self._sizes[layer - 1 : layer + 1]
        notes = [self._share(layer)] if self.threads > 1 else []
        if layer > 1 or self.trains_inputs:
            transposed = "weights" if self.transposes_weights[layer - 1] else "gradients"
            notes.append(f"backward transposes {transposed}")
        return "; ".join([f"{inputs} -> {outputs}", *notes])

    def _share(self, layer: int) -> str:
        if self.splits[layer - 1] == "rows":
            return "threads share rows, then weights"
        if layer == 1 and self.own_input:
            return "each thread gathers the batch and has outputs of its own"
        return "each thread has outputs of its own"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(size: int) -> str:
    if size < 2**20:
        return f"{_number(size / 2**10)} KiB"
    return f"{_number(size / 2**20)} MiB"
