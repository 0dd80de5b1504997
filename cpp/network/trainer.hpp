// Training: epochs of steps, each inside one parallel region.
//
// A step of a team: each member carries its rows of the batch through gather, forward, loss and backward-data, then
// turns its share of the weight blocks into gradients and updates them at once. Where the members meet follows from
// what each pass reads and writes (step.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/team.hpp"
#include "network/input.hpp"
#include "network/mlp.hpp"
#include "network/plan.hpp"
#include "network/run_memory.hpp"
#include "network/step.hpp"
#include "network/step_settings.hpp"
#include "ops/gradient_sink.hpp"

namespace fastmlp {

enum class RunStatus { completed, interrupted, diverged };

/// Sums over the samples done; losses and correct predictions as they were before the step that each caused.
struct Progress {
  std::int64_t samples_done = 0;
  double weight_sum = 0;
  double loss_sum = 0;
  double penalty_sum = 0;  // weight of each batch times l2 / 2 times the sum of the squared weights, when asked for
  double correct = 0;      // weight of the samples predicted right
};

/// Called at once and then every few tens of milliseconds, from the calling thread; returns false to stop.
using Monitor = std::function<bool(const Progress&)>;

/// Outputs and targets of a batch to the mean loss and its gradient by the outputs, from the calling thread. `index`
/// numbers the samples unless it is null, then they begin at `first`. Returns false to stop.
template <typename T>
using UserLoss = std::function<bool(const Panels<T>& outputs, const std::int64_t* index, std::int64_t first,
                                    const Panels<T>& gradient, T& loss)>;

template <typename T>
struct EpochRequest {
  SampleRows samples;
  std::vector<GroupTargets<T>> targets;
  const T* sample_weights = nullptr;  // null: all 1
  UserLoss<T> user_loss;              // for Loss::user_defined
  StepSettings settings;
  std::vector<double> learning_rates;  // of each step; empty: that of the settings
  std::vector<bool> trainable;         // by layer; empty: all
  // Dropout, noise, and moments of the batch in batch normalisation; else the network as it predicts.
  bool training = true;
  const std::int64_t* order = nullptr;  // of the samples; null: shuffled by (seed, epoch), or as they are
  bool shuffle = true;
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  std::int64_t first_step = 0;
  bool drops_partial = false;  // see Batches
  std::int64_t steps = -1;     // at most that many; -1: to the end of the epoch
  bool counts_penalty = false;
  bool differentiates_input = false;
  std::vector<double>* step_losses = nullptr;  // mean loss of each step
  Monitor monitor;
};

/// How the samples of an epoch are cut into batches.
struct Batches {
  std::int64_t samples = 0;
  std::int64_t size = 0;       // at most
  bool even = false;           // sizes differ by one at most, rather than that the last batch holds what is left
  bool drops_partial = false;  // what does not fill a batch is left out

  std::int64_t count() const { return drops_partial ? samples / size : (samples + size - 1) / size; }
  /// Of batch i; empty beyond the last one.
  Range rows(std::int64_t i) const;
  std::int64_t smallest() const { return rows(count() - 1).size(); }
};

struct EpochResult {
  RunStatus status = RunStatus::completed;
  std::int64_t steps = 0;  // completed
  Progress progress;
};

/// Where a run is in its epochs. It changes with each completed step, beside the parameters and moments, so that
/// nothing that ends a call of the core can come between them.
struct Position {
  std::int64_t epoch = -1;  // of the last completed step; -1: there was none
  std::int64_t steps = 0;   // completed in this epoch
  Progress sums;            // over these steps, added in their order, however many calls they took
  Progress last_step;
};

/// What lives as long as a run.
template <typename T>
struct RunState {
  RunState(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients);

  /// Takes note of a step, the n-th of a request.
  void complete_step(const Moments& done, const EpochRequest<T>& request, std::size_t n, const Progress& sums);
  /// What a request adds to: the sums over the steps of its epoch before it.
  Progress sums_before(const EpochRequest<T>& request) const;

  Mlp<T>& mlp;
  const std::int64_t batch_size;
  const Plan plan;
  const bool updates;  // steps change the network, rather than leave gradients
  RunMemory<T> memory;
  LiveColumns columns;
  GradientSink<T> sink;
  // A line of its own: member 0 writes all of this after every step.
  alignas(kCacheLine) Moments moments;  // of the steps done so far
  Position position;
  bool averaged = false;            // after the last step, by `Trainer::average`
  bool shows_averages = false;      // the network has them, and they are kept in its place
  bool has_start_of_epoch = false;  // in the memory
  bool diverged = false;            // slots and moments are not those of the network any more
  // Kept from epoch to epoch: short epochs report as often as long ones.
  std::chrono::steady_clock::time_point next_report = std::chrono::steady_clock::now();
};

template <typename T>
Batches batches_of(const RunState<T>& state, std::int64_t samples, bool drops_partial);

/// What a request asks of its steps.
template <typename T>
StepFeatures step_features(const RunState<T>& state, const EpochRequest<T>& request, bool looks_at_columns);

template <typename T>
class Trainer {
 public:
  /// Takes all memory of the run. threads: 0 chooses by the work of a step. With `gradients`
  /// (mlp.parameter_elements() elements, the layout of the parameters) a step writes there and updates nothing.
  Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients = nullptr);

  /// Steps of one pass over the samples; the sums of the result begin with the epoch. A loss that is NaN or infinite
  /// ends it as diverged: the network is that of the start of the epoch again. An interrupted epoch keeps the
  /// parameters of its last completed step.
  EpochResult run_epoch(const EpochRequest<T>& request);

  /// Samples of the smallest batch of an epoch. Throws std::invalid_argument where a batch of one sample would have to
  /// be normalised. trainable: as of EpochRequest.
  std::int64_t smallest_batch(std::int64_t samples, bool drops_partial, const std::vector<bool>& trainable) const;

  /// averages += (1 - decay) (state - averages); the first time they are a copy of the network's state. Once after a
  /// step: a second call does nothing.
  void average(double decay);
  /// Exchanges the network's state and its averages, where that is not done yet.
  void show_averages();
  /// Gives the network its state back.
  void hide_averages();

  RunState<T>& state() { return state_; }
  const RunState<T>& state() const { return state_; }

 private:
  const std::int64_t* order_of(const EpochRequest<T>& request);
  void swap_averages(bool shown);

  RunState<T> state_;
  // The last shuffled order, and what it was made from.
  std::vector<std::int64_t> order_;
  std::uint64_t order_seed_ = 0;
  std::uint32_t order_epoch_ = 0;
};

}  // namespace fastmlp
