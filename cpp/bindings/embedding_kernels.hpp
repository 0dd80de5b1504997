// The part of _core.kernels for embeddings of numbers. The kernels get copies of their arrays between guards of NaN,
// and a result that they leave out, or a guard that they overwrite, is an error.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "bindings/array_args.hpp"
#include "kernels/dispatch.hpp"
#include "network/spec.hpp"

namespace fastmlp::bindings {

/// An array between guards of NaN, at an address that suits no vector.
template <typename T>
class Guarded {
 public:
  static constexpr std::size_t kGuard = 35;

  explicit Guarded(std::size_t size) : size_(size), data_(size + 2 * kGuard, std::numeric_limits<T>::quiet_NaN()) {}
  explicit Guarded(const std::optional<Array<T>>& source)
      : Guarded(source ? static_cast<std::size_t>(source->size()) : 0) {
    if (source) std::copy_n(source->data(), size_, data());
  }
  T* data() { return data_.data() + kGuard; }
  /// Its elements; throws if a guard is not what it was.
  Array<T> to_array(std::vector<py::ssize_t> shape) const {
    const auto is_number = [](T element) { return !std::isnan(element); };
    const auto end = data_.end() - static_cast<std::ptrdiff_t>(kGuard);
    if (std::any_of(data_.begin(), data_.begin() + static_cast<std::ptrdiff_t>(kGuard), is_number) ||
        std::any_of(end, data_.end(), is_number)) {
      throw std::logic_error("a kernel wrote beyond its array");
    }
    Array<T> result = new_array<T>(std::move(shape));
    std::copy_n(data_.data() + kGuard, size_, result.mutable_data());
    return result;
  }

 private:
  std::size_t size_;
  std::vector<T> data_;
};

/// Arguments of an embedding kernel, and the memory that it gets. The numbers of bases and outputs follow from shapes.
template <typename T>
struct EmbeddingArguments {
  const KernelTable<T>& kernels;
  int basis;
  Guarded<T> x, frequencies, phases, edges, maps, map_bias, scratch;
  EmbeddingCall<T> call;

  static std::int64_t size_of(const std::optional<Array<T>>& array) { return array ? array->size() : 0; }

  EmbeddingArguments(const std::string& name, const Array<T>& column, const std::optional<Array<T>>& f,
                     const std::optional<Array<T>>& p, const std::optional<Array<T>>& e,
                     const std::optional<Array<T>>& m, const std::optional<Array<T>>& b, bool relu, bool keeps_value,
                     std::int64_t gap, const std::string& isa)
      : kernels(kernel_table<T>(isa)),
        basis(find_name(kBasisNames, name, "basis")),
        x(std::optional(column)),
        frequencies(f),
        phases(p),
        edges(e),
        maps(m),
        map_bias(b),
        scratch(static_cast<std::size_t>(kernels.embedding_scratch(bases(f, e), size_of(b)))),
        call{.rows = column.size(),
             .x = x.data(),
             .stride = column.size() + gap,
             .bases = bases(f, e),
             .outputs = size_of(b),
             .relu = relu,
             .keeps_value = keeps_value,
             .frequencies = frequencies.data(),
             .phases = phases.data(),
             .edges = edges.data(),
             .maps = maps.data(),
             .map_bias = map_bias.data(),
             .scratch = scratch.data()} {
    require(column.size() > 0 && gap >= 0, "x must not be empty, and gap must be >= 0");
    if (m) require_shape<T>(*m, "maps", {call.bases, call.outputs});
    require(call.outputs == 0 || m.has_value(), "map_bias needs maps");
    require(basis != static_cast<int>(Basis::cosine) || size_of(p) == call.bases, "phases must be one per frequency");
  }

  std::int64_t bases(const std::optional<Array<T>>& f, const std::optional<Array<T>>& e) const {
    switch (static_cast<Basis>(basis)) {
      case Basis::cosine:
        return size_of(f);
      case Basis::periodic:
        return 2 * size_of(f);
      case Basis::piecewise_linear:
        return std::max<std::int64_t>(size_of(e) - 1, 1);
      default:
        return 1;
    }
  }
  std::int64_t results() const { return (call.outputs == 0 ? call.bases : call.outputs) + (call.keeps_value ? 1 : 0); }
};

template <typename T>
using Optional = std::optional<Array<T>>;

/// Returns an array of shape (outputs, rows + gap).
template <typename T>
Array<T> embed(const std::string& basis, const Array<T>& x, const Optional<T>& frequencies, const Optional<T>& phases,
               const Optional<T>& edges, const Optional<T>& maps, const Optional<T>& map_bias, bool relu,
               bool keeps_value, std::int64_t gap, const std::optional<std::string>& isa) {
  EmbeddingArguments<T> arguments(basis, x, frequencies, phases, edges, maps, map_bias, relu, keeps_value, gap,
                                  isa.value_or(""));
  const EmbeddingCall<T>& call = arguments.call;
  Guarded<T> out(static_cast<std::size_t>(arguments.results() * call.stride));
  arguments.kernels.embed[arguments.basis](call, out.data());
  arguments.scratch.to_array({arguments.kernels.embedding_scratch(call.bases, call.outputs)});
  return out.to_array({arguments.results(), call.stride});
}

/// Returns the gradients of frequencies, phases, maps, map_bias and x; NaN where there are none.
template <typename T>
py::tuple embed_backward(const std::string& basis, const Array<T>& x, const Array<T>& gradient,
                         const Optional<T>& frequencies, const Optional<T>& phases, const Optional<T>& edges,
                         const Optional<T>& maps, const Optional<T>& map_bias, bool relu, bool keeps_value,
                         bool wants_x, const std::optional<std::string>& isa) {
  const std::int64_t gap = gradient.ndim() == 2 ? gradient.shape(1) - x.size() : 0;
  EmbeddingArguments<T> arguments(basis, x, frequencies, phases, edges, maps, map_bias, relu, keeps_value, gap,
                                  isa.value_or(""));
  const EmbeddingCall<T>& call = arguments.call;
  require_shape<T>(gradient, "gradient", {arguments.results(), call.stride});
  Guarded<T> source{std::optional(gradient)};
  const auto size = [](const Optional<T>& array) { return EmbeddingArguments<T>::size_of(array); };
  const py::ssize_t sizes[] = {size(frequencies), size(phases), size(maps), size(map_bias), x.size()};
  std::vector<Guarded<T>> results;
  for (const py::ssize_t one : sizes) results.emplace_back(static_cast<std::size_t>(one));
  arguments.kernels.embed_backward[arguments.basis](call, source.data(),
                                                    {results[0].data(), results[1].data(), results[2].data(),
                                                     results[3].data(), wants_x ? results[4].data() : nullptr});
  arguments.scratch.to_array({arguments.kernels.embedding_scratch(call.bases, call.outputs)});
  py::tuple arrays(5);
  for (std::size_t i = 0; i < 5; ++i) {
    arrays[i] = i == 2 ? results[i].to_array({maps ? call.bases : 0, maps ? call.outputs : 0})
                       : results[i].to_array({sizes[i]});
  }
  return arrays;
}

template <typename T>
void register_embedding(py::module_& module) {
  const auto arr = [](const char* name) { return py::arg(name).noconvert(); };
  const auto optional = [](const char* name) { return py::arg(name).noconvert() = py::none(); };
  const py::kw_only kw;
  const auto isa = py::arg("isa") = py::none();
  module.def("embed", embed<T>, py::arg("basis"), arr("x"), kw, optional("frequencies"), optional("phases"),
             optional("edges"), optional("maps"), optional("map_bias"), py::arg("relu") = false,
             py::arg("keeps_value") = false, py::arg("gap") = 0, isa);
  module.def("embed_backward", embed_backward<T>, py::arg("basis"), arr("x"), arr("gradient"), kw,
             optional("frequencies"), optional("phases"), optional("edges"), optional("maps"), optional("map_bias"),
             py::arg("relu") = false, py::arg("keeps_value") = false, py::arg("wants_x") = true, isa);
}

}  // namespace fastmlp::bindings
