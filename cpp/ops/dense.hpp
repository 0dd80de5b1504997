// Passes over one fully connected layer, y = act(x W + b), on the rows or weight blocks given to one thread.
// Nothing here owns memory or knows of threads: the caller hands out disjoint ranges.
// Shapes: input (batch, in), weights (in, out), output and gradient (batch, out), all in panels.
#pragma once

#include <cstdint>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "ops/gradient_sink.hpp"

namespace fastmlp {

/// Arrays of (out,) are padded to whole panels.
template <typename T>
struct DenseLayer {
  Panels<T> weights;  // (in, out)
  T* bias = nullptr;
  Activation activation = Activation::identity;
  T parameter = 0;  // of the activation
  // Batch normalisation between product and bias; null without.
  T* scales = nullptr;
  T* means = nullptr;      // running
  T* variances = nullptr;  // running

  bool normalises() const { return scales != nullptr; }
};

/// The part of a layer that computes output panels `panels`.
template <typename T>
inline DenseLayer<T> output_slice(const DenseLayer<T>& layer, Range panels) {
  DenseLayer<T> slice = layer;
  const std::int64_t first = panels.begin * layer.weights.panel;
  slice.weights = layer.weights.slice(panels);
  slice.bias += first;
  if (layer.normalises()) {
    slice.scales += first;
    slice.means += first;
    slice.variances += first;
  }
  return slice;
}

/// What a layer writes. `slopes` holds act' (times the dropout mask) where the backward pass cannot tell it from the
/// values; no data otherwise.
template <typename T>
struct LayerOutput {
  Panels<T> values;
  Panels<T> slopes{};
};

/// Dropout of a layer's values: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
/// overfitting", JMLR 15, 2014, in the form that scales in training. rate 0: none.
struct Dropout {
  double rate = 0;
  std::uint64_t seed = 0;
  std::uint32_t level = 0;
  std::uint32_t step = 0;
};

/// What a layer reads. The input of the first layer may hold only some of the features.
template <typename T>
struct LayerInput {
  Panels<T> values;
  const std::int32_t* weight_rows = nullptr;  // row of the weights that each column meets, ascending; null: all
};

/// SIMD vectors that hold `width` elements.
template <typename T>
inline std::int64_t vectors_for(const KernelTable<T>& kernels, std::int64_t width) {
  return (width + kernels.lanes - 1) / kernels.lanes;
}

/// Rows `rows` and output panels `panels` of output = dropout(act(input W + b)). `depth` is the block of the inner
/// dimension that is added now: blocks come in ascending order, begin at whole panels, and the last one ends with the
/// function. A layer with batch normalisation stops at the product: dense_finish follows when all rows are there.
template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const LayerOutput<T>& output, const Dropout& dropout, Range rows, Range depth, Range panels);

/// From the product (or its normalised form) to the layer's output: bias, activation, dropout of panel p.
template <typename T>
void dense_finish(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerOutput<T>& output,
                  const Dropout& dropout, Range rows, std::int64_t p);

/// Drops values of panel p on the given rows, and slopes unless they have no data.
template <typename T>
void drop_values(const KernelTable<T>& kernels, const LayerOutput<T>& output, const Dropout& dropout, Range rows,
                 std::int64_t p);

/// The derivative of a layer's output by its pre-activation.
template <typename T>
struct Derivative {
  Activation activation;
  T parameter;
  LayerOutput<T> output;
};

/// gradient (panel rows of panel p) *= the derivative on the given rows.
template <typename T>
void apply_derivative(const KernelTable<T>& kernels, const Derivative<T>& derivative, Range rows, std::int64_t p,
                      T* gradient);

/// Elements of the transposed copy that dense_backward_data reads, for `rows` rows of `cols` columns.
inline std::int64_t transposed_size(std::int64_t rows, std::int64_t cols, std::int64_t panel) {
  return (rows + panel - 1) / panel * panel * cols;
}

/// transposed = rows `rows` of gradient with the batch in the lanes: panels of (out, panel).
template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& gradient, Range rows, T* transposed);

/// Input panels `panels` of d_input = (gradient W^T) * act' on the given rows, where `derivative` is that of the layer
/// before. `transposed` is what transpose_rows made of the gradient. W is read from its only copy: the product is
/// computed as W gradient^T, block by block, and turned back while a block is in cache. `depth` as in dense_forward,
/// over the outputs; it may be less than all of them when `rows` is whole panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         const Derivative<T>& derivative, const Panels<T>& d_input, Range rows, Range depth,
                         Range panels, T* scratch);

/// The same for few outputs or many rows: transposes blocks of W instead of gradients and results. Padding of
/// d_input is zero where the gradient is finite; a run whose gradient is not has diverged.
/// scratch: panel * weights.cols elements.
template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& gradient,
                                 const Derivative<T>& derivative, const Panels<T>& d_input, Range rows, Range depth,
                                 Range panels, T* scratch);

/// Blocks of the weights that the work of dense_backward_weights is counted in: panels of input x panels of output.
template <typename T>
inline std::int64_t weight_blocks(const LayerInput<T>& input, const Panels<T>& weights) {
  return weights.count() * input.values.count();
}

/// Blocks `blocks` of d_weights = input^T gradient (and, with the first block of each panel of a layer without batch
/// normalisation, d_bias = column sums of the gradient), each handed to the sink as soon as it is complete. Blocks are
/// numbered by groups of `panel_group` output panels, in a group by input panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                            const Panels<T>& gradient, Range blocks, std::int64_t panel_group,
                            const GradientSink<T>& sink, T* scratch);

/// Hands the rows weight_rows[rows] of the weights to the sink with a gradient of zero: those whose input is not in
/// a LayerInput.
template <typename T>
void dense_update_idle(const KernelTable<T>& kernels, const Panels<T>& weights, const std::int32_t* weight_rows,
                       Range rows, const GradientSink<T>& sink, T* scratch);

}  // namespace fastmlp
