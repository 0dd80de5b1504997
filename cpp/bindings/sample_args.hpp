// Samples, targets and weights as arguments: checked here once more, because the core trusts them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/array_args.hpp"
#include "network/spec.hpp"
#include "ops/loss.hpp"

namespace fastmlp::bindings {

template <typename T>
SampleRows dense_rows(const py::array& x, std::int64_t features) {
  if (x.ndim() != 2 || x.shape(1) != features || x.shape(0) < 1) {
    throw std::invalid_argument("x must have shape (samples, " + std::to_string(features) + ")");
  }
  if ((x.flags() & py::array::c_style) == 0) throw std::invalid_argument("x must be C-contiguous");
  SampleRows rows;
  rows.data = x.data();
  rows.count = x.shape(0);
  rows.row_bytes = x.shape(1) * x.itemsize();
  if (py::isinstance<py::array_t<std::uint8_t>>(x)) {
    rows.type = InputType::uint8;
  } else if (!py::isinstance<py::array_t<T>>(x)) {
    throw py::type_error("x must be uint8 or the dtype of the network");
  }
  return rows;
}

/// (elements, columns, row starts) of compressed sparse rows.
template <typename T>
SampleRows sparse_rows(const py::tuple& x, std::int64_t features) {
  require(x.size() == 3, "sparse x must be (elements, columns, row_starts)");
  const auto elements = x[0].cast<py::array>();
  const auto columns = x[1].cast<py::array>();
  const auto starts = x[2].cast<py::array>();
  if (!py::isinstance<Array<T>>(elements) || !py::isinstance<Array<std::int32_t>>(columns) ||
      !py::isinstance<Array<std::int64_t>>(starts)) {
    throw py::type_error("sparse x must hold the dtype of the network, int32 columns and int64 row starts");
  }
  require(elements.ndim() == 1 && columns.ndim() == 1 && starts.ndim() == 1 && columns.size() == elements.size() &&
              starts.size() >= 2,
          "sparse x must have one column per element and at least one row");
  SampleRows rows;
  rows.data = elements.data();
  rows.count = starts.size() - 1;
  rows.columns = static_cast<const std::int32_t*>(columns.data());
  rows.row_starts = static_cast<const std::int64_t*>(starts.data());
  bool ordered = rows.row_starts[0] == 0 && rows.row_starts[rows.count] == elements.size();
  for (std::int64_t i = 0; i < rows.count; ++i) ordered = ordered && rows.row_starts[i] <= rows.row_starts[i + 1];
  require(ordered, "row starts of sparse x must ascend from 0 to the number of elements");
  for (std::int64_t i = 0; i < elements.size(); ++i) {
    require(rows.columns[i] >= 0 && rows.columns[i] < features, "columns of sparse x must be features of the network");
  }
  return rows;
}

/// (samples, features) array of bytes or of T, or compressed sparse rows.
template <typename T>
SampleRows sample_rows(const py::object& x, std::int64_t features) {
  if (py::isinstance<py::tuple>(x)) return sparse_rows<T>(x.cast<py::tuple>(), features);
  return dense_rows<T>(x.cast<py::array>(), features);
}

/// Classes, int64 (count,), or values, T (count, outputs), for one group of outputs.
template <typename T>
GroupTargets<T> group_targets(const py::array& y, const LossSpec& loss, std::int64_t count) {
  if ((y.flags() & py::array::c_style) == 0) throw std::invalid_argument("y must be C-contiguous");
  if (!py::isinstance<py::array_t<std::int64_t>>(y)) {
    require(!requires_classes(loss.loss), "y must hold classes (int64) for this loss");
    require_shape<T>(y, "y", {count, loss.outputs});
    if (!py::isinstance<py::array_t<T>>(y)) throw py::type_error("y must have the dtype of the network");
    return {nullptr, static_cast<const T*>(y.data())};
  }
  require(takes_classes(loss.loss), "y must hold values of the dtype of the network for this loss");
  require_shape<T>(y, "y", {count});
  const auto* labels = static_cast<const std::int64_t*>(y.data());
  for (std::int64_t i = 0; i < count; ++i) {
    if (labels[i] >= 0 && labels[i] < loss.outputs) continue;
    throw std::invalid_argument("y must hold classes from 0 to " + std::to_string(loss.outputs - 1) + ", got " +
                                std::to_string(labels[i]) + " at index " + std::to_string(i));
  }
  return {labels, nullptr};
}

/// A loss of the user has no kernel: it needs its function.
inline void require_kernels(const NetworkSpec& spec, bool has_function) {
  for (const LossSpec& loss : spec.losses) {
    require(loss.loss != Loss::user_defined || has_function, "a user-defined loss needs its function");
  }
}

/// One array per group of outputs.
template <typename T>
std::vector<GroupTargets<T>> target_rows(const py::list& y, const NetworkSpec& spec, std::int64_t count) {
  require(y.size() == spec.losses.size(), "y must hold one array per loss");
  std::vector<GroupTargets<T>> targets;
  for (std::size_t g = 0; g < y.size(); ++g) {
    targets.push_back(group_targets<T>(y[g].cast<py::array>(), spec.losses[g], count));
  }
  return targets;
}

/// Pointer to one element of T per sample, or null for None.
template <typename T>
const T* weight_rows(const py::object& weights, std::int64_t count) {
  if (weights.is_none()) return nullptr;
  const auto array = weights.cast<py::array>();
  if (!py::isinstance<Array<T>>(array)) throw py::type_error("sample_weight must have the dtype of the network");
  require_shape<T>(array, "sample_weight", {count});
  return static_cast<const T*>(array.data());
}

}  // namespace fastmlp::bindings
