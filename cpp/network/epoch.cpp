#include "network/epoch.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "ops/layer_norm.hpp"
#include "ops/random.hpp"
#include "ops/residual.hpp"

namespace fastmlp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kMonitorInterval{25};
/// Work between two looks at the clock: some tens of microseconds.
constexpr double kFlopsBetweenChecks = 8e6;
/// An epoch stops looking for zero columns after this many batches in a row without enough of them.
constexpr int kScannedBatches = 4;

/// The steps of the epoch that a request asks for.
template <typename T>
Range requested_steps(const Batches& batches, const EpochRequest<T>& request) {
  const std::int64_t left = batches.count() - request.first_step;
  return {request.first_step, request.first_step + (request.steps < 0 ? left : std::min(request.steps, left))};
}

/// Whether a pass has nothing to do in a shard without rows.
bool computes_rows(PassKind kind) { return kind < PassKind::report_progress && kind != PassKind::sum_penalty; }

/// Adds in eight partial sums, so that no addition waits for the previous one.
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
Epoch<T>::Epoch(RunState<T>& state, const EpochRequest<T>& request, const SampleOrder& order)
    : state_(state),
      request_(request),
      spec_(state.mlp.spec()),
      kernels_(state.mlp.kernels()),
      order_(order),
      batches_(batches_of(state, request.count(), request.drop_last)),
      steps_(requested_steps(batches_, request)),
      first_moments_(state.moments),
      update_(state, request),
      step_updates_(static_cast<std::size_t>(state.plan().threads),
                    StepUpdate<T>(spec_.layers.size(), spec_.inputs.size(), !request.rates.empty())),
      scanning_passes_(make_step(spec_, state.plan(), step_features(state, request, true), make_prologue())),
      plain_passes_(make_step(spec_, state.plan(), step_features(state, request, false), scanning_passes_)),
      progress_(state.sums_before(request)),
      results_(stack_height(state.shards)) {}

template <typename T>
void Epoch<T>::run(const Worker& worker) {
  // Columns that are rounded in pairs stay together.
  const bool fixed_input = !(request_.training && spec_.disturbs_input()) && !spec_.has_input_stage() &&
                           !spec_.bfloat16 && !request_.samples.standardized();
  ThreadState thread{first_moments_, fixed_input ? kScannedBatches : 0};
  thread.settings = &step_updates_[static_cast<std::size_t>(worker.index)];
  if (spec_.bfloat16) {
    // The program may have changed the weights since the last call.
    update_.round_weights(worker);
    worker.barrier.wait();
  }
  if (thread.scans_left > 0) mark_columns(next_samples(steps_.begin - 1, state_.shards.own.size() - 1), worker);
  for (std::int64_t i = steps_.begin; i < steps_.end; ++i, ++thread.steps) {
    const std::vector<Pass>& passes = thread.scans_left > 0 ? scanning_passes_ : plain_passes_;
    thread.batch = make_batch(i, thread);
    thread.computes = true;
    std::int64_t shard = 0;
    for (const Pass& pass : passes) {
      if (pass.barrier_before) worker.barrier.wait();
      if (pass.shard.number != shard) take_shard(shard = pass.shard.number, thread.batch);
      if (pass.share == Share::thread_0 && worker.index != 0) continue;
      if (thread.batch.rows == 0 && computes_rows(pass.kind)) continue;
      run_pass(StepMemory<T>(state_, pass, thread.batch, worker), thread);
      if (thread.stopped) return;
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
void Epoch<T>::run_pass(const StepMemory<T>& memory, ThreadState& thread) {
  switch (memory.pass().kind) {
    case PassKind::collect_columns:
      return collect_columns(memory, thread);
    case PassKind::sum_penalty:
      return sum_penalty(memory);
    case PassKind::gather:
      return gather(memory);
    case PassKind::scale_inputs:
      return scale_inputs(memory);
    case PassKind::forward:
      thread.computes = thread.computes && forward(memory);
      return;
    case PassKind::user_loss:
      if (thread.computes) user_loss(memory);
      return;
    case PassKind::loss:
      if (thread.computes) loss(memory);
      return;
    case PassKind::backward_data:
      thread.computes = thread.computes && backward_data(memory);
      return;
    case PassKind::finish_backward:
      if (thread.computes) finish_backward(memory);
      return;
    case PassKind::finish_rows:
      if (thread.computes) finish_rows(memory);
      return;
    case PassKind::report_progress:
      return report_progress();
    case PassKind::check_stop:
      return check_stop(thread);
    case PassKind::update_running_moments:
      return update_running_moments(memory);
    case PassKind::prepare_next_batch:
      return prepare_next_batch(memory, thread);
    case PassKind::update:
      if (thread.computes) update_.run(memory, *thread.settings);
      return;
    case PassKind::add_gradients:
      if (thread.computes) update_.add_gradients(memory);
      return;
    case PassKind::sum_results:
      return sum_results(memory);
    case PassKind::exchange_shards:
      return exchange_shards(memory);
    case PassKind::measure_norms:
      return update_.measure_norms(memory);
    case PassKind::apply_gradients:
      return update_.apply_gradients(memory, *thread.settings);
    case PassKind::after_update:
      return update_.after_update(memory);
    case PassKind::record_results:
      return record_results(memory, thread);
  }
}

template <typename T>
Range Epoch<T>::shard_rows(std::int64_t batch, std::int64_t shard) const {
  const std::int64_t rows = batches_.rows(batch).size();
  return even_share(rows, state_.shards.own.begin + shard, state_.shards.count);
}

template <typename T>
std::int64_t Epoch<T>::first_place(std::int64_t batch) const {
  const Range rows = batches_.rows(batch);
  if (request_.all_samples == 0) return rows.begin;
  return batch * own_rows(state_.shards, batches_.size).size() - own_rows(state_.shards, rows.size()).begin;
}

template <typename T>
Range Epoch<T>::next_samples(std::int64_t batch, std::int64_t shard) const {
  const bool same = shard + 1 < state_.shards.own.size();
  const std::int64_t next = same ? batch : batch + 1;
  const std::int64_t first = first_place(next);
  const Range rows = shard_rows(next, same ? shard + 1 : 0);
  return {first + rows.begin, first + rows.end};
}

/// Lets a batch have the rows of a shard.
template <typename T>
void Epoch<T>::take_shard(std::int64_t shard, Batch<T>& batch) const {
  const Range rows = shard_rows(batch.index, shard);
  batch.first += rows.begin - batch.before;
  batch.before = rows.begin;
  batch.size = rows.size();
  batch.inputs = batch.size * spec_.input_copies();
  batch.rows = batch.size * spec_.members;
  batch.columns = {};
  batch.zero_columns = nullptr;
}

template <typename T>
Batch<T> Epoch<T>::make_batch(std::int64_t index, const ThreadState& thread) const {
  const Range rows = batches_.rows(index);
  double weight = static_cast<double>(rows.size());
  if (request_.batch_weights != nullptr) {
    weight = request_.batch_weights[index];
  } else if (request_.sample_weights != nullptr) {
    const std::int64_t orders = order_.stride == 0 ? 1 : spec_.members;
    weight = 0;
    for (std::int64_t member = 0; member < orders; ++member) {
      for (std::int64_t place = rows.begin; place < rows.end; ++place) {
        weight += static_cast<double>(request_.sample_weights[order_.sample(member, place)]);
      }
    }
    weight /= static_cast<double>(orders);
  }
  const std::vector<double>& factors = request_.dropout_factors;
  const std::size_t step = request_.steps_before + thread.steps;
  Batch<T> batch{.index = index,
                 .first = first_place(index),
                 .whole = rows.size(),
                 .weight = weight,
                 .step = static_cast<std::uint32_t>(thread.moments.steps),
                 .dropout_factor = step < factors.size() ? factors[step] : 1};
  take_shard(0, batch);
  return batch;
}

/// Dropout of the given activation, 0 being the input.
template <typename T>
Dropout Epoch<T>::dropout(std::size_t activation, const Batch<T>& batch) const {
  const double rate = activation == 0 ? spec_.input_dropout : spec_.layers[activation - 1].dropout;
  return {request_.training ? rate * batch.dropout_factor : 0, request_.seed, static_cast<std::uint32_t>(activation),
          batch.step, batch.places()};
}

template <typename T>
void Epoch<T>::collect_columns(const StepMemory<T>& memory, ThreadState& thread) {
  const int index = memory.worker().index;
  ZeroColumns& columns = state_.columns;
  memory.require_declared(Buffer::column_marks, 0, Mode::reads);
  const bool many = columns.collect(request_.samples, index, memory.worker().count);
  const bool leaves_out = request_.samples.sparse() ? many : state_.plan().leaves_out_columns.value_or(many);
  thread.scans_left = leaves_out ? kScannedBatches : thread.scans_left - 1;
  if (!leaves_out) return;
  thread.batch.columns = {&columns.nonzero(index), columns.places(index)};
  thread.batch.zero_columns = &columns.zero(index);
}

template <typename T>
void Epoch<T>::sum_penalty(const StepMemory<T>& memory) {
  double squares = 0;
  for (std::size_t l = 0; l < spec_.layers.size(); ++l) {
    const DenseLayer<T>& layer = memory.layer(Mode::reads, l);
    for (std::int64_t copy = 0; copy < layer.weight_copies(); ++copy) {
      const Panels<T> weights = layer.weights_of(copy);
      for (std::int64_t p = 0; p < weights.count(); ++p) {
        T sums[kWidestPanel];
        kernels_.column_squares(weights.rows, vectors_for(kernels_, weights.width(p)), weights.at(p), sums);
        for (std::int64_t j = 0; j < weights.width(p); ++j) squares += static_cast<double>(sums[j]);
      }
    }
  }
  const StepSettings& settings = request_.settings;
  step_penalty_ = settings.l2 / 2 * squares * (settings.l2_per_batch != 0 ? 1 : memory.batch().weight);
}

template <typename T>
void Epoch<T>::gather(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  if (spec_.has_input_stage()) {
    const Range own = memory.input_rows();
    const Panels<T> inputs = memory.unscaled_input(Mode::writes);
    if (spec_.inputs.empty()) {
      for_members(spec_.input_copies(), batch.inputs, own, [&](std::int64_t member, Range part) {
        const std::int64_t first = batch.first + part.begin - member * batch.size;
        gather_rows(kernels_, spec_, request_.samples, order_.of_member(member), first, {}, inputs, part);
      });
      return;
    }
    take_samples(memory);
    embed_rows(kernels_, memory.input_groups(Mode::reads), memory.sample_columns(Mode::writes), inputs, own,
               memory.input_scratch());
    return;
  }
  const Range rows = memory.rows();
  const Panels<T> values = memory.layer_input(Mode::writes, 0).values;
  gather_rows(kernels_, spec_, request_.samples, order_.samples, batch.first + rows.begin, batch.columns, values, rows);
  const bool disturbs = request_.training && spec_.disturbs_input();
  for (std::int64_t p = 0; disturbs && p < values.count(); ++p) {
    if (spec_.input_noise > 0) {
      add_noise(kernels_, values, spec_.input_noise, request_.seed, batch.step, batch.places(), rows, p);
    }
    if (spec_.input_dropout > 0) drop_values<T>(kernels_, {values}, dropout(0, batch), rows, p);
  }
  round_activation(memory, 0, rows, {0, values.count()});
}

/// Where products read rounded operands, the given part of activation `a` is rounded.
template <typename T>
void Epoch<T>::round_activation(const StepMemory<T>& memory, std::size_t a, Range rows, Range panels) {
  if (!spec_.bfloat16 || a == spec_.layers.size()) return;
  const Panels<T> values = a == 0 ? memory.layer_input(Mode::writes, 0).values : memory.activation(Mode::writes, a - 1);
  round_rows(*state_.mlp.bfloat16_kernels(), values, memory.rounded_activation(Mode::writes, a), rows, panels);
}

/// The same for dz of layer l.
template <typename T>
void Epoch<T>::round_gradient(const StepMemory<T>& memory, std::size_t l, Range rows, Range panels) {
  if (!spec_.bfloat16) return;
  const RoundedLayer rounded = memory.rounded({}, {}, Mode::writes, l);
  round_rows(*rounded.kernels, memory.dz(Mode::writes, l), rounded.gradient, rows, panels);
}

/// Gathers this thread's samples, some rows at a time, and takes their columns.
template <typename T>
void Epoch<T>::take_samples(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  const SampleColumns<T> columns = memory.sample_columns(Mode::writes);
  const std::int64_t features = spec_.features();
  const Panels<T> gathered{memory.input_scratch(), kernels_.panel, features, kernels_.panel};
  for_members(spec_.input_copies(), batch.inputs, memory.input_rows(), [&](std::int64_t member, Range own) {
    for (std::int64_t row = own.begin; row < own.end; row += gathered.rows) {
      const Range part{0, std::min(gathered.rows, own.end - row)};
      const std::int64_t first = batch.first + row - member * batch.size;
      gather_rows(kernels_, spec_, request_.samples, order_.of_member(member), first, {}, gathered, part);
      take_columns(kernels_, memory.input_groups(Mode::reads), gathered, part, columns, row);
    }
  });
}

template <typename T>
void Epoch<T>::scale_inputs(const StepMemory<T>& memory) {
  fastmlp::scale_inputs(kernels_, memory.scaling_layer(Mode::reads, 0), memory.unscaled_input(Mode::reads),
                        memory.layer_input(Mode::writes, 0).values, memory.rows());
  round_activation(memory, 0, memory.rows(), {0, memory.layer_input(Mode::writes, 0).values.count()});
}

/// This thread's share of a layer. Returns false when the run is to stop.
template <typename T>
bool Epoch<T>::forward(const StepMemory<T>& memory) {
  const std::size_t l = memory.pass().layer;
  const LayerInput<T> input = memory.layer_input(Mode::reads, l);
  const DenseLayer<T>& layer = memory.layer(Mode::reads, l);
  const LayerOutput<T> output = memory.layer_output(Mode::writes, l);
  const Range rows = memory.rows();
  const Range own = memory.panels(output.values.count());
  const Dropout drop = dropout(l + 1, memory.batch());
  const RoundedLayer rounded = memory.rounded(Mode::reads, Mode::reads, {}, l);
  const bool scaled = l + 1 < spec_.layers.size() && spec_.layers[l + 1].input_scales;
  const bool complete = !layer.product_only && !scaled;  // once the product is
  const bool done =
      in_blocks(rows, input.values.cols, own, false, memory.worker(), [&](Range block, Range depth, Range panels) {
        dense_forward(kernels_, layer, input, output, drop, block, depth, panels, rounded);
        if (complete && depth.end == input.values.cols) round_activation(memory, l + 1, block, panels);
      });
  if (!done) return false;
  for (std::int64_t p = own.begin; layer.scales_outputs() && p < own.end; ++p) {
    batch_norm_forward(kernels_, layer, batch_norm_settings(l), memory.batch_norm(Mode::writes, l), output.values, p);
    dense_finish(kernels_, layer, output, drop, rows, p);
  }
  if (spec_.finishes_rows(l)) forward_rows(memory, own);
  if (scaled) {
    const DenseLayer<T>& above = memory.scaling_layer(Mode::reads, l + 1);
    const DenseLayer<T> slice = input_slice(above, own);
    fastmlp::scale_inputs(kernels_, slice, output.values.slice(own), memory.activation(Mode::writes, l).slice(own),
                          rows);
  }
  if (!complete) round_activation(memory, l + 1, rows, own);
  return true;
}

/// From the product of a layer to its output, through the ends of residual blocks and layer normalization.
template <typename T>
void Epoch<T>::forward_rows(const StepMemory<T>& memory, Range panels) {
  const std::size_t l = memory.pass().layer;
  const DenseLayer<T>& layer = memory.layer(Mode::reads, l);
  const LayerOutput<T> output = memory.layer_output(Mode::writes, l);
  const Range rows = memory.rows();
  const bool ends = spec_.layers[l].residual;
  const Dropout drop = dropout(l + 1, memory.batch());
  const BlockEnds<T> blocks{ends ? memory.skips(Mode::reads, l - kBlockLayers) : Panels<T>{},
                            spec_.begins_block(l) ? memory.skips(Mode::writes, l) : Panels<T>{}};
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    residual_forward(kernels_, layer, blocks, output.values, drop, rows, p);
  }
  if (layer.normalizes_rows()) {
    layer_norm_forward(kernels_, layer, spec_.normalization_epsilon, memory.layer_norm(Mode::writes, l), output.values,
                       rows);
  }
  for (std::int64_t p = panels.begin; p < panels.end; ++p) {
    dense_finish(kernels_, biased_by_shifts(layer), output, ends ? Dropout{} : drop, rows, p);
  }
}

template <typename T>
BatchNormSettings Epoch<T>::batch_norm_settings(std::size_t l) const {
  const bool from_batch = request_.training && update_.trains(l);
  return {spec_.normalization_epsilon, spec_.batch_norm_momentum, from_batch, from_batch && state_.updates};
}

/// Calls the user's function on the whole batch, from thread 0.
template <typename T>
void Epoch<T>::user_loss(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  const std::size_t last = memory.pass().layer;
  const Panels<T> outputs = memory.layer_output(Mode::writes, last).values;
  if (spec_.softmax_output) kernels_.softmax(batch.size, outputs.cols, outputs.data, outputs.stride());
  T loss = 0;
  const std::int64_t* index = order_.samples == nullptr ? nullptr : order_.samples + batch.first;
  const Panels<T> doutputs = memory.dz(Mode::writes, last);
  if (!request_.user_loss(outputs, index, batch.first, doutputs, loss)) stop_.store(true, std::memory_order_relaxed);
  // Each row gets the mean loss, so that the sum over the rows is right.
  std::fill_n(memory.row_loss(Mode::writes), batch.size, loss);
  std::fill_n(memory.correct(Mode::writes), batch.size, 0);
}

/// Loss, correct predictions and dz of the last layer.
template <typename T>
void Epoch<T>::loss(const StepMemory<T>& memory) {
  const std::size_t last = memory.pass().layer;
  const Range rows = memory.rows();
  if (rows.size() == 0) return;
  const LayerOutput<T> output = memory.layer_output(Mode::writes, last);
  const Panels<T> dz = memory.dz(Mode::writes, last);  // the gradient by the outputs until the end of this function
  T* first_row = output.values.at(0, rows.begin);
  const std::int64_t stride = output.values.stride();
  if (!request_.user_loss) {
    if (spec_.softmax_output) kernels_.softmax(rows.size(), output.values.cols, first_row, stride);
    for_members(spec_.members, memory.batch().rows, rows,
                [&](std::int64_t member, Range part) { measure_rows(memory, member, part); });
  }
  if (spec_.softmax_output) {
    kernels_.softmax_backward(rows.size(), output.values.cols, first_row, dz.at(0, rows.begin), stride);
  }
  const DenseLayer<T>& layer = memory.layer_shape(last);
  const Derivative<T> derivative{layer.activation, layer.parameter, output};
  for (std::int64_t p = 0; p < output.values.count(); ++p) {
    apply_derivative(kernels_, derivative, rows, p, dz.at(p, rows.begin));
  }
  round_gradient(memory, last, rows, {0, dz.count()});
  memory.require_declared(Buffer::diverged, 0, Mode::writes);
  const T* row_loss = memory.row_loss(Mode::writes) + rows.begin;
  if (!kernels_.all_finite[static_cast<int>(kInputType<T>)](rows.size(), row_loss))
    diverged_.store(true, std::memory_order_relaxed);
}

/// Losses of some rows of one member.
template <typename T>
void Epoch<T>::measure_rows(const StepMemory<T>& memory, std::int64_t member, Range rows) {
  const Batch<T>& batch = memory.batch();
  const std::size_t last = memory.pass().layer;
  const std::int64_t first = batch.first + rows.begin - member * batch.size;
  const std::int64_t* order = order_.of_member(member);
  const double weight = batch.weight * static_cast<double>(spec_.members);
  const MeasuredRows<T> measured{.rows = rows,
                                 .index = order == nullptr ? nullptr : order + first,
                                 .first_sample = first,
                                 .sample_weights = request_.sample_weights,
                                 .scale = weight > 0 ? static_cast<T>(1 / weight) : T{0},
                                 .row_loss = memory.row_loss(Mode::writes) + rows.begin,
                                 .correct = memory.correct(Mode::writes) + rows.begin};
  output_loss(kernels_, state_.mlp.groups(), request_.targets, measured, memory.layer_output(Mode::writes, last).values,
              memory.dz(Mode::writes, last), memory.loss_scratch());
}

/// That of what layer l writes.
template <typename T>
Derivative<T> Epoch<T>::derivative(const StepMemory<T>& memory, std::size_t l) const {
  const DenseLayer<T>& layer = memory.layer_shape(l);
  return {layer.activation, layer.parameter, memory.layer_output(Mode::reads, l)};
}

/// From dz of a layer to dz of the layer below, or to dx. Returns false when the run is to stop.
template <typename T>
bool Epoch<T>::backward_data(const StepMemory<T>& memory) {
  const std::size_t l = memory.pass().layer;
  const DenseLayer<T>& layer = memory.layer(Mode::reads, l);
  const Panels<T> dz = memory.dz(Mode::reads, l);
  const Panels<T> below_dz =
      l == 0 ? memory.dx(Mode::writes) : memory.gradient(Mode::writes, activation_gradient(spec_, l - 1), l - 1);
  const bool finishes = l > 0 && layer.input_scales == nullptr;
  const Derivative<T> below = finishes ? derivative(memory, l - 1) : Derivative<T>{Activation::identity, 0, {below_dz}};
  T* transposed = memory.transposed();
  const RoundedLayer rounded = memory.rounded({}, Mode::reads, Mode::reads, l);
  const std::int64_t outputs = rounded.kernels == nullptr ? dz.cols : rounded.gradient.column_pairs.cols;
  const bool complete = l > 0 && !spec_.finishes_columns(l) && !spec_.finishes_rows(l - 1);  // once the product is
  const bool by_rows = state_.plan().transposes_weights[l];
  bool done = true;
  for_members(layer.weight_copies(), dz.rows, memory.rows(), [&](std::int64_t copy, Range rows) {
    if (!done) return;
    const Panels<T> weights = layer.weights_of(copy);
    if (!by_rows) transpose_rows(kernels_, dz, rows, transposed, rounded);
    done = in_blocks(rows, dz.cols, {0, below_dz.count()}, !by_rows, memory.worker(),
                     [&](Range block, Range depth, Range panels) {
                       if (by_rows) {
                         dense_backward_data_by_rows(kernels_, weights, dz, below, below_dz, block, depth, panels,
                                                     transposed, rounded);
                       } else {
                         dense_backward_data(kernels_, weights, transposed + (block.begin - rows.begin) * outputs,
                                             below, below_dz, block, depth, panels, memory.scratch(), rounded);
                       }
                       if (complete && depth.end == dz.cols) round_gradient(memory, l - 1, block, panels);
                     });
  });
  return done;
}

/// The gradient by the inputs of layer l, in this thread's panels, as its product gives it, becomes that by the inputs
/// before they are scaled, and by the product of the layer below.
template <typename T>
void Epoch<T>::finish_backward(const StepMemory<T>& memory) {
  const std::size_t l = memory.pass().layer;
  const Panels<T> gradient = l == 0 ? memory.dx(Mode::writes) : memory.dz(Mode::writes, l - 1);
  const Range own = memory.panels(gradient.count());
  const Range rows{0, gradient.rows};
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    if (spec_.layers[l].input_scales) {
      const Panels<T> inputs =
          l == 0 ? memory.unscaled_input(Mode::reads) : memory.layer_output(Mode::reads, l - 1).values;
      scale_inputs_backward(kernels_, memory.scaling_layer(Mode::reads, l), inputs, gradient,
                            memory.dinput_scales(Mode::writes, l), p);
      if (l > 0) apply_derivative(kernels_, derivative(memory, l - 1), rows, p, gradient.at(p));
    }
    if (l == 0) {
      if (spec_.adds_input_gradients()) add_members(spec_.members, gradient, p);
    } else if (memory.layer_shape(l - 1).scales_outputs()) {
      const BatchNormSettings settings{.from_batch = request_.training && update_.trains(l - 1)};
      batch_norm_backward(kernels_, memory.layer(Mode::reads, l - 1), settings, memory.batch_norm(Mode::reads, l - 1),
                          gradient, p);
    }
  }
  if (l > 0) round_gradient(memory, l - 1, rows, own);
}

/// From the gradient by what the activation function of a layer reads to that by its product, for this thread's rows.
template <typename T>
void Epoch<T>::finish_rows(const StepMemory<T>& memory) {
  const std::size_t l = memory.pass().layer;
  const LayerSpec& layer = spec_.layers[l];
  const Range rows = memory.rows();
  const Panels<T> dsum = memory.gradient(Mode::writes, sum_gradient(spec_, l), l);
  if (layer.layer_norm) {
    layer_norm_backward(kernels_, memory.layer(Mode::reads, l), memory.layer_norm(Mode::reads, l),
                        memory.gradient(Mode::reads, Buffer::dshifted, l), dsum, rows);
  }
  const std::size_t end = l + kBlockLayers;
  const Panels<T> dskip =
      spec_.begins_block(l) ? memory.gradient(Mode::reads, sum_gradient(spec_, end), end) : Panels<T>{};
  const Panels<T> dz = layer.drops_branch() ? memory.dz(Mode::writes, l) : dsum;
  const Dropout drop = dropout(l + 1, memory.batch());
  for (std::int64_t p = 0; p < dz.count(); ++p) residual_backward(kernels_, dskip, dsum, dz, drop, rows, p);
  round_gradient(memory, l, rows, {0, dz.count()});
}

template <typename T>
void Epoch<T>::report_progress() {
  call_monitor();
  update_.restart_chunks();
  stops_now_ = stop_.load(std::memory_order_relaxed);
}

/// Decides whether this step counts. All threads decide alike, because they read what was written before a barrier.
template <typename T>
void Epoch<T>::check_stop(ThreadState& thread) {
#ifdef FASTMLP_CHECKS
  if (!thread.computes && !stops_now_) __builtin_trap();  // a thread broke off a step that counts
#endif
  thread.stopped = stops_now_ || (diverged_.load(std::memory_order_relaxed) && state_.updates);
  if (thread.stopped) return;
  const auto of_step = [&](const std::vector<double>& values, double shared) {
    const std::size_t step = request_.steps_before + thread.steps;
    return step < values.size() ? values[step] : shared;
  };
  const StepSettings& settings = request_.settings;
  const UpdateSettings<double> next =
      thread.moments.next(state_.sink.optimizer, settings, of_step(request_.learning_rates, settings.learning_rate),
                          of_step(request_.decays, settings.decay), thread.batch.weight);
  thread.settings->set(next, request_.rates);
}

template <typename T>
void Epoch<T>::update_running_moments(const StepMemory<T>& memory) {
  const std::size_t l = memory.pass().layer;
  const DenseLayer<T>& layer = memory.layer(Mode::writes, l);
  const BatchNormMemory<T> moments = memory.batch_moments(Mode::reads, l);
  const Range own = memory.panels(layer.weights.count());
  for (std::int64_t p = own.begin; p < own.end; ++p) {
    batch_norm_update_moments(layer, batch_norm_settings(l), moments, p);
  }
}

/// Prefetches the samples of the next step, or marks their columns, which fetches them too.
template <typename T>
void Epoch<T>::prepare_next_batch(const StepMemory<T>& memory, const ThreadState& thread) {
  const ShardPlace& place = memory.pass().shard;
  const Range next = next_samples(memory.batch().index, place.number);
  const bool scans = memory.pass().declares(Buffer::column_marks, 0, Mode::writes);
  // The shards of a step are all scanned, or none is.
  if (scans && (thread.scans_left > 0 || place.number + 1 < state_.shards.own.size())) {
    memory.require_declared(Buffer::column_marks, 0, Mode::writes);
    mark_columns(next, memory.worker());
    return;
  }
  const Range share = state_.plan().own_input ? Range{0, next.size()} : memory.worker().share(next.size());
  for (std::int64_t member = 0; member < spec_.input_copies(); ++member) {
    prefetch_rows({next.begin + share.begin, next.begin + share.end}, member);
  }
}

/// Marks the nonzero columns of this thread's rows of a batch.
template <typename T>
void Epoch<T>::mark_columns(Range batch, const Worker& worker) {
  const Range rows = worker.share(batch.size());
  state_.columns.mark(kernels_, request_.samples, order_.samples, {batch.begin + rows.begin, batch.begin + rows.end},
                      worker.index);
}

/// Prefetches samples, because no hardware predicts their random order. Always inline: GCC removes calls of a function
/// that only prefetches.
template <typename T>
__attribute__((always_inline)) inline void Epoch<T>::prefetch_rows(Range rows, std::int64_t member) {
  constexpr auto kLine = static_cast<std::int64_t>(kCacheLine);
  constexpr std::int64_t kMostBytes = 128 << 10;  // part of the second-level cache; hardware prefetches long rows
  const SampleRows& samples = request_.samples;
  const std::int64_t* order = order_.of_member(member);
  if (order == nullptr || rows.size() * spec_.input_copies() * samples.row_bytes > kMostBytes) return;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const auto* sample = static_cast<const unsigned char*>(samples.data) + order[row] * samples.row_bytes;
    for (std::int64_t byte = 0; byte < samples.row_bytes; byte += kLine) __builtin_prefetch(sample + byte, 0, 2);
  }
}

/// Calls work(rows, depth, panels) for blocks of the plan that cover `rows`, [0, depth) and `panels`. Thread 0 reports
/// progress now and then. Returns false when the run is to stop. With `whole_panels` the depth is not divided in a
/// block whose rows are not whole panels.
template <typename T>
template <typename Work>
bool Epoch<T>::in_blocks(Range rows, std::int64_t depth, Range panels, bool whole_panels, const Worker& worker,
                         Work work) {
  const Plan& plan = state_.plan();
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
        if (!first && worker.index == 0) call_monitor();
        first = false;
        if (stop_.load(std::memory_order_relaxed)) return false;
        work(block, part, Range{p, std::min(p + slice, panels.end)});
      }
    }
  }
  return true;
}

template <typename T>
void Epoch<T>::call_monitor() {
  if (Clock::now() < state_.next_report) return;
  if (request_.monitor && !request_.monitor(progress_)) stop_.store(true, std::memory_order_relaxed);
  state_.next_report = Clock::now() + kMonitorInterval;
}

/// Weight of the samples that were predicted right. A branch per row would be mispredicted often.
template <typename T>
double Epoch<T>::correct_weight(const Batch<T>& batch, const std::int32_t* correct) const {
  if (request_.sample_weights == nullptr) {
    return static_cast<double>(std::accumulate(correct, correct + batch.rows, std::int64_t{0}));
  }
  double weight = 0;
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    const std::int64_t sample = order_.sample(row / batch.size, batch.first + row % batch.size);
    weight += correct[row] * static_cast<double>(request_.sample_weights[sample]);
  }
  return weight;
}

/// Sums the results of the rows, and adds them to those of other shards as their gradients.
template <typename T>
void Epoch<T>::sum_results(const StepMemory<T>& memory) {
  const Batch<T>& batch = memory.batch();
  const auto members = static_cast<double>(spec_.members);
  const ShardPlace& place = memory.pass().shard;
  results_[place.level] = {sum_of(memory.row_loss(Mode::reads), batch.rows) / members,
                           correct_weight(batch, memory.correct(Mode::reads)) / members};
  for (std::size_t top = place.level; top > place.level - place.additions; --top) {
    results_[top - 1].loss += results_[top].loss;
    results_[top - 1].correct += results_[top].correct;
  }
}

/// All processes learn the sums over all shards, and decide alike.
template <typename T>
void Epoch<T>::exchange_shards(const StepMemory<T>& memory) {
  memory.require_declared(Buffer::diverged, 0, Mode::writes);
  ShardExchange<T> exchange{
      .gradients = state_.sink.gradients,
      .elements = state_.mlp.parameter_elements(),
      .results = results_.data(),
      .sums = static_cast<std::int64_t>(shard_sums(state_.shards.count, state_.shards.own).size())};
  if (diverged_.load(std::memory_order_relaxed)) exchange.status = StepStatus::diverged;
  if (stops_now_) exchange.status = StepStatus::stops;
  if (!request_.exchange(exchange)) exchange.status = StepStatus::stops;
  if (exchange.status == StepStatus::diverged) diverged_.store(true, std::memory_order_relaxed);
  if (exchange.status != StepStatus::stops) return;
  stop_.store(true, std::memory_order_relaxed);
  stops_now_ = true;
}

/// Adds the results of the batch to the sums of the epoch, and completes the step.
template <typename T>
void Epoch<T>::record_results(const StepMemory<T>& memory, const ThreadState& thread) {
  const Batch<T>& batch = memory.batch();
  if (!state_.shards.divides()) sum_results(memory);
  const double loss = results_[0].loss;
  const double correct = results_[0].correct;
  progress_.correct += correct;
  progress_.loss_sum += loss;
  progress_.weight_sum += batch.weight;
  progress_.penalty_sum += step_penalty_;
  progress_.samples_done += batch.whole;
  state_.position.last_step = {batch.whole, batch.weight, loss, step_penalty_, correct};
  if (request_.step_losses != nullptr) {
    request_.step_losses->push_back(batch.weight > 0 ? loss / batch.weight : 0);
  }
  ++steps_done_;
  state_.complete_step(thread.moments, request_, thread.steps + 1, progress_);
}

template class Epoch<float>;
template class Epoch<double>;

}  // namespace fastmlp
