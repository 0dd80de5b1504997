// Batch normalization of one panel of a layer's product, all rows of a batch at once: S. Ioffe, C. Szegedy, "Batch
// normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015.
#pragma once

#include <cstdint>

#include "ops/dense.hpp"

namespace fastmlp {

struct BatchNormSettings {
  double epsilon = 0;
  double momentum = 0;          // of the running moments: weight of the old ones
  bool from_batch = true;       // normalize by the batch's moments, otherwise by the running ones
  bool updates_running = true;  // with from_batch: the step updates the running moments
};

/// Written by the forward pass for the backward pass, and by the backward pass for the update.
template <typename T>
struct BatchNormMemory {
  Panels<T> normalized;
  T* inverses = nullptr;   // (out,) padded: 1 / sqrt(variance + epsilon)
  T* dscales = nullptr;    // (out,) padded
  T* dbias = nullptr;      // (out,) padded
  T* means = nullptr;      // (out,) padded, of the batch
  T* variances = nullptr;  // (out,) padded, unbiased
};

/// values = scales * normalized values, for panel p; the values are the product X W.
template <typename T>
void batch_norm_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                        const BatchNormMemory<T>& memory, const Panels<T>& values, std::int64_t p);

/// Moves the running moments toward those of the batch, for panel p. The forward pass does not do this, because a step
/// that is broken off after it is repeated.
template <typename T>
void batch_norm_update_moments(const DenseLayer<T>& layer, const BatchNormSettings& settings,
                               const BatchNormMemory<T>& memory, std::int64_t p);

/// dz of panel p: the gradient by the layer's pre-activations becomes, in place, that by its product X W.
template <typename T>
void batch_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                         const BatchNormMemory<T>& memory, const Panels<T>& dz, std::int64_t p);

/// Normalizes panel p of the given rows by the running moments.
template <typename T>
void batch_norm_infer(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                      const Panels<T>& values, Range rows, std::int64_t p);

}  // namespace fastmlp
