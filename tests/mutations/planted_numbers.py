"""Planted bugs of numbers: sums over many rows, digits that get lost, ends that are not told."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["DIGITS"]

DIGITS = [
    Mutation(
        "all rows in one block",
        "cpp/kernels/row_sums.inl.hpp",
        "kRowsOfBlock = 128;",
        "kRowsOfBlock = std::int64_t{1} << 40;",
    ),
    Mutation(
        "joined blocks forget the earlier one",
        "cpp/kernels/row_sums.inl.hpp",
        "sums[i] = waiting[level][i] + sums[i];",
        "sums[i] = sums[i] + sums[i];",
    ),
    Mutation(
        "the last blocks of rows alone",
        "cpp/kernels/row_sums.inl.hpp",
        "totals[i] = waiting[level][i] + totals[i];",
        "totals[i] = waiting[level][i];",
    ),
    Mutation(
        "moments in one accumulator again",
        "cpp/kernels/batch_norm.inl.hpp",
        "const Vec<T> center = sum_of_values<T>(rows, column) / count;",
        "Vec<T> sum{};\n"
        "    for (std::int64_t row = 0; row < rows; ++row) sum += load(column + row * kPanel<T>);\n"
        "    const Vec<T> center = sum / count;",
    ),
    Mutation(
        "logarithm of one plus the rest of a softmax",
        "cpp/kernels/class_loss.inl.hpp",
        "log1p<T>(load(sum))",
        "log<T>(load(sum) + splat<T>(1))",
    ),
    Mutation(
        "one less than the probability of the right class",
        "cpp/kernels/class_loss.inl.hpp",
        "share * (wanted.rest - wanted.at_maximum * sum[lane])",
        "share * mass[lane] - scale * wanted.at_maximum",
    ),
    Mutation(
        "the first maximum counts among the others",
        "cpp/kernels/output_row.inl.hpp",
        "group = without_lane(keep_first(group, left, T{0}), skipped - first);",
        "group = keep_first(group, left, T{0});",
    ),
    Mutation(
        "every maximum is taken for the first",
        "cpp/kernels/output_row.inl.hpp",
        "number == splat<T>(static_cast<T>(lane)) ?",
        "lanes.part[i] == splat<T>(1) ?",
    ),
    Mutation(
        "targets of the maximum count twice",
        "cpp/kernels/class_loss.inl.hpp",
        "const Lanes16<T> other = without_lane(target, m - j);",
        "const Lanes16<T> other = target;",
    ),
    Mutation(
        "sigma less one",
        "cpp/kernels/elementwise_loss.inl.hpp",
        "(splat<T>(1) - t) - smaller",
        "(splat<T>(1) - smaller) - t",
    ),
    Mutation(
        "corner of hard_sigmoid beside zero",
        "cpp/kernels/activation.inl.hpp",
        "(z + splat<T>(3)) / splat<T>(6)",
        "z / splat<T>(6) + splat<T>(static_cast<T>(0.5)) * splat<T>(static_cast<T>(1.0 + 2e-16))",
    ),
    Mutation(
        "derivative of silu by one less sigma",
        "cpp/kernels/activation.inl.hpp",
        "rest = z < 0 ? pair.larger : pair.smaller;",
        "rest = splat<T>(1) - s;",
    ),
    Mutation(
        "density of gelu by a rounded square",
        "cpp/kernels/activation.inl.hpp",
        "exp_half_square<T>(z);",
        "exp<T>(splat<T>(static_cast<T>(-0.5)) * z * z);",
    ),
    Mutation(
        "log1p without what the sum lost",
        "cpp/kernels/math.inl.hpp",
        "scaled.k == 0 ? x : fma(lost, shrink, scaled.m - one);",
        "scaled.m - one;",
    ),
    Mutation(
        "divergence under early stopping is an error",
        "python/fastmlp/estimators/base.py",
        "            if not self._used.early_stopping:\n",
        "            if True:\n",
    ),
    Mutation(
        "L-BFGS takes its limit for convergence",
        "python/fastmlp/training/lbfgs.py",
        "    if result.status == 0:\n",
        "    if result.status < 2:\n",
    ),
]
