// Training: epochs of steps, one parallel region per epoch.
//
// In a step each thread takes its rows of the batch through gather, forward, loss and backward-data, then computes the
// gradients of its share of the weight blocks and updates these blocks at once. The barriers between threads follow
// from what each pass reads and writes (step.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/team.hpp"
#include "network/input.hpp"
#include "network/mlp.hpp"
#include "network/plan.hpp"
#include "network/plan_trials.hpp"
#include "network/run_memory.hpp"
#include "network/shards.hpp"
#include "network/step.hpp"
#include "network/step_settings.hpp"
#include "ops/gradient_sink.hpp"

namespace fastmlp {

enum class RunStatus { completed, interrupted, diverged };

/// Sums over the samples of completed steps. Losses and correct predictions are those before the update of each step.
struct Progress {
  std::int64_t samples_done = 0;
  double weight_sum = 0;
  double loss_sum = 0;
  double penalty_sum = 0;  // with_penalty: weight of each batch times l2 / 2 times the sum of the squared weights
  double correct = 0;      // weight of the samples that were predicted right
};

/// Called from the calling thread at once and then every few tens of milliseconds. Returns false to stop the run.
using Monitor = std::function<bool(const Progress&)>;

/// Computes the mean loss of a batch and its gradient by the outputs; called from the calling thread. `index` has the
/// number of each sample; null: the samples begin at `first`. Returns false to stop the run.
template <typename T>
using UserLoss = std::function<bool(const Panels<T>& outputs, const std::int64_t* index, std::int64_t first,
                                    const Panels<T>& doutputs, T& loss)>;

/// How a step stands after its shards; a larger value decides over a smaller one.
enum class StepStatus { counts = 0, diverged = 1, stops = 2 };

/// Sums over samples of a shard or of several.
struct ShardResults {
  double loss = 0;
  double correct = 0;
};

/// What a process has of a step, and what it gets.
template <typename T>
struct ShardExchange {
  T* gradients = nullptr;  // `sums` arrays of `elements`; the sum over all shards takes the place of the first
  std::int64_t elements = 0;
  ShardResults* results = nullptr;  // likewise
  std::int64_t sums = 0;
  StepStatus status = StepStatus::counts;  // of this process, then of all
};

/// Adds the sums of all processes in the tree of the shards; called from the calling thread. Returns false to stop the
/// run.
template <typename T>
using Exchange = std::function<bool(ShardExchange<T>&)>;

template <typename T>
struct EpochRequest {
  SampleRows samples;  // of all batches, or of the shards of this process alone
  std::vector<GroupTargets<T>> targets;
  const T* sample_weights = nullptr;      // null: all 1
  std::int64_t all_samples = 0;           // of all processes, where each has those of its shards; 0: this one has all
  const double* batch_weights = nullptr;  // total weight of each batch; null: the sum over its samples
  UserLoss<T> user_loss;                  // for Loss::user_defined
  Exchange<T> exchange;                   // where other processes compute some of the shards
  StepSettings settings;
  std::vector<double> learning_rates;   // of each step; empty: that of the settings
  std::vector<double> decays;           // likewise
  std::vector<double> dropout_factors;  // likewise, of the rates of dropout; empty: 1
  std::size_t steps_before = 0;         // of these vectors: steps that have been taken already
  std::vector<ArrayRate> rates;         // of arrays that differ from the settings
  std::vector<bool> trainable;          // per layer; empty: all
  // With dropout, noise and, in batch normalization, the moments of the batch; otherwise as in prediction.
  bool training = true;
  const std::int64_t* order = nullptr;  // of the samples, for all members; null: shuffled by (seed, epoch), or not
  bool shuffle = true;
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  std::int64_t first_step = 0;
  bool drop_last = false;   // see Batches
  std::int64_t steps = -1;  // at most that many; -1: to the end of the epoch
  bool with_penalty = false;
  bool differentiates_input = false;
  std::vector<double>* step_losses = nullptr;  // mean loss of each step
  Monitor monitor;

  /// Samples of the epoch.
  std::int64_t count() const { return all_samples > 0 ? all_samples : samples.count; }
};

/// The order of the samples in an epoch: one for all members, or one after the other for each of them.
struct SampleOrder {
  const std::int64_t* samples = nullptr;  // null: as they are
  std::int64_t stride = 0;                // from the order of a member to that of the next; 0: all have the same

  const std::int64_t* of_member(std::int64_t member) const {
    return samples == nullptr ? nullptr : samples + member * stride;
  }
  std::int64_t sample(std::int64_t member, std::int64_t place) const {
    return samples == nullptr ? place : of_member(member)[place];
  }
};

/// How the samples of an epoch are divided into batches.
struct Batches {
  std::int64_t samples = 0;
  std::int64_t size = 0;   // at most
  bool even = false;       // sizes differ by at most one; otherwise the last batch has the remaining samples
  bool drop_last = false;  // leaves out samples that do not fill a batch

  std::int64_t count() const { return drop_last ? samples / size : ceil_div(samples, size); }
  /// Samples of batch i; empty beyond the last batch.
  Range rows(std::int64_t i) const;
  std::int64_t smallest() const { return rows(count() - 1).size(); }
};

struct EpochResult {
  RunStatus status = RunStatus::completed;
  std::int64_t steps = 0;  // completed
  Progress progress;
};

/// The position of a run in its epochs. It changes in the same call as the parameters, so that the two always agree.
struct Position {
  std::int64_t epoch = -1;  // of the last completed step; -1: none
  std::int64_t steps = 0;   // completed in this epoch
  Progress sums;            // over these steps, added in their order in one or several calls
  Progress last_step;
};

/// The state of a run beside the parameters of its network.
template <typename T>
struct RunState {
  RunState(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients, const Shards& shards);

  /// Records the n-th step of a request as completed.
  void complete_step(const Moments& done, const EpochRequest<T>& request, std::size_t n, const Progress& sums);
  /// That of the steps that are being taken.
  const Plan& plan() const { return plans[turn.plan]; }
  /// Sums over the steps of the epoch before the request.
  Progress sums_before(const EpochRequest<T>& request) const;

  Mlp<T>& mlp;
  const std::int64_t batch_size;
  const Shards shards;
  const std::int64_t shard_rows;  // of the largest shard
  const std::vector<Plan> plans;
  PlanTrials trials;
  PlanTurn turn;
  const bool updates;  // steps update the network; otherwise they leave gradients
  RunMemory<T> memory;
  ZeroColumns columns;
  GradientSink<T> sink;
  // A cache line of its own: thread 0 writes all of this after every step.
  alignas(kCacheLine) Moments moments;  // of the completed steps
  Position position;
  bool averaged = false;            // `Trainer::average` was called after the last step
  bool shows_averages = false;      // the network's state and its averages are exchanged
  bool has_start_of_epoch = false;  // memory.start_of_epoch() is set
  bool diverged = false;            // slots and moments do not belong to the network's parameters
  // Kept from epoch to epoch, so that short epochs report as often as long ones.
  std::chrono::steady_clock::time_point next_report = std::chrono::steady_clock::now();
};

template <typename T>
Batches batches_of(const RunState<T>& state, std::int64_t samples, bool drop_last);

/// The features of the steps of a request.
template <typename T>
StepFeatures step_features(const RunState<T>& state, const EpochRequest<T>& request, bool scans_columns);

template <typename T>
class Trainer {
 public:
  /// Allocates the memory of the run. threads: 0 chooses by the work of a step. With `gradients`
  /// (mlp.parameter_elements() elements in the layout of the parameters) a step writes them and updates nothing.
  /// Throws std::invalid_argument if the network cannot be trained in shards.
  Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients = nullptr,
          const Shards& shards = {});

  /// Runs steps of one pass over the samples; the sums of the result begin with the epoch. After a loss that is NaN or
  /// infinite the status is `diverged` and the network has its state of the start of the epoch. After an interruption
  /// it has the state of the last completed step.
  EpochResult run_epoch(const EpochRequest<T>& request);

  /// Samples of the smallest batch of an epoch. Throws std::invalid_argument if batch normalization would get a batch
  /// of one sample. trainable: as in EpochRequest.
  std::int64_t smallest_batch(std::int64_t samples, bool drop_last, const std::vector<bool>& trainable) const;

  /// averages += (1 - decay) (state - averages); the first call copies the network's state. A second call after the
  /// same step does nothing.
  void average(double decay);
  /// Exchanges the network's state and its averages, unless they are exchanged already.
  void show_averages();
  /// Exchanges them back.
  void hide_averages();

  RunState<T>& state() { return state_; }
  const RunState<T>& state() const { return state_; }

 private:
  SampleOrder order_of(const EpochRequest<T>& request);
  PlanTurn next_turn(std::int64_t left);
  EpochResult run_turns(const EpochRequest<T>& request, const SampleOrder& order);
  void swap_averages(bool shown);

  RunState<T> state_;
  // The last shuffled orders, their seed and their epoch.
  std::vector<std::int64_t> order_;
  std::uint64_t order_seed_ = 0;
  std::uint32_t order_epoch_ = 0;
  std::size_t turns_ = 0;  // that were forced
};

}  // namespace fastmlp
