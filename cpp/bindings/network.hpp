// A network shared between Python threads: many may read, or one may write. No thread waits while it holds the GIL.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "bindings/array_args.hpp"
#include "network/mlp.hpp"

namespace fastmlp::bindings {

template <typename T>
struct Network {
  Mlp<T> mlp;
  std::shared_mutex use;
  std::atomic<bool> is_trained{false};  // a function that `exclusively` has called is running

  Network(NetworkSpec spec, const std::string& isa) : mlp(std::move(spec), isa) {}
};

[[noreturn]] inline void raise_in_use() {
  throw std::runtime_error("the model is in use by another thread: training and changing it need it alone");
}

template <typename T>
std::unique_lock<std::shared_mutex> lock_alone(Network<T>& network) {
  std::unique_lock<std::shared_mutex> lock(network.use, std::try_to_lock);
  if (!lock.owns_lock()) raise_in_use();
  return lock;
}

template <typename T>
std::shared_lock<std::shared_mutex> lock_shared(Network<T>& network) {
  std::shared_lock<std::shared_mutex> lock(network.use, std::try_to_lock);
  if (!lock.owns_lock()) raise_in_use();
  return lock;
}

/// In the order of ParameterKind.
inline constexpr auto kParameterKinds =
    std::to_array<const char*>({"weights", "biases", "scales", "shifts", "mixes", "input_scales", "frequencies",
                                "phases", "maps", "map_biases", "tables", "means", "variances"});

/// Returns the array of a layer or group of inputs after a check that it exists.
template <typename T>
const ParameterArray<T>& parameter(const Network<T>& network, const std::string& name, std::int64_t index) {
  const auto kind = static_cast<ParameterKind>(find_name(kParameterKinds, name, "kind"));
  const bool of_inputs = is_of_inputs(kind);
  const NetworkSpec& spec = network.mlp.spec();
  const auto count = of_inputs ? static_cast<std::int64_t>(spec.inputs.size()) : spec.layer_count();
  if (index < 0 || index >= count) throw py::index_error(of_inputs ? "group out of range" : "layer out of range");
  const ParameterArray<T>* array = network.mlp.find(kind, static_cast<std::size_t>(index));
  require(array != nullptr, std::string(of_inputs ? "the group has no " : "the layer has no ") + name);
  return *array;
}

template <typename T>
std::vector<py::ssize_t> parameter_shape(const ParameterArray<T>& array) {
  return {array.shape.begin(), array.shape.end()};
}

/// Copies an array out of `state`: the network's parameters, or another array of the same layout.
template <typename T>
Array<T> parameter_values(const Network<T>& network, const ParameterArray<T>& array, const T* state) {
  Array<T> result = new_array<T>(parameter_shape(array));
  network.mlp.get(array, state, result.mutable_data());
  return result;
}

}  // namespace fastmlp::bindings
