#include "network/step.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastmlp {
namespace {

/// Whether one thread's part under share `a` can overlap another thread's part under share `b`.
bool parts_overlap(Share a, Share b) {
  const bool fixed_parts = a != Share::whole && a != Share::chunks;
  return !(a == b && fixed_parts);
}

/// Whether a thread's rows and panels lie elsewhere when the batch size changes, as in the last batch of an epoch.
bool depends_on_batch_size(Buffer buffer) {
  return buffer == Buffer::activations || buffer == Buffer::dz || buffer == Buffer::dx ||
         buffer == Buffer::normalized || buffer == Buffer::row_results || buffer == Buffer::sample_columns ||
         buffer == Buffer::unscaled_input || buffer == Buffer::row_moments || buffer == Buffer::skips ||
         buffer == Buffer::dsum || buffer == Buffer::dshifted;
}

/// Whether threads race when one makes access `a` and another makes access `b`, to the same rows or to others.
bool conflict(const Access& a, const Access& b, bool same_rows = true) {
  if (a.buffer != b.buffer || a.part != b.part) return false;
  if (a.mode == Mode::reads && b.mode == Mode::reads) return false;
  const bool parts_move =
      !same_rows && depends_on_batch_size(a.buffer) && (a.share == Share::rows || a.share == Share::outputs);
  return parts_move || parts_overlap(a.share, b.share);
}

/// Chunks are disjoint within a pass.
void require_no_race_within(const Pass& pass) {
  for (const Access& a : pass.accesses) {
    for (const Access& b : pass.accesses) {
      if (a.share == Share::chunks && b.share == Share::chunks) continue;
      if (!conflict(a, b)) continue;
      throw std::logic_error("pass " + std::to_string(static_cast<int>(pass.kind)) + " races with itself on buffer " +
                             std::to_string(static_cast<int>(a.buffer)));
    }
  }
}

struct EarlierAccess {
  Access access;
  int step;
  std::int64_t shard;
};

void note_accesses(const Pass& pass, int step, std::vector<EarlierAccess>& since_barrier) {
  if (pass.barrier_before) since_barrier.clear();
  for (const Access& access : pass.accesses) since_barrier.push_back({access, step, pass.shard.number});
}

/// Places each barrier just before the first pass that needs it: as late as possible is as few as possible. Two steps
/// are looked at, so that races from one step to the next are seen.
void place_barriers(std::vector<Pass>& passes, const std::vector<Pass>& before) {
  constexpr int kSteps = 2;
  std::vector<EarlierAccess> since_barrier;
  for (const Pass& pass : before) note_accesses(pass, 0, since_barrier);
  for (int step = 1; step <= kSteps; ++step) {
    for (Pass& pass : passes) {
      const bool needed = std::any_of(pass.accesses.begin(), pass.accesses.end(), [&](const Access& next) {
        return std::any_of(since_barrier.begin(), since_barrier.end(), [&](const EarlierAccess& earlier) {
          return conflict(earlier.access, next, earlier.step == step && earlier.shard == pass.shard.number);
        });
      });
      pass.barrier_before = pass.barrier_before || needed;
      note_accesses(pass, step, since_barrier);
    }
  }
}

std::optional<BarrierNumber> barrier_to_drop;
bool dropped = false;

void drop_chosen_barrier(const StepFeatures& features, std::vector<Pass>& passes) {
  if (!barrier_to_drop || barrier_to_drop->scans_columns != features.scans_columns) return;
  std::int64_t number = 0;
  for (Pass& pass : passes) {
    if (!pass.barrier_before || number++ != barrier_to_drop->number) continue;
    pass.barrier_before = false;
    dropped = true;
  }
}

/// Declares the passes of a network under a plan.
class StepBuilder {
 public:
  StepBuilder(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features)
      : spec_(spec), plan_(plan), features_(features), layers_(spec.layers.size()) {}

  std::vector<Pass> build(const std::vector<Pass>& before) {
    if (features_.shards.divides()) {
      for (const ShardPlace& place : shard_places(features_.shards)) shard(place);
      if (features_.shards.exchanges()) exchange_shards();
      check_stop();
    } else {
      forward_and_backward();
      report_progress();
      check_stop();
      prepare_next_batch();
      update();
    }
    if (features_.updates && features_.keeps_gradients()) apply_gradients();
    if (features_.updates && (features_.bounds_norms || features_.moves_averages)) after_update();
    add(PassKind::record_results, Share::thread_0, {reads(Buffer::row_results, 0, Share::thread_0)});
    for (const Pass& pass : passes_) require_no_race_within(pass);
    place_barriers(passes_, before);
    return std::move(passes_);
  }

 private:
  static Access reads(Buffer buffer, std::size_t part, Share share) { return {buffer, part, share, Mode::reads}; }
  static Access writes(Buffer buffer, std::size_t part, Share share) { return {buffer, part, share, Mode::writes}; }

  void add(PassKind kind, Share share, std::vector<Access> accesses) { add(kind, 0, share, std::move(accesses)); }
  void add(PassKind kind, std::size_t layer, Share share, std::vector<Access> accesses) {
    passes_.push_back({kind, layer, share, std::move(accesses), shard_});
  }

  bool scales_outputs(std::size_t l) const { return spec_.layers[l].batch_norm || spec_.layers[l].output_scales; }
  bool scales_inputs(std::size_t l) const { return l < layers_ && spec_.layers[l].input_scales; }
  /// Whether the input stage has parameters to train; it belongs to layer 0.
  bool trains_inputs() const { return spec_.trains_inputs() && features_.trains(0); }
  bool by_outputs(std::size_t l) const { return plan_.splits[l] == Split::outputs; }
  /// The share of activation `a` in a pass; each thread may have its own copy of the input.
  Share activation_share(std::size_t a, Share share) const { return a == 0 ? input_share(share) : share; }
  Share input_share(Share share) const { return plan_.own_input ? Share::own_copy : share; }

  void forward_and_backward() {
    if (features_.scans_columns) {
      add(PassKind::collect_columns, Share::own_copy, {reads(Buffer::column_marks, 0, Share::whole)});
    }
    if (features_.with_penalty && shard_.number == 0) sum_penalty();
    gather();
    for (std::size_t l = 0; l < layers_; ++l) forward(l);
    loss();
    for (std::size_t l = layers_; l-- > features_.backward_end;) backward(l);
  }

  /// The gradient of a shard, added to those before it.
  void shard(const ShardPlace& place) {
    shard_ = place;
    forward_and_backward();
    report_progress();
    prepare_next_batch();
    update();
    if (place.additions > 0) {
      std::vector<Access> accesses;
      for (const std::size_t part : trained_parts()) accesses.push_back(writes(Buffer::gradients, part, Share::panels));
      add(PassKind::add_gradients, Share::panels, std::move(accesses));
    }
    add(PassKind::sum_results, Share::thread_0, {reads(Buffer::row_results, 0, Share::thread_0)});
    shard_ = {};
  }

  void exchange_shards() {
    std::vector<Access> accesses{writes(Buffer::stop, 0, Share::thread_0),
                                 writes(Buffer::diverged, 0, Share::thread_0)};
    for (const std::size_t part : trained_parts()) accesses.push_back(writes(Buffer::gradients, part, Share::thread_0));
    add(PassKind::exchange_shards, Share::thread_0, std::move(accesses));
  }

  void sum_penalty() {
    std::vector<Access> accesses;
    for (std::size_t l = 0; l < layers_; ++l) accesses.push_back(reads(Buffer::parameters, l, Share::thread_0));
    add(PassKind::sum_penalty, Share::thread_0, std::move(accesses));
  }

  void gather() {
    if (!spec_.has_input_stage()) {
      add(PassKind::gather, input_share(Share::rows), {writes(Buffer::activations, 0, input_share(Share::rows))});
      return;
    }
    std::vector<Access> accesses{writes(Buffer::unscaled_input, 0, Share::rows)};
    if (!spec_.inputs.empty()) {
      accesses.push_back(writes(Buffer::sample_columns, 0, Share::rows));
      accesses.push_back(reads(Buffer::parameters, inputs_part(layers_), Share::whole));
    }
    add(PassKind::gather, Share::rows, std::move(accesses));
    add(PassKind::scale_inputs, Share::rows,
        {reads(Buffer::unscaled_input, 0, spec_.members > spec_.input_copies() ? Share::whole : Share::rows),
         reads(Buffer::parameters, input_scales_part(layers_, 0), Share::whole),
         writes(Buffer::activations, 0, Share::rows)});
  }

  void forward(std::size_t l) {
    const Share share = by_outputs(l) ? Share::outputs : Share::rows;
    const Share input = by_outputs(l) ? Share::whole : Share::rows;
    const Share weights = by_outputs(l) ? Share::outputs : Share::whole;
    std::vector<Access> accesses{reads(Buffer::activations, l, activation_share(l, input)),
                                 reads(Buffer::parameters, l, weights), writes(Buffer::activations, l + 1, share)};
    if (scales_outputs(l)) {
      accesses.push_back(writes(Buffer::normalized, l, Share::outputs));
      accesses.push_back(writes(Buffer::batch_moments, l, Share::outputs));
    }
    if (scales_inputs(l + 1)) {
      accesses.push_back(reads(Buffer::parameters, input_scales_part(layers_, l + 1), weights));
    }
    if (spec_.layers[l].layer_norm) {
      accesses.push_back(writes(Buffer::normalized, l, share));
      accesses.push_back(writes(Buffer::row_moments, l, share));
    }
    if (spec_.layers[l].residual) accesses.push_back(reads(Buffer::skips, l - kBlockLayers, share));
    if (spec_.begins_block(l)) accesses.push_back(writes(Buffer::skips, l, share));
    add(PassKind::forward, l, share, std::move(accesses));
  }

  void loss() {
    const std::size_t last = layers_ - 1;
    const bool user_defined = std::any_of(spec_.losses.begin(), spec_.losses.end(),
                                          [](const LossSpec& loss) { return loss.loss == Loss::user_defined; });
    if (user_defined) {
      add(PassKind::user_loss, last, Share::thread_0,
          {writes(Buffer::activations, layers_, Share::thread_0), writes(Buffer::dz, last, Share::thread_0),
           writes(Buffer::row_results, 0, Share::thread_0)});
    }
    add(PassKind::loss, last, Share::rows,
        {writes(Buffer::activations, layers_, Share::rows), writes(Buffer::dz, last, Share::rows),
         writes(Buffer::row_results, 0, Share::rows), writes(Buffer::diverged, 0, Share::chunks)});
  }

  /// Taking the derivative of what layer l writes; with mixes their gradients take the place of the residues.
  Access derivative(std::size_t l, Share share) const {
    return {Buffer::activations, l + 1, share, spec_.layers[l].mixes ? Mode::writes : Mode::reads};
  }

  /// From dz of layer l to dz of the layer below, or to dx.
  void backward(std::size_t l) {
    std::vector<Access> accesses{reads(Buffer::dz, l, Share::rows), reads(Buffer::parameters, l, Share::whole)};
    if (l == 0) {
      accesses.push_back(writes(Buffer::dx, 0, Share::rows));
    } else {
      accesses.push_back(writes(activation_gradient(spec_, l - 1), l - 1, Share::rows));
      if (!scales_inputs(l)) accesses.push_back(derivative(l - 1, Share::rows));
    }
    add(PassKind::backward_data, l, Share::rows, std::move(accesses));
    finish_backward(l);
    if (l > 0 && spec_.finishes_rows(l - 1)) finish_rows(l - 1);
  }

  /// From the gradient by what the activation function of layer l reads to that by its product.
  void finish_rows(std::size_t l) {
    const LayerSpec& layer = spec_.layers[l];
    std::vector<Access> accesses{writes(sum_gradient(spec_, l), l, Share::rows)};
    if (layer.layer_norm) {
      accesses.push_back(reads(Buffer::dshifted, l, Share::rows));
      accesses.push_back(reads(Buffer::normalized, l, Share::rows));
      accesses.push_back(reads(Buffer::row_moments, l, Share::rows));
      accesses.push_back(reads(Buffer::parameters, l, Share::whole));
    }
    if (spec_.begins_block(l)) {
      accesses.push_back(reads(sum_gradient(spec_, l + kBlockLayers), l + kBlockLayers, Share::rows));
    }
    if (layer.drops_branch()) accesses.push_back(writes(Buffer::dz, l, Share::rows));
    add(PassKind::finish_rows, l, Share::rows, std::move(accesses));
  }

  /// The gradient by the inputs of layer l, as its product gives it, becomes that by the product of the layer below or
  /// by the inputs before members scale them.
  void finish_backward(std::size_t l) {
    if (!spec_.finishes_columns(l)) return;
    std::vector<Access> accesses;
    if (l == 0) {
      accesses.push_back(writes(Buffer::dx, 0, Share::outputs));
      accesses.push_back(reads(Buffer::unscaled_input, 0, Share::whole));
    } else {
      accesses.push_back(writes(Buffer::dz, l - 1, Share::outputs));
    }
    if (scales_inputs(l)) {
      accesses.push_back(reads(Buffer::parameters, input_scales_part(layers_, l), Share::outputs));
      accesses.push_back(writes(Buffer::dinput_scales, l, Share::outputs));
      if (l > 0) accesses.push_back(derivative(l - 1, Share::outputs));
    }
    if (l > 0 && scales_outputs(l - 1)) {
      accesses.push_back(reads(Buffer::parameters, l - 1, Share::outputs));
      accesses.push_back(reads(Buffer::normalized, l - 1, Share::outputs));
      accesses.push_back(writes(Buffer::batch_moments, l - 1, Share::outputs));
    }
    add(PassKind::finish_backward, l, Share::outputs, std::move(accesses));
  }

  void report_progress() {
    add(PassKind::report_progress, Share::thread_0,
        {writes(Buffer::stop, 0, Share::thread_0), writes(Buffer::next_chunk, 0, Share::thread_0)});
  }

  /// The running moments move once it is certain that the step counts.
  void check_stop() {
    add(PassKind::check_stop, Share::whole,
        {reads(Buffer::stop, 0, Share::whole), reads(Buffer::diverged, 0, Share::whole)});
    for (std::size_t l = 0; l < layers_; ++l) {
      if (!spec_.layers[l].batch_norm) continue;
      add(PassKind::update_running_moments, l, Share::outputs,
          {reads(Buffer::batch_moments, l, Share::outputs), writes(Buffer::parameters, l, Share::outputs)});
    }
  }

  void prepare_next_batch() {
    if (features_.scans_columns) {
      passes_.push_back(make_prologue().front());
      passes_.back().shard = shard_;
    } else {
      add(PassKind::prepare_next_batch, input_share(Share::rows), {});
    }
  }

  /// Writes gradients instead of parameters where these are kept.
  void update() {
    const Buffer target = features_.keeps_gradients() ? Buffer::gradients : Buffer::parameters;
    std::vector<Access> accesses{reads(Buffer::next_chunk, 0, Share::whole)};
    for (std::size_t l = 0; l < layers_; ++l) {
      if (!features_.trains(l)) continue;
      const bool own = by_outputs(l);
      accesses.push_back(reads(Buffer::dz, l, own ? Share::outputs : Share::whole));
      accesses.push_back(reads(Buffer::activations, l, activation_share(l, Share::whole)));
      accesses.push_back(writes(target, l, own ? Share::outputs : Share::chunks));
      if (spec_.layers[l].mixes) {
        accesses.push_back(reads(Buffer::activations, l + 1, own ? Share::outputs : Share::whole));
      }
      if (scales_outputs(l)) accesses.push_back(reads(Buffer::batch_moments, l, Share::outputs));
      if (spec_.layers[l].layer_norm) {
        accesses.push_back(reads(Buffer::dshifted, l, Share::whole));
        accesses.push_back(reads(Buffer::normalized, l, Share::whole));
      }
      if (scales_inputs(l)) {
        accesses.push_back(reads(Buffer::dinput_scales, l, Share::outputs));
        accesses.push_back(writes(target, input_scales_part(layers_, l), Share::outputs));
      }
    }
    if (trains_inputs()) {
      accesses.push_back(reads(Buffer::sample_columns, 0, Share::whole));
      accesses.push_back(reads(Buffer::dx, 0, Share::whole));
      accesses.push_back(writes(target, inputs_part(layers_), Share::chunks));
    }
    add(PassKind::update, Share::chunks, std::move(accesses));
  }

  void apply_gradients() {
    std::vector<Access> norms{writes(Buffer::column_sums, 0, Share::panels)};
    std::vector<Access> apply;
    if (features_.clips_by_norm) apply.push_back(reads(Buffer::column_sums, 0, Share::whole));
    for (const std::size_t part : trained_parts()) {
      norms.push_back(reads(Buffer::gradients, part, Share::panels));
      apply.push_back(writes(Buffer::gradients, part, Share::panels));
      apply.push_back(writes(Buffer::parameters, part, Share::panels));
    }
    if (features_.clips_by_norm) add(PassKind::measure_norms, Share::panels, std::move(norms));
    add(PassKind::apply_gradients, Share::panels, std::move(apply));
  }

  void after_update() {
    std::vector<Access> accesses;
    for (const std::size_t part : trained_parts()) {
      accesses.push_back(writes(Buffer::parameters, part, Share::panels));
      if (features_.moves_averages) accesses.push_back(writes(Buffer::averages, part, Share::panels));
    }
    add(PassKind::after_update, Share::panels, std::move(accesses));
  }

  std::vector<std::size_t> trained_parts() const {
    std::vector<std::size_t> parts;
    for (std::size_t l = 0; l < layers_; ++l) {
      if (!features_.trains(l)) continue;
      parts.push_back(l);
      if (scales_inputs(l)) parts.push_back(input_scales_part(layers_, l));
    }
    if (trains_inputs()) parts.push_back(inputs_part(layers_));
    return parts;
  }

  const NetworkSpec& spec_;
  const Plan& plan_;
  const StepFeatures& features_;
  const std::size_t layers_;
  ShardPlace shard_{};  // of the passes that are added
  std::vector<Pass> passes_;
};

}  // namespace

bool Pass::declares(Buffer buffer, std::size_t part, Mode mode) const {
  return std::any_of(accesses.begin(), accesses.end(), [&](const Access& access) {
    return access.buffer == buffer && access.part == part && (access.mode == Mode::writes || mode == Mode::reads);
  });
}

std::vector<Pass> make_step(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features,
                            const std::vector<Pass>& before) {
  std::vector<Pass> passes = StepBuilder(spec, plan, features).build(before);
  drop_chosen_barrier(features, passes);
  return passes;
}

std::vector<Pass> make_prologue() {
  return {{PassKind::prepare_next_batch, 0, Share::rows, {{Buffer::column_marks, 0, Share::rows, Mode::writes}}}};
}

void drop_barrier(BarrierNumber barrier) { barrier_to_drop = barrier; }

bool barrier_was_dropped() { return dropped; }

std::int64_t count_barriers(const std::vector<Pass>& passes) {
  return std::count_if(passes.begin(), passes.end(), [](const Pass& pass) { return pass.barrier_before; });
}

}  // namespace fastmlp
