// What happens to a block of gradients once it is complete: it updates the parameters, or it is kept.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// Arrays of a layer: weights (in, out), input_scales (in,), all others (out,); scales exist with batch or layer
/// normalization or output scales, shifts with layer normalization, means and variances with batch normalization.
/// Arrays of a group of inputs: frequencies, phases, maps and their biases, tables of categories.
enum class ParameterKind : int {
  weights,
  biases,
  scales,
  shifts,
  mixes,
  input_scales,
  frequencies,
  phases,
  maps,
  map_biases,
  tables,
  means,
  variances,
  count
};
/// Whether the array belongs to a group of inputs; otherwise it belongs to a layer.
inline constexpr bool is_of_inputs(ParameterKind kind) {
  return kind >= ParameterKind::frequencies && kind <= ParameterKind::tables;
}
/// Those before the moments are trained.
inline constexpr std::size_t kTrainedKinds = static_cast<std::size_t>(ParameterKind::means);

/// Settings of one step for each kind of array: those of weights, and those of all others unless kinds have their own.
template <typename T>
struct KindSettings {
  UpdateSettings<T> weights{};
  UpdateSettings<T> others{};
  bool has_own = false;
  std::array<UpdateSettings<T>, kTrainedKinds> own{};

  const UpdateSettings<T>& operator[](ParameterKind kind) const {
    if (has_own) return own[static_cast<std::size_t>(kind)];
    return kind == ParameterKind::weights ? weights : others;
  }
};

/// All arrays have the layout of the parameters: element i belongs to parameter i.
template <typename T>
struct GradientSink {
  const T* parameters = nullptr;  // the first parameter of the network
  T* gradients = nullptr;         // unless null, gradients are kept here and nothing is updated
  T* slots = nullptr;             // the optimizer's state; null if it has none
  std::int64_t slot_stride = 0;   // from one array of the state to the next
  Optimizer optimizer = Optimizer::sgd;
  const KindSettings<T>* settings = nullptr;  // of the layer, or of the group of inputs
};

/// The element of `array` that belongs to `parameter`; null if the array is null.
template <typename T>
inline T* parallel_element(const GradientSink<T>& sink, T* array, const T* parameter) {
  return array == nullptr ? nullptr : array + (parameter - sink.parameters);
}

/// Updates `count` parameters of one kind from `gradient`, or copies `gradient` to where the sink keeps gradients.
template <typename T>
void deliver(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind, std::int64_t count,
             T* parameters, const T* gradient);

/// Updates `count` parameters from the gradients that the sink has kept.
template <typename T>
void update_from_kept(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind,
                      std::int64_t count, T* parameters);

}  // namespace fastmlp
