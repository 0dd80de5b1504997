// Passes over one fully connected layer, y = act(x W + b), on the rows or weight blocks given to one thread.
// Nothing here owns memory or knows of threads: the caller hands out disjoint ranges.
// Shapes: input (batch, in), weights (in, out), output and gradient (batch, out), all in panels.
#pragma once

#include <cstdint>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"

namespace fastmlp {

template <typename T>
struct DenseLayer {
  Panels<T> weights;  // (in, out)
  T* bias;            // (out,), padded to whole panels
  Activation activation;
};

/// The part of a layer that computes output panels `panels`.
template <typename T>
inline DenseLayer<T> output_slice(const DenseLayer<T>& layer, Range panels) {
  return {layer.weights.slice(panels), layer.bias + panels.begin * layer.weights.panel, layer.activation};
}

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

/// Rows `rows` and output panels `panels` of output = act(input W + b). `depth` is the block of the inner dimension
/// that is added now: blocks come in ascending order, begin at whole panels, and the last one ends with the function.
template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const Panels<T>& output, Range rows, Range depth, Range panels);

/// gradient *= act'(output) on the given rows of all panels.
template <typename T>
void activation_backward(const KernelTable<T>& kernels, Activation activation, const Panels<T>& output,
                         const Panels<T>& gradient, Range rows);

/// Elements of the transposed copy that dense_backward_data reads, for `rows` rows of `cols` columns.
inline std::int64_t transposed_size(std::int64_t rows, std::int64_t cols, std::int64_t panel) {
  return (rows + panel - 1) / panel * panel * cols;
}

/// transposed = rows `rows` of gradient with the batch in the lanes: panels of (out, panel).
template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& gradient, Range rows, T* transposed);

/// Input panels `panels` of d_input = (gradient W^T) * act'(input) on the given rows, where `input` is the stored
/// output of the layer before and `activation` its function. `transposed` is what transpose_rows made of the
/// gradient. W is read from its only copy: the product is computed as W gradient^T, block by block, and turned
/// back while a block is in cache. `depth` as in dense_forward, over the outputs; it may be less than all of them
/// when `rows` is whole panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         Activation activation, const Panels<T>& input, const Panels<T>& d_input, Range rows,
                         Range depth, Range panels, T* scratch);

/// The same for few outputs or many rows: transposes blocks of W instead of gradients and results. Padding of
/// d_input is zero where the gradient is finite; a run whose gradient is not has diverged.
/// scratch: panel * weights.cols elements.
template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& gradient,
                                 Activation activation, const Panels<T>& input, const Panels<T>& d_input, Range rows,
                                 Range depth, Range panels, T* scratch);

/// What happens to a block of gradients as soon as it is complete.
/// The arrays lie parallel to the parameters: element i of each belongs to parameter i.
template <typename T>
struct GradientSink {
  const T* parameters = nullptr;  // the first parameter of the network
  T* gradients = nullptr;         // when not null, gradients are kept here and nothing is updated
  T* slots = nullptr;             // optimizer state, null when the optimizer has none
  std::int64_t slot_stride = 0;   // from one array of it to the next
  Optimizer optimizer = Optimizer::sgd;
  UpdateSettings<T> settings{};
};

/// Blocks of the weights that the work of dense_backward_weights is counted in: panels of input x panels of output.
template <typename T>
inline std::int64_t weight_blocks(const LayerInput<T>& input, const Panels<T>& weights) {
  return weights.count() * input.values.count();
}

/// Blocks `blocks` of d_weights = input^T gradient (and, with the first block of each panel, d_bias = column sums
/// of the gradient), each handed to the sink as soon as it is complete. Blocks are numbered by groups of
/// `panel_group` output panels, in a group by input panels. scratch: panel * panel elements.
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
