"""Store what pytabkit's RealMLP and the `tabm` package compute, for the tests of the network.

    python benchmarks/tables/make_oracles.py

Writes `tests/network/oracles/*.npz`; README.md beside them documents names and shapes. The values
come from the modules of these packages, in float64 and in float32, from the same weights and rows.
All starting weights and inputs are float32 numbers, so that both precisions start from the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import rtdl_num_embeddings
import tabm
import torch
from numpy.typing import NDArray
from pytabkit.models.data.data import DictDataset, TensorInfo
from pytabkit.models.nn_models import nn as pytabkit_nn
from pytabkit.models.nn_models.activations import ParametricActivationLayer
from pytabkit.models.nn_models.base import (
    BiasLayer,
    FunctionLayer,
    Layer,
    ScaleLayer,
    WeightLayer,
    set_hp_context,
)
from pytabkit.models.nn_models.categorical import SingleEmbeddingLayer
from pytabkit.models.nn_models.models import NNFactory
from pytabkit.models.nn_models.nn import PLREmbeddingsLayerCosBias
from pytabkit.models.optim.optimizers import AdamOptimizer
from pytabkit.models.sklearn.default_params import DefaultParams
from pytabkit.models.training.coord import HyperparamManager
from pytabkit.models.training.metrics import cross_entropy, mse

FOLDER = Path(__file__).parents[2] / "tests" / "network" / "oracles"
ROWS, BATCH, STEPS = 160, 32, 20
CATEGORIES = (2, 4, 12)
KEPT_STEPS = (1, 5, 20)
DTYPES = {"f64": torch.float64, "f32": torch.float32}
Values = dict[str, NDArray[Any]]


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().numpy().copy()


# ---- RealMLP -------------------------------------------------------------------------------------


def realmlp_rows(classes: int) -> Values:
    """Five numeric columns, three of categories (0: missing or unknown) and a target."""
    rng = np.random.default_rng(20_240_704)
    numeric = np.stack(
        [
            rng.normal(3, 2, ROWS),
            rng.standard_t(2, ROWS),
            rng.exponential(50, ROWS),
            np.where(rng.random(ROWS) < 0.85, 0.0, rng.uniform(1, 4, ROWS)),
            np.full(ROWS, 7.0),
        ],
        axis=1,
    ).astype(np.float32)
    categories = np.stack([rng.integers(0, n + 1, ROWS) for n in CATEGORIES], axis=1)
    score = numeric[:, 0] / 2 - numeric[:, 3] + categories[:, 1] - categories[:, 2] / 4
    y = (100 + 20 * (score + rng.normal(0, 0.5, ROWS))).astype(np.float32)
    if classes:
        y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))
    batches = np.stack([rng.permutation(ROWS)[:BATCH] for _ in range(STEPS)])
    return {"x_numeric": numeric, "x_categories": categories, "y": y, "batches": batches}


def realmlp_config(classes: int) -> dict[str, Any]:
    """The defaults with three layers of 16 units and without dropout."""
    defaults = DefaultParams.RealMLP_TD_CLASS if classes else DefaultParams.RealMLP_TD_REG
    return {**defaults, "hidden_sizes": [16] * 3, "p_drop": 0.0}


class DrawRecorder:
    """Keeps the random numbers that weights and biases start from."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.layer = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        weight_fit, bias = pytabkit_nn.WeightFitter._fit, pytabkit_nn.BiasFitter.heplus_bias
        normal, integers = torch.randn, torch.randint
        exponential = torch.distributions.Exponential.sample

        def kept(name: str, draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
            def call(*args: Any, **kwargs: Any) -> torch.Tensor:
                drawn = draw(*args, **kwargs)
                self.values[f"draws/{name}{self.layer}"] = array(drawn)
                return drawn

            return call

        def fit_weight(fitter: Any, data: Any) -> Any:
            torch.randn = kept("weights", normal)
            try:
                return weight_fit(fitter, data)
            finally:
                torch.randn = normal

        def heplus(fitter: Any, x: torch.Tensor, corners: int) -> torch.Tensor:
            torch.randint = kept("bias_rows", integers)
            torch.distributions.Exponential.sample = kept("bias_exponentials", exponential)
            try:
                return bias(fitter, x, corners)
            finally:
                torch.randint, torch.distributions.Exponential.sample = integers, exponential
                self.layer += 1

        pytabkit_nn.WeightFitter._fit = fit_weight
        pytabkit_nn.BiasFitter.heplus_bias = heplus
        try:
            yield
        finally:
            pytabkit_nn.WeightFitter._fit, pytabkit_nn.BiasFitter.heplus_bias = weight_fit, bias


class RealMLP:
    """A network from pytabkit's layers, its optimizer, and names for its parameters."""

    def __init__(self, rows: Values, classes: int, dtype: torch.dtype, seed: int = 0) -> None:
        config = realmlp_config(classes)
        self.classes = classes
        self.manager = HyperparamManager(**config)
        data = self._data(rows, dtype)
        fitter = NNFactory(**config).create(data.tensor_infos)
        static, dynamic = fitter.split_off_dynamic()
        self.static, data = static.fit_transform(data)
        self.one_hot = array(data.tensors["x_one_hot"])
        # The one-hot columns come in float32, whatever the default.
        data.tensors = {
            name: t.to(dtype) if t.is_floating_point() else t for name, t in data.tensors.items()
        }
        self.data = data
        self.manager.get_more_info_dict()["trainval_ds"] = data
        torch.manual_seed(seed)
        self.draws = DrawRecorder()
        with torch.no_grad(), set_hp_context(self.manager), self.draws.recording():
            self.model: Layer = dynamic.fit_transform(data, needs_tensors=False)[0]
        self.parameters = self._named_parameters()

    def _data(self, rows: Values, dtype: torch.dtype) -> DictDataset:
        y = torch.as_tensor(rows["y"])[:, None]
        tensors = {
            "x_cont": torch.as_tensor(rows["x_numeric"]).to(dtype),
            "x_cat": torch.as_tensor(rows["x_categories"]),
            "y": y if self.classes else y.to(dtype),
        }
        infos = {
            "x_cont": TensorInfo(feat_shape=[rows["x_numeric"].shape[1]]),
            "x_cat": TensorInfo(cat_sizes=[n + 1 for n in CATEGORIES]),
            "y": TensorInfo(cat_sizes=[self.classes])
            if self.classes
            else TensorInfo(feat_shape=[1]),
        }
        return DictDataset(tensors, infos)

    def stages(self) -> dict[str, torch.nn.Module]:
        """Modules whose outputs are stored, by name. Layers are counted from 0."""
        found: dict[str, torch.nn.Module] = {}
        layer = -1
        trainable = [m for m in self.model.modules() if list(m.parameters(recurse=False))]
        clips = [m for m in self.model.modules() if isinstance(m, FunctionLayer)]
        found["numeric_clipped"], found["one_hot_clipped"] = clips[0], clips[1]
        for module in trainable:
            if isinstance(module, PLREmbeddingsLayerCosBias):
                found["numeric_embedded"] = module
            elif isinstance(module, ScaleLayer):
                found["scaled"] = module
            elif isinstance(module, WeightLayer):
                layer += 1
                found[f"product{layer}"] = module
            elif isinstance(module, BiasLayer):
                found[f"preactivation{layer}"] = module
            elif isinstance(module, ParametricActivationLayer):
                found[f"activation{layer}"] = module
        return found

    def _named_parameters(self) -> dict[str, torch.nn.Parameter]:
        named: dict[str, torch.nn.Parameter] = {}
        for name, module in self.stages().items():
            index = name[-1]
            if isinstance(module, PLREmbeddingsLayerCosBias):
                named["numeric/frequencies"] = module.weight_1
                named["numeric/phases"] = module.bias_1
                named["numeric/weights"] = module.weight_2
                named["numeric/biases"] = module.bias_2
            elif isinstance(module, ScaleLayer):
                named["scale"] = module.scale
            elif isinstance(module, WeightLayer):
                named[f"layer{index}/weights"] = module.weight
            elif isinstance(module, BiasLayer):
                named[f"layer{index}/biases"] = module.bias
            elif isinstance(module, ParametricActivationLayer):
                named[f"layer{index}/mix"] = module.weight
        for module in self.model.modules():
            if isinstance(module, SingleEmbeddingLayer):
                named["category2/embedding"] = module.emb
        if len(named) != len(list(self.model.parameters())):
            raise AssertionError("a parameter has no name")
        return named

    def load(self, start: Values) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.as_tensor(start[name]).reshape(parameter.shape))

    def values(self) -> Values:
        return {name: array(p).squeeze() for name, p in self.parameters.items()}

    def gradients(self) -> Values:
        return {name: array(p.grad).squeeze() for name, p in self.parameters.items()}

    def batch(self, rows: NDArray[Any]) -> dict[str, torch.Tensor]:
        return self.data.get_batch(torch.as_tensor(rows))

    def outputs(self, batch: dict[str, torch.Tensor]) -> Values:
        """Outputs of the stages, and of the network in training and in prediction."""
        kept: Values = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(module: Any, inputs: Any, output: dict[str, torch.Tensor]) -> None:
                kept[name] = array(output["x_cont"])
                if name == "scaled":
                    kept["inputs"] = array(inputs[0]["x_cont"])

            return hook

        hooks = [m.register_forward_hook(keep(name)) for name, m in self.stages().items()]
        self.model.train()
        kept["target"] = array(self.model(batch)["y"])
        for hook in hooks:
            hook.remove()
        self.model.eval()
        kept["prediction"] = array(self.model(batch)["x_cont"])
        return kept

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.model.train()
        output = self.model(batch)
        return (cross_entropy if self.classes else mse)(output["x_cont"], output["y"])

    def train(self, batches: NDArray[Any]) -> Iterator[tuple[int, float, float, float]]:
        """Train and yield number of steps, loss, rate and decay (before the factors)."""
        groups = [{"params": [p], "lr": 0.01} for p in self.model.parameters()]
        optimizer = AdamOptimizer(groups, self.manager)
        progress = SimpleNamespace(get_fit_progress=lambda: 0.0)
        learner = SimpleNamespace(progress=progress)
        for step, rows in enumerate(batches):
            progress.get_fit_progress = lambda done=step: done / len(batches)
            self.manager.update_hypers(learner)
            loss = self.loss(self.batch(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(loss=loss)
            rate, decay = (
                optimizer.get_hyper_values(name, 0, use_hyper_factor=False) for name in ("lr", "wd")
            )
            yield step + 1, loss.item(), rate, decay


def soft_labels_in_default_precision() -> None:
    """One-hot labels come in float32, which rounds 0.9 of the smoothed ones in float64."""
    original = pytabkit_nn.ToSoftLabelLayer.forward_tensors

    def forward(layer: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        out = original(layer, tensors)
        return {**out, "y": out["y"].to(torch.get_default_dtype())} if "y" in out else out

    pytabkit_nn.ToSoftLabelLayer.forward_tensors = forward


def realmlp(classes: int) -> Values:
    rows = realmlp_rows(classes)
    out: Values = dict(rows)
    with precision(torch.float64):
        first = RealMLP(rows, classes, torch.float64)
    start = {name: value.astype(np.float32) for name, value in first.values().items()}
    out |= {
        f"drawn/{name}": value
        for name, value in first.values().items()
        if name != "scale" and not name.endswith("mix")  # all ones
    }
    out |= first.draws.values
    out |= {f"start/{name}": value for name, value in start.items()}
    out["one_hot"] = first.one_hot.astype(np.int8)
    for name, parameter in first.parameters.items():
        factors = parameter.hyper_factors
        out[f"factor/rate/{name}"] = np.float64(factors.get("lr", 1.0))
        out[f"factor/decay/{name}"] = np.float64(factors.get("wd", 1.0))
    for label, dtype in DTYPES.items():
        with precision(dtype):
            network = RealMLP(rows, classes, dtype)
            network.load(start)
            out |= {f"{label}/{name}": value for name, value in realmlp_run(network).items()}
    return out


def realmlp_run(network: RealMLP) -> Values:
    out: Values = {}
    centers, scales = [], []
    for name, buffer in network.model.named_buffers():
        if name.endswith("bias"):
            centers.append(-array(buffer)[0])
        elif name.endswith("scale"):
            scales.append(array(buffer)[0])
    out["center"], out["factor"] = np.concatenate(centers), np.concatenate(scales)
    batches = realmlp_rows(network.classes)["batches"]
    batch = network.batch(batches[0])
    out |= {f"stage/{name}": value for name, value in network.outputs(batch).items()}
    network.loss(batch).backward()
    out |= {f"gradient/{name}": value for name, value in network.gradients().items()}
    for parameter in network.parameters.values():
        parameter.grad = None
    history = []
    for steps, loss, rate, decay in network.train(batches):
        history.append((loss, rate, decay))
        if steps in KEPT_STEPS:
            out |= {f"after{steps}/{name}": value for name, value in network.values().items()}
    out["loss"], out["rate"], out["decay"] = np.array(history, dtype=np.float64).T
    return out


# ---- TabM ----------------------------------------------------------------------------------------

K, BLOCKS, UNITS, NUMERIC, TABM_CLASSES = 4, 2, 8, 3, 3
EMBEDDED, BINS = 4, 6
TABM_RATE, TABM_DECAY = 2e-3, 3e-4


def tabm_rows() -> Values:
    """Three numeric columns, one of three categories, both kinds of target."""
    rng = np.random.default_rng(20_241_031)
    x = rng.normal(0, 1, (ROWS, NUMERIC))
    x[:, 2] = np.round(x[:, 2])  # ties: fewer bins than the other columns
    categories = rng.integers(0, 3, (ROWS, 1))
    score = x[:, 0] * x[:, 1] + categories[:, 0] + rng.normal(0, 0.3, ROWS)
    y = np.digitize(score, np.quantile(score, [1 / 3, 2 / 3]))
    batches = np.stack([rng.permutation(ROWS)[:BATCH] for _ in range(STEPS)])
    return {
        "x_numeric": x.astype(np.float32),
        "x_categories": categories,
        "y": y,
        "y_regression": ((score - score.mean()) / score.std()).astype(np.float32),
        "batches": batches,
    }


def tabm_model(rows: Values, kind: str, embedded: bool, outputs: int) -> tabm.TabM:
    x = torch.as_tensor(rows["x_numeric"]).to(torch.get_default_dtype())
    embeddings = None
    if embedded:
        bins = rtdl_num_embeddings.compute_bins(x, n_bins=BINS)
        embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
            bins, EMBEDDED, activation=False, version="B"
        )
    return tabm.TabM.make(
        n_num_features=NUMERIC,
        cat_cardinalities=[3],
        d_out=outputs,
        num_embeddings=embeddings,
        n_blocks=BLOCKS,
        d_block=UNITS,
        dropout=0.0,
        k=K,
        arch_type=kind,
    )


def tabm_run(rows: Values, model: tabm.TabM, classes: bool) -> Values:
    dtype = torch.get_default_dtype()
    x = torch.as_tensor(rows["x_numeric"]).to(dtype)
    categories = torch.as_tensor(rows["x_categories"])
    y = torch.as_tensor(rows["y"]) if classes else torch.as_tensor(rows["y_regression"]).to(dtype)

    def loss(batch: torch.Tensor) -> torch.Tensor:
        output = model(x[batch], categories[batch]).flatten(0, 1)
        target = y[batch].repeat_interleave(K)
        if classes:
            return torch.nn.functional.cross_entropy(output, target)
        return torch.nn.functional.mse_loss(output.squeeze(-1), target)

    batches = torch.as_tensor(rows["batches"])
    out: Values = {"outputs": array(model(x[batches[0]], categories[batches[0]]))}
    if model.num_module is not None:
        out["encoded"] = array(model.num_module.impl(x[batches[0]]))
        out["embedded"] = array(model.num_module(x[batches[0]]))
    loss(batches[0]).backward()
    out |= {f"gradient/{name}": array(p.grad) for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=TABM_RATE, weight_decay=TABM_DECAY)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        value = loss(batch)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    out["loss"] = np.array(losses)
    out |= {f"after{STEPS}/{name}": array(p) for name, p in model.named_parameters()}
    return out


def tabm_start(model: tabm.TabM) -> Values:
    """Starting weights; those of the piecewise-linear part, zeros by default, are drawn too."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "num_module.linear.weight":
                parameter.normal_(0, 0.3)
    return {name: array(p).astype(np.float32) for name, p in model.named_parameters()}


def tabm_values(kind: str, embedded: bool, classes: bool) -> Values:
    rows = tabm_rows()
    outputs = TABM_CLASSES if classes else 1
    out: Values = {}
    torch.manual_seed(1)
    start = tabm_start(tabm_model(rows, kind, embedded, outputs))
    out |= {f"start/{name}": value for name, value in start.items()}
    for label, dtype in DTYPES.items():
        with precision(dtype):
            model = tabm_model(rows, kind, embedded, outputs).to(dtype)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(torch.as_tensor(start[name]))
            run = tabm_run(rows, model, classes)
            out |= {f"{label}/{name}": value for name, value in run.items()}
            if embedded:
                x = torch.as_tensor(rows["x_numeric"]).to(dtype)
                bins = rtdl_num_embeddings.compute_bins(x, n_bins=BINS)
                out |= {f"{label}/bins{i}": array(edges) for i, edges in enumerate(bins)}
    return out


def tabm_all() -> Values:
    """Every architecture with and without embeddings, and one regression."""
    out: Values = dict(tabm_rows())
    for kind in ("tabm", "tabm-mini", "tabm-packed"):
        for embedded in (False, True):
            case = f"{kind}{'-embedded' if embedded else ''}"
            values = tabm_values(kind, embedded, classes=True)
            out |= {f"{case}/{name}": value for name, value in values.items()}
    values = tabm_values("tabm", True, classes=False)
    return out | {f"tabm-regression/{name}": value for name, value in values.items()}


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, help="To write to.")
def main(folder: Path) -> None:
    torch.set_num_threads(1)
    soft_labels_in_default_precision()
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in {
        "realmlp_classes": realmlp(3),
        "realmlp_regression": realmlp(0),
        "tabm": tabm_all(),
    }.items():
        path = folder / f"{name}.npz"
        np.savez_compressed(path, **values)
        print(f"{path.name}: {len(values)} arrays, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
