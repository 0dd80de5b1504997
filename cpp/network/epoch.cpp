#include "network/epoch.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "ops/random.hpp"

namespace fastmlp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMonitorInterval{25};
/// Work between two looks at the clock: some tens of microseconds.
constexpr double kFlopsBetweenChecks = 8e6;
/// Batches without enough zero columns after which an epoch looks no further.
constexpr int kDenseBatches = 4;

template <typename T>
Range wanted_steps(const Batches& batches, const EpochRequest<T>& request) {
  const std::int64_t left = batches.count() - request.first_step;
  return {request.first_step, request.first_step + (request.steps < 0 ? left : std::min(request.steps, left))};
}

/// In eight partial sums, so that no addition waits for the one before it.
template <typename T>
double sum_of(const T* values, std::int64_t count) {
  constexpr std::int64_t kParts = 8;
  double parts[kParts] = {};
  const std::int64_t whole = count / kParts * kParts;
  for (std::int64_t i = 0; i < whole; i += kParts) {
    for (std::int64_t part = 0; part < kParts; ++part) parts[part] += static_cast<double>(values[i + part]);
  }
  for (std::int64_t i = whole; i < count; ++i) parts[i - whole] += static_cast<double>(values[i]);
  return std::accumulate(parts, parts + kParts, 0.0);
}

}  // namespace

template <typename T>
Epoch<T>::Epoch(RunState<T>& state, const EpochRequest<T>& request, const std::int64_t* order)
    : state_(state),
      request_(request),
      spec_(state.mlp.spec()),
      kernels_(state.mlp.kernels()),
      order_(order),
      batches_(batches_of(state, request.samples.count, request.drops_partial)),
      steps_(wanted_steps(batches_, request)),
      first_moments_(state.moments),
      update_(state, request),
      looking_(make_step(spec_, state.plan, step_features(state, request, true), make_prologue())),
      settled_(make_step(spec_, state.plan, step_features(state, request, false), looking_)),
      progress_(state.sums_before(request)) {}

template <typename T>
void Epoch<T>::run(const Member& member) {
  const bool fixed_input = !(request_.training && spec_.disturbs_input());
  Own own{first_moments_, fixed_input ? kDenseBatches : 0};
  if (own.patience > 0) mark_columns(batches_.rows(steps_.begin), member);
  for (std::int64_t i = steps_.begin; i < steps_.end; ++i, ++own.number) {
    const std::vector<Pass>& passes = own.patience > 0 ? looking_ : settled_;
    own.batch = make_batch(i, static_cast<std::uint32_t>(own.moments.steps));
    own.goes_on = true;
    for (const Pass& pass : passes) {
      if (pass.meets) member.barrier.wait();
      if (pass.share == Share::first && member.index != 0) continue;
      compute(StepMemory<T>(state_, pass, own.batch, member), own);
      if (own.halts) return;
    }
  }
}

template <typename T>
EpochResult Epoch<T>::result() const {
  EpochResult result{RunStatus::completed, steps_done_, progress_};
  if (diverged_.load() && state_.updates) result.status = RunStatus::diverged;
  if (stop_.load()) result.status = RunStatus::interrupted;
  return result;
}

template <typename T>
void Epoch<T>::compute(const StepMemory<T>& memory, Own& own) {
  switch (memory.pass().kind) {
    case PassKind::collect_columns:
      return collect_columns(memory, own);
    case PassKind::count_penalty:
      return count_penalty(memory);
    case PassKind::gather:
      return gather(memory);
    case PassKind::forward:
      own.goes_on = own.goes_on && forward(memory);
      return;
    case PassKind::user_loss:
      if (own.goes_on) user_loss(memory);
      return;
    case PassKind::output_gradient:
      if (own.goes_on) output_gradient(memory);
      return;
    case PassKind::backward_data:
      own.goes_on = own.goes_on && backward_data(memory);
      return;
    case PassKind::normalise_backward:
      if (own.goes_on) normalise_backward(memory);
      return;
    case PassKind::close:
      return close();
    case PassKind::verdict:
      return verdict(own);
    case PassKind::move_running_moments:
      return move_running_moments(memory);
    case PassKind::look_ahead:
      return look_ahead(memory, own);
    case PassKind::update:
      return update_.run(memory, own.settings);
    case PassKind::measure_norms:
      return update_.measure_norms(memory);
    case PassKind::clip:
      return update_.clip(memory, own.settings);
    case PassKind::follow_up:
      return update_.follow_up(memory);
    case PassKind::tally:
      return tally(memory, own);
  }
}

template <typename T>
Batch<T> Epoch<T>::make_batch(std::int64_t index, std::uint32_t step) const {
  const Range rows = batches_.rows(index);
  double weight = request_.sample_weights == nullptr ? static_cast<double>(rows.size()) : 0;
  for (std::int64_t row = rows.begin; request_.sample_weights != nullptr && row < rows.end; ++row) {
    weight += static_cast<double>(request_.sample_weights[order_ == nullptr ? row : order_[row]]);
  }
  return {.index = index, .first = rows.begin, .size = rows.size(), .weight = weight, .step = step};
}

template <typename T>
Dropout Epoch<T>::dropout(std::int64_t level, const Batch<T>& batch) const {
  const double rate = level == 0 ? spec_.input_dropout : spec_.layer(level - 1).dropout;
  return {request_.training ? rate : 0, request_.seed, static_cast<std::uint32_t>(level), batch.step};
}

template <typename T>
void Epoch<T>::collect_columns(const StepMemory<T>& memory, Own& own) {
  const int member = memory.member().index;
  LiveColumns& columns = state_.columns;
  memory.require_declared(Buffer::columns, 0, Mode::reads);
  const bool many = columns.collect(request_.samples, member, memory.member().count);
  const bool leaves_out = request_.samples.sparse() ? many : state_.plan.leaves_out_columns.value_or(many);
  own.patience = leaves_out ? kDenseBatches : own.patience - 1;
  if (!leaves_out) return;
  own.batch.columns = {&columns.live(member), columns.places(member)};
  own.batch.idle = &columns.idle(member);
}

template <typename T>
void Epoch<T>::count_penalty(const StepMemory<T>& memory) {
  double squares = 0;
  for (std::int64_t l = 1; l <= spec_.layer_count(); ++l) {
    const Panels<T>& weights = memory.layer(Mode::reads, l).weights;
    for (std::int64_t p = 0; p < weights.count(); ++p) {
      T sums[kWidestPanel];
      kernels_.column_squares(weights.rows, vectors_for(kernels_, weights.width(p)), weights.at(p), sums);
      for (std::int64_t j = 0; j < weights.width(p); ++j) squares += static_cast<double>(sums[j]);
    }
  }
  const StepSettings& settings = request_.settings;
  step_penalty_ = settings.l2 / 2 * squares * (settings.l2_per_batch != 0 ? 1 : memory.batch().weight);
}

template <typename T>
void Epoch<T>::gather(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  const Range rows = memory.rows();
  const Panels<T> values = memory.layer_input(Mode::writes, 0).values;
  gather_rows(kernels_, spec_, request_.samples, order_, batch.first + rows.begin, batch.columns, values, rows);
  if (!request_.training || !spec_.disturbs_input()) return;
  for (std::int64_t p = 0; p < values.count(); ++p) {
    if (spec_.input_noise > 0) {
      add_noise(kernels_, values, spec_.input_noise, request_.seed, batch.step, rows, p);
    }
    if (spec_.input_dropout > 0) drop_values<T>(kernels_, {values}, dropout(0, batch), rows, p);
  }
}

/// This member's part of a layer; false when the run was stopped.
template <typename T>
bool Epoch<T>::forward(const StepMemory<T>& memory) {
  const std::int64_t l = memory.pass().level;
  const LayerInput<T> from = memory.layer_input(Mode::reads, l - 1);
  const DenseLayer<T>& layer = memory.layer(Mode::reads, l);
  const LayerOutput<T> to = memory.output(Mode::writes, l);
  const Range rows = memory.rows();
  const Range own = memory.panels(to.values.count());
  const Dropout drop = dropout(l, memory.batch());
  const bool done =
      in_blocks(rows, from.values.cols, own, false, memory.member(), [&](Range block, Range depth, Range panels) {
        dense_forward(kernels_, layer, from, to, drop, block, depth, panels);
      });
  if (!done || !layer.normalises()) return done;
  const BatchNormSettings settings = batch_norm_settings(l);
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_forward(kernels_, layer, settings, memory.batch_norm(Mode::writes, l), to.values, p);
    dense_finish(kernels_, layer, to, drop, rows, p);
  }
  return true;
}

template <typename T>
BatchNormSettings Epoch<T>::batch_norm_settings(std::int64_t l) const {
  const bool from_batch = request_.training && update_.trains(l);
  return {spec_.batch_norm_epsilon, spec_.batch_norm_momentum, from_batch, from_batch && state_.updates};
}

/// After the verdict: nothing gives the step up any more.
template <typename T>
void Epoch<T>::move_running_moments(const StepMemory<T>& memory) {
  const std::int64_t l = memory.pass().level;
  const DenseLayer<T>& layer = memory.layer(Mode::writes, l);
  const BatchNormMemory<T> moments = memory.batch_moments(Mode::reads, l);
  const Range own = memory.panels(layer.weights.count());
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_move(layer, batch_norm_settings(l), moments, moments.normalised, p);
  }
}

/// The whole batch, by one member.
template <typename T>
void Epoch<T>::user_loss(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  const Panels<T> outputs = memory.output(Mode::writes, spec_.layer_count()).values;
  if (spec_.softmax_output) kernels_.softmax(batch.size, outputs.cols, outputs.data, outputs.stride());
  T loss = 0;
  const std::int64_t* index = order_ == nullptr ? nullptr : order_ + batch.first;
  const Panels<T> gradient = memory.gradient(Mode::writes, spec_.layer_count());
  if (!request_.user_loss(outputs, index, batch.first, gradient, loss)) stop_.store(true, std::memory_order_relaxed);
  // Every row of the batch has the mean loss, so that the sum over them comes out.
  std::fill_n(memory.row_loss(Mode::writes), batch.size, loss);
  std::fill_n(memory.correct(Mode::writes), batch.size, 0);
}

/// Loss, correct predictions and the gradient by the last layer's pre-activations.
template <typename T>
void Epoch<T>::output_gradient(const StepMemory<T>& memory) {
  const std::int64_t last = spec_.layer_count();
  const Batch<T>& batch = memory.batch();
  const Range rows = memory.rows();
  if (rows.size() == 0) return;
  const LayerOutput<T> output = memory.output(Mode::writes, last);
  const Panels<T> gradient = memory.gradient(Mode::writes, last);
  T* row_loss = memory.row_loss(Mode::writes) + rows.begin;
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
                                   .correct = memory.correct(Mode::writes) + rows.begin};
    output_loss(kernels_, state_.mlp.groups(), request_.targets, measured, output.values, gradient,
                memory.loss_scratch());
  }
  if (spec_.softmax_output) {
    kernels_.softmax_backward(rows.size(), output.values.cols, first_row, gradient.at(0, rows.begin), stride);
  }
  const DenseLayer<T>& layer = memory.layer_shape(last);
  const Derivative<T> derivative{layer.activation, layer.parameter, output};
  for (std::int64_t p = 0; p < gradient.count(); ++p) {
    apply_derivative(kernels_, derivative, rows, p, gradient.at(p, rows.begin));
  }
  memory.require_declared(Buffer::divergence, 0, Mode::writes);
  if (!kernels_.all_finite(rows.size(), row_loss)) diverged_.store(true, std::memory_order_relaxed);
}

/// Gradient by the pre-activations of the layer before; false when the run was stopped.
template <typename T>
bool Epoch<T>::backward_data(const StepMemory<T>& memory) {
  const std::int64_t l = memory.pass().level;
  const Panels<T>& weights = memory.layer(Mode::reads, l).weights;
  const Panels<T> from = memory.gradient(Mode::reads, l);
  const Panels<T> to = memory.gradient(Mode::writes, l - 1);
  Derivative<T> derivative{Activation::identity, 0, {to}};
  if (l > 1) {
    const DenseLayer<T>& below = memory.layer_shape(l - 1);
    derivative = {below.activation, below.parameter, memory.output(Mode::reads, l - 1)};
  }
  const Range rows = memory.rows();
  T* transposed = memory.transposed();
  const bool by_rows = state_.plan.transposes_weights[static_cast<std::size_t>(l - 1)];
  if (!by_rows) transpose_rows(kernels_, from, rows, transposed);
  return in_blocks(
      rows, from.cols, {0, to.count()}, !by_rows, memory.member(), [&](Range block, Range depth, Range panels) {
        if (by_rows) {
          dense_backward_data_by_rows(kernels_, weights, from, derivative, to, block, depth, panels, transposed);
        } else {
          dense_backward_data(kernels_, weights, transposed + (block.begin - rows.begin) * from.cols, derivative, to,
                              block, depth, panels, memory.scratch());
        }
      });
}

/// From the pre-activations of a normalised layer to its product: needs all rows of a unit.
template <typename T>
void Epoch<T>::normalise_backward(const StepMemory<T>& memory) {
  const std::int64_t l = memory.pass().level;
  const BatchNormSettings settings{.from_batch = request_.training && update_.trains(l)};
  const Panels<T> gradient = memory.gradient(Mode::writes, l);
  const Range own = memory.panels(gradient.count());
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_backward(kernels_, memory.layer(Mode::reads, l), settings, memory.batch_norm(Mode::reads, l), gradient,
                        p);
  }
}

template <typename T>
void Epoch<T>::close() {
  report();
  update_.start();
  halts_ = stop_.load(std::memory_order_relaxed);
}

template <typename T>
void Epoch<T>::verdict(Own& own) {
#ifdef FASTMLP_CHECKS
  if (!own.goes_on && !halts_) __builtin_trap();  // who breaks off knows that the step will not count
#endif
  own.halts = halts_ || (diverged_.load(std::memory_order_relaxed) && state_.updates);
  if (own.halts) return;
  const auto number = static_cast<std::size_t>(own.number);
  const double rate =
      number < request_.learning_rates.size() ? request_.learning_rates[number] : request_.settings.learning_rate;
  own.settings = own.moments.template next<T>(state_.sink.optimizer, request_.settings, rate, own.batch.weight);
}

/// Fetches the samples of the next step, or looks at their columns, which fetches them too.
template <typename T>
void Epoch<T>::look_ahead(const StepMemory<T>& memory, const Own& own) {
  const Range next = batches_.rows(memory.batch().index + 1);
  if (own.patience > 0) {
    memory.require_declared(Buffer::columns, 0, Mode::writes);
    mark_columns(next, memory.member());
    return;
  }
  const Range share = state_.plan.own_input ? Range{0, next.size()}
                                            : even_share(next.size(), memory.member().index, memory.member().count);
  prefetch_rows({next.begin + share.begin, next.begin + share.end});
}

/// Looks at this member's rows of a batch to come.
template <typename T>
void Epoch<T>::mark_columns(Range batch, const Member& member) {
  const Range rows = even_share(batch.size(), member.index, member.count);
  state_.columns.mark(kernels_, request_.samples, order_, {batch.begin + rows.begin, batch.begin + rows.end},
                      member.index);
}

/// Starts fetching samples: the order is random, so no hardware sees them coming. Always inline: to GCC a function
/// that only prefetches has no effect, and it drops the call.
template <typename T>
__attribute__((always_inline)) inline void Epoch<T>::prefetch_rows(Range rows) {
  constexpr std::int64_t kLine = 64;
  constexpr std::int64_t kMostBytes = 128 << 10;  // a share of the second-level cache; long rows need no help
  const SampleRows& samples = request_.samples;
  if (order_ == nullptr || rows.size() * samples.row_bytes > kMostBytes) return;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
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

/// Without a branch for each row, which no branch predictor knows.
template <typename T>
double Epoch<T>::weight_of_right_ones(const Batch<T>& batch, const std::int32_t* correct) const {
  if (request_.sample_weights == nullptr) {
    return static_cast<double>(std::accumulate(correct, correct + batch.size, std::int64_t{0}));
  }
  double weight = 0;
  for (std::int64_t row = 0; row < batch.size; ++row) {
    const std::int64_t sample = order_ == nullptr ? batch.first + row : order_[batch.first + row];
    weight += correct[row] * static_cast<double>(request_.sample_weights[sample]);
  }
  return weight;
}

/// Adds up what the rows of the batch gave.
template <typename T>
void Epoch<T>::tally(const StepMemory<T>& memory, const Own& own) {
  const Batch<T>& batch = memory.batch();
  const T* row_loss = memory.row_loss(Mode::reads);
  const std::int32_t* correct = memory.correct(Mode::reads);
  const double loss = sum_of(row_loss, batch.size);
  const double right = weight_of_right_ones(batch, correct);
  progress_.correct += right;
  progress_.loss_sum += loss;
  progress_.weight_sum += batch.weight;
  progress_.penalty_sum += step_penalty_;
  progress_.samples_done += batch.size;
  state_.position.last_step = {batch.size, batch.weight, loss, step_penalty_, right};
  if (request_.step_losses != nullptr) {
    request_.step_losses->push_back(batch.weight > 0 ? loss / batch.weight : 0);
  }
  ++steps_done_;
  state_.complete_step(own.moments, request_, static_cast<std::size_t>(own.number + 1), progress_);
}

template class Epoch<float>;
template class Epoch<double>;

}  // namespace fastmlp
