// The contract of every kernel. A kernel is serial and pure: no threads, no allocation, no exceptions, no I/O.
// One table per instruction set and scalar type; the ops call through it and never see an instruction set.
//
// Layout: "panel rows" are consecutive rows of `panel` elements (base/matrix_view.hpp). Strides count elements.
// `vectors` is the number of SIMD vectors of a panel row that are computed; the lanes beyond are not touched.
// Equal bits: a product is one fused multiply-add per (i, j, k), k ascending, one accumulator per output that
// starts at +0; other reductions keep the order stated below. All tables therefore give the same bits.
//
// This header is included by objects compiled with different instruction sets: declarations and plain data only.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fastmlp {

// The families of kernels, one list each, entry(name, struct). The enums below, the names in network/spec.hpp and the
// tables of table.inl.hpp follow from the lists, in this order.
// clang-format off

/// A new activation is one line here and one struct in kernels/activation.inl.hpp.
#define FASTMLP_ACTIVATIONS(entry) \
  entry(identity, Identity)        \
  entry(step, Step)                \
  entry(sign, Sign)                \
  entry(sigmoid, Sigmoid)          \
  entry(hard_sigmoid, HardSigmoid) \
  entry(tanh, Tanh)                \
  entry(relu, Relu)                \
  entry(leaky_relu, LeakyRelu)     \
  entry(elu, Elu)                  \
  entry(selu, Selu)                \
  entry(gelu, Gelu)                \
  entry(gelu_tanh, GeluTanh)       \
  entry(silu, Silu)                \
  entry(softplus, Softplus)        \
  entry(mish, Mish)

/// entry(name, targets as in TargetKind, struct). A new loss is one line here and one struct in
/// kernels/elementwise_loss.inl.hpp or kernels/class_loss.inl.hpp.
#define FASTMLP_LOSSES(entry)                                          \
  entry(softmax_cross_entropy, classes_or_shares, SoftmaxCrossEntropy) \
  entry(hinge, classes, Hinge)                                         \
  entry(binary_cross_entropy, values, BinaryCrossEntropy)              \
  entry(mse, values, SquaredError)                                     \
  entry(half_mse, values, HalfSquaredError)                            \
  entry(mae, values, AbsoluteError)                                    \
  entry(huber, values, HuberLoss)                                      \
  entry(poisson, values, PoissonLoss)                                  \
  entry(quantile, values, QuantileLoss)

/// A new optimizer is one line here and one struct in kernels/optimizer.inl.hpp. Training states hold the names.
#define FASTMLP_OPTIMIZERS(entry)                      \
  entry(sgd, Sgd)                                      \
  entry(momentum, Momentum)                            \
  entry(nesterov, Nesterov)                            \
  entry(adagrad, Adagrad)                              \
  entry(rmsprop, RmsProp<false, false>)                \
  entry(rmsprop_momentum, RmsProp<false, true>)        \
  entry(centred_rmsprop, RmsProp<true, false>)         \
  entry(centred_rmsprop_momentum, RmsProp<true, true>) \
  entry(adam, Adam<false>)                             \
  entry(amsgrad, Adam<true>)                           \
  entry(adamax, Adamax)                                \
  entry(nadam, Nadam)                                  \
  entry(lion, Lion)

/// entry(name of a function of kernels/math.inl.hpp).
#define FASTMLP_ELEMENTWISE(entry) \
  entry(exp)                       \
  entry(log)                       \
  entry(tanh)                      \
  entry(sigmoid)                   \
  entry(log1p)                     \
  entry(normal_cdf)                \
  entry(inverse_normal_cdf)        \
  entry(cos_turns)                 \
  entry(sin_turns)

/// Basis functions of embeddings of numbers. A new one is one line here and one struct in kernels/embedding.inl.hpp.
#define FASTMLP_BASES(entry)      \
  entry(value, ValueBasis)        \
  entry(cosine, CosineBasis)      \
  entry(periodic, PeriodicBasis)  \
  entry(piecewise_linear, PiecewiseLinearBasis)

// clang-format on

#define FASTMLP_ENUMERATOR(name, ...) name,
enum class Activation : int { FASTMLP_ACTIVATIONS(FASTMLP_ENUMERATOR) count };
/// The user's own loss has no kernel: it is called once per batch.
enum class Loss : int { FASTMLP_LOSSES(FASTMLP_ENUMERATOR) user_defined, count };
enum class Optimizer : int { FASTMLP_OPTIMIZERS(FASTMLP_ENUMERATOR) count };
enum class Elementwise : int { FASTMLP_ELEMENTWISE(FASTMLP_ENUMERATOR) count };
enum class Basis : int { FASTMLP_BASES(FASTMLP_ENUMERATOR) count };
#undef FASTMLP_ENUMERATOR

/// What a loss compares outputs with: a value for each, a class, or a class or shares of all classes.
enum class TargetKind : int { values, classes, classes_or_shares };
/// Element type of the input rows.
enum class InputType : int { uint8, float16, float32, float64, count };
template <typename T>
constexpr InputType kInputType = sizeof(T) == sizeof(float) ? InputType::float32 : InputType::float64;

/// Settings of one update; an optimizer reads those it knows.
template <typename T>
struct UpdateSettings {
  T learning_rate;
  T momentum = 0;
  T beta1 = 0;  // of moving averages of gradients
  T beta2 = 0;  // of moving averages of squares, or of magnitudes
  T epsilon = 0;
  T l1 = 0;      // adds l1 * sign(w) to the gradient; 0 for biases, as l2, and their shrink is 1
  T l2 = 0;      // adds l2 * w to the gradient
  T shrink = 1;  // multiplies the parameters before the step: decoupled decay
  // Factors of this step, from the number of completed steps.
  T step_size = 0;        // factor of the mean gradient
  T gradient_step = 0;    // factor of the gradient
  T root_correction = 1;  // factor of the root of the mean square
};

/// One call of a loss kernel on `rows` consecutive panel rows of the network's outputs.
template <typename T>
struct LossCall {
  std::int64_t rows;
  std::int64_t outputs;
  const T* values;              // panel rows of the outputs (logits)
  T* gradient;                  // same layout, written with dloss/dvalues * scale, zero beyond `outputs`; or null
  std::int64_t panel_stride;    // from one panel to the next, in values and gradient
  const std::int64_t* classes;  // class of each sample; null: `targets` are given
  const T* targets;             // row of `outputs` values per sample
  const std::int64_t* index;    // sample of each row; null: row r is sample r
  const T* sample_weights;      // factor of each sample's loss; null: all 1
  const T* output_weights;      // elementwise losses: factor of each output's loss; whole panels
  const T* parameters;          // elementwise losses: the loss's parameter for each output; whole panels
  T smoothing;                  // softmax cross-entropy: share of each target that is spread over all classes
  T scale;                      // 1 / total weight of the batch
  T* row_loss;                  // weighted loss of each row, not scaled
  std::int32_t* correct;        // 1 where the row's outputs lead to the right class or classes, else 0
};

/// One call of an embedding kernel on one column of samples: basis functions of each number x, a linear map of them, a
/// rectifier. The rows lie in the lanes. No array has to be aligned, none is padded, none overlaps another.
///
/// Basis functions, k from 0 to bases - 1:
///   value             x itself; bases is 1
///   cosine            cos(2 pi frequencies[k] x + phases[k])
///   periodic          cos(2 pi frequencies[k] x) for k < bases / 2, then the sines of the same; bases is even
///   piecewise_linear  (x - edges[k]) / (edges[k + 1] - edges[k]), not below 0 but in the first bin, not above 1 but in
///                     the last; bases + 1 edges ascend
template <typename T>
struct EmbeddingCall {
  std::int64_t rows;    // >= 1
  const T* x;           // `rows` numbers
  std::int64_t stride;  // from one output to the next: output i of row r is element i * stride + r
  std::int64_t bases;
  std::int64_t outputs;  // of the map; 0: there is none, and the basis functions are the outputs
  bool relu;             // with a map: negative results become 0
  bool keeps_value;      // x itself is one more output, the last
  const T* frequencies;  // cosine: bases, periodic: bases / 2
  const T* phases;       // cosine: in radians
  const T* edges;        // piecewise_linear
  const T* maps;         // output i is the sum over k of basis k times maps[k * outputs + i], plus map_bias[i]
  const T* map_bias;
  T* scratch;  // KernelTable::embedding_scratch elements; holds nothing between calls
};

/// Gradients of the arrays of an EmbeddingCall, each of the size of its array. They are written, not added to. Those of
/// arrays that the basis or the call does not have are left alone and may be null.
template <typename T>
struct EmbeddingGradients {
  T* frequencies;
  T* phases;
  T* maps;
  T* map_bias;
  T* x;  // null: not wanted
};

/// Where a block of random numbers comes from: Philox4x32-10 as in base/philox.hpp. Columns go by groups of 16:
/// counter ((row * groups + group) * 4 + k, level, step, purpose), k = 0..3, serves columns 2k, 2k+1, 8+2k, 8+2k+1.
struct RandomBlock {
  std::uint64_t seed;
  std::uint32_t purpose;
  std::uint32_t level;
  std::uint32_t step;
  std::int64_t groups;  // of 16 columns, in a row
  std::int64_t row;     // of the block's first row
  std::int64_t group;   // of the block's first column
};

/// Two numbers in bfloat16, neighbors along the inner dimension of a product; the first has the low half.
using Pair = std::uint32_t;

/// What adds up the products of operands that consist of such elements.
template <typename Element>
using Sum = std::conditional_t<std::is_same_v<Element, Pair>, float, Element>;

/// c = a b, or c += a b with `accumulate`; of gemm_tn a^T b. rows, depth >= 1; c overlaps neither a nor b and may
/// hold NaN where it is not accumulated to.
template <typename Element>
struct Product {
  std::int64_t rows;     // of the result
  std::int64_t depth;    // the inner dimension, in elements
  std::int64_t vectors;  // of a panel row of b and c
  // gemm_nn: rows x depth in panels, of pairs half as many to a row; gemm_tn: depth panel rows of one panel, `rows`
  // lanes of which count
  const Element* a;
  std::int64_t a_panel_stride = 0;
  const Element* b;                      // depth panel rows
  const std::int32_t* b_rows = nullptr;  // gemm_nn: panel row of b for each k; null: row k
  Sum<Element>* c;                       // `rows` panel rows
  bool accumulate = false;
  const Element* next_a = nullptr;  // gemm_nn: operands of the product that follows, fetched meanwhile; null: not known
  const Element* next_b = nullptr;
};

/// Products of pairs. c becomes fma(a0, b0, fma(a1, b1, c)) for each pair, in ascending order, in single precision,
/// rounded to the nearest after each fma; subnormal operands, sums and results count as zero. That is what the
/// instruction vdpbf16ps computes.
struct Bfloat16Kernels {
  void (*gemm_nn)(const Product<Pair>& product);
  void (*gemm_tn)(const Product<Pair>& product, float* result, const std::int32_t* result_rows);
  /// Rounds panel rows to the nearest bfloat16, ties to even. column_pairs, of panel rows half as wide: pairs of
  /// neighboring columns. row_pairs: pairs of neighboring rows; the partner of an odd last row is 0. Either may be
  /// null.
  void (*round)(std::int64_t rows, const float* source, Pair* column_pairs, Pair* row_pairs);
  /// As KernelTable::transpose, of column pairs: destination[j][i] = source[i][j], j < pairs <= panel / 2.
  void (*transpose)(std::int64_t rows, std::int64_t pairs, const Pair* source, Pair* destination);
  /// As KernelTable::fma_chains, with pairs of 1.
  double (*chains)(std::int64_t steps, float* sink);
};

template <typename T>
struct KernelTable {
  int lanes;      // elements of one SIMD vector
  int panel;      // elements of one panel row: a multiple of 16 and of `lanes`
  int tile_rows;  // rows of the largest register tile

  void (*gemm_nn)(const Product<T>& product);
  /// Row i of a^T b becomes panel row result_rows[i] (i when null) of the result; product.c holds partial sums.
  void (*gemm_tn)(const Product<T>& product, T* result, const std::int32_t* result_rows);
  /// Like gemm_tn; the product is the gradient of panel rows of weights, which are updated from the registers that hold
  /// it. Null for optimizers that read the gradient from memory.
  void (*gemm_tn_update[static_cast<int>(Optimizer::count)])(const Product<T>& product, T* weights, T* slots,
                                                             std::int64_t slot_stride, const std::int32_t* weight_rows,
                                                             const UpdateSettings<T>& settings);
  /// destination[j][i] = source[i][j], i < rows <= panel, j < cols <= panel; lanes i >= rows of the `cols`
  /// destination rows are set to +0. Both are panel rows and do not overlap.
  void (*transpose)(std::int64_t rows, std::int64_t cols, const T* source, T* destination);

  /// z = act(z + bias) in place on panel rows; derivatives, unless null, = act'(z + bias). parameter: slope of
  /// the leaky ReLU, alpha of ELU, the derivative that backpropagation takes for that of step and sign.
  void (*activate[static_cast<int>(Activation::count)])(std::int64_t rows, std::int64_t vectors, T parameter,
                                                        const T* bias, T* z, T* derivatives);
  /// gradient *= act', from the stored output; only of the activations that derivative_from_output lists. The gradient
  /// by the output becomes dz, in place.
  void (*activate_backward[static_cast<int>(Activation::count)])(std::int64_t rows, std::int64_t vectors, T parameter,
                                                                 const T* output, T* gradient);
  bool derivative_from_output[static_cast<int>(Activation::count)];
  /// gradient *= derivatives.
  void (*multiply)(std::int64_t rows, std::int64_t vectors, const T* derivatives, T* gradient);

  /// Activations that are mixed with the identity, one mix per unit: z = v + mix * (act(v) - v) with v = z + bias, in
  /// place; exactly act(v) for mix 1 (but +0 for -0) and v for mix 0 wherever both are finite. Writes unless null,
  /// which both are then: derivatives = 1 + mix * (act'(v) - 1), residues = act(v) - v.
  void (*activate_mixed[static_cast<int>(Activation::count)])(std::int64_t rows, std::int64_t vectors, T parameter,
                                                              const T* bias, const T* mixes, T* z, T* derivatives,
                                                              T* residues);
  /// residues *= gradient, whose column sums are the gradient of the mixes; then gradient *= derivatives.
  void (*multiply_mixed)(std::int64_t rows, std::int64_t vectors, const T* derivatives, T* residues, T* gradient);

  /// destination = scales * source, column by column; destination may be source.
  void (*scale_columns)(std::int64_t rows, std::int64_t vectors, const T* scales, const T* source, T* destination);
  /// sums[lane] = sum over rows of a * b of one panel's rows, in the order of row_sums.inl.hpp.
  void (*dot_columns)(std::int64_t rows, std::int64_t vectors, const T* a, const T* b, T* sums);

  /// values *= 0 where a random word is below `threshold`, else *= scale; the same for derivatives and residues unless
  /// they are null.
  void (*dropout)(const RandomBlock& block, std::int64_t rows, std::int64_t vectors, std::uint32_t threshold, T scale,
                  T* values, T* derivatives, T* residues);
  /// values += deviation times normal deviates.
  void (*add_noise)(const RandomBlock& block, std::int64_t rows, std::int64_t vectors, T deviation, T* values);

  /// mean and (biased) variance of each column of one panel's rows.
  void (*column_moments)(std::int64_t rows, std::int64_t vectors, const T* z, T* mean, T* variance);
  /// normalized = (z - mean) * inverse, unless null; z = scales * normalized.
  void (*normalize)(std::int64_t rows, std::int64_t vectors, const T* mean, const T* inverse, const T* scales, T* z,
                    T* normalized);
  /// Converts dz, the gradient by the pre-activation, to that by the layer's product, in place; dshift and dscales are
  /// the column sums of dz and of dz * normalized. from_batch: mean and inverse were those of these rows.
  void (*normalize_backward)(std::int64_t rows, std::int64_t vectors, const T* inverse, const T* scales,
                             const T* normalized, bool from_batch, T* dz, T* dscales, T* dshift);

  /// Each row over its `outputs`: normalized = (z - mean) * inverse with inverse = 1 / sqrt(variance + epsilon), and
  /// z = scales * normalized in place. Lanes of z and normalized beyond `outputs` become +0. normalized and inverses
  /// are both null or both written. The order of sums is that of the sums over outputs below.
  void (*normalize_rows)(std::int64_t rows, std::int64_t outputs, T epsilon, const T* scales, T* z, T* normalized,
                         std::int64_t panel_stride, T* inverses);
  /// dz, the gradient by what was normalized, from that by scales * normalized; +0 beyond `outputs`.
  void (*normalize_rows_backward)(std::int64_t rows, std::int64_t outputs, const T* scales, const T* normalized,
                                  const T* inverses, const T* gradient, T* dz, std::int64_t panel_stride);
  /// sums += source.
  void (*add_rows)(std::int64_t rows, std::int64_t vectors, const T* source, T* sums);

  /// sums[lane] = sum over rows of one panel's rows, in the order of row_sums.inl.hpp, as all sums over rows here.
  void (*column_sums)(std::int64_t rows, std::int64_t vectors, const T* values, T* sums);

  /// Sums over outputs use 16 virtual lanes (output j in lane j % 16, ascending) and a fixed tree.
  void (*loss[static_cast<int>(Loss::count)])(const LossCall<T>& call);
  /// Rows of logits become probabilities, in place.
  void (*softmax)(std::int64_t rows, std::int64_t outputs, T* values, std::int64_t panel_stride);
  /// Converts the gradient by probabilities to the gradient by logits, in place.
  void (*softmax_backward)(std::int64_t rows, std::int64_t outputs, const T* probabilities, T* gradient,
                           std::int64_t panel_stride);
  /// Index of the first largest output of each row.
  void (*argmax)(std::int64_t rows, std::int64_t outputs, const T* values, std::int64_t panel_stride,
                 std::int32_t* predicted);

  /// One update of n consecutive parameters; n is a multiple of 16. Array i of the optimizer's state lies
  /// i * slot_stride elements after the first.
  void (*update[static_cast<int>(Optimizer::count)])(std::int64_t n, T* weights, T* slots, std::int64_t slot_stride,
                                                     const T* gradient, const UpdateSettings<T>& settings);
  /// Number of arrays of state of each optimizer.
  int slots[static_cast<int>(Optimizer::count)];
  /// gradient = gradient * factor, not beyond +-bound. n as above.
  void (*clip)(std::int64_t n, T factor, T bound, T* gradient);
  /// sums += values; n is a multiple of the panel.
  void (*add)(std::int64_t n, const T* values, T* sums);
  /// averages = decay * averages + (1 - decay) * values. n as above.
  void (*move_averages)(std::int64_t n, T decay, const T* values, T* averages);
  /// sums[lane] = sum over rows of the squares of one panel's rows, in the order of row_sums.inl.hpp.
  void (*column_squares)(std::int64_t rows, std::int64_t vectors, const T* values, T* sums);
  /// Columns of one panel of weights whose norm exceeds `bound` shrink to it.
  void (*limit_norms)(std::int64_t rows, std::int64_t vectors, T bound, T* weights);

  /// Sample index[r] (r itself when index is null) of the row-major source, rounded to T, times scale, becomes panel
  /// row r. row_bytes: distance of two samples. Lanes beyond `features` are set to +0. Returns whether all rounded
  /// elements are finite.
  bool (*gather[static_cast<int>(InputType::count)])(std::int64_t rows, std::int64_t features, const void* source,
                                                     std::int64_t row_bytes, const std::int64_t* index, T scale,
                                                     T* destination, std::int64_t panel_stride);

  /// flags[k] becomes non-zero when any of the rows is not zero in feature k. Rows as in gather.
  void (*mark_nonzero[static_cast<int>(InputType::count)])(std::int64_t rows, std::int64_t features, const void* source,
                                                           std::int64_t row_bytes, const std::int64_t* index,
                                                           std::uint8_t* flags);
  /// gather for the listed features only: feature columns[k] becomes column k.
  bool (*gather_columns[static_cast<int>(InputType::count)])(std::int64_t rows, std::int64_t count,
                                                             const std::int32_t* columns, const void* source,
                                                             std::int64_t row_bytes, const std::int64_t* index, T scale,
                                                             T* destination, std::int64_t panel_stride);

  /// gather of (x - mean) / deviation, computed in double precision, rounded to T, times scale. Both arrays have whole
  /// panels; a mean of 0 and a deviation of 1 beyond `features`.
  bool (*gather_standardized[static_cast<int>(InputType::count)])(std::int64_t rows, std::int64_t features,
                                                                  const void* source, std::int64_t row_bytes,
                                                                  const std::int64_t* index, const double* mean,
                                                                  const double* deviation, T scale, T* destination,
                                                                  std::int64_t panel_stride);

  /// `steps` rounds of independent fused multiply-adds in registers, seeded from and summed into sink[0..1];
  /// returns the floating-point operations done.
  double (*fma_chains)(std::int64_t steps, T* sink);

  /// Elements of EmbeddingCall::scratch that embed and embed_backward use.
  std::int64_t (*embedding_scratch)(std::int64_t bases, std::int64_t outputs);
  /// out: (outputs, or bases if that is 0) + keeps_value arrays of `rows` elements.
  void (*embed[static_cast<int>(Basis::count)])(const EmbeddingCall<T>& call, T* out);
  /// gradient: laid out as `out`. Sums over rows use 16 virtual lanes: row r in lane r % 16, ascending within blocks of
  /// 256 rows, each from +0; blocks, ascending; a fixed tree of the lanes. At an edge of two bins the derivative by x
  /// is that of the lower one; that of the rectifier at 0 is 0.
  void (*embed_backward[static_cast<int>(Basis::count)])(const EmbeddingCall<T>& call, const T* gradient,
                                                         const EmbeddingGradients<T>& gradients);
  /// y = x / sqrt(1 + (x / bound)^2), for any n; y may be x. bound > 0.
  void (*smooth_clip)(std::int64_t n, T bound, const T* x, T* y);
  /// gradient *= (1 + (x / bound)^2)^(-3/2), for any n.
  void (*smooth_clip_backward)(std::int64_t n, T bound, const T* x, T* gradient);

  void (*elementwise[static_cast<int>(Elementwise::count)])(std::int64_t n, const T* x, T* y);
  /// Returns whether no element is NaN or infinite after it was rounded to T.
  bool (*all_finite[static_cast<int>(InputType::count)])(std::int64_t n, const void* x);
};

}  // namespace fastmlp
