"""Planted bugs of the kernels of networks for tables: embeddings, mixed activations, smooth clip."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["EMBEDDING_MUTATIONS"]

EMBEDDING = "cpp/kernels/embedding.inl.hpp"
ACTIVATION = "cpp/kernels/activation.inl.hpp"
MATH = "cpp/kernels/math.inl.hpp"

EMBEDDING_MUTATIONS = [
    Mutation(
        "phase of the embedding forgotten",
        EMBEDDING,
        "fma(frequency, load(x + v * kLanes<T>), phase)",
        "frequency * load(x + v * kLanes<T>)",
    ),
    Mutation(
        "phase of the embedding in turns",
        EMBEDDING,
        "call.phases[k] * static_cast<T>(kPerTurn)",
        "call.phases[k]",
    ),
    Mutation(
        "periodic embedding with sine and cosine swapped",
        EMBEDDING,
        "emit(k, v, both.cosine, Vec<T>{});\n        emit(k + half, v, both.sine, Vec<T>{});",
        "emit(k, v, both.sine, Vec<T>{});\n        emit(k + half, v, both.cosine, Vec<T>{});",
    ),
    Mutation(
        "derivative of the embedding's cosine without its sign",
        EMBEDDING,
        "emit(k, v, both.cosine, -both.sine);",
        "emit(k, v, both.cosine, both.sine);",
    ),
    Mutation(
        "periodic embedding forgets the cosines' gradient",
        EMBEDDING,
        "load(memory.delta + at + to_sine), -by_cosine)",
        "load(memory.delta + at + to_sine), Vec<T>{} * by_cosine)",
    ),
    Mutation(
        "last bin clipped",
        EMBEDDING,
        "const Vec<T> most = bin.last ? infinity : splat<T>(1);",
        "const Vec<T> most = splat<T>(1);",
    ),
    Mutation(
        "first bin clipped",
        EMBEDDING,
        "const Vec<T> least = bin.first ? -infinity : Vec<T>{};",
        "const Vec<T> least{};",
    ),
    Mutation(
        "derivative at an edge from both bins",
        EMBEDDING,
        "(x > lower) & (x <= upper)",
        "(x >= lower) & (x <= upper)",
    ),
    Mutation(
        "last row of the embedding lost",
        EMBEDDING,
        "return rows - vector * kLanes<T>; }",
        "return rows - vector * kLanes<T> - (rows % 16 == 1); }",
    ),
    Mutation(
        "padding rows of the embedding have gradients",
        EMBEDDING,
        "block.count(v), T{0});",
        "block.count(v), T{1});",
    ),
    Mutation(
        "lanes of blocks in the other order",
        EMBEDDING,
        "index, Lanes16<T> sum, T* result, T factor = 1) const {\n    if (!first) {",
        "index, Lanes16<T> sum, T* result, T factor = 1) const {\n    if (!first && !last) {",
    ),
    Mutation(
        "lanes of a row by pairs of vectors",
        EMBEDDING,
        "total.part[i] += group.part[i];",
        "total.part[i] += group.part[(i + v) % Lanes16<T>::kCount];",
    ),
    Mutation(
        "bias of the embedding added twice",
        EMBEDDING,
        "finish(i, v, sum + splat<T>(call.map_bias[i]));",
        "finish(i, v, sum + splat<T>(call.map_bias[i]) + splat<T>(call.map_bias[i]));",
    ),
    Mutation(
        "gradient of the frequencies without 2 pi",
        EMBEDDING,
        "gradients.frequencies + first + k, two_pi);",
        "gradients.frequencies + first + k);",
    ),
    Mutation(
        "rectifier of the embedding forgotten backward",
        EMBEDDING,
        "read(i, v) * Relu::derivative<T>(sum, 0)",
        "read(i, v) + Vec<T>{} * sum",
    ),
    Mutation(
        "kept value's gradient forgotten",
        EMBEDDING,
        "call.keeps_value ? dx + kept : dx",
        "dx",
    ),
    Mutation(
        "map of the embedding transposed backward",
        EMBEDDING,
        "memory.gradient, call.maps, 1, call.outputs,",
        "memory.gradient, call.maps, call.bases, 1,",
    ),
    Mutation(
        "sine of turns by the next quadrant",
        MATH,
        "((quadrant << kToSign) ^ (Bits<T>)t)",
        "(((quadrant + 1) << kToSign) ^ (Bits<T>)t)",
    ),
    Mutation(
        "a turn by a rounded product",
        MATH,
        "const Vec<T> rest = size - (size < unit ? whole : size);",
        "const Vec<T> rest = size * splat<T>(static_cast<T>(1.0000001)) - whole;",
    ),
    Mutation(
        "mixed activation exact at neither end",
        ACTIVATION,
        "return fma(mix, to, fma(-mix, from, from));",
        "return fma(mix, to - from, from);",
    ),
    Mutation(
        "gradient of the mixes after that of the unit",
        ACTIVATION,
        "store(residues + at, load(residues + at) * g);",
        "store(residues + at, load(residues + at) * g * load(derivatives + at));",
    ),
    Mutation(
        "derivative of mish with the other exponential",
        ACTIVATION,
        "const Vec<T> scaled = z < 0 ? e : e * e;",
        "const Vec<T> scaled = e;",
    ),
    Mutation(
        "smooth clip overflows",
        "cpp/kernels/array.inl.hpp",
        "return {smaller, smaller / (beyond ? size : bound), beyond};",
        "return {size, size / bound, size < 0};",
    ),
    Mutation(
        "dot products of columns in one block",
        "cpp/kernels/batch_norm.inl.hpp",
        "partial[0] = fma(load(a + at), load(b + at), partial[0]);",
        "partial[0] = load(a + at) * load(b + at) + partial[0];",
    ),
]
