// Passes over one fully connected layer, y = act(x W + b), on the rows or weight blocks of one thread. Callers own all
// memory and give disjoint ranges to the threads.
// Shapes: x and dx (batch, in), weights (in, out), y and dz (batch, out), all in panels. dz is the gradient of the loss
// by the pre-activations z = x W + b.
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
  // Batch normalization between product and bias; null without it.
  T* scales = nullptr;
  T* means = nullptr;      // running
  T* variances = nullptr;  // running

  bool normalizes() const { return scales != nullptr; }
};

/// The part of a layer that computes output panels `panels`.
template <typename T>
inline DenseLayer<T> output_slice(const DenseLayer<T>& layer, Range panels) {
  DenseLayer<T> slice = layer;
  const std::int64_t first = panels.begin * layer.weights.panel;
  slice.weights = layer.weights.slice(panels);
  slice.bias += first;
  if (layer.normalizes()) {
    slice.scales += first;
    slice.means += first;
    slice.variances += first;
  }
  return slice;
}

/// What a layer writes. `derivatives` holds act'(z), times the dropout mask, where the backward pass cannot compute it
/// from the values; it has no data otherwise.
template <typename T>
struct LayerOutput {
  Panels<T> values;
  Panels<T> derivatives{};
};

/// Dropout of an activation: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
/// overfitting", JMLR 15, 2014; kept values are scaled up in training. rate 0: none.
struct Dropout {
  double rate = 0;
  std::uint64_t seed = 0;
  std::uint32_t level = 0;  // number of the activation, 0 for the input
  std::uint32_t step = 0;
};

/// What a layer reads. The input of the first layer may lack columns that are zero.
template <typename T>
struct LayerInput {
  Panels<T> values;
  const std::int32_t* weight_rows = nullptr;  // row of the weights for each column, ascending; null: all rows
};

/// SIMD vectors that hold `width` elements.
template <typename T>
inline std::int64_t vectors_for(const KernelTable<T>& kernels, std::int64_t width) {
  return ceil_div(width, kernels.lanes);
}

/// Rows `rows` and output panels `panels` of output = dropout(act(input W + b)). `depth` is the block of the inner
/// dimension that this call adds. Callers pass the blocks in ascending order; each begins at a whole panel, and the
/// last one also applies bias, activation and dropout. With batch normalization it does not: call dense_finish
/// afterwards.
template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const LayerOutput<T>& output, const Dropout& dropout, Range rows, Range depth, Range panels);

/// From the product, or its normalized form, to the layer's output: applies bias, activation and dropout to panel p.
template <typename T>
void dense_finish(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerOutput<T>& output,
                  const Dropout& dropout, Range rows, std::int64_t p);

/// Applies dropout to panel p of the values on the given rows, and of the derivatives unless these have no data.
template <typename T>
void drop_values(const KernelTable<T>& kernels, const LayerOutput<T>& output, const Dropout& dropout, Range rows,
                 std::int64_t p);

/// The derivative of a layer's output by its pre-activations.
template <typename T>
struct Derivative {
  Activation activation;
  T parameter;
  LayerOutput<T> output;
};

/// dz *= the derivative, for the given rows of panel p; dz is the first of these panel rows.
template <typename T>
void apply_derivative(const KernelTable<T>& kernels, const Derivative<T>& derivative, Range rows, std::int64_t p,
                      T* dz);

/// Elements of the transposed copy that dense_backward_data reads, for `rows` rows of `cols` columns.
inline std::int64_t transposed_size(std::int64_t rows, std::int64_t cols, std::int64_t panel) {
  return round_up(rows, panel) * cols;
}

/// transposed = rows `rows` of dz with the batch in the lanes: panels of (out, panel).
template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& dz, Range rows, T* transposed);

/// Input panels `panels` of dx = (dz W^T) * act' on the given rows, where `derivative` is that of the layer below.
/// transpose_rows has written `transposed`. W is not copied: the product is computed as W dz^T, block by block, and
/// each block is transposed while it is in cache. `depth` is as in dense_forward, over the outputs; it may be less than
/// all of them only if `rows` is whole panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth, Range panels,
                         T* scratch);

/// The same for few outputs or many rows: transposes blocks of W instead of dz and results. Padding of dx is zero if dz
/// is finite; otherwise the run has diverged. scratch: panel * weights.cols elements.
template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& dz,
                                 const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth,
                                 Range panels, T* scratch);

/// Number of blocks of the weights in dense_backward_weights: panels of input x panels of output.
template <typename T>
inline std::int64_t weight_blocks(const LayerInput<T>& input, const Panels<T>& weights) {
  return weights.count() * input.values.count();
}

/// Blocks `blocks` of dweights = input^T dz. The first block of each output panel also computes dbias, the column
/// sums of dz, except with batch normalization. Each block goes to the sink once it is complete. Blocks are numbered by
/// groups of `panel_group` output panels, within a group by input panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                            const Panels<T>& dz, Range blocks, std::int64_t panel_group, const GradientSink<T>& sink,
                            T* scratch);

/// Delivers a gradient of zero for the rows weight_rows[rows] of the weights, whose input columns are zero.
template <typename T>
void dense_update_zero_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const std::int32_t* weight_rows,
                            Range rows, const GradientSink<T>& sink, T* scratch);

}  // namespace fastmlp
