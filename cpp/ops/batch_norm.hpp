// Batch normalisation of one panel of a layer's product, all rows of a batch at once: S. Ioffe, C. Szegedy, "Batch
// normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015.
#pragma once

#include <cstdint>

#include "ops/dense.hpp"

namespace fastmlp {

struct BatchNormSettings {
  double epsilon = 0;
  double momentum = 0;        // of the running moments: share of the old ones
  bool from_batch = true;     // normalise by the batch's moments, else by the running ones
  bool moves_running = true;  // with from_batch, once the step is sure
};

/// What the backward pass needs of the forward pass, and what it leaves for the update.
template <typename T>
struct BatchNormMemory {
  Panels<T> normalised;
  T* inverses = nullptr;   // (out,) padded: 1 / sqrt(variance + epsilon)
  T* d_scales = nullptr;   // (out,) padded
  T* d_bias = nullptr;     // (out,) padded
  T* means = nullptr;      // (out,) padded, of the batch
  T* variances = nullptr;  // (out,) padded, unbiased
};

/// values (product) = scales * normalised product, for panel p.
template <typename T>
void batch_norm_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                        const BatchNormMemory<T>& memory, const Panels<T>& values, std::int64_t p);

/// Moves the running moments towards those of the batch, for panel p: apart from the forward pass, after which a step
/// may still be given up, to be done again.
template <typename T>
void batch_norm_move(const DenseLayer<T>& layer, const BatchNormSettings& settings, const BatchNormMemory<T>& memory,
                     const Panels<T>& values, std::int64_t p);

/// gradient by the layer's pre-activation becomes that by its product, for panel p.
template <typename T>
void batch_norm_backward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const BatchNormSettings& settings,
                         const BatchNormMemory<T>& memory, const Panels<T>& gradient, std::int64_t p);

/// The forward pass by the running moments alone, for rows `rows`.
template <typename T>
void batch_norm_infer(const KernelTable<T>& kernels, const DenseLayer<T>& layer, double epsilon,
                      const Panels<T>& values, Range rows, std::int64_t p);

}  // namespace fastmlp
