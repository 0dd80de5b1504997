// A training step as data: its passes in order, the buffers that each pass reads and writes, and the barriers that
// follow from these accesses. A new pass declares its accesses here; no barrier is placed by hand.
//
// Layers are numbered 0..L-1 and activations 0..L: layer l reads activation l and writes activation l + 1, activation 0
// is the input of the first layer. dz of layer l is the gradient of the loss by the layer's pre-activations, or by its
// product where something lies between the two; dx is the gradient by the input of the first layer. Parameters come in
// parts: those of each layer, its input scales, and those of the input stage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/plan.hpp"
#include "network/shards.hpp"
#include "network/spec.hpp"

namespace fastmlp {

/// What the threads of a team share during a step. Some buffers have one part per layer or per activation.
enum class Buffer {
  column_marks,    // columns of the next batch that are not zero, as each thread found them in its rows
  activations,     // per activation: values, and derivatives where they are stored
  sample_columns,  // of the samples, where the inputs of the first layer are computed from them
  unscaled_input,  // inputs of the first layer before the members scale them: a row per sample, for all or for each
  normalized,      // per layer: values before scale and shift
  batch_moments,   // per layer: moments of the batch, and gradients of scales and shifts
  row_moments,     // per layer: deviation of each row
  skips,           // per layer: pre-activations where a residual block begins
  dinput_scales,   // per layer: gradients of its input scales
  dz,              // per layer
  dsum,            // per layer: gradient by the sum that ends a residual block, where dropout lies between it and dz
  dshifted,        // per layer: gradient by what layer normalization gives
  dx,
  row_results,  // loss and correctness of each row
  parameters,   // per part: with the optimizer's state and the running moments
  gradients,    // per part: by the parameters, where an update needs all of them first; of shards a stack of sums
  column_sums,  // sums over the parameters of each unit
  averages,     // per part: of the parameters
  diverged,     // whether a loss was not finite
  stop,         // whether the run is to stop
  next_chunk,   // first block of the update that no thread has taken yet
};

/// The part of a buffer that a thread touches.
enum class Share {
  own_copy,  // a copy that no other thread touches
  rows,      // its rows of the batch
  outputs,   // its output panels of one layer
  panels,    // its output panels of all layers, numbered consecutively
  thread_0,  // everything, by thread 0 alone
  chunks,    // chunks taken during the pass: disjoint within the pass, those of any thread in the next pass
  whole,     // everything, by every thread
};

enum class Mode { reads, writes };

// Parts of the parameters of a network with that many layers; part l is that of layer l.
inline std::size_t input_scales_part(std::size_t layers, std::size_t l) { return layers + l; }
inline std::size_t inputs_part(std::size_t layers) { return 2 * layers; }

/// The buffer of the gradient by the sum of bias, product and skip of layer l.
inline Buffer sum_gradient(const NetworkSpec& spec, std::size_t l) {
  return spec.layers[l].drops_branch() ? Buffer::dsum : Buffer::dz;
}
/// The buffer of the gradient by what the activation function of layer l reads.
inline Buffer activation_gradient(const NetworkSpec& spec, std::size_t l) {
  return spec.layers[l].layer_norm ? Buffer::dshifted : sum_gradient(spec, l);
}

struct Access {
  Buffer buffer;
  std::size_t part;  // number of the layer, activation or part of the parameters; 0 for buffers without parts
  Share share;
  Mode mode;
};

enum class PassKind {
  collect_columns,
  sum_penalty,
  gather,
  scale_inputs,  // for each member of the network
  forward,
  user_loss,
  loss,
  backward_data,
  finish_backward,  // between two products, what needs all rows of a unit
  finish_rows,      // between two products, what needs all units of a row, and ends of residual blocks
  report_progress,  // progress, signals, and what the next passes start from
  check_stop,       // whether all threads go on
  update_running_moments,
  prepare_next_batch,
  update,
  add_gradients,    // of shards
  sum_results,      // of a shard
  exchange_shards,  // sums of gradients and results, with the other processes
  measure_norms,
  apply_gradients,  // that were kept
  after_update,     // bounds on norms, moving averages
  record_results,
};

struct Pass {
  PassKind kind;
  std::size_t layer = 0;      // 0 where the pass is not of a single layer
  Share share = Share::rows;  // of what it computes
  std::vector<Access> accesses{};
  ShardPlace shard{};  // of what it computes; of passes over the whole batch the first place
  bool barrier_before = false;

  bool declares(Buffer buffer, std::size_t part, Mode mode) const;
};

/// What differs between the steps of different epochs.
struct StepFeatures {
  std::vector<bool> trained;     // per layer; empty: all
  std::size_t backward_end = 1;  // lowest layer with a backward-data pass; 0 where dx is wanted
  bool scans_columns = false;    // looks for zero columns in the next batch
  bool with_penalty = false;     // sums the L2 penalty
  bool updates = true;           // updates the parameters instead of keeping gradients
  bool clips = false;
  bool clips_by_norm = false;
  bool bounds_norms = false;
  bool moves_averages = false;
  Shards shards{};

  /// Whether all gradients are known before the first parameter changes.
  bool keeps_gradients() const { return !updates || clips || shards.divides(); }
  bool trains(std::size_t l) const { return trained.empty() || trained[l]; }
};

/// The passes of a step under `plan`, with as few barriers as prevent every race between threads, also from one step to
/// the next. `before` holds passes that may precede the first step. Throws std::logic_error when the threads of one
/// pass would race with each other.
std::vector<Pass> make_step(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features,
                            const std::vector<Pass>& before);

/// The passes of an epoch before its first step: a scan of the columns of the first batch.
std::vector<Pass> make_prologue();

std::int64_t count_barriers(const std::vector<Pass>& passes);

/// A barrier, counted from 0, of the steps that scan columns or of those that do not.
struct BarrierNumber {
  bool scans_columns;
  std::int64_t number;
};

/// Removes a barrier from all steps made from now on. With it a test proves that ThreadSanitizer reports the race.
void drop_barrier(BarrierNumber barrier);
/// Whether a step had that barrier.
bool barrier_was_dropped();

}  // namespace fastmlp
