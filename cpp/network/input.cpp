#include "network/input.hpp"

#include <algorithm>

#include "base/arithmetic.hpp"
#include "base/check.hpp"

namespace fastmlp {
namespace {

/// With a smaller share of zero columns, indirect access costs more than it saves.
constexpr double kLeastShare = 0.1;

Range stored_elements(const SampleRows& samples, std::int64_t sample) {
  return {samples.row_starts[sample], samples.row_starts[sample + 1]};
}

/// The column of a stored element. The program may change the array meanwhile, so it is read once, and bounded.
std::int64_t stored_column(const SampleRows& samples, std::int64_t element, std::int64_t features) {
  const auto column = static_cast<std::uint32_t>(__atomic_load_n(samples.columns + element, __ATOMIC_RELAXED));
  return std::min<std::int64_t>(column, features - 1);
}

/// places: column of each feature; null: the feature itself. The place of a feature that the program has added
/// meanwhile is stale, so places are bounded too.
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

ZeroColumns::ZeroColumns(std::int64_t features, int threads) : threads_(static_cast<std::size_t>(threads)) {
  const auto size = static_cast<std::size_t>(features);
  for (ColumnLists& columns : threads_) {
    columns.marks.resize(size);
    columns.nonzero.reserve(size);
    columns.zero.reserve(size);
    columns.places.resize(size);
  }
}

template <typename T>
bool ZeroColumns::worth_marking(const KernelTable<T>& kernels, const SampleRows& samples, std::int64_t sample) {
  if (samples.sparse()) return true;
  if (samples.standardized()) return false;
  mark(kernels, samples, nullptr, {sample, sample + 1}, 0);
  const std::vector<std::uint8_t>& marks = lists(0).marks;
  const auto zeros = std::count(marks.begin(), marks.end(), std::uint8_t{0});
  return static_cast<double>(zeros) >= kLeastShare * static_cast<double>(marks.size());
}

template <typename T>
void ZeroColumns::mark(const KernelTable<T>& kernels, const SampleRows& samples, const std::int64_t* order, Range rows,
                       int thread) {
  std::vector<std::uint8_t>& marks = lists(thread).marks;
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

bool ZeroColumns::collect(const SampleRows& samples, int thread, int threads) {
  ColumnLists& own = lists(thread);
  const std::size_t features = own.marks.size();
  own.nonzero.resize(features);
  own.zero.resize(features);
  std::size_t nonzero = 0;
  std::size_t zero = 0;
  for (std::size_t k = 0; k < features; ++k) {
    std::uint8_t mark = 0;
    for (int t = 0; t < threads; ++t) mark |= lists(t).marks[k];
    own.nonzero[nonzero] = own.zero[zero] = static_cast<std::int32_t>(k);
    nonzero += mark != 0;
    zero += mark == 0;
  }
  // A batch of zeros keeps one column, because products have a depth of at least one.
  if (nonzero == 0 && features > 0) {
    ++nonzero;
    own.nonzero[0] = 0;
    --zero;
    std::copy(own.zero.begin() + 1, own.zero.end(), own.zero.begin());
  }
  own.nonzero.resize(nonzero);
  own.zero.resize(zero);
  if (!samples.sparse()) return static_cast<double>(zero) >= kLeastShare * static_cast<double>(features);
  for (std::size_t k = 0; k < nonzero; ++k) {
    own.places[static_cast<std::size_t>(own.nonzero[k])] = static_cast<std::int32_t>(k);
  }
  return true;
}

std::int64_t most_nonzero_columns(const NetworkSpec& spec, const SampleRows& samples, std::int64_t rows) {
  if (!samples.sparse() || spec.disturbs_input()) return spec.features();
  std::int64_t longest = 1;
  for (std::int64_t row = 0; row < samples.count; ++row) {
    longest = std::max(longest, stored_elements(samples, row).size());
  }
  return std::min(spec.features(), checked_product(longest, rows));
}

template <typename T>
bool gather_rows(const KernelTable<T>& kernels, const NetworkSpec& spec, const SampleRows& samples,
                 const std::int64_t* order, std::int64_t first, const InputColumns& columns, const Panels<T>& panels,
                 Range rows) {
  // Samples are converted and standardized as NumPy does it: those of small arrays are, before they come here.
  const ArithmeticScope scope(Arithmetic::standard());
  const auto type = static_cast<int>(samples.type);
  const auto scale = static_cast<T>(spec.input_scale);
  if (samples.sparse()) {
    scatter_rows(samples, order, first, spec.features(), columns.nonzero == nullptr ? nullptr : columns.places, scale,
                 panels, rows);
    return true;
  }
  const auto* data = static_cast<const unsigned char*>(samples.data);
  const std::int64_t* index = order == nullptr ? nullptr : order + first;
  if (order == nullptr) data += first * samples.row_bytes;
  T* destination = panels.at(0, rows.begin);
  if (samples.standardized()) {
    return kernels.gather_standardized[type](rows.size(), panels.cols, data, samples.row_bytes, index, samples.mean,
                                             samples.deviation, scale, destination, panels.stride());
  }
  if (columns.nonzero == nullptr) {
    return kernels.gather[type](rows.size(), panels.cols, data, samples.row_bytes, index, scale, destination,
                                panels.stride());
  }
  return kernels.gather_columns[type](rows.size(), panels.cols, columns.nonzero->data(), data, samples.row_bytes, index,
                                      scale, destination, panels.stride());
}

#define FASTMLP_INSTANTIATE(T)                                                                                 \
  template bool ZeroColumns::worth_marking(const KernelTable<T>&, const SampleRows&, std::int64_t);            \
  template void ZeroColumns::mark(const KernelTable<T>&, const SampleRows&, const std::int64_t*, Range, int);  \
  template bool gather_rows(const KernelTable<T>&, const NetworkSpec&, const SampleRows&, const std::int64_t*, \
                            std::int64_t, const InputColumns&, const Panels<T>&, Range);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
