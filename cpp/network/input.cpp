#include "network/input.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace fastmlp {
namespace {

Range stored_elements(const SampleRows& samples, std::int64_t sample) {
  return {samples.row_starts[sample], samples.row_starts[sample + 1]};
}

/// The column of a stored element. Another thread of the program may write there: it is read once, and bounded.
std::int64_t stored_column(const SampleRows& samples, std::int64_t element, std::int64_t features) {
  const auto column = static_cast<std::uint32_t>(__atomic_load_n(samples.columns + element, __ATOMIC_RELAXED));
  return std::min<std::int64_t>(column, features - 1);
}

/// places: column of each feature; null: the feature itself. A feature that was not there when places were given has
/// that of another time, so that it is bounded too.
template <typename T>
void scatter_rows(const SampleRows& samples, const std::int64_t* order, std::int64_t first, std::int64_t features,
                  const std::int32_t* places, T scale, const Panels<T>& panels, Range rows) {
  const T* elements = static_cast<const T*>(samples.data);
  const std::int64_t panel = panels.panel;
  for (std::int64_t p = 0; p < panels.count(); ++p) {
    std::fill(panels.at(p, rows.begin), panels.at(p, rows.end), T{0});
  }
  for (std::int64_t row = rows.begin; row < rows.end; ++row, ++first) {
    const Range stored = stored_elements(samples, order == nullptr ? first : order[first]);
    for (std::int64_t i = stored.begin; i < stored.end; ++i) {
      const std::int64_t feature = stored_column(samples, i, features);
      const std::int64_t column =
          places == nullptr ? feature : std::min<std::int64_t>(places[feature], panels.cols - 1);
      panels.at(column / panel, row)[column % panel] = elements[i] * scale;
    }
  }
}

}  // namespace

LiveColumns::LiveColumns(std::int64_t features, int members) : views_(static_cast<std::size_t>(members)) {
  const auto size = static_cast<std::size_t>(features);
  for (View& view : views_) {
    view.marks.resize(size);
    view.live.reserve(size);
    view.idle.reserve(size);
    view.places.resize(size);
  }
}

template <typename T>
void LiveColumns::mark(const KernelTable<T>& kernels, const SampleRows& samples, const std::int64_t* order, Range rows,
                       int member) {
  std::vector<std::uint8_t>& marks = views_[static_cast<std::size_t>(member)].marks;
  std::fill(marks.begin(), marks.end(), std::uint8_t{0});
  if (samples.sparse()) {
    const auto features = static_cast<std::int64_t>(marks.size());
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const Range stored = stored_elements(samples, order == nullptr ? row : order[row]);
      for (std::int64_t i = stored.begin; i < stored.end; ++i) {
        marks[static_cast<std::size_t>(stored_column(samples, i, features))] = 1;
      }
    }
    return;
  }
  const auto* data = static_cast<const unsigned char*>(samples.data);
  if (order == nullptr) data += rows.begin * samples.row_bytes;
  kernels.mark_nonzero[static_cast<int>(samples.type)](rows.size(), static_cast<std::int64_t>(marks.size()), data,
                                                       samples.row_bytes,
                                                       order == nullptr ? nullptr : order + rows.begin, marks.data());
}

bool LiveColumns::collect(const SampleRows& samples, int member, int members) {
  // Fewer than this share of zero columns do not repay the indirect access.
  constexpr double kWorthwhile = 0.1;
  View& mine = views_[static_cast<std::size_t>(member)];
  const std::size_t features = mine.marks.size();
  mine.live.resize(features);
  mine.idle.resize(features);
  std::size_t live = 0;
  std::size_t idle = 0;
  for (std::size_t k = 0; k < features; ++k) {
    std::uint8_t seen = 0;
    for (int m = 0; m < members; ++m) seen |= views_[static_cast<std::size_t>(m)].marks[k];
    mine.live[live] = mine.idle[idle] = static_cast<std::int32_t>(k);
    live += seen != 0;
    idle += seen == 0;
  }
  // A batch of zeros keeps one column: products have a depth of at least one.
  if (live == 0 && features > 0) {
    ++live;
    mine.live[0] = 0;
    --idle;
    std::copy(mine.idle.begin() + 1, mine.idle.end(), mine.idle.begin());
  }
  mine.live.resize(live);
  mine.idle.resize(idle);
  if (!samples.sparse()) return static_cast<double>(idle) >= kWorthwhile * static_cast<double>(features);
  for (std::size_t k = 0; k < live; ++k)
    mine.places[static_cast<std::size_t>(mine.live[k])] = static_cast<std::int32_t>(k);
  return true;
}

std::int64_t most_live_columns(const NetworkSpec& spec, const SampleRows& samples, std::int64_t rows) {
  if (!samples.sparse() || spec.disturbs_input()) return spec.features();
  std::int64_t longest = 1;
  for (std::int64_t row = 0; row < samples.count; ++row) {
    longest = std::max(longest, stored_elements(samples, row).size());
  }
  return std::min(spec.features(), checked_product(longest, rows));
}

template <typename T>
void gather_rows(const KernelTable<T>& kernels, const NetworkSpec& spec, const SampleRows& samples,
                 const std::int64_t* order, std::int64_t first, const InputColumns& columns, const Panels<T>& panels,
                 Range rows) {
  const auto type = static_cast<int>(samples.type);
  const auto scale = static_cast<T>(spec.input_scale);
  if (samples.sparse()) {
    scatter_rows(samples, order, first, spec.features(), columns.live == nullptr ? nullptr : columns.places, scale,
                 panels, rows);
    return;
  }
  const auto* data = static_cast<const unsigned char*>(samples.data);
  const std::int64_t* index = order == nullptr ? nullptr : order + first;
  if (order == nullptr) data += first * samples.row_bytes;
  T* destination = panels.at(0, rows.begin);
  if (columns.live == nullptr) {
    kernels.gather[type](rows.size(), panels.cols, data, samples.row_bytes, index, scale, destination, panels.stride());
  } else {
    kernels.gather_columns[type](rows.size(), panels.cols, columns.live->data(), data, samples.row_bytes, index, scale,
                                 destination, panels.stride());
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                                 \
  template void LiveColumns::mark(const KernelTable<T>&, const SampleRows&, const std::int64_t*, Range, int);  \
  template void gather_rows(const KernelTable<T>&, const NetworkSpec&, const SampleRows&, const std::int64_t*, \
                            std::int64_t, const InputColumns&, const Panels<T>&, Range);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
