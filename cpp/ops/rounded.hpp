// Matrices rounded to bfloat16 for the products of a training step.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// Numbers in one element of an operand.
template <typename Element>
inline constexpr std::int64_t kNumbers = std::is_same_v<Element, Pair> ? 2 : 1;

/// A rounded matrix in both forms that products read. Without data it is not used.
struct RoundedMatrix {
  Panels<Pair> column_pairs;  // pairs of neighboring columns, in panels half as wide
  Panels<Pair> row_pairs;     // pairs of neighboring rows, the last with 0 if their number is odd

  RoundedMatrix() = default;
  /// data: rounded_size(rows, cols, panel) elements.
  RoundedMatrix(Pair* data, std::int64_t rows, std::int64_t cols, std::int64_t panel)
      : column_pairs{data, rows, ceil_div(cols, 2), panel / 2},
        row_pairs{data + column_pairs.size(), ceil_div(rows, 2), cols, panel} {}

  RoundedMatrix slice(Range panels) const {
    RoundedMatrix part;
    part.column_pairs = column_pairs.slice(panels);
    part.row_pairs = row_pairs.slice(panels);
    return part;
  }
};

inline std::int64_t rounded_size(std::int64_t rows, std::int64_t cols, std::int64_t panel) {
  const RoundedMatrix shape(nullptr, rows, cols, panel);
  return shape.column_pairs.size() + shape.row_pairs.size();
}

/// Operands of the products of a layer.
struct RoundedLayer {
  const Bfloat16Kernels* kernels = nullptr;  // null: products read the matrices that are not rounded
  RoundedMatrix input{};
  RoundedMatrix weights{};
  RoundedMatrix gradient{};  // dz
};

/// Rounds rows `rows`, of which the first is even, of panels `panels`. Matrices of double are never rounded.
template <typename T>
void round_rows([[maybe_unused]] const Bfloat16Kernels& kernels, [[maybe_unused]] const Panels<T>& source,
                [[maybe_unused]] const RoundedMatrix& rounded, Range rows, Range panels) {
  if constexpr (std::is_same_v<T, float>) {
    for (std::int64_t p = panels.begin; p < panels.end && rows.size() > 0; ++p) {
      kernels.round(rows.size(), source.at(p, rows.begin), rounded.column_pairs.at(p, rows.begin),
                    rounded.row_pairs.at(p, rows.begin / 2));
    }
  }
}

}  // namespace fastmlp
