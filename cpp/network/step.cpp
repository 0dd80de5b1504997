#include "network/step.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastmlp {
namespace {

/// Whether one member's part of a buffer may be another's under the other share.
bool parts_overlap(Share a, Share b) {
  const bool same_parts = a != Share::whole && a != Share::dealt;
  return !(a == b && same_parts);
}

/// Whether its rows and panels lie elsewhere where a batch has another size, as the last one of an epoch may.
bool moves_with_batch(Buffer buffer) {
  return buffer == Buffer::outputs || buffer == Buffer::gradients || buffer == Buffer::normalised ||
         buffer == Buffer::row_results;
}

bool meets_needed(const Access& a, const Access& b, bool same_step = true) {
  if (a.buffer != b.buffer || a.level != b.level) return false;
  if (a.mode == Mode::reads && b.mode == Mode::reads) return false;
  const bool parts_move =
      !same_step && moves_with_batch(a.buffer) && (a.share == Share::rows || a.share == Share::outputs);
  return parts_move || parts_overlap(a.share, b.share);
}

/// Between members inside one pass: what is dealt out is nobody else's.
void require_no_race_within(const Pass& pass) {
  for (const Access& a : pass.accesses) {
    for (const Access& b : pass.accesses) {
      if (a.share == Share::dealt && b.share == Share::dealt) continue;
      if (!meets_needed(a, b)) continue;
      throw std::logic_error("pass " + std::to_string(static_cast<int>(pass.kind)) + " races with itself on buffer " +
                             std::to_string(static_cast<int>(a.buffer)));
    }
  }
}

struct Earlier {
  Access access;
  int step;
};

void note(const Pass& pass, int step, std::vector<Earlier>& since_meeting) {
  if (pass.meets) since_meeting.clear();
  for (const Access& access : pass.accesses) since_meeting.push_back({access, step});
}

/// A meeting as late as possible, just before the first pass that needs it, is one of as few as possible. The second
/// step sees what a step leaves to the next one.
void place_meetings(std::vector<Pass>& passes, const std::vector<Pass>& before) {
  constexpr int kSteps = 2;
  std::vector<Earlier> since_meeting;
  for (const Pass& pass : before) note(pass, 0, since_meeting);
  for (int step = 1; step <= kSteps; ++step) {
    for (Pass& pass : passes) {
      const bool needed = std::any_of(pass.accesses.begin(), pass.accesses.end(), [&](const Access& next) {
        return std::any_of(since_meeting.begin(), since_meeting.end(), [&](const Earlier& before_it) {
          return meets_needed(before_it.access, next, before_it.step == step);
        });
      });
      pass.meets = pass.meets || needed;
      note(pass, step, since_meeting);
    }
  }
}

std::optional<MeetingNumber> meeting_to_drop;
bool dropped = false;

void drop_wanted_meeting(const StepFeatures& features, std::vector<Pass>& passes) {
  if (!meeting_to_drop || meeting_to_drop->looks_at_columns != features.looks_at_columns) return;
  std::int64_t number = 0;
  for (Pass& pass : passes) {
    if (!pass.meets || number++ != meeting_to_drop->number) continue;
    pass.meets = false;
    dropped = true;
  }
}

/// Declares the passes of a network under a plan.
class StepBuilder {
 public:
  StepBuilder(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features)
      : spec_(spec), plan_(plan), features_(features), last_(spec.layer_count()) {}

  std::vector<Pass> build(const std::vector<Pass>& before) {
    if (features_.looks_at_columns) {
      passes_.push_back({PassKind::collect_columns, 0, Share::own, {reads(Buffer::columns, 0, Share::whole)}});
    }
    if (features_.counts_penalty) count_penalty();
    passes_.push_back(
        {PassKind::gather, 0, input_share(Share::rows), {writes(Buffer::outputs, 0, input_share(Share::rows))}});
    for (std::int64_t l = 1; l <= last_; ++l) forward(l);
    loss();
    for (std::int64_t l = last_; l > features_.lowest; --l) {
      backward_data(l);
      if (l > 1 && normalises(l - 1)) normalise_backward(l - 1);
    }
    passes_.push_back({PassKind::close,
                       0,
                       Share::first,
                       {writes(Buffer::halt, 0, Share::first), writes(Buffer::hand_out, 0, Share::first)}});
    passes_.push_back({PassKind::verdict,
                       0,
                       Share::whole,
                       {reads(Buffer::halt, 0, Share::whole), reads(Buffer::divergence, 0, Share::whole)}});
    for (std::int64_t l = 1; l <= last_; ++l) {
      if (!normalises(l)) continue;
      passes_.push_back(
          {PassKind::move_running_moments,
           l,
           Share::outputs,
           {reads(Buffer::batch_moments, l, Share::outputs), writes(Buffer::parameters, l, Share::outputs)}});
    }
    passes_.push_back({PassKind::look_ahead, 0, input_share(Share::rows), {}});
    if (features_.looks_at_columns) passes_.back() = make_prologue().front();
    update();
    if (features_.updates && features_.clips) clip();
    if (features_.updates && (features_.bounds_norms || features_.moves_averages)) follow_up();
    passes_.push_back({PassKind::tally, 0, Share::first, {reads(Buffer::row_results, 0, Share::first)}});
    for (const Pass& pass : passes_) require_no_race_within(pass);
    place_meetings(passes_, before);
    return std::move(passes_);
  }

 private:
  static Access reads(Buffer buffer, std::int64_t level, Share share) { return {buffer, level, share, Mode::reads}; }
  static Access writes(Buffer buffer, std::int64_t level, Share share) { return {buffer, level, share, Mode::writes}; }

  bool normalises(std::int64_t l) const { return spec_.layer(l - 1).batch_norm; }
  bool by_outputs(std::int64_t l) const { return plan_.splits[static_cast<std::size_t>(l - 1)] == Split::outputs; }
  Share split(std::int64_t l) const { return by_outputs(l) ? Share::outputs : Share::rows; }
  /// The input is shared, or each member has its own copy of the whole batch.
  Share input_share(Share shared) const { return plan_.own_input ? Share::own : shared; }
  Share output_share(std::int64_t level, Share shared) const { return level == 0 ? input_share(shared) : shared; }

  void count_penalty() {
    Pass pass{PassKind::count_penalty, 0, Share::first, {}};
    for (std::int64_t l = 1; l <= last_; ++l) pass.accesses.push_back(reads(Buffer::parameters, l, Share::first));
    passes_.push_back(std::move(pass));
  }

  void forward(std::int64_t l) {
    const Share share = split(l);
    const bool rows = share == Share::rows;
    Pass pass{PassKind::forward, l, share, {}};
    pass.accesses = {reads(Buffer::outputs, l - 1, output_share(l - 1, rows ? Share::rows : Share::whole)),
                     reads(Buffer::parameters, l, rows ? Share::whole : Share::outputs),
                     writes(Buffer::outputs, l, share)};
    if (normalises(l)) {
      pass.accesses.push_back(writes(Buffer::normalised, l, Share::outputs));
      pass.accesses.push_back(writes(Buffer::batch_moments, l, Share::outputs));
    }
    passes_.push_back(std::move(pass));
  }

  void loss() {
    const bool user_defined = std::any_of(spec_.losses.begin(), spec_.losses.end(),
                                          [](const LossSpec& loss) { return loss.loss == Loss::user_defined; });
    if (user_defined) {
      passes_.push_back({PassKind::user_loss,
                         last_,
                         Share::first,
                         {writes(Buffer::outputs, last_, Share::first), writes(Buffer::gradients, last_, Share::first),
                          writes(Buffer::row_results, 0, Share::first)}});
    }
    passes_.push_back({PassKind::output_gradient,
                       last_,
                       Share::rows,
                       {writes(Buffer::outputs, last_, Share::rows), writes(Buffer::gradients, last_, Share::rows),
                        writes(Buffer::row_results, 0, Share::rows), writes(Buffer::divergence, 0, Share::dealt)}});
  }

  void backward_data(std::int64_t l) {
    Pass pass{PassKind::backward_data,
              l,
              Share::rows,
              {reads(Buffer::gradients, l, Share::rows), reads(Buffer::parameters, l, Share::whole),
               writes(Buffer::gradients, l - 1, Share::rows)}};
    if (l > 1) pass.accesses.push_back(reads(Buffer::outputs, l - 1, Share::rows));
    passes_.push_back(std::move(pass));
  }

  void normalise_backward(std::int64_t l) {
    passes_.push_back(
        {PassKind::normalise_backward,
         l,
         Share::outputs,
         {writes(Buffer::gradients, l, Share::outputs), reads(Buffer::parameters, l, Share::outputs),
          reads(Buffer::normalised, l, Share::outputs), writes(Buffer::batch_moments, l, Share::outputs)}});
  }

  /// Where gradients are kept, they are what this pass writes.
  void update() {
    const Buffer target = features_.updates && !features_.clips ? Buffer::parameters : Buffer::kept_gradients;
    Pass pass{PassKind::update, 0, Share::dealt, {reads(Buffer::hand_out, 0, Share::whole)}};
    for (std::int64_t l = 1; l <= last_; ++l) {
      if (!features_.trains(l)) continue;
      const bool own = by_outputs(l);
      pass.accesses.push_back(reads(Buffer::gradients, l, own ? Share::outputs : Share::whole));
      pass.accesses.push_back(reads(Buffer::outputs, l - 1, output_share(l - 1, Share::whole)));
      pass.accesses.push_back(writes(target, l, own ? Share::outputs : Share::dealt));
      if (normalises(l)) pass.accesses.push_back(reads(Buffer::batch_moments, l, Share::outputs));
    }
    passes_.push_back(std::move(pass));
  }

  void clip() {
    Pass norms{PassKind::measure_norms, 0, Share::units, {writes(Buffer::column_sums, 0, Share::units)}};
    Pass clip{PassKind::clip, 0, Share::units, {}};
    if (features_.clips_by_norm) clip.accesses.push_back(reads(Buffer::column_sums, 0, Share::whole));
    for (std::int64_t l = 1; l <= last_; ++l) {
      if (!features_.trains(l)) continue;
      norms.accesses.push_back(reads(Buffer::kept_gradients, l, Share::units));
      clip.accesses.push_back(writes(Buffer::kept_gradients, l, Share::units));
      clip.accesses.push_back(writes(Buffer::parameters, l, Share::units));
    }
    if (features_.clips_by_norm) passes_.push_back(std::move(norms));
    passes_.push_back(std::move(clip));
  }

  void follow_up() {
    Pass pass{PassKind::follow_up, 0, Share::units, {}};
    for (std::int64_t l = 1; l <= last_; ++l) {
      if (!features_.trains(l)) continue;
      pass.accesses.push_back(writes(Buffer::parameters, l, Share::units));
      if (features_.moves_averages) pass.accesses.push_back(writes(Buffer::averages, l, Share::units));
    }
    passes_.push_back(std::move(pass));
  }

  const NetworkSpec& spec_;
  const Plan& plan_;
  const StepFeatures& features_;
  const std::int64_t last_;
  std::vector<Pass> passes_;
};

}  // namespace

bool Pass::declares(Buffer buffer, std::int64_t at, Mode mode) const {
  return std::any_of(accesses.begin(), accesses.end(), [&](const Access& access) {
    return access.buffer == buffer && access.level == at && (access.mode == Mode::writes || mode == Mode::reads);
  });
}

std::vector<Pass> make_step(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features,
                            const std::vector<Pass>& before) {
  std::vector<Pass> passes = StepBuilder(spec, plan, features).build(before);
  drop_wanted_meeting(features, passes);
  return passes;
}

std::vector<Pass> make_prologue() {
  return {{PassKind::look_ahead, 0, Share::rows, {{Buffer::columns, 0, Share::rows, Mode::writes}}}};
}

void drop_meeting(MeetingNumber meeting) { meeting_to_drop = meeting; }

bool meeting_was_dropped() { return dropped; }

std::int64_t count_meetings(const std::vector<Pass>& passes) {
  return std::count_if(passes.begin(), passes.end(), [](const Pass& pass) { return pass.meets; });
}

}  // namespace fastmlp
