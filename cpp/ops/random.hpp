// Random numbers of a block of a matrix.
#pragma once

#include "base/matrix_view.hpp"
#include "base/philox.hpp"
#include "ops/dense.hpp"

namespace fastmlp {

/// The random numbers of panel p from a row of the batch on, in one step. level: number of the activation, 0 for the
/// input.
template <typename T>
inline RandomBlock random_block(const Panels<T>& matrix, RandomPurpose purpose, std::uint64_t seed, std::uint32_t level,
                                std::uint32_t step, std::int64_t row, std::int64_t p) {
  constexpr std::int64_t kGroup = 16;
  return {.seed = seed,
          .purpose = static_cast<std::uint32_t>(purpose),
          .level = level,
          .step = step,
          .groups = ceil_div(matrix.cols, kGroup),
          .row = row,
          .group = p * (matrix.panel / kGroup)};
}

/// Adds normal noise to panel p on the given rows: C. Bishop, "Training with noise is equivalent to Tikhonov
/// regularization", Neural Computation 7, 1995.
template <typename T>
inline void add_noise(const KernelTable<T>& kernels, const Panels<T>& values, double deviation, std::uint64_t seed,
                      std::uint32_t step, const RowPlaces& places, Range rows, std::int64_t p) {
  places.for_parts(rows, [&](Range part, std::int64_t row) {
    const RandomBlock block = random_block(values, RandomPurpose::noise, seed, 0, step, row, p);
    kernels.add_noise(block, part.size(), vectors_for(kernels, values.width(p)), static_cast<T>(deviation),
                      values.at(p, part.begin));
  });
}

}  // namespace fastmlp
