// Samples on their way into the first layer: picked, converted, scaled, and without the columns that are zero in
// the whole batch. A zero adds nothing to a sum that starts at +0, so leaving them out changes no result.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "network/spec.hpp"
#include "ops/dense.hpp"

namespace fastmlp {

/// The columns of a batch that are not all zero, found by several members together: each marks what it sees in its
/// rows, and after a barrier each collects the marks of all into a list of its own.
class LiveColumns {
 public:
  LiveColumns(std::int64_t features, int members);

  /// Marks rows `rows` of the samples, numbered by `order` unless it is null. Reading them also fetches them.
  template <typename T>
  void mark(const KernelTable<T>& kernels, const SampleRows& samples, const std::int64_t* order, Range rows,
            int member);
  /// Returns whether enough columns are zero to be worth leaving out; they always are in sparse samples. `members`: how
  /// many have marked.
  bool collect(const SampleRows& samples, int member, int members);

  /// Ascending, as of the last collect().
  const std::vector<std::int32_t>& live(int member) const { return views_[static_cast<std::size_t>(member)].live; }
  const std::vector<std::int32_t>& idle(int member) const { return views_[static_cast<std::size_t>(member)].idle; }
  /// Place of each live feature among them; for sparse samples.
  const std::int32_t* places(int member) const { return views_[static_cast<std::size_t>(member)].places.data(); }

 private:
  struct alignas(64) View {
    std::vector<std::uint8_t> marks;
    std::vector<std::int32_t> live;
    std::vector<std::int32_t> idle;
    std::vector<std::int32_t> places;
  };
  std::vector<View> views_;
};

/// The most columns that `rows` samples can have which are not zero.
std::int64_t most_live_columns(const NetworkSpec& spec, const SampleRows& samples, std::int64_t rows);

/// The columns of the first layer's input: all features, or those of a list.
struct InputColumns {
  const std::vector<std::int32_t>* live = nullptr;  // null: all
  const std::int32_t* places = nullptr;             // of sparse samples' features among the live ones
};

/// Rows `rows` of `panels` from as many samples, numbered by `order`, or from sample `first` on when it is null.
template <typename T>
void gather_rows(const KernelTable<T>& kernels, const NetworkSpec& spec, const SampleRows& samples,
                 const std::int64_t* order, std::int64_t first, const InputColumns& columns, const Panels<T>& panels,
                 Range rows);

}  // namespace fastmlp
