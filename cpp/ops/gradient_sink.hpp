// What happens to a block of gradients as soon as it is complete: it updates the parameters, or it is kept.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// The arrays lie parallel to the parameters: element i of each belongs to parameter i.
template <typename T>
struct GradientSink {
  const T* parameters = nullptr;  // the first parameter of the network
  T* gradients = nullptr;         // when not null, gradients are kept here and nothing is updated
  T* slots = nullptr;             // optimizer state, null when the optimizer has none
  std::int64_t slot_stride = 0;   // from one array of it to the next
  Optimizer optimizer = Optimizer::sgd;
  UpdateSettings<T> settings{};
};

/// The element of an array parallel to the parameters that belongs to `parameter`.
template <typename T>
inline T* parallel_element(const GradientSink<T>& sink, T* array, const T* parameter) {
  return array == nullptr ? nullptr : array + (parameter - sink.parameters);
}

/// Settings for parameters that are not weights: no penalties.
template <typename T>
inline UpdateSettings<T> without_penalties(UpdateSettings<T> settings) {
  settings.l1 = settings.l2 = 0;
  settings.shrink = 1;
  return settings;
}

/// Hands `count` parameters and their gradient, which is not that of the sink, to the sink.
template <typename T>
void deliver(const KernelTable<T>& kernels, const GradientSink<T>& sink, const UpdateSettings<T>& settings,
             std::int64_t count, T* parameters, const T* gradient);

/// Updates `count` parameters from the gradients that the sink has kept.
template <typename T>
void update_from_kept(const KernelTable<T>& kernels, const GradientSink<T>& sink, const UpdateSettings<T>& settings,
                      std::int64_t count, T* parameters);

}  // namespace fastmlp
