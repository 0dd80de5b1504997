// NumPy arrays as arguments: exact dtype, C order and shape are checked here; conversions happen in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "network/spec.hpp"

namespace fastmlp::bindings {

namespace py = pybind11;

/// Never converts: an argument of another dtype or order is a TypeError of the overload.
template <typename T>
using Array = py::array_t<T, py::array::c_style>;

template <typename T>
void require_shape(const py::array& array, const char* name, const std::vector<py::ssize_t>& shape) {
  bool same = array.ndim() == static_cast<py::ssize_t>(shape.size());
  for (std::size_t i = 0; same && i < shape.size(); ++i) {
    same = array.shape(static_cast<py::ssize_t>(i)) == shape[i];
  }
  if (same) return;
  std::string wanted;
  for (const py::ssize_t size : shape) {
    if (!wanted.empty()) wanted += ", ";
    wanted += std::to_string(size);
  }
  throw std::invalid_argument(std::string(name) + " must have shape (" + wanted + ")");
}

template <typename T>
Array<T> new_array(std::vector<py::ssize_t> shape) {
  return Array<T>(std::move(shape));
}

/// Index of `name` in a list of names.
template <std::size_t N>
int find_name(const std::array<const char*, N>& names, const std::string& name, const char* what) {
  std::string known;
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<int>(i);
    if (i > 0) known += ", ";
    known += names[i];
  }
  throw std::invalid_argument(std::string(what) + " must be one of " + known + ", got \"" + name + "\"");
}

/// (samples, features) array of bytes or of T.
template <typename T>
SampleRows sample_rows(const py::array& x, std::int64_t features) {
  if (x.ndim() != 2 || x.shape(1) != features || x.shape(0) < 1) {
    throw std::invalid_argument("x must have shape (samples, " + std::to_string(features) + ")");
  }
  if ((x.flags() & py::array::c_style) == 0) throw std::invalid_argument("x must be C-contiguous");
  SampleRows rows{x.data(), x.shape(0), x.shape(1) * x.itemsize(), InputType::scalar};
  if (py::isinstance<py::array_t<std::uint8_t>>(x)) {
    rows.type = InputType::uint8;
  } else if (!py::isinstance<py::array_t<T>>(x)) {
    throw py::type_error("x must be uint8 or the dtype of the network");
  }
  return rows;
}

/// Checked pointer to the targets of `count` samples: int64 (count,) or T (count, outputs).
template <typename T>
const void* target_rows(const py::array& y, const NetworkSpec& spec, std::int64_t count) {
  if ((y.flags() & py::array::c_style) == 0) throw std::invalid_argument("y must be C-contiguous");
  if (!takes_classes(spec.loss)) {
    require_shape<T>(y, "y", {count, spec.outputs()});
    if (!py::isinstance<py::array_t<T>>(y)) throw py::type_error("y must have the dtype of the network");
    return y.data();
  }
  require_shape<T>(y, "y", {count});
  if (!py::isinstance<py::array_t<std::int64_t>>(y)) throw py::type_error("y must be int64");
  const auto* labels = static_cast<const std::int64_t*>(y.data());
  for (std::int64_t i = 0; i < count; ++i) {
    if (labels[i] >= 0 && labels[i] < spec.outputs()) continue;
    throw std::invalid_argument("y must hold classes from 0 to " + std::to_string(spec.outputs() - 1) + ", got " +
                                std::to_string(labels[i]) + " at index " + std::to_string(i));
  }
  return labels;
}

}  // namespace fastmlp::bindings
