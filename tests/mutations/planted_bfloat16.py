"""Bugs of products in bfloat16, and of runs that change their plan."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

BFLOAT16_MUTATIONS = [
    Mutation(
        "the pair is added from the front",
        "cpp/kernels/gemm.inl.hpp",
        "const Vec<float> broadcast = number(second, i, k);\n#pragma GCC unroll 8\n"
        "        for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j].second, acc[i][j]);",
        "const Vec<float> broadcast = number(first, i, k);\n#pragma GCC unroll 8\n"
        "        for (int j = 0; j < Vectors; ++j) acc[i][j] = fma(broadcast, lanes[j].first, acc[i][j]);",
    ),
    Mutation(
        "tiles of the last rows take the halves of the first lanes",
        "cpp/kernels/gemm.inl.hpp",
        "half[k][row - lane + i]",
        "half[k][i]",
    ),
    Mutation(
        "sums of shards of several processes keep subnormal numbers",
        "cpp/bindings/bind_training.cpp",
        "  const WithoutSubnormals scope;\n  for (std::int64_t i = 0; i < size",
        "  for (std::int64_t i = 0; i < size",
    ),
    Mutation(
        "callbacks compute as the core does",
        "cpp/bindings/computation.cpp",
        "  take_gil(t_state);\n  t_arithmetic.apply();",
        "  take_gil(t_state);",
    ),
    Mutation(
        "predictions keep subnormal numbers",
        "cpp/network/inference.cpp",
        "    const WithoutSubnormals scope;\n    const Range rows",
        "    const Range rows",
    ),
    Mutation(
        "padding of gradients of several losses is what was there before",
        "cpp/ops/loss.cpp",
        "    if (differentiates) clear_padding(doutputs, part.rows);",
        "",
    ),
    Mutation(
        "subnormal numbers are rounded up to a bfloat16",
        "cpp/kernels/bfloat16.inl.hpp",
        "(given & 0x7f800000u) == 0u ? given & 0x80000000u : given",
        "given",
    ),
    Mutation(
        "samples are gathered without subnormal numbers",
        "cpp/network/input.cpp",
        "ArithmeticScope scope(Arithmetic::standard());",
        "ArithmeticScope scope(Arithmetic::without_subnormals());",
    ),
    Mutation(
        "subnormal numbers stay",
        "cpp/base/arithmetic.hpp",
        "Arithmetic(kStandard | kFlushes)",
        "Arithmetic(kStandard)",
    ),
    Mutation(
        "the mode of the program's arithmetic is not put back",
        "cpp/base/arithmetic.hpp",
        "~ArithmeticScope() { set(before_); }",
        "~ArithmeticScope() {}",
    ),
    Mutation(
        "bfloat16 by truncation",
        "cpp/kernels/bfloat16.inl.hpp",
        "bits + 0x7fffu + ((bits >> 16) & 1u);",
        "bits;",
    ),
    Mutation(
        "an odd last row keeps a partner",
        "cpp/kernels/bfloat16.inl.hpp",
        "single ? Vec<Pair>{} : rounded(load(source + kPanel<float> + j))",
        "rounded(load(source + (single ? 0 : kPanel<float>) + j))",
    ),
    Mutation(
        "updated weights are not rounded",
        "cpp/ops/dense.cpp",
        "    round_rows(*rounded.kernels, weights,",
        "    if (rows.begin < 0) round_rows(*rounded.kernels, weights,",
    ),
    Mutation(
        "weights of a bounded norm are not rounded",
        "cpp/network/update.cpp",
        "bound, parameters);\n                 round_panel(array, p);",
        "bound, parameters);",
    ),
    Mutation(
        "threads share a pair of rows",
        "cpp/network/spec.hpp",
        "return bfloat16 ? 2 : 1;",
        "return 1;",
    ),
    Mutation(
        "threads without rows have a negative range of them",
        "cpp/network/step_memory.hpp",
        "return {std::min(units.begin * unit, rows),",
        "return {units.begin * unit,",
    ),
    Mutation(
        "rates of a turn begin anew",
        "cpp/network/epoch.cpp",
        "const std::size_t step = request_.steps_before + thread.steps;\n    return",
        "const std::size_t step = thread.steps;\n    return",
    ),
    Mutation(
        "a run goes over to a slower plan",
        "cpp/network/plan_trials.cpp",
        "if (step < (1 - kLeastSaving)",
        "if (step > (1 - kLeastSaving)",
    ),
    Mutation(
        "trials without a limit",
        "cpp/network/plan_trials.cpp",
        "if (total_seconds_ >= due)",
        "if (total_seconds_ >= 0)",
    ),
]
