// Batch normalization of one panel of a layer's product, all rows of a batch at once: S. Ioffe, C. Szegedy, "Batch
// normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015. Output scales are
// its scales without normalization, of each member of an ensemble: Y. Wen, D. Tran, J. Ba, "BatchEnsemble: an
// alternative approach to efficient ensemble and lifelong learning", ICLR 2020.
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

/// Written by the forward pass for the backward pass, and by the backward pass for the update. Arrays of (out,) are
/// padded; those of a member follow one another as in the layer.
template <typename T>
struct BatchNormMemory {
  Panels<T> normalized;
  T* inverses = nullptr;  // 1 / sqrt(variance + epsilon)
  T* dscales = nullptr;
  T* dbias = nullptr;
  T* means = nullptr;      // of the batch
  T* variances = nullptr;  // unbiased
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
