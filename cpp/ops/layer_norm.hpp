// Layer normalization of the rows of one thread, over all outputs of a layer: J. Ba, J. Kiros, G. Hinton, "Layer
// normalization", 2016.
#pragma once

#include "ops/dense.hpp"

namespace fastmlp {

/// Kept by the forward pass for the backward pass and the update; no data: nothing is kept.
template <typename T>
struct LayerNormMemory {
  Panels<T> normalized{};
  T* inverses = nullptr;  // 1 / sqrt(variance + epsilon) of each row
};

/// values = scales * normalized values of each row; the layer's shifts follow with the activation.
template <typename T>
void layer_norm_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                        const LayerNormMemory<T>& memory, const Panels<T>& values, Range rows);

/// dz, the gradient by what was normalized, from that by what the activation reads.
template <typename T>
void layer_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerNormMemory<T>& memory,
                         const Panels<T>& dshifted, const Panels<T>& dz, Range rows);

}  // namespace fastmlp
