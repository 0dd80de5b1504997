"""Bugs of layer normalization and residual blocks."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["RESIDUAL_MUTATIONS"]

KERNELS = "cpp/kernels/layer_norm.inl.hpp"
RESIDUAL = "cpp/ops/residual.cpp"
DENSE = "cpp/ops/dense.cpp"
EPOCH = "cpp/network/epoch.cpp"
INFERENCE = "cpp/network/inference.cpp"
ARCHITECTURE = "python/fastmlp/network/architecture.py"
C = "python/fastmlp/export/c_code.py"
ONNX = "python/fastmlp/export/onnx_graph.py"

RESIDUAL_MUTATIONS = [
    Mutation(
        "layer normalization counts padding in the variance",
        KERNELS,
        "for (auto& part : group.part) part -= mean;\n      group = keep_first(group, left, T{0});",
        "for (auto& part : group.part) part -= mean;",
    ),
    Mutation(
        "layer normalization without epsilon",
        KERNELS,
        "sum_of_lanes(squares) / count + epsilon)",
        "sum_of_lanes(squares) / count + T{0} * epsilon)",
    ),
    Mutation(
        "layer normalization with the scales of the first 16 units",
        KERNELS,
        "const Lanes16<T> factors = Lanes16<T>::from(scales + first);\n      for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] *= factors.part[i];\n      group.to(values + at);",
        "const Lanes16<T> factors = Lanes16<T>::from(scales + 0 * first);\n      for (int i = 0; i < Lanes16<T>::kCount; ++i) group.part[i] *= factors.part[i];\n      group.to(values + at);",
    ),
    Mutation(
        "gradient of layer normalization without that of the mean",
        KERNELS,
        "fma(-value.part[i], along, group.part[i] - mean)",
        "fma(-value.part[i], along, group.part[i])",
    ),
    Mutation(
        "gradient of layer normalization without that of the deviation",
        KERNELS,
        "inverse * fma(-value.part[i], along, group.part[i] - mean)",
        "inverse * (group.part[i] - mean)",
    ),
    Mutation(
        "gradient of layer normalization without its scales",
        KERNELS,
        "group.part[i] *= factors.part[i];\n      return keep_first(group, left, T{0});",
        "group.part[i] *= factors.part[i] * T{0} + T{1};\n      return keep_first(group, left, T{0});",
    ),
    Mutation(
        "skips replace sums",
        KERNELS,
        "store(sums + at, load(sums + at) + load(source + at));",
        "store(sums + at, load(source + at));",
    ),
    Mutation(
        "no bias before layer normalization and skips",
        RESIDUAL,
        "T{0}, layer.bias + p * values.panel,\n",
        "T{0}, layer.bias + layer.weights.count() * 0 + (p == 0 ? 0 : p - 1) * values.panel,\n",
    ),
    Mutation(
        "no dropout of what a block adds",
        RESIDUAL,
        "if (dropout.rate > 0) drop_values<T>(kernels, {values}, dropout, rows, p);",
        "",
    ),
    Mutation(
        "gradient of what a block adds without the mask",
        RESIDUAL,
        "if (dropout.rate > 0) drop_values<T>(kernels, {dz}, dropout, rows, p);",
        "",
    ),
    Mutation(
        "no gradient through skips",
        RESIDUAL,
        "if (dskip.data != nullptr) {",
        "if (dskip.data != nullptr && p > 0) {",
    ),
    Mutation(
        "the gradient through skips has the mask of the block",
        EPOCH,
        "spec_.begins_block(l) ? memory.gradient(Mode::reads, sum_gradient(spec_, end), end)",
        "spec_.begins_block(l) ? memory.gradient(Mode::reads, Buffer::dz, end)",
    ),
    Mutation(
        "dropout of a block is applied to the sum's activation too",
        EPOCH,
        "ends ? Dropout{} : drop, rows, p);",
        "drop, rows, p);",
    ),
    Mutation(
        "gradient of the shifts from that by the product",
        DENSE,
        "deliver_columns(ParameterKind::shifts, gradient.dshifted, layer.shifts);",
        "deliver_columns(ParameterKind::shifts, dz, layer.shifts);",
    ),
    Mutation(
        "gradient of the scales of layer normalization from the outputs' gradient by the product",
        DENSE,
        "gradient.dshifted.at(out_panel, rows.begin), gradient",
        "dz.at(out_panel, rows.begin), gradient",
    ),
    Mutation(
        "predictions without the shifts",
        INFERENCE,
        "dense_finish<T>(kernels, biased_by_shifts(layer), {values}, {}, rows, p);",
        "dense_finish<T>(kernels, [&] { DenseLayer<T> plain = layer; plain.bias = nullptr; return plain; }(), {values}, {}, rows, p);",
    ),
    Mutation(
        "predictions keep one skip for all layers",
        INFERENCE,
        "kept_[l % kBlockLayers]",
        "kept_[0]",
    ),
    Mutation(
        "blocks of layers of different widths",
        ARCHITECTURE,
        "if is_end and hidden[i] != hidden[i - BLOCK_LAYERS]:",
        "if is_end and hidden[i] < 0:",
    ),
    Mutation(
        "C without the skip",
        C,
        'value = f"{value} + {skip}"',
        'value = f"{value}"',
    ),
    Mutation(
        "ONNX adds the sum of the wrong layer",
        ONNX,
        "sums[index - BLOCK_LAYERS]",
        "sums[0]",
    ),
]
