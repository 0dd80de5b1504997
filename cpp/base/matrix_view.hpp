// Non-owning views of the two matrix layouts of the core.
//
// Rows: the user's layout, row-major with any row stride, element type chosen by the user.
// Panels: the core's layout. Columns are grouped into panels of `panel` lanes; panel p holds columns
// [p * panel, (p + 1) * panel) as `rows` consecutive rows of `panel` elements. The last panel has the full width in
// memory; lanes beyond `cols` are zero in weights and in gradients.
#pragma once

#include <cstdint>

namespace fastmlp {

/// Half-open range of rows, panels or work items.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// a / b, rounded up, for positive b.
inline constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
/// The smallest multiple of `multiple` that is at least n.
inline constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return ceil_div(n, multiple) * multiple;
}

/// Widest panel of all instruction sets, in elements.
inline constexpr std::int64_t kWidestPanel = 64;

template <typename T>
struct Panels {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t panel = 1;

  std::int64_t count() const { return ceil_div(cols, panel); }
  std::int64_t stride() const { return rows * panel; }
  std::int64_t size() const { return count() * stride(); }
  T* at(std::int64_t p, std::int64_t row = 0) const { return data + p * stride() + row * panel; }
  /// View of the given panels alone.
  Panels slice(Range panels) const {
    const std::int64_t left = cols - panels.begin * panel;
    const std::int64_t taken = panels.size() * panel;
    return {at(panels.begin), rows, taken < left ? taken : left, panel};
  }
  /// Columns of panel p without its padding.
  std::int64_t width(std::int64_t p) const {
    const std::int64_t left = cols - p * panel;
    return left < panel ? left : panel;
  }
};

/// Range `index` of `parts` ranges that divide [0, total) and differ by at most one in size.
inline Range even_share(std::int64_t total, std::int64_t index, std::int64_t parts) {
  const std::int64_t base = total / parts;
  const std::int64_t extra = total % parts;
  const std::int64_t begin = index * base + (index < extra ? index : extra);
  return {begin, begin + base + (index < extra ? 1 : 0)};
}

}  // namespace fastmlp
