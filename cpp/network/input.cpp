#include "network/input.hpp"

#include <algorithm>

namespace fastmlp {

LiveColumns::LiveColumns(std::int64_t features, int members) : views_(static_cast<std::size_t>(members)) {
  const auto size = static_cast<std::size_t>(features);
  for (View& view : views_) {
    view.marks.resize(size);
    view.live.reserve(size);
    view.idle.reserve(size);
  }
}

template <typename T>
void LiveColumns::mark(const KernelTable<T>& kernels, const SampleRows& samples, const std::int64_t* order, Range rows,
                       int member) {
  std::vector<std::uint8_t>& marks = views_[static_cast<std::size_t>(member)].marks;
  std::fill(marks.begin(), marks.end(), std::uint8_t{0});
  const auto* data = static_cast<const unsigned char*>(samples.data);
  if (order == nullptr) data += rows.begin * samples.row_bytes;
  kernels.mark_nonzero[static_cast<int>(samples.type)](rows.size(), static_cast<std::int64_t>(marks.size()), data,
                                                       samples.row_bytes,
                                                       order == nullptr ? nullptr : order + rows.begin, marks.data());
}

bool LiveColumns::collect(int member) {
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
    for (const View& view : views_) seen |= view.marks[k];
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
  return static_cast<double>(idle) >= kWorthwhile * static_cast<double>(features);
}

template <typename T>
void gather_rows(const KernelTable<T>& kernels, const NetworkSpec& spec, const SampleRows& samples,
                 const std::int64_t* order, std::int64_t first, const std::vector<std::int32_t>* columns,
                 const Panels<T>& panels, Range rows) {
  const auto type = static_cast<int>(samples.type);
  const auto scale = static_cast<T>(spec.input_scale);
  const auto* data = static_cast<const unsigned char*>(samples.data);
  const std::int64_t* index = order == nullptr ? nullptr : order + first;
  if (order == nullptr) data += first * samples.row_bytes;
  T* destination = panels.at(0, rows.begin);
  if (columns == nullptr) {
    kernels.gather[type](rows.size(), panels.cols, data, samples.row_bytes, index, scale, destination, panels.stride());
  } else {
    kernels.gather_columns[type](rows.size(), panels.cols, columns->data(), data, samples.row_bytes, index, scale,
                                 destination, panels.stride());
  }
}

#define FASTMLP_INSTANTIATE(T)                                                                                 \
  template void LiveColumns::mark(const KernelTable<T>&, const SampleRows&, const std::int64_t*, Range, int);  \
  template void gather_rows(const KernelTable<T>&, const NetworkSpec&, const SampleRows&, const std::int64_t*, \
                            std::int64_t, const std::vector<std::int32_t>*, const Panels<T>&, Range);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
