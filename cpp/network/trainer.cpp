#include "network/trainer.hpp"

#include <algorithm>
#include <string>

#include "base/arithmetic.hpp"
#include "base/check.hpp"
#include "network/epoch.hpp"
#include "network/initializer.hpp"

namespace fastmlp {
namespace {

std::int64_t checked_batch(std::int64_t batch_size) {
  require(batch_size >= 1, "batch_size must be positive, got " + std::to_string(batch_size));
  // Bounded so that sums of sizes do not overflow; no memory could hold a larger batch.
  if (batch_size > std::int64_t{1} << 40) throw std::bad_alloc();
  return batch_size;
}

/// Batch normalization and functions of the user compute with all rows of a batch at once.
const Shards& checked_shards(const NetworkSpec& spec, std::int64_t batch_size, const Shards& shards) {
  require(shards.count >= 1 && shards.count <= batch_size, "shards must be from 1 to the batch size, " +
                                                               std::to_string(batch_size) + ", got " +
                                                               std::to_string(shards.count));
  require(shards.own.begin >= 0 && shards.own.size() >= 1 && shards.own.end <= shards.count,
          "a process must have one or more of the shards");
  if (!shards.divides()) return shards;
  for (const LayerSpec& layer : spec.layers) {
    require(!layer.batch_norm, "shards must be 1 with batch normalization, whose moments are those of the whole batch");
  }
  for (const LossSpec& loss : spec.losses) {
    require(loss.loss != Loss::user_defined, "shards must be 1 with a loss that gets the whole batch");
  }
  return shards;
}

/// Moments of a few rows are inaccurate, so networks with batch normalization get no small last batch.
bool wants_even_batches(const NetworkSpec& spec) {
  return std::any_of(spec.layers.begin(), spec.layers.end(), [](const LayerSpec& layer) { return layer.batch_norm; });
}

/// Whether a layer is normalized by moments of the batch.
bool uses_batch_moments(const NetworkSpec& spec, const std::vector<bool>& trainable) {
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    if (spec.layers[l].batch_norm && (trainable.empty() || trainable[l])) return true;
  }
  return false;
}

/// The lowest layer whose backward-data pass is needed.
template <typename T>
std::size_t backward_end(const EpochRequest<T>& request, const NetworkSpec& spec) {
  if (request.differentiates_input) return 0;
  std::size_t lowest = 0;
  while (!request.trainable.empty() && lowest + 1 < spec.layers.size() && !request.trainable[lowest]) ++lowest;
  // Scales of inputs are trained with the layer that reads them.
  const bool trains_below = spec.layers[lowest].input_scales || (lowest == 0 && spec.trains_inputs());
  return trains_below ? lowest : lowest + 1;
}

}  // namespace

template <typename T>
StepFeatures step_features(const RunState<T>& state, const EpochRequest<T>& request, bool scans_columns) {
  const StepSettings& settings = request.settings;
  return {.trained = request.trainable,
          .backward_end = backward_end(request, state.mlp.spec()),
          .scans_columns = scans_columns,
          .with_penalty = request.with_penalty,
          .updates = state.updates,
          .clips = settings.clips(),
          .clips_by_norm = settings.clip_norm > 0,
          .bounds_norms = settings.bounds_norms(),
          .moves_averages = settings.moves_averages(),
          .shards = state.shards};
}

template <typename T>
Batches batches_of(const RunState<T>& state, std::int64_t samples, bool drop_last) {
  return {samples, state.batch_size, wants_even_batches(state.mlp.spec()), drop_last};
}

Range Batches::rows(std::int64_t i) const {
  if (i >= count()) return {samples, samples};
  if (even && !drop_last) return even_share(samples, i, count());
  return {i * size, std::min((i + 1) * size, samples)};
}

template <typename T>
RunState<T>::RunState(Mlp<T>& network, std::int64_t batch, Optimizer optimizer, int threads, T* gradients,
                      const Shards& divided)
    : mlp(network),
      batch_size(checked_batch(batch)),
      shards(checked_shards(mlp.spec(), batch_size, divided)),
      shard_rows(ceil_div(batch_size, shards.count)),
      plans(make_plans(mlp.spec(), shard_rows, threads, mlp.kernels().panel, sizeof(T))),
      trials(plans.size()),
      updates(gradients == nullptr),
      memory(mlp, shard_rows, plans, updates ? mlp.kernels().slots[static_cast<int>(optimizer)] : 0, updates),
      columns(mlp.spec().features(), plans.front().threads),
      sink{mlp.parameters(), gradients, memory.slots(), mlp.parameter_elements(), optimizer, {}} {}

template <typename T>
void RunState<T>::complete_step(const Moments& done, const EpochRequest<T>& request, std::size_t n,
                                const Progress& sums) {
  moments = done;
  position.epoch = request.epoch;
  position.steps = request.first_step + static_cast<std::int64_t>(n);
  position.sums = sums;
  averaged = false;
}

template <typename T>
Progress RunState<T>::sums_before(const EpochRequest<T>& request) const {
  const bool continues =
      request.first_step > 0 && position.epoch == request.epoch && position.steps == request.first_step;
  return continues ? position.sums : Progress{};
}

template <typename T>
Trainer<T>::Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients,
                    const Shards& shards)
    : state_(mlp, batch_size, optimizer, threads, gradients, shards) {}

template <typename T>
SampleOrder Trainer<T>::order_of(const EpochRequest<T>& request) {
  if (request.order != nullptr) return {request.order};
  if (!request.shuffle) return {};
  const std::int64_t count = request.samples.count;
  const std::int64_t orders = state_.mlp.spec().input_copies();
  const auto size = static_cast<std::size_t>(checked_product(count, orders));
  if (order_.size() != size || order_seed_ != request.seed || order_epoch_ != request.epoch) {
    order_.resize(size);
    for (std::int64_t member = 0; member < orders; ++member) {
      shuffled_order(request.seed, request.epoch, member, count, order_.data() + member * count);
    }
    order_seed_ = request.seed;
    order_epoch_ = request.epoch;
  }
  return {order_.data(), orders > 1 ? count : 0};
}

template <typename T>
std::int64_t Trainer<T>::smallest_batch(std::int64_t samples, bool drop_last,
                                        const std::vector<bool>& trainable) const {
  const std::int64_t smallest = batches_of(state_, samples, drop_last).smallest();
  if (smallest == 1 && uses_batch_moments(state_.mlp.spec(), trainable)) {
    throw std::invalid_argument("batch normalization needs batches of at least 2 samples, got one of 1 (" +
                                std::to_string(samples) + " samples, batch_size " + std::to_string(state_.batch_size) +
                                "): give more samples or a larger batch_size");
  }
  return smallest;
}

template <typename T>
EpochResult Trainer<T>::run_epoch(const EpochRequest<T>& request) {
  Mlp<T>& mlp = state_.mlp;
  require(!state_.shows_averages, "the network has its averages: hide them before the next step");
  if (request.training) smallest_batch(request.count(), request.drop_last, request.trainable);
  const SampleOrder order = order_of(request);
  require(!state_.shards.exchanges() || request.exchange, "shards of other processes need an exchange");
  const std::int64_t rows = std::min(state_.shard_rows, request.samples.count);
  const bool all_columns = mlp.spec().has_input_stage() || mlp.spec().bfloat16;
  state_.memory.require_input(all_columns ? mlp.spec().inputs_of(0)
                                          : most_nonzero_columns(mlp.spec(), request.samples, rows));
  if (backward_end(request, mlp.spec()) == 0) state_.memory.require_dx();
  if (state_.updates) {
    const bool keeps = request.settings.clips() || state_.shards.divides();
    state_.sink.gradients = keeps ? state_.memory.require_gradients(stack_height(state_.shards)) : nullptr;
    if (request.settings.moves_averages()) state_.memory.require_averages();
    if (request.first_step == 0 || !state_.has_start_of_epoch) {
      std::copy_n(mlp.parameters(), mlp.state_elements(), state_.memory.start_of_epoch());
      state_.has_start_of_epoch = true;
    }
  }
  EpochResult result = run_turns(request, order);
  if (!state_.updates) return result;
  // No loss of this epoch depends on the update of its last step.
  if (!mlp.kernels().all_finite[static_cast<int>(kInputType<T>)](mlp.state_elements(), mlp.parameters()))
    result.status = RunStatus::diverged;
  if (result.status == RunStatus::diverged) {
    std::copy_n(state_.memory.start_of_epoch(), mlp.state_elements(), mlp.parameters());
    state_.diverged = true;
  }
  return result;
}

template <typename T>
PlanTurn Trainer<T>::next_turn(std::int64_t left) {
  const std::vector<std::int64_t>& forced = forced_turns();
  if (forced.empty()) return state_.trials.next(left);
  const std::size_t turn = turns_++;
  return {turn % state_.plans.size(), std::min(left, forced[turn % forced.size()])};
}

/// The steps of a request, in turns of the plans.
template <typename T>
EpochResult Trainer<T>::run_turns(const EpochRequest<T>& request, const SampleOrder& order) {
  using Clock = std::chrono::steady_clock;
  const std::int64_t epoch_steps = batches_of(state_, request.count(), request.drop_last).count();
  const std::int64_t left = std::max<std::int64_t>(epoch_steps - request.first_step, 0);
  const std::int64_t wanted = request.steps < 0 ? left : std::min(request.steps, left);
  EpochRequest<T> part = request;
  EpochResult result;
  do {
    const std::int64_t done = result.steps;
    state_.turn = next_turn(std::max<std::int64_t>(wanted - done, 1));
    part.first_step = request.first_step + done;
    part.steps = std::min(state_.turn.steps, wanted - done);
    part.steps_before = static_cast<std::size_t>(done);
    const auto begin = Clock::now();
    Epoch<T> epoch(state_, part, order);
    run_team(state_.plan().threads, [&](const Worker& worker) {
      const WithoutSubnormals scope;
      epoch.run(worker);
    });
    result = epoch.result();
    state_.trials.record(state_.turn, result.steps, std::chrono::duration<double>(Clock::now() - begin).count());
    result.steps += done;
  } while (result.status == RunStatus::completed && result.steps < wanted);
  return result;
}

template <typename T>
void Trainer<T>::average(double decay) {
  if (state_.averaged) return;
  const Mlp<T>& mlp = state_.mlp;
  if (state_.memory.averages() == nullptr) {
    state_.memory.require_averages();
  } else {
    const WithoutSubnormals scope;
    mlp.kernels().move_averages(mlp.state_elements(), static_cast<T>(decay), mlp.parameters(),
                                state_.memory.averages());
  }
  state_.averaged = true;
}

template <typename T>
void Trainer<T>::show_averages() {
  swap_averages(true);
}

template <typename T>
void Trainer<T>::hide_averages() {
  swap_averages(false);
}

template <typename T>
void Trainer<T>::swap_averages(bool shown) {
  if (state_.shows_averages == shown) return;
  require(state_.memory.averages() != nullptr, "nothing has been averaged yet");
  T* parameters = state_.mlp.parameters();
  std::swap_ranges(parameters, parameters + state_.mlp.state_elements(), state_.memory.averages());
  state_.shows_averages = shown;
}

template StepFeatures step_features(const RunState<float>&, const EpochRequest<float>&, bool);
template StepFeatures step_features(const RunState<double>&, const EpochRequest<double>&, bool);
template Batches batches_of(const RunState<float>&, std::int64_t, bool);
template Batches batches_of(const RunState<double>&, std::int64_t, bool);
template struct RunState<float>;
template struct RunState<double>;
template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastmlp
