// The memory of a training run. One block is allocated before the first step; buffers that only some epochs need are
// allocated before the first of these epochs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/arena.hpp"
#include "base/check.hpp"
#include "base/team.hpp"
#include "network/mlp.hpp"
#include "network/plan.hpp"
#include "network/step.hpp"
#include "ops/batch_norm.hpp"
#include "ops/dense.hpp"
#include "ops/input_stage.hpp"
#include "ops/layer_norm.hpp"
#include "ops/rounded.hpp"

namespace fastmlp {

template <typename T>
class StepMemory;

/// Layers and activations are numbered as in step.hpp.
template <typename T>
class RunMemory {
 public:
  /// rows: of a batch or a shard, at most. plans: the first has most threads. slots: arrays of the optimizer's state.
  /// With `updates` the memory includes a copy of the network's state.
  RunMemory(const Mlp<T>& mlp, std::int64_t rows, const std::vector<Plan>& plans, int slots, bool updates);

  T* slots() const { return slot_count_ == 0 ? nullptr : arena_.at<T>(slots_); }
  int slot_count() const { return slot_count_; }
  /// The network's state at the start of the epoch, in runs that update it.
  T* start_of_epoch() const { return arena_.at<T>(start_of_epoch_); }
  /// Gradient by the input after a step with `differentiates_input`.
  Panels<T> input_gradient(std::int64_t rows) const { return dx(rows); }

  void require_input(std::int64_t columns);
  void require_dx();
  /// Gradients of all parameters, kept for a step: as many as the stack of sums of shards has levels.
  T* require_gradients(std::size_t levels);
  /// Averages of the network's state; at first a copy of it.
  T* require_averages();
  T* averages() const { return averages_ == nullptr ? nullptr : averages_->template at<T>(0); }

  /// The weights of layer l, where products read rounded operands.
  RoundedMatrix rounded_weights(std::size_t l) const {
    return rounded_matrix(rounded_[l].weights, mlp_.layer(l).weights.rows, mlp_.layer(l).weights.cols);
  }

  /// Safe to call while another thread runs an epoch.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  // Threads reach shared buffers through StepMemory alone, which checks the declarations of passes.
  friend class StepMemory<T>;

  /// copy: the number of the thread, where each has the input for itself; otherwise 0.
  Panels<T> input(int copy, std::int64_t rows, std::int64_t columns) const;
  /// Rounded forms of activation `a` and of dz.
  RoundedMatrix rounded_activation(int copy, std::size_t a, std::int64_t rows) const {
    const RoundedMemory& rounded = rounded_[a];
    return rounded_matrix(rounded.input + static_cast<std::size_t>(a == 0 ? copy : 0) * rounded.input_bytes, rows,
                          mlp_.spec().inputs_of(a));
  }
  RoundedMatrix rounded_dz(std::size_t l, std::int64_t rows) const {
    return rounded_matrix(rounded_[l].dz, rows, mlp_.layer(l).weights.cols);
  }
  SampleColumns<T> sample_columns() const { return {arena_.at<T>(sample_columns_), input_rows_}; }
  /// The inputs of the first layer before its scales.
  Panels<T> unscaled_input(std::int64_t rows) const {
    return {arena_.at<T>(unscaled_input_), rows, mlp_.spec().inputs_of(0), mlp_.kernels().panel};
  }
  T* input_scratch(int thread) const { return arena_.at<T>(threads_[static_cast<std::size_t>(thread)].input_scratch); }
  /// Gradients of the input scales of layer l.
  T* dinput_scales(std::size_t l) const { return arena_.at<T>(layers_[l].dinput_scales); }
  /// What layer l writes.
  LayerOutput<T> output(std::size_t l, std::int64_t rows) const {
    LayerOutput<T> output = layers_[l].output;
    output.values.rows = output.derivatives.rows = output.residues.rows = rows;
    return output;
  }
  /// Activation l + 1: the same, unless the next layer scales it.
  Panels<T> activation(std::size_t l, std::int64_t rows) const { return layer_panels(layers_[l].scaled, l, rows); }
  Panels<T> dz(std::size_t l, std::int64_t rows) const { return layer_panels(layers_[l].dz, l, rows); }
  Panels<T> gradient(Buffer buffer, std::size_t l, std::int64_t rows) const {
    const LayerMemory& layer = layers_[l];
    return layer_panels(buffer == Buffer::dsum       ? layer.dsum
                        : buffer == Buffer::dshifted ? layer.dshifted
                                                     : layer.dz,
                        l, rows);
  }
  Panels<T> skips(std::size_t l, std::int64_t rows) const { return layer_panels(layers_[l].skips, l, rows); }
  Panels<T> normalized(std::size_t l, std::int64_t rows) const { return layer_panels(layers_[l].normalized, l, rows); }
  LayerNormMemory<T> layer_norm(std::size_t l, std::int64_t rows) const {
    return {normalized(l, rows), arena_.at<T>(layers_[l].row_moments)};
  }
  Panels<T> dx(std::int64_t rows) const;
  BatchNormMemory<T> batch_norm(std::size_t l, std::int64_t rows) const;
  /// The thread's part of one block. The fewer threads the team has, the larger are the parts.
  T* transposed(const Worker& worker) const {
    return arena_.at<T>(transposed_) + worker.index * transposed_elements(worker.count);
  }
  T* scratch(int thread) const { return arena_.at<T>(threads_[static_cast<std::size_t>(thread)].scratch); }
  T* loss_scratch(int thread) const { return arena_.at<T>(threads_[static_cast<std::size_t>(thread)].loss_scratch); }
  T* row_loss() const { return arena_.at<T>(row_loss_); }
  std::int32_t* correct() const { return arena_.at<std::int32_t>(correct_); }
  /// One sum per column of each copy of each trained array.
  double* column_sums() const { return arena_.at<double>(column_sums_); }

  /// Elements for the largest share of rows in a team of `threads`.
  std::int64_t transposed_elements(int threads) const {
    return checked_product(round_up(ceil_div(rows_, threads), mlp_.kernels().panel), widest_layer_);
  }
  Panels<T> layer_panels(std::size_t offset, std::size_t l, std::int64_t rows) const;

  RoundedMatrix rounded_matrix(std::size_t offset, std::int64_t rows, std::int64_t cols) const {
    return {arena_.at<Pair>(offset), rows, cols, mlp_.kernels().panel};
  }

  void reserve_layer(std::size_t l);
  void reserve_rounded(std::size_t l);
  /// Replaces a block by a zeroed one of `count` elements.
  void allocate(std::unique_ptr<Arena>& block, std::int64_t count);

  // Offsets in the arena.
  struct LayerMemory {
    std::size_t values = 0;
    std::size_t scaled = 0;
    std::size_t derivatives = 0;
    std::size_t residues = 0;
    std::size_t dz = 0;
    std::size_t normalized = 0;
    std::size_t moments = 0;
    std::size_t row_moments = 0;
    std::size_t skips = 0;
    std::size_t dsum = 0;
    std::size_t dshifted = 0;
    std::size_t dinput_scales = 0;
    LayerOutput<T> output{};
  };
  struct RoundedMemory {
    std::size_t input = 0;  // activation l; of the input one per copy
    std::size_t input_bytes = 0;
    std::size_t dz = 0;
    std::size_t weights = 0;
  };
  struct ThreadMemory {
    std::size_t scratch = 0;
    std::size_t loss_scratch = 0;
    std::size_t input_scratch = 0;
  };

  const Mlp<T>& mlp_;
  std::int64_t input_rows_;  // of the unscaled input
  std::int64_t rows_;        // of all members
  int input_copies_;
  int slot_count_;
  std::int64_t widest_layer_ = 1;
  Arena arena_;
  std::unique_ptr<Arena> input_;
  std::unique_ptr<Arena> dx_;
  std::unique_ptr<Arena> gradients_;
  std::unique_ptr<Arena> averages_;
  std::atomic<std::size_t> bytes_{0};
  std::int64_t input_elements_ = 0;  // of one copy
  std::vector<LayerMemory> layers_;
  std::vector<RoundedMemory> rounded_;  // of each layer; empty: products read matrices that are not rounded
  std::vector<ThreadMemory> threads_;
  std::size_t transposed_ = 0;
  std::size_t sample_columns_ = 0;
  std::size_t unscaled_input_ = 0;
  std::size_t row_loss_ = 0;
  std::size_t correct_ = 0;
  std::size_t slots_ = 0;
  std::size_t start_of_epoch_ = 0;
  std::size_t column_sums_ = 0;
};

/// Whether the backward pass needs the derivative of the activation function, rather than the output alone.
template <typename T>
bool stores_derivatives(const KernelTable<T>& kernels, const LayerSpec& layer) {
  const bool drops = layer.dropout > 0 && !layer.residual;
  return drops || layer.mixes || !kernels.derivative_from_output[static_cast<int>(layer.activation)];
}

}  // namespace fastmlp
