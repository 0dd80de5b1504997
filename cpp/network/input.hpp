// The input of the first layer: samples are selected, converted and scaled. Columns that are zero in the whole batch
// may be left out: a zero adds nothing to a sum that starts at +0, so the result is the same.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix_view.hpp"
#include "base/team.hpp"
#include "kernels/kernel_table.hpp"
#include "network/spec.hpp"
#include "ops/dense.hpp"

namespace fastmlp {

/// Finds the columns of a batch that are zero, with several threads: each marks the nonzero columns of its rows, and
/// after a barrier each collects the marks of all threads into lists of its own.
class ZeroColumns {
 public:
  ZeroColumns(std::int64_t features, int threads);

  /// Whether a sample is so sparse that marking may find enough columns. A column that is zero in all samples is zero
  /// in this one.
  template <typename T>
  bool worth_marking(const KernelTable<T>& kernels, const SampleRows& samples, std::int64_t sample);
  /// Marks the nonzero columns of rows `rows` of the samples, in the given order unless it is null. This also brings
  /// the rows into the cache.
  template <typename T>
  void mark(const KernelTable<T>& kernels, const SampleRows& samples, const std::int64_t* order, Range rows,
            int thread);
  /// Collects the marks of `threads` threads. Returns whether enough columns are zero to leave them out; of sparse
  /// samples they always are.
  bool collect(const SampleRows& samples, int thread, int threads);

  /// Columns as of the last collect() of the thread, ascending.
  const std::vector<std::int32_t>& nonzero(int thread) const { return lists(thread).nonzero; }
  const std::vector<std::int32_t>& zero(int thread) const { return lists(thread).zero; }
  /// For sparse samples: the place of each nonzero column in the list of nonzero columns.
  const std::int32_t* places(int thread) const { return lists(thread).places.data(); }

 private:
  struct alignas(kCacheLine) ColumnLists {
    std::vector<std::uint8_t> marks;
    std::vector<std::int32_t> nonzero;
    std::vector<std::int32_t> zero;
    std::vector<std::int32_t> places;
  };
  const ColumnLists& lists(int thread) const { return threads_[static_cast<std::size_t>(thread)]; }
  ColumnLists& lists(int thread) { return threads_[static_cast<std::size_t>(thread)]; }

  std::vector<ColumnLists> threads_;
};

/// The most nonzero columns that `rows` of the samples can have.
std::int64_t most_nonzero_columns(const NetworkSpec& spec, const SampleRows& samples, std::int64_t rows);

/// The columns of the first layer's input.
struct InputColumns {
  const std::vector<std::int32_t>* nonzero = nullptr;  // null: all columns
  const std::int32_t* places = nullptr;                // for sparse samples: see ZeroColumns::places
};

/// Writes the samples order[first], order[first + 1], ... to rows `rows` of `panels`; order null: the samples
/// themselves. Returns whether all are finite; those of sparse samples are not looked at.
template <typename T>
bool gather_rows(const KernelTable<T>& kernels, const NetworkSpec& spec, const SampleRows& samples,
                 const std::int64_t* order, std::int64_t first, const InputColumns& columns, const Panels<T>& panels,
                 Range rows);

}  // namespace fastmlp
