#include "network/trainer.hpp"

#include <algorithm>
#include <string>

#include "base/check.hpp"
#include "network/epoch.hpp"
#include "network/initializer.hpp"

namespace fastmlp {
namespace {

std::int64_t checked_batch(std::int64_t batch_size) {
  require(batch_size >= 1, "batch_size must be positive, got " + std::to_string(batch_size));
  return batch_size;
}

}  // namespace

Range Batches::rows(std::int64_t i) const {
  if (i >= count()) return {samples, samples};
  if (even && !drops_partial) return even_share(samples, i, count());
  return {i * size, std::min((i + 1) * size, samples)};
}

template <typename T>
RunState<T>::RunState(Mlp<T>& network, std::int64_t batch, Optimizer optimizer, int threads, T* gradients)
    : mlp(network),
      batch_size(checked_batch(batch)),
      plan(make_plan(mlp.spec(), batch_size, threads, mlp.kernels().panel, sizeof(T))),
      updates(gradients == nullptr),
      memory(mlp, batch_size, plan, updates ? mlp.kernels().slots[static_cast<int>(optimizer)] : 0, updates),
      columns(mlp.spec().features(), plan.threads),
      sink{mlp.parameters(), gradients, memory.slots(), mlp.parameter_elements(), optimizer, {}} {}

template <typename T>
Trainer<T>::Trainer(Mlp<T>& mlp, std::int64_t batch_size, Optimizer optimizer, int threads, T* gradients)
    : state_(mlp, batch_size, optimizer, threads, gradients) {}

template <typename T>
const std::int64_t* Trainer<T>::order_of(const EpochRequest<T>& request) {
  if (request.order != nullptr) return request.order;
  if (!request.shuffle) return nullptr;
  const auto count = static_cast<std::size_t>(request.samples.count);
  if (order_.size() != count || order_seed_ != request.seed || order_epoch_ != request.epoch) {
    order_.resize(count);
    shuffled_order(request.seed, request.epoch, request.samples.count, order_.data());
    order_seed_ = request.seed;
    order_epoch_ = request.epoch;
  }
  return order_.data();
}

template <typename T>
EpochResult Trainer<T>::run_epoch(const EpochRequest<T>& request) {
  Mlp<T>& mlp = state_.mlp;
  const std::int64_t* order = order_of(request);
  const std::int64_t rows = std::min(state_.batch_size, request.samples.count);
  state_.memory.require_input(most_live_columns(mlp.spec(), request.samples, rows));
  if (request.differentiates_input) state_.memory.require_input_gradient();
  if (state_.updates) {
    state_.sink.gradients = request.settings.clips() ? state_.memory.require_gradients() : nullptr;
    if (request.settings.average_decay > 0) state_.memory.require_averages();
    if (request.first_step == 0) {
      std::copy_n(mlp.parameters(), mlp.state_elements(), state_.memory.start_of_epoch());
    }
  }
  Epoch<T> epoch(state_, request, order);
  run_team(state_.plan.threads, [&](const Member& member) { epoch.run(member); });
  EpochResult result = epoch.result();
  if (!state_.updates) return result;
  // The update of the last step is seen by no loss of this epoch.
  if (!mlp.kernels().all_finite(mlp.state_elements(), mlp.parameters())) result.status = RunStatus::diverged;
  if (result.status == RunStatus::diverged) {
    std::copy_n(state_.memory.start_of_epoch(), mlp.state_elements(), mlp.parameters());
  }
  return result;
}

template <typename T>
void Trainer<T>::average(double decay) {
  const Mlp<T>& mlp = state_.mlp;
  if (state_.memory.averages() == nullptr) {
    state_.memory.require_averages();
    return;
  }
  mlp.kernels().move_averages(mlp.state_elements(), static_cast<T>(decay), mlp.parameters(), state_.memory.averages());
}

template <typename T>
void Trainer<T>::swap_averages() {
  require(state_.memory.averages() != nullptr, "nothing has been averaged yet");
  T* parameters = state_.mlp.parameters();
  std::swap_ranges(parameters, parameters + state_.mlp.state_elements(), state_.memory.averages());
}

template struct RunState<float>;
template struct RunState<double>;
template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastmlp
