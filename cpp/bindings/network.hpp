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

inline constexpr std::array<const char*, 5> kParameterKinds = {"weights", "biases", "scales", "means", "variances"};

/// Returns the kind of an array after a check that the layer exists and has it.
template <typename T>
ParameterKind parameter_kind(const Network<T>& network, const std::string& name, std::int64_t layer) {
  const auto kind = static_cast<ParameterKind>(find_name(kParameterKinds, name, "kind"));
  if (layer < 0 || layer >= network.mlp.spec().layer_count()) throw py::index_error("layer out of range");
  require(network.mlp.has(kind, static_cast<std::size_t>(layer)), "the layer has no " + name);
  return kind;
}

template <typename T>
std::vector<py::ssize_t> parameter_shape(const Network<T>& network, ParameterKind kind, std::size_t layer) {
  const Panels<T>& weights = network.mlp.layer(layer).weights;
  if (kind == ParameterKind::weights) return {weights.rows, weights.cols};
  return {weights.cols};
}

/// Copies an array of a layer out of `state`: the network's parameters, or another array of the same layout.
template <typename T>
Array<T> parameter_array(const Network<T>& network, ParameterKind kind, std::size_t layer, const T* state) {
  Array<T> result = new_array<T>(parameter_shape(network, kind, layer));
  network.mlp.get(kind, layer, state, result.mutable_data());
  return result;
}

}  // namespace fastmlp::bindings
