// Passes over one fully connected layer, y = act(x W + b), on the rows or weight blocks of one thread. Callers own all
// memory and give disjoint ranges to the threads.
// Shapes: x and dx (batch, in), weights (in, out), y and dz (batch, out), all in panels. dz is the gradient of the loss
// by the pre-activations z = x W + b.
// The members of an ensemble follow one another in the rows: the first `rows / members` belong to the first one.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "ops/gradient_sink.hpp"
#include "ops/rounded.hpp"

namespace fastmlp {

/// Arrays of (out,) are padded to whole panels; null: there are none.
template <typename T>
struct DenseLayer {
  Panels<T> weights;  // (in, out), of the first member if each has its own
  T* bias = nullptr;
  Activation activation = Activation::identity;
  T parameter = 0;            // of the activation
  T* mixes = nullptr;         // share of the activation in y = z + mix (act(z) - z)
  T* scales = nullptr;        // factors between product and bias, or of what layer normalization gives
  T* shifts = nullptr;        // of layer normalization, after its scales
  T* means = nullptr;         // running; with batch normalization before the scales
  T* variances = nullptr;     // running
  T* input_scales = nullptr;  // (in,): factors of the inputs
  std::int64_t members = 1;   // each has its own input scales
  bool own_weights = false;
  bool own_vectors = false;   // arrays of (out,)
  bool product_only = false;  // dense_forward ends with the product; an op between it and dense_finish follows
  // From an array of one member to that of the next.
  std::int64_t weights_stride = 0;
  std::int64_t output_stride = 0;
  std::int64_t input_stride = 0;

  bool batch_normalizes() const { return means != nullptr; }
  bool normalizes_rows() const { return shifts != nullptr; }
  bool scales_outputs() const { return scales != nullptr && !normalizes_rows(); }
  std::int64_t weight_copies() const { return own_weights ? members : 1; }
  std::int64_t vector_copies() const { return own_vectors ? members : 1; }
  /// Weights of copy i: those of member i, or those of all.
  Panels<T> weights_of(std::int64_t i) const {
    Panels<T> own = weights;
    own.data += i * weights_stride;
    return own;
  }
};

/// The part of a layer that computes output panels `panels`.
template <typename T>
inline DenseLayer<T> output_slice(const DenseLayer<T>& layer, Range panels) {
  DenseLayer<T> slice = layer;
  slice.weights = layer.weights.slice(panels);
  for (T* DenseLayer<T>::* array : {&DenseLayer<T>::bias, &DenseLayer<T>::mixes, &DenseLayer<T>::scales,
                                    &DenseLayer<T>::shifts, &DenseLayer<T>::means, &DenseLayer<T>::variances}) {
    if (slice.*array != nullptr) slice.*array += panels.begin * layer.weights.panel;
  }
  return slice;
}

/// The part of a layer that scales input panels `panels`.
template <typename T>
inline DenseLayer<T> input_slice(const DenseLayer<T>& layer, Range panels) {
  DenseLayer<T> slice = layer;
  if (slice.input_scales != nullptr) slice.input_scales += panels.begin * layer.weights.panel;
  return slice;
}

/// The layer once its bias has been added: what its activation adds are the shifts of layer normalization, or nothing.
template <typename T>
inline DenseLayer<T> biased_by_shifts(const DenseLayer<T>& layer) {
  DenseLayer<T> rest = layer;
  rest.bias = layer.shifts;
  return rest;
}

/// work(i, part) for each member i with rows among `rows`, of `all` rows of all members.
template <typename Work>
inline void for_members(std::int64_t members, std::int64_t all, Range rows, Work work) {
  if (rows.size() == 0) return;
  if (members == 1) return work(std::int64_t{0}, rows);
  const std::int64_t own = all / members;
  for (std::int64_t i = rows.begin / own; i * own < rows.end; ++i) {
    work(i, Range{std::max(rows.begin, i * own), std::min(rows.end, (i + 1) * own)});
  }
}

/// What a layer writes. `derivatives` holds dy/dz, times the dropout mask, where the backward pass cannot compute it
/// from the values; it has no data otherwise. `residues` is for mixes: dy/dmix, times the mask, which the backward pass
/// multiplies by the gradient by y.
template <typename T>
struct LayerOutput {
  Panels<T> values;
  Panels<T> derivatives{};
  Panels<T> residues{};
};

/// Where the rows of a shard lie in their batch, of which each member of a network has its own rows.
struct RowPlaces {
  std::int64_t size = 0;    // rows of each member
  std::int64_t whole = 0;   // the same of the batch
  std::int64_t before = 0;  // of each member in the shards before

  /// work(part, row) for parts of `rows` whose rows follow each other in the batch too; row is the place of the first.
  template <typename Work>
  void for_parts(Range rows, Work work) const {
    if (size == whole) return work(rows, rows.begin);
    for (Range part{rows.begin, rows.begin}; part.begin < rows.end; part.begin = part.end) {
      const std::int64_t member = part.begin / size;
      part.end = std::min(rows.end, (member + 1) * size);
      work(part, part.begin + member * (whole - size) + before);
    }
  }
};

/// Dropout of an activation: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
/// overfitting", JMLR 15, 2014; kept values are scaled up in training. rate 0: none.
struct Dropout {
  double rate = 0;
  std::uint64_t seed = 0;
  std::uint32_t level = 0;  // number of the activation, 0 for the input
  std::uint32_t step = 0;
  RowPlaces places{};
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
/// last one also applies bias, activation and dropout. With product_only it does not: call dense_finish afterwards.
/// rounded: operands of the product in place of input and weights; here and below.
template <typename T>
void dense_forward(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                   const LayerOutput<T>& output, const Dropout& dropout, Range rows, Range depth, Range panels,
                   const RoundedLayer& rounded = {});

/// From the product, or its normalized form, to the layer's output: applies bias (null: none), activation and dropout
/// to panel p.
template <typename T>
void dense_finish(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerOutput<T>& output,
                  const Dropout& dropout, Range rows, std::int64_t p);

/// Applies dropout to panel p of the values on the given rows, and of derivatives and residues that have data.
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

/// transposed = rows `rows` of dz with the batch in the lanes: panels of (out, panel). Of rounded operands pairs of
/// outputs: panels of (out / 2, panel) of them.
template <typename T>
void transpose_rows(const KernelTable<T>& kernels, const Panels<T>& dz, Range rows, T* transposed,
                    const RoundedLayer& rounded = {});

/// Input panels `panels` of dx = (dz W^T) * act' on the given rows, where `derivative` is that of the layer below.
/// transpose_rows has written `transposed`. W is not copied: the product is computed as W dz^T, block by block, and
/// each block is transposed while it is in cache. `depth` is as in dense_forward, over the outputs; it may be less than
/// all of them only if `rows` is whole panels. scratch: panel * panel elements.
template <typename T>
void dense_backward_data(const KernelTable<T>& kernels, const Panels<T>& weights, const T* transposed,
                         const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth, Range panels,
                         T* scratch, const RoundedLayer& rounded = {});

/// The same for few outputs or many rows: transposes blocks of W instead of dz and results. Padding of dx is zero if dz
/// is finite; otherwise the run has diverged. scratch: panel * weights.cols elements.
template <typename T>
void dense_backward_data_by_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const Panels<T>& dz,
                                 const Derivative<T>& derivative, const Panels<T>& dx, Range rows, Range depth,
                                 Range panels, T* scratch, const RoundedLayer& rounded = {});

/// The gradient by what a layer computes.
template <typename T>
struct LayerGradient {
  Panels<T> dz;
  Panels<T> dmixes{};  // of each row, where the layer has mixes
  // With layer normalization: the gradient by what it gives, and the values before scales and shifts.
  Panels<T> dshifted{};
  Panels<T> normalized{};

  LayerGradient slice(Range panels) const {
    return {dz.slice(panels), dmixes.data == nullptr ? dmixes : dmixes.slice(panels)};
  }
};

/// Number of blocks of the weights in dense_backward_weights: copies x panels of input x panels of output.
template <typename T>
inline std::int64_t weight_blocks(const LayerInput<T>& input, const DenseLayer<T>& layer) {
  return layer.weight_copies() * layer.weights.count() * input.values.count();
}

/// Blocks `blocks` of dweights = input^T dz. The first block of each output panel also sums the columns of dz, the
/// gradient of the bias, except with output scales, those of dmixes, and those of layer normalization. Each block goes
/// to the sink once it is complete. Blocks are numbered by copies of the weights, in a copy by groups of `panel_group`
/// output panels, within a group by input panels. scratch: panel * panel elements. Weights that a block has updated are
/// rounded anew.
template <typename T>
void dense_backward_weights(const KernelTable<T>& kernels, const DenseLayer<T>& layer, const LayerInput<T>& input,
                            const LayerGradient<T>& gradient, Range blocks, std::int64_t panel_group,
                            const GradientSink<T>& sink, T* scratch, const RoundedLayer& rounded = {});

/// Delivers a gradient of zero for the rows weight_rows[rows] of the weights, whose input columns are zero.
template <typename T>
void dense_update_zero_rows(const KernelTable<T>& kernels, const Panels<T>& weights, const std::int32_t* weight_rows,
                            Range rows, const GradientSink<T>& sink, T* scratch);

}  // namespace fastmlp
