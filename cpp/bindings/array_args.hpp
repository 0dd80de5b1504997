// NumPy arrays as arguments. Checks dtype, byte order, C order, alignment and shape; conversions happen in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "kernels/kernel_table.hpp"
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

/// The type of the elements; InputType::count: none that the core reads, or in another byte order.
inline InputType input_type(const py::array& array) {
  const py::dtype dtype = array.dtype();
  if (dtype.byteorder() == '>') return InputType::count;
  if (dtype.kind() == 'u' && dtype.itemsize() == 1) return InputType::uint8;
  if (dtype.kind() != 'f') return InputType::count;
  switch (dtype.itemsize()) {
    case 2:
      return InputType::float16;
    case 4:
      return InputType::float32;
    case 8:
      return InputType::float64;
    default:
      return InputType::count;
  }
}

/// Checks an array of any type that the core reads.
inline py::array require_numbers(const py::handle& object, const std::string& name) {
  const bool is_array = py::isinstance<py::array>(object);
  if (!is_array || input_type(py::reinterpret_borrow<py::array>(object)) == InputType::count) {
    throw py::type_error(name + " must be a NumPy array of uint8, float16, float32 or float64 in native byte order");
  }
  auto array = py::reinterpret_borrow<py::array>(object);
  if ((array.flags() & py::array::c_style) == 0) throw std::invalid_argument(name + " must be C-contiguous");
  if (reinterpret_cast<std::uintptr_t>(array.data()) % static_cast<std::size_t>(array.itemsize()) != 0) {
    throw std::invalid_argument(name + " must be aligned in memory: numpy.require(" + name +
                                ", requirements=\"CA\") is");
  }
  return array;
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
