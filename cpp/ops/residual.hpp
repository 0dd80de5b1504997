// Sums at the ends of residual blocks, one panel of the rows of one thread: K. He, X. Zhang, S. Ren, J. Sun, "Identity
// mappings in deep residual networks", ECCV 2016. A block adds the pre-activations of the layer where it begins to
// those of the layer where it ends, before normalization and activation.
#pragma once

#include "ops/dense.hpp"

namespace fastmlp {

/// The block that ends at a layer, and the one that begins there; no data: there is none.
template <typename T>
struct BlockEnds {
  Panels<T> skip{};  // pre-activations of the layer where the block that ends here began
  Panels<T> kept{};  // where the pre-activations go for the block that begins here
};

/// From the product of a layer to its pre-activations: adds the bias, and where a block ends applies dropout and adds
/// the skip.
template <typename T>
void residual_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BlockEnds<T>& ends,
                      const Panels<T>& values, const Dropout& dropout, Range rows, std::int64_t p);

/// Completes dsum, the gradient by the pre-activations of a layer, by `dskip`, that by those of the layer where the
/// block that begins here ends (no data: none begins). dz, the gradient by the product, is dsum after `dropout`; both
/// may be one.
template <typename T>
void residual_backward(const KernelTable<T>& kernels, const Panels<T>& dskip, const Panels<T>& dsum,
                       const Panels<T>& dz, const Dropout& dropout, Range rows, std::int64_t p);

}  // namespace fastmlp
