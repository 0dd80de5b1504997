// Samples, targets and weights as arguments. The core does not check them again. The program may change an array
// while a call computes, from another thread or a callback. So the call copies labels, the order of samples and row
// starts, which the core uses as indices; columns are bounded when they are read; values are not copied, because every
// value is valid.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/array_args.hpp"
#include "network/spec.hpp"
#include "ops/loss.hpp"

namespace fastmlp::bindings {

/// Arguments that a call holds while the core computes. Constructed and destroyed with the GIL.
class KeptArguments {
 public:
  /// Holds a reference to an array, and returns its data.
  template <typename T>
  const T* borrow(const Array<T>& array) {
    arrays_.push_back(array);
    return array.data();
  }

  const void* borrow(const py::array& array) {
    arrays_.push_back(array);
    return array.data();
  }

  /// Copies an array and adds `filler` up to a whole panel of any instruction set.
  const double* copy_padded(const Array<double>& array, double filler) {
    std::vector<double>& copy = numbers_.emplace_back(array.data(), array.data() + array.size());
    copy.resize(static_cast<std::size_t>(round_up(array.size(), kWidestPanel)), filler);
    return copy.data();
  }

  /// Copies an array, and returns the data of the copy.
  const std::int64_t* copy(const Array<std::int64_t>& array) { return copy(array, {0, array.size()}); }

  /// Copies a part of an array, and returns where the copy of its first element would be.
  const std::int64_t* copy(const Array<std::int64_t>& array, Range part) {
    copies_.emplace_back(array.data() + part.begin, array.data() + part.end);
    return copies_.back().data() - part.begin;
  }

 private:
  std::vector<py::array> arrays_;
  std::vector<std::vector<std::int64_t>> copies_;
  std::vector<std::vector<double>> numbers_;
};

template <typename T>
SampleRows dense_rows(const py::object& x, std::int64_t features, KeptArguments& kept) {
  SampleRows rows;
  const auto array = require_numbers(x, "x");
  rows.type = input_type(array);
  rows.data = kept.borrow(array);
  if (array.ndim() != 2 || array.shape(1) != features || array.shape(0) < 1) {
    throw std::invalid_argument("x must have shape (samples, " + std::to_string(features) + ")");
  }
  rows.count = array.shape(0);
  rows.row_bytes = array.shape(1) * array.itemsize();
  return rows;
}

/// Compressed sparse rows from (elements, columns, row starts).
template <typename T>
SampleRows sparse_rows(const py::tuple& x, std::int64_t features, KeptArguments& kept) {
  require(x.size() == 3, "sparse x must be (elements, columns, row_starts)");
  const auto elements = require_array<T>(x[0], "elements of sparse x");
  const auto columns = require_array<std::int32_t>(x[1], "columns of sparse x");
  const auto starts = require_array<std::int64_t>(x[2], "row starts of sparse x");
  require(elements.ndim() == 1 && columns.ndim() == 1 && starts.ndim() == 1 && columns.size() == elements.size() &&
              starts.size() >= 2,
          "sparse x must have one column per element and at least one row");
  SampleRows rows;
  rows.data = kept.borrow(elements);
  rows.count = starts.size() - 1;
  rows.columns = kept.borrow(columns);
  rows.row_starts = kept.copy(starts);
  bool ordered = rows.row_starts[0] == 0 && rows.row_starts[rows.count] == elements.size();
  for (std::int64_t i = 0; i < rows.count; ++i) ordered = ordered && rows.row_starts[i] <= rows.row_starts[i + 1];
  require(ordered, "row starts of sparse x must ascend from 0 to the number of elements");
  for (std::int64_t i = 0; i < elements.size(); ++i) {
    require(rows.columns[i] >= 0 && rows.columns[i] < features, "columns of sparse x must be features of the network");
  }
  return rows;
}

/// Samples that are standardized while they are read: an object with the arrays rows, mean and deviation.
template <typename T>
SampleRows standardized_rows(const py::object& x, std::int64_t features, KeptArguments& kept) {
  SampleRows rows = dense_rows<T>(x.attr("rows"), features, kept);
  const auto mean = require_array<double>(x.attr("mean"), "mean");
  const auto deviation = require_array<double>(x.attr("deviation"), "deviation");
  require_shape<double>(mean, "mean", {features});
  require_shape<double>(deviation, "deviation", {features});
  rows.mean = kept.copy_padded(mean, 0);
  rows.deviation = kept.copy_padded(deviation, 1);
  return rows;
}

/// An array (samples, features) of bytes or floating-point numbers, or compressed sparse rows.
template <typename T>
SampleRows sample_rows(const py::object& x, std::int64_t features, KeptArguments& kept) {
  if (py::isinstance<py::tuple>(x)) return sparse_rows<T>(x.cast<py::tuple>(), features, kept);
  if (py::hasattr(x, "deviation")) return standardized_rows<T>(x, features, kept);
  return dense_rows<T>(x, features, kept);
}

/// Targets of one group of outputs: classes, int64 (count,), or values, T (count, outputs). The call reads those of the
/// rows `read` alone, or of all.
template <typename T>
GroupTargets<T> group_targets(const py::object& y, const LossSpec& loss, std::int64_t count, KeptArguments& kept,
                              std::optional<Range> read = {}) {
  if (!py::isinstance<py::array_t<std::int64_t>>(y)) {
    require(!requires_classes(loss.loss), "y must hold classes (int64) for this loss");
    const auto values = require_array<T>(y, "y");
    require_shape<T>(values, "y", {count, loss.outputs});
    return {nullptr, kept.borrow(values)};
  }
  require(takes_classes(loss.loss), "y must hold values of the dtype of the network for this loss");
  const auto classes = require_array<std::int64_t>(y, "y");
  require_shape<T>(classes, "y", {count});
  const Range rows = read.value_or(Range{0, count});
  const std::int64_t* labels = kept.copy(classes, rows);
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    if (labels[i] >= 0 && labels[i] < loss.outputs) continue;
    throw std::invalid_argument("y must hold classes from 0 to " + std::to_string(loss.outputs - 1) + ", got " +
                                std::to_string(labels[i]) + " at index " + std::to_string(i));
  }
  return {labels, nullptr};
}

/// Throws unless a function is given for a user-defined loss, which has no kernel, and for no other loss.
inline void require_kernels(const NetworkSpec& spec, bool has_function) {
  for (const LossSpec& loss : spec.losses) {
    require((loss.loss == Loss::user_defined) == has_function,
            has_function ? "only a user-defined loss has a function" : "a user-defined loss needs its function");
  }
}

/// Targets of all groups of outputs.
template <typename T>
std::vector<GroupTargets<T>> target_rows(const py::list& y, const NetworkSpec& spec, std::int64_t count,
                                         KeptArguments& kept, std::optional<Range> read = {}) {
  require(y.size() == spec.losses.size(), "y must hold one array per loss");
  std::vector<GroupTargets<T>> targets;
  for (std::size_t g = 0; g < y.size(); ++g) {
    targets.push_back(group_targets<T>(y[g], spec.losses[g], count, kept, read));
  }
  return targets;
}

/// One weight per sample; null for None.
template <typename T>
const T* weight_rows(const py::object& weights, std::int64_t count, KeptArguments& kept) {
  if (weights.is_none()) return nullptr;
  const auto array = require_array<T>(weights, "sample_weight");
  require_shape<T>(array, "sample_weight", {count});
  return kept.borrow(array);
}

/// Order of the samples, each index within range; null for None.
inline const std::int64_t* sample_order(const py::object& order, std::int64_t samples, KeptArguments& kept) {
  if (order.is_none()) return nullptr;
  const auto array = require_array<std::int64_t>(order, "order");
  require_shape<std::int64_t>(array, "order", {samples});
  const std::int64_t* index = kept.copy(array);
  for (std::int64_t i = 0; i < samples; ++i) {
    require(index[i] >= 0 && index[i] < samples, "order must hold indices of samples");
  }
  return index;
}

}  // namespace fastmlp::bindings
