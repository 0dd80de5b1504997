// What happens to a block of gradients once it is complete: it updates the parameters, or it is kept.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.hpp"

namespace fastmlp {

/// All arrays have the layout of the parameters: element i belongs to parameter i.
template <typename T>
struct GradientSink {
  const T* parameters = nullptr;  // the first parameter of the network
  T* gradients = nullptr;         // unless null, gradients are kept here and nothing is updated
  T* slots = nullptr;             // the optimizer's state; null if it has none
  std::int64_t slot_stride = 0;   // from one array of the state to the next
  Optimizer optimizer = Optimizer::sgd;
  UpdateSettings<T> settings{};
};

/// The element of `array` that belongs to `parameter`; null if the array is null.
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

/// Updates `count` parameters from `gradient`, or copies `gradient` to where the sink keeps gradients.
template <typename T>
void deliver(const KernelTable<T>& kernels, const GradientSink<T>& sink, const UpdateSettings<T>& settings,
             std::int64_t count, T* parameters, const T* gradient);

/// Updates `count` parameters from the gradients that the sink has kept.
template <typename T>
void update_from_kept(const KernelTable<T>& kernels, const GradientSink<T>& sink, const UpdateSettings<T>& settings,
                      std::int64_t count, T* parameters);

}  // namespace fastmlp
