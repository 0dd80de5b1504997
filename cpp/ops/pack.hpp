// Copies between row-major arrays and panels. Not part of a training step: parameters are packed when the user sets
// them and unpacked when the user reads them; predictions are unpacked block by block.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/matrix_view.hpp"

namespace fastmlp {

/// panels = row-major source (rows, cols); lanes beyond cols become +0.
template <typename T>
void pack(const T* source, const Panels<T>& panels) {
  for (std::int64_t p = 0; p < panels.count(); ++p) {
    const std::int64_t width = panels.width(p);
    for (std::int64_t row = 0; row < panels.rows; ++row) {
      const T* from = source + row * panels.cols + p * panels.panel;
      std::fill(std::copy(from, from + width, panels.at(p, row)), panels.at(p, row) + panels.panel, T{0});
    }
  }
}

/// destination (row-major, cols columns) = rows `rows` of panels.
template <typename T>
void unpack(const Panels<T>& panels, Range rows, T* destination) {
  for (std::int64_t p = 0; p < panels.count(); ++p) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const T* from = panels.at(p, row);
      std::copy(from, from + panels.width(p), destination + (row - rows.begin) * panels.cols + p * panels.panel);
    }
  }
}

}  // namespace fastmlp
