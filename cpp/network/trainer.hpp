// Training: the order of operations of a step, and epochs of steps inside one parallel region.
//
// A step of a team: each member carries its rows of the batch through gather, forward, loss and backward-data
// without meeting the others; a barrier; each member turns its share of the weight blocks into gradients and
// updates them at once; a barrier. Two barriers a step, whatever the depth.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "base/team.hpp"
#include "network/input.hpp"
#include "network/mlp.hpp"
#include "network/plan.hpp"
#include "network/step_settings.hpp"

namespace fastmlp {

enum class RunStatus { completed, interrupted, diverged };

struct Progress {
  std::int64_t samples_done = 0;
  double loss_sum = 0;  // of the samples done
  std::int64_t correct = 0;
};

/// Called at once and then every few tens of milliseconds, from the calling thread; returns false to stop.
using Monitor = std::function<bool(const Progress&)>;

template <typename T>
struct EpochRequest {
  SampleRows samples;
  const void* targets = nullptr;  // as LossCall::targets
  StepSettings settings;
  bool shuffle = true;
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  Monitor monitor;
};

struct EpochResult {
  RunStatus status = RunStatus::completed;
  std::int64_t steps = 0;  // completed
  Progress progress;
};

template <typename T>
class Trainer {
 public:
  /// Takes all memory of the run. threads: 0 chooses by the work of a step. With `gradients`
  /// (mlp.parameter_elements() elements, the layout of the parameters) a step writes there and updates nothing.
  Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients = nullptr);

  /// One pass over the samples. A loss that is NaN or infinite ends it as diverged: the parameters are those of
  /// the start of the epoch again. An interrupted epoch keeps the parameters of its last completed step.
  EpochResult run_epoch(const EpochRequest<T>& request);

  const Plan& plan() const { return plan_; }
  std::size_t bytes() const { return arena_.bytes(); }

 private:
  class Epoch;

  Panels<T> values(std::int64_t level, std::int64_t batch) const;
  Panels<T> gradient(std::int64_t level, std::int64_t batch) const;

  Mlp<T>& mlp_;
  std::int64_t batch_size_;
  Plan plan_;
  LiveColumns columns_;
  GradientSink<T> sink_;
  Moments moments_;  // of the steps done so far
  Arena arena_;
  // Level 0 is the input, level l the output of layer l. Gradients are by the pre-activations of levels 1 and up.
  std::vector<std::size_t> value_offsets_;
  std::vector<std::size_t> input_offsets_;  // level 0, one per member of the team
  std::vector<std::size_t> gradient_offsets_;
  std::vector<std::size_t> transposed_offsets_;  // one per member of the team
  std::vector<std::size_t> block_offsets_;       // one per member of the team
  std::size_t row_loss_offset_ = 0;
  std::size_t predicted_offset_ = 0;
  std::size_t last_good_offset_ = 0;
  // Kept from epoch to epoch: short epochs report as often as long ones.
  std::chrono::steady_clock::time_point next_report_ = std::chrono::steady_clock::now();
};

}  // namespace fastmlp
