// What a network is, in numbers: decided by the user, checked once, read by everything else.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "ops/input_stage.hpp"

namespace fastmlp {

// Names as users write them, in the order of the enums.
#define FASTMLP_NAME(name, ...) #name,
inline constexpr auto kActivationNames = std::to_array<const char*>({FASTMLP_ACTIVATIONS(FASTMLP_NAME)});
inline constexpr auto kLossNames = std::to_array<const char*>({FASTMLP_LOSSES(FASTMLP_NAME) "user_defined"});
inline constexpr auto kOptimizerNames = std::to_array<const char*>({FASTMLP_OPTIMIZERS(FASTMLP_NAME)});
inline constexpr auto kElementwiseNames = std::to_array<const char*>({FASTMLP_ELEMENTWISE(FASTMLP_NAME)});
inline constexpr auto kBasisNames = std::to_array<const char*>({FASTMLP_BASES(FASTMLP_NAME)});
#undef FASTMLP_NAME

/// Targets of each loss.
#define FASTMLP_TARGETS(name, targets, ...) TargetKind::targets,
inline constexpr TargetKind kLossTargets[] = {FASTMLP_LOSSES(FASTMLP_TARGETS) TargetKind::classes_or_shares};
#undef FASTMLP_TARGETS

/// A layer of weights. Each member of an ensemble has input scales of its own.
struct LayerSpec {
  Activation activation = Activation::identity;
  double parameter = 0;        // of the activation
  bool batch_norm = false;     // between product and bias
  double dropout = 0;          // of the layer's outputs, in training
  bool mixes = false;          // each unit trains how much of the activation it takes
  bool input_scales = false;   // a trained factor for each input
  bool output_scales = false;  // a trained factor for each output, between product and bias
  bool own_weights = false;    // each member has weights of its own
  bool own_vectors = false;    // and arrays of one element per output
  bool layer_norm = false;     // of each row, between bias and activation
  bool residual = false;       // ends a residual block; its dropout then comes before the sum

  bool drops_branch() const { return residual && dropout > 0; }
};

/// Layers of a residual block: it ends two layers above the one where it begins.
inline constexpr std::size_t kBlockLayers = 2;

/// Consecutive outputs under one loss; groups follow one another.
struct LossSpec {
  Loss loss = Loss::softmax_cross_entropy;
  std::int64_t outputs = 0;
  double weight = 1;
  double smoothing = 0;
  std::vector<double> parameters;  // one per output, or one for all; as the next
  std::vector<double> output_weights;
};

struct NetworkSpec {
  std::vector<std::int64_t> layer_sizes;  // features, hidden..., outputs
  std::vector<LayerSpec> layers;
  std::vector<LossSpec> losses;
  std::vector<InputGroup> inputs;  // empty: the columns of the samples are the inputs of the first layer
  std::int64_t members = 1;        // of an ensemble that is trained as one network
  bool own_batches = false;        // each member is trained on batches that are drawn for it alone
  bool softmax_output = false;     // before a loss that does not compute it itself
  bool bfloat16 = false;           // products of a training step take operands rounded to bfloat16
  double input_scale = 1.0;
  double input_dropout = 0;
  double input_noise = 0;  // deviation of normal noise, after scaling
  double batch_norm_momentum = 0.9;
  double normalization_epsilon = 1e-5;

  std::int64_t layer_count() const { return static_cast<std::int64_t>(layer_sizes.size()) - 1; }
  std::int64_t features() const { return layer_sizes.front(); }
  std::int64_t outputs() const { return layer_sizes.back(); }
  /// Inputs of layer l.
  std::int64_t inputs_of(std::size_t l) const {
    if (l > 0 || inputs.empty()) return layer_sizes[l];
    std::int64_t width = 0;
    for (const InputGroup& group : inputs) width += group.columns * group.width();
    return width;
  }
  /// Whether the inputs of the first layer are computed from the samples before each member scales them.
  bool has_input_stage() const { return !inputs.empty() || layers.front().input_scales || members > 1; }
  /// Rows of the unscaled input for each sample of a batch.
  std::int64_t input_copies() const { return own_batches ? members : 1; }
  /// Whether the gradients of the members by the unscaled input are added up: by the inputs that they share, or by the
  /// samples themselves. Embedded columns of own batches need each member's.
  bool adds_input_gradients() const { return members > 1 && (!own_batches || inputs.empty()); }
  /// Whether the gradient by the inputs of layer l is finished column by column, after its product.
  bool finishes_columns(std::size_t l) const {
    const bool below = l > 0 && (layers[l - 1].batch_norm || layers[l - 1].output_scales);
    return layers[l].input_scales || below || (l == 0 && adds_input_gradients());
  }
  bool trains_inputs() const {
    return std::any_of(inputs.begin(), inputs.end(), [](const InputGroup& group) { return group.is_trained(); });
  }
  /// Whether the pre-activations of layer l are added to those of the layer where a residual block ends.
  bool begins_block(std::size_t l) const {
    return l + kBlockLayers < layers.size() && layers[l + kBlockLayers].residual;
  }
  /// Whether something happens to the pre-activations of layer l between its product and its activation, row by row.
  bool finishes_rows(std::size_t l) const { return layers[l].layer_norm || layers[l].residual || begins_block(l); }
  const LayerSpec& layer(std::int64_t l) const { return layers[static_cast<std::size_t>(l)]; }
  /// Rows of a batch that one thread takes together.
  std::int64_t row_unit() const { return bfloat16 ? 2 : 1; }
  /// The input differs from step to step.
  bool disturbs_input() const { return input_dropout > 0 || input_noise > 0; }
};

/// Whether targets must be classes (int64).
inline bool requires_classes(Loss loss) { return kLossTargets[static_cast<int>(loss)] == TargetKind::classes; }
/// Whether targets may be classes.
inline bool takes_classes(Loss loss) { return kLossTargets[static_cast<int>(loss)] != TargetKind::values; }

/// Samples as the caller holds them: row-major, or compressed sparse rows.
struct SampleRows {
  const void* data = nullptr;  // elements, of the sparse form those that are stored
  std::int64_t count = 0;
  std::int64_t row_bytes = 0;
  InputType type = InputType::float32;
  // Sparse form: columns of the stored elements, and where each row begins among them.
  const std::int32_t* columns = nullptr;
  const std::int64_t* row_starts = nullptr;

  // Of samples that are standardized while they are read, in whole panels: see KernelTable::gather_standardized.
  const double* mean = nullptr;
  const double* deviation = nullptr;

  bool sparse() const { return columns != nullptr; }
  bool standardized() const { return mean != nullptr; }
};

}  // namespace fastmlp
