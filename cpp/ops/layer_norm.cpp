#include "ops/layer_norm.hpp"

namespace fastmlp {

template <typename T>
void layer_norm_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                        const LayerNormMemory<T>& memory, const Panels<T>& values, Range rows) {
  const bool keeps = memory.normalized.data != nullptr;
  kernels.normalize_rows(rows.size(), values.cols, static_cast<T>(epsilon), layer.scales, values.at(0, rows.begin),
                         keeps ? memory.normalized.at(0, rows.begin) : nullptr, values.stride(),
                         keeps ? memory.inverses + rows.begin : nullptr);
}

template <typename T>
void layer_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerNormMemory<T>& memory,
                         const Panels<T>& dshifted, const Panels<T>& dz, Range rows) {
  kernels.normalize_rows_backward(rows.size(), dz.cols, layer.scales, memory.normalized.at(0, rows.begin),
                                  memory.inverses + rows.begin, dshifted.at(0, rows.begin), dz.at(0, rows.begin),
                                  dz.stride());
}

#define FASTMLP_INSTANTIATE(T)                                                                                     \
  template void layer_norm_forward(const KernelTable<T>&, const DenseLayer<T>&, double, const LayerNormMemory<T>&, \
                                   const Panels<T>&, Range);                                                       \
  template void layer_norm_backward(const KernelTable<T>&, const DenseLayer<T>&, const LayerNormMemory<T>&,        \
                                    const Panels<T>&, const Panels<T>&, Range);
FASTMLP_INSTANTIATE(float)
FASTMLP_INSTANTIATE(double)
#undef FASTMLP_INSTANTIATE

}  // namespace fastmlp
