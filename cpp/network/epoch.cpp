#include "network/epoch.hpp"

#include <algorithm>
#include <chrono>

#include "ops/random.hpp"

namespace fastmlp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMonitorInterval{25};
/// Work between two looks at the clock: some tens of microseconds.
constexpr double kFlopsBetweenChecks = 8e6;
/// Batches without enough zero columns after which an epoch looks no further.
constexpr int kDenseBatches = 4;

/// The lowest layer whose gradient is needed.
template <typename T>
std::int64_t lowest_layer(const EpochRequest<T>& request, std::int64_t layers) {
  if (request.differentiates_input) return 0;
  std::int64_t lowest = 1;
  while (!request.trainable.empty() && lowest < layers && !request.trainable[static_cast<std::size_t>(lowest - 1)]) {
    ++lowest;
  }
  return lowest;
}

}  // namespace

template <typename T>
Epoch<T>::Epoch(RunState<T>& state, const EpochRequest<T>& request, const std::int64_t* order)
    : state_(state),
      request_(request),
      spec_(state.mlp.spec()),
      kernels_(state.mlp.kernels()),
      order_(order),
      update_(state, request),
      lowest_(lowest_layer(request, spec_.layer_count())),
      progress_(state.sums_before(request)) {}

template <typename T>
void Epoch<T>::run(const Member& member) {
  const std::int64_t batch_size_limit = state_.batch_size;
  const std::int64_t steps_wanted = request_.steps;
  const std::int64_t begin = request_.first_step * batch_size_limit;
  const std::int64_t total = request_.samples.count;
  const std::int64_t whole_steps = (total - begin) / batch_size_limit;
  const bool partial = steps_wanted >= 0 && steps_wanted <= whole_steps;
  const std::int64_t end = partial ? begin + steps_wanted * batch_size_limit : total;
  // Batches whose columns are looked at; dense data ends that after a few.
  const bool fixed_input = !(request_.training && spec_.disturbs_input());
  int patience = fixed_input ? kDenseBatches : 0;
  Moments moments = state_.moments;
  std::size_t step = 0;  // of this call
  mark_columns(begin, member);
  member.barrier.wait();
  for (std::int64_t first = begin; first < end; first += batch_size_limit) {
    const bool leaves_out = patience > 0 && state_.columns.collect(request_.samples, member.index);
    if (patience > 0) patience = leaves_out ? kDenseBatches : patience - 1;
    Batch<T> batch = make_batch(first, leaves_out, member);
    batch.step = static_cast<std::uint32_t>(moments.steps);
    if (member.index == 0 && request_.counts_penalty) count_penalty(batch);
    forward_and_backward(batch, member);
    if (member.index == 0) {
      report();
      update_.start();
    }
    member.barrier.wait();
    const bool halted =
        stop_.load(std::memory_order_relaxed) || (diverged_.load(std::memory_order_relaxed) && state_.updates);
    if (halted) return;
    move_running_moments(batch, member);
    if (patience > 0) {
      mark_columns(first + batch.size, member);
    } else {
      prefetch_rows(first + batch.size, member);
    }
    const double rate =
        step < request_.learning_rates.size() ? request_.learning_rates[step] : request_.settings.learning_rate;
    ++step;
    update_.run(batch, moments.template next<T>(state_.sink.optimizer, request_.settings, rate, batch.weight), member);
    if (member.index == 0) {
      count_step(batch);
      state_.complete_step(moments, request_, step, progress_);
    }
    member.barrier.wait();
  }
}

template <typename T>
EpochResult Epoch<T>::result() const {
  EpochResult result{RunStatus::completed, steps_, progress_};
  if (diverged_.load() && state_.updates) result.status = RunStatus::diverged;
  if (stop_.load()) result.status = RunStatus::interrupted;
  return result;
}

template <typename T>
Batch<T> Epoch<T>::make_batch(std::int64_t first, bool leaves_out, const Member& member) const {
  const std::int64_t size = batch_size(first);
  double weight = request_.sample_weights == nullptr ? static_cast<double>(size) : 0;
  for (std::int64_t row = first; request_.sample_weights != nullptr && row < first + size; ++row) {
    weight += static_cast<double>(request_.sample_weights[order_ == nullptr ? row : order_[row]]);
  }
  const LiveColumns& columns = state_.columns;
  Batch<T> batch{first, size, weight, even_share(size, member.index, member.count)};
  if (!leaves_out) return batch;
  batch.columns = {&columns.live(member.index), columns.places(member.index)};
  batch.idle = &columns.idle(member.index);
  return batch;
}

template <typename T>
std::int64_t Epoch<T>::batch_size(std::int64_t first) const {
  return std::max<std::int64_t>(0, std::min(state_.batch_size, request_.samples.count - first));
}

template <typename T>
Dropout Epoch<T>::dropout(std::int64_t level, const Batch<T>& batch) const {
  const double rate = level == 0 ? spec_.input_dropout : spec_.layer(level - 1).dropout;
  return {request_.training ? rate : 0, request_.seed, static_cast<std::uint32_t>(level), batch.step};
}

template <typename T>
void Epoch<T>::gather(const Batch<T>& batch, const Member& member) {
  const Range rows = gathered_rows(batch.size, member);
  const Panels<T> values = layer_input(state_, 0, batch, member).values;
  gather_rows(kernels_, spec_, request_.samples, order_, batch.first + rows.begin, batch.columns, values, rows);
  if (!request_.training || !spec_.disturbs_input()) return;
  for (std::int64_t p = 0; p < values.count(); ++p) {
    if (spec_.input_noise > 0) {
      add_noise(kernels_, values, spec_.input_noise, request_.seed, batch.step, rows, p);
    }
    if (spec_.input_dropout > 0) drop_values<T>(kernels_, {values}, dropout(0, batch), rows, p);
  }
}

template <typename T>
void Epoch<T>::forward_and_backward(const Batch<T>& batch, const Member& member) {
  const std::int64_t last = spec_.layer_count();
  gather(batch, member);
  bool goes_on = true;
  for (std::int64_t l = 1; l <= last; ++l) {
    if (state_.plan.meets_before(static_cast<std::size_t>(l - 1))) member.barrier.wait();
    if (goes_on) goes_on = forward(l, batch, member);
  }
  if (request_.user_loss) {
    member.barrier.wait();
    if (member.index == 0 && goes_on) user_loss(batch);
    member.barrier.wait();
  }
  goes_on = goes_on && batch.rows.size() > 0;
  if (goes_on) output_gradient(batch, member);
  for (std::int64_t l = last; l > lowest_; --l) {
    if (goes_on) goes_on = backward_data(l, batch, member);
    if (l > 1 && spec_.layer(l - 2).batch_norm) normalise_backward(l - 1, batch, member);
  }
}

/// This member's part of layer l; false when the run was stopped.
template <typename T>
bool Epoch<T>::forward(std::int64_t l, const Batch<T>& batch, const Member& member) {
  const LayerInput<T> from = layer_input(state_, l - 1, batch, member);
  const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
  const LayerOutput<T> to = state_.memory.output(l, batch.size);
  const bool by_outputs = split(l) == Split::outputs;
  const Range rows = by_outputs ? Range{0, batch.size} : batch.rows;
  const Range own = by_outputs ? own_panels(state_, l, member) : Range{0, to.values.count()};
  const Dropout drop = dropout(l, batch);
  const bool done = in_blocks(rows, from.values.cols, own, false, member, [&](Range block, Range depth, Range panels) {
    dense_forward(kernels_, layer, from, to, drop, block, depth, panels);
  });
  if (!done || !layer.normalises()) return done;
  const BatchNormSettings settings = batch_norm_settings(l);
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_forward(kernels_, layer, settings, state_.memory.batch_norm(l, batch.size), to.values, p);
    dense_finish(kernels_, layer, to, drop, rows, p);
  }
  return true;
}

template <typename T>
BatchNormSettings Epoch<T>::batch_norm_settings(std::int64_t l) const {
  const bool from_batch = request_.training && update_.trains(l);
  return {spec_.batch_norm_epsilon, spec_.batch_norm_momentum, from_batch, from_batch && state_.updates};
}

/// Of the units that are this member's: nothing gives the step up any more.
template <typename T>
void Epoch<T>::move_running_moments(const Batch<T>& batch, const Member& member) {
  for (std::int64_t l = 1; l <= spec_.layer_count(); ++l) {
    const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
    if (!layer.normalises()) continue;
    const Panels<T> values = state_.memory.output(l, batch.size).values;
    const Range own = own_panels(state_, l, member);
    for (std::int64_t p = own.begin; p < own.end; ++p) {
      batch_norm_move(layer, batch_norm_settings(l), state_.memory.batch_norm(l, batch.size), values, p);
    }
  }
}

/// Gradient by the pre-activations of the layer before l; false when the run was stopped.
template <typename T>
bool Epoch<T>::backward_data(std::int64_t l, const Batch<T>& batch, const Member& member) {
  const DenseLayer<T>& layer = state_.mlp.layer(l - 1);
  const Panels<T> from = state_.memory.gradient(l, batch.size);
  const Panels<T> to = state_.memory.gradient(l - 1, batch.size);
  Derivative<T> derivative{Activation::identity, 0, {to}};
  if (l > 1) {
    const DenseLayer<T>& below = state_.mlp.layer(l - 2);
    derivative = {below.activation, below.parameter, state_.memory.output(l - 1, batch.size)};
  }
  const Range rows = batch.rows;
  T* transposed = state_.memory.transposed(member.index);
  const bool by_rows = state_.plan.transposes_weights[static_cast<std::size_t>(l - 1)];
  if (!by_rows) transpose_rows(kernels_, from, rows, transposed);
  return in_blocks(rows, from.cols, {0, to.count()}, !by_rows, member, [&](Range block, Range depth, Range panels) {
    if (by_rows) {
      dense_backward_data_by_rows(kernels_, layer.weights, from, derivative, to, block, depth, panels, transposed);
    } else {
      dense_backward_data(kernels_, layer.weights, transposed + (block.begin - rows.begin) * from.cols, derivative, to,
                          block, depth, panels, state_.memory.scratch(member.index));
    }
  });
}

/// From the pre-activations of a normalised layer to its product: needs all rows of a unit.
template <typename T>
void Epoch<T>::normalise_backward(std::int64_t level, const Batch<T>& batch, const Member& member) {
  member.barrier.wait();
  const BatchNormSettings settings{.from_batch = request_.training && update_.trains(level)};
  const Range own = own_panels(state_, level, member);
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_backward(kernels_, state_.mlp.layer(level - 1), settings, state_.memory.batch_norm(level, batch.size),
                        state_.memory.gradient(level, batch.size), p);
  }
  member.barrier.wait();
}

/// Loss, correct predictions and the gradient by the last layer's pre-activations.
template <typename T>
void Epoch<T>::output_gradient(const Batch<T>& batch, const Member& member) {
  const std::int64_t last = spec_.layer_count();
  const Range rows = batch.rows;
  const LayerOutput<T> output = state_.memory.output(last, batch.size);
  const Panels<T> gradient = state_.memory.gradient(last, batch.size);
  T* row_loss = state_.memory.row_loss() + rows.begin;
  T* first_row = output.values.at(0, rows.begin);
  const std::int64_t stride = output.values.stride();
  if (!request_.user_loss) {
    if (spec_.softmax_output) kernels_.softmax(rows.size(), output.values.cols, first_row, stride);
    const std::int64_t first = batch.first + rows.begin;
    const MeasuredRows<T> measured{.rows = rows,
                                   .index = order_ == nullptr ? nullptr : order_ + first,
                                   .first_sample = first,
                                   .sample_weights = request_.sample_weights,
                                   .scale = batch.weight > 0 ? static_cast<T>(1 / batch.weight) : T{0},
                                   .row_loss = row_loss,
                                   .correct = state_.memory.correct() + rows.begin};
    output_loss(kernels_, state_.mlp.groups(), request_.targets, measured, output.values, gradient,
                state_.memory.loss_scratch(member.index));
  }
  if (spec_.softmax_output) {
    kernels_.softmax_backward(rows.size(), output.values.cols, first_row, gradient.at(0, rows.begin), stride);
  }
  const DenseLayer<T>& layer = state_.mlp.layer(last - 1);
  const Derivative<T> derivative{layer.activation, layer.parameter, output};
  for (std::int64_t p = 0; p < gradient.count(); ++p) {
    apply_derivative(kernels_, derivative, rows, p, gradient.at(p, rows.begin));
  }
  if (!kernels_.all_finite(rows.size(), row_loss)) diverged_.store(true, std::memory_order_relaxed);
}

/// The whole batch, by one member.
template <typename T>
void Epoch<T>::user_loss(const Batch<T>& batch) {
  const Panels<T> outputs = state_.memory.output(spec_.layer_count(), batch.size).values;
  if (spec_.softmax_output) kernels_.softmax(batch.size, outputs.cols, outputs.data, outputs.stride());
  T loss = 0;
  const std::int64_t* index = order_ == nullptr ? nullptr : order_ + batch.first;
  const Panels<T> gradient = state_.memory.gradient(spec_.layer_count(), batch.size);
  if (!request_.user_loss(outputs, index, batch.first, gradient, loss)) stop_.store(true, std::memory_order_relaxed);
  // Every row of the batch has the mean loss, so that the sum over them comes out.
  std::fill_n(state_.memory.row_loss(), batch.size, loss);
  std::fill_n(state_.memory.correct(), batch.size, 0);
}

/// The rows of a batch that this member gathers.
template <typename T>
Range Epoch<T>::gathered_rows(std::int64_t size, const Member& member) const {
  return state_.plan.own_input ? Range{0, size} : even_share(size, member.index, member.count);
}

/// Looks at this member's rows of a batch to come.
template <typename T>
void Epoch<T>::mark_columns(std::int64_t first, const Member& member) {
  const Range rows = even_share(batch_size(first), member.index, member.count);
  state_.columns.mark(kernels_, request_.samples, order_, {first + rows.begin, first + rows.end}, member.index);
}

/// Starts fetching them: the order is random, so no hardware sees them coming. Always inline: to GCC a function that
/// only prefetches has no effect, and it drops the call.
template <typename T>
__attribute__((always_inline)) inline void Epoch<T>::prefetch_rows(std::int64_t first, const Member& member) {
  constexpr std::int64_t kLine = 64;
  constexpr std::int64_t kMostBytes = 128 << 10;  // a share of the second-level cache; long rows need no help
  const SampleRows& samples = request_.samples;
  const Range rows = gathered_rows(batch_size(first), member);
  if (order_ == nullptr || rows.size() * samples.row_bytes > kMostBytes) return;
  for (std::int64_t row = first + rows.begin; row < first + rows.end; ++row) {
    const auto* sample = static_cast<const unsigned char*>(samples.data) + order_[row] * samples.row_bytes;
    for (std::int64_t byte = 0; byte < samples.row_bytes; byte += kLine) __builtin_prefetch(sample + byte, 0, 2);
  }
}

/// Runs work(rows, depth, panels) over all of `rows`, [0, depth) and `panels`, in the blocks of the plan and
/// looking at the clock now and then; false when the run was stopped. With `whole_panels` a block of rows that is
/// not whole panels keeps its depth in one piece.
template <typename T>
template <typename Work>
bool Epoch<T>::in_blocks(Range rows, std::int64_t depth, Range panels, bool whole_panels, const Member& member,
                         Work work) {
  const Plan& plan = state_.plan;
  const std::int64_t panel = kernels_.panel;
  bool first = true;
  for (std::int64_t row = rows.begin; row < rows.end; row += plan.row_block) {
    const Range block{row, std::min(row + plan.row_block, rows.end)};
    const std::int64_t depth_block = whole_panels && block.size() % panel != 0 ? depth : plan.depth_block;
    for (std::int64_t k = 0; k < depth; k += depth_block) {
      const Range part{k, std::min(k + depth_block, depth)};
      const double flops = 2.0 * static_cast<double>(block.size() * panel) * static_cast<double>(part.size());
      const auto slice = static_cast<std::int64_t>(std::max(1.0, kFlopsBetweenChecks / flops));
      for (std::int64_t p = panels.begin; p < panels.end; p += slice) {
        if (!first && member.index == 0) report();
        first = false;
        if (stop_.load(std::memory_order_relaxed)) return false;
        work(block, part, Range{p, std::min(p + slice, panels.end)});
      }
    }
  }
  return true;
}

template <typename T>
void Epoch<T>::report() {
  if (Clock::now() < state_.next_report) return;
  if (request_.monitor && !request_.monitor(progress_)) stop_.store(true, std::memory_order_relaxed);
  state_.next_report = Clock::now() + kMonitorInterval;
}

template <typename T>
void Epoch<T>::count_step(const Batch<T>& batch) {
  const T* row_loss = state_.memory.row_loss();
  const std::int32_t* correct = state_.memory.correct();
  double loss = 0;
  for (std::int64_t row = 0; row < batch.size; ++row) loss += static_cast<double>(row_loss[row]);
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < batch.size; ++row) right += correct[row];
  progress_.correct += right;
  progress_.loss_sum += loss;
  progress_.weight_sum += batch.weight;
  progress_.penalty_sum += step_penalty_;
  progress_.samples_done += batch.size;
  state_.position.last_step = {batch.size, batch.weight, loss, step_penalty_, right};
  if (request_.step_losses != nullptr) {
    request_.step_losses->push_back(batch.weight > 0 ? loss / batch.weight : 0);
  }
  ++steps_;
}

template <typename T>
void Epoch<T>::count_penalty(const Batch<T>& batch) {
  double squares = 0;
  for (std::int64_t l = 0; l < spec_.layer_count(); ++l) {
    const Panels<T>& weights = state_.mlp.layer(l).weights;
    for (std::int64_t p = 0; p < weights.count(); ++p) {
      T sums[kWidestPanel];
      kernels_.column_squares(weights.rows, vectors_for(kernels_, weights.width(p)), weights.at(p), sums);
      for (std::int64_t j = 0; j < weights.width(p); ++j) squares += static_cast<double>(sums[j]);
    }
  }
  const StepSettings& settings = request_.settings;
  step_penalty_ = settings.l2 / 2 * squares * (settings.l2_per_batch != 0 ? 1 : batch.weight);
}

template class Epoch<float>;
template class Epoch<double>;

}  // namespace fastmlp
