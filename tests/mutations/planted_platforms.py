"""Bugs of other compilers, systems and instruction sets: kernels without FMA, threads, locks."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

PLATFORM_MUTATIONS = [
    Mutation(
        "sums midway between two floats are not noticed in products",
        "cpp/kernels/fma_sse2.inl.hpp",
        "kMidway = {0x10000000, 1, 0x10000000, 1}",
        "kMidway = {0x10000001, 1, 0x10000001, 1}",
    ),
    Mutation(
        "the second half of a vector may lie midway",
        "cpp/kernels/gemm.inl.hpp",
        "midways |= midway(sums.low) | midway(sums.high);",
        "midways |= midway(sums.low);",
    ),
    Mutation(
        "wide sums are rounded at their end only",
        "cpp/kernels/gemm.inl.hpp",
        "sums = {rounded_to_floats(sums.low), rounded_to_floats(sums.high)};",
        "",
    ),
    Mutation(
        "sums that were wrong are kept",
        "cpp/kernels/gemm.inl.hpp",
        "return any((BitLanes)midways);",
        "return false;",
    ),
    Mutation(
        "the rest of a product in double is rounded to nearest",
        "cpp/kernels/fma_sse2.inl.hpp",
        "upper.sum + odd_sum(lower.error, upper.error)",
        "upper.sum + (lower.error + upper.error)",
    ),
    Mutation(
        "bits lost by an alignment leave no trace",
        "cpp/kernels/fma_sse2.inl.hpp",
        "return x >> shift | ((x & (((Wide)1 << shift) - 1)) != 0);",
        "return x >> shift;",
    ),
    Mutation(
        "large operands are split all the same",
        "cpp/kernels/fma_sse2.inl.hpp",
        "(BitLanes)(size <= 0x1p400)",
        "(BitLanes)(size <= 0x1p1023)",
    ),
    Mutation(
        "the series of exp ends a term early",
        "cpp/kernels/math.inl.hpp",
        "return 1.0 / factorial(n);",
        "return n == kDegree ? 0.0 : 1.0 / factorial(n);",
    ),
    Mutation(
        "a second interpreter may load the core",
        "cpp/bindings/module.cpp",
        "if (PyInterpreterState_Get() == PyInterpreterState_Main()) return",
        "if (PyInterpreterState_Get() != nullptr) return",
    ),
    Mutation(
        "slow kernels are taken without a word",
        "cpp/kernels/dispatch.cpp",
        'if (active_isa() != "generic") return "";',
        'if (!active_isa().empty()) return "";',
    ),
]
