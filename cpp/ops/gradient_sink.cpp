#include "ops/gradient_sink.hpp"

#include <algorithm>

namespace fastmlp {
namespace {

template <typename T>
void update(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind, std::int64_t count,
            T* parameters, const T* gradient) {
  kernels.update[static_cast<int>(sink.optimizer)](count, parameters, parallel_element(sink, sink.slots, parameters),
                                                   sink.slot_stride, gradient, (*sink.settings)[kind]);
}

}  // namespace

template <typename T>
void deliver(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind, std::int64_t count,
             T* parameters, const T* gradient) {
  if (sink.gradients != nullptr) {
    std::copy_n(gradient, count, parallel_element(sink, sink.gradients, parameters));
  } else {
    update(kernels, sink, kind, count, parameters, gradient);
  }
}

template <typename T>
void update_from_kept(const KernelTable<T>& kernels, const GradientSink<T>& sink, ParameterKind kind,
                      std::int64_t count, T* parameters) {
  update(kernels, sink, kind, count, parameters, parallel_element(sink, sink.gradients, parameters));
}

#define FASTMLP_INSTANTIATE(T)                                                                                     \
  template void deliver(const KernelTable<T>&, const GradientSink<T>&, ParameterKind, std::int64_t, T*, const T*); \
  template void update_from_kept(const KernelTable<T>&, const GradientSink<T>&, ParameterKind, std::int64_t, T*);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
