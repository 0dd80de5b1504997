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

}  // namespace fastmlp::bindings
