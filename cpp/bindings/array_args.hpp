// NumPy arrays as arguments. Checks dtype, byte order, C order, alignment and shape; conversions happen in Python.
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

/// Whether the first element is aligned; in C order all others are aligned then.
template <typename T>
bool is_aligned(const py::array& array) {
  return reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
}

/// An array that the core reads without a copy. pybind11 raises TypeError for an argument of another dtype, byte order
/// or memory order, and for one that is not aligned.
template <typename T>
class Array : public py::array_t<T, py::array::c_style> {
 public:
  using Base = py::array_t<T, py::array::c_style>;
  using Base::Base;
  static bool check_(py::handle object) {
    return Base::check_(object) && is_aligned<T>(py::reinterpret_borrow<py::array>(object));
  }
};

/// Converts an object to an Array, for arguments of several types. Throws an error that names the wrong property.
template <typename T>
Array<T> require_array(const py::handle& object, const std::string& name) {
  if (!py::isinstance<py::array_t<T>>(object)) {
    throw py::type_error(name + " must be a NumPy array of " + py::str(py::dtype::of<T>()).cast<std::string>() +
                         " in native byte order");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  if ((array.flags() & py::array::c_style) == 0) throw std::invalid_argument(name + " must be C-contiguous");
  if (!is_aligned<T>(array)) {
    throw std::invalid_argument(name + " must be aligned in memory: numpy.require(" + name +
                                ", requirements=\"CA\") is");
  }
  return py::reinterpret_borrow<Array<T>>(object);
}

template <typename T>
void require_shape(const py::array& array, const std::string& name, const std::vector<py::ssize_t>& shape) {
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
  throw std::invalid_argument(name + " must have shape (" + wanted + ")");
}

template <typename T>
Array<T> new_array(std::vector<py::ssize_t> shape) {
  return Array<T>(std::move(shape));
}

/// Returns the index of `name` in `names`; throws std::invalid_argument if `names` lacks it.
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

/// Signatures in docstrings show an Array under the name of its base class.
template <typename T>
struct pybind11::detail::handle_type_name<fastmlp::bindings::Array<T>>
    : pybind11::detail::handle_type_name<pybind11::array_t<T, pybind11::array::c_style>> {};
