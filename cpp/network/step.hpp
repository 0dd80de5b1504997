// What a training step does, as data: its passes in order, what each of them reads and writes of which buffer, and the
// meetings of the team that follow from that. Whoever adds a pass declares it here; no meeting is placed by hand.
#pragma once

#include <cstdint>
#include <vector>

#include "network/plan.hpp"
#include "network/spec.hpp"

namespace fastmlp {

/// What members share during a step. Those with a level have one part per layer, level 0 being the input.
enum class Buffer {
  columns,         // which columns of a batch are not zero, as each member saw it in its rows
  outputs,         // level: values and slopes
  normalised,      // level: values before scale and shift
  batch_moments,   // level: of the batch, and the gradients of scales and shifts
  gradients,       // level: by pre-activations, of level 0 by the input
  row_results,     // loss and correctness of each row
  parameters,      // level: of the layer, with the optimizer's state and the running moments
  kept_gradients,  // level: by the parameters, where an update needs all of them first
  column_sums,     // sums over the parameters of each unit
  averages,        // level: of the parameters
  divergence,      // whether a loss was not finite
  halt,            // whether the run was stopped
  hand_out,        // how many blocks of the update were dealt out
};

/// Which part of a buffer a member touches.
enum class Share {
  own,      // a copy that no other member sees
  rows,     // its rows of the batch
  outputs,  // its output panels of a layer
  units,    // its panels of all layers, counted through
  first,    // all of it, by member 0 alone
  dealt,    // pieces dealt out during the pass: nobody else's then, anybody's in the next pass
  whole,    // all of it, by every member
};

enum class Mode { reads, writes };

struct Access {
  Buffer buffer;
  std::int64_t level;
  Share share;
  Mode mode;
};

enum class PassKind {
  collect_columns,
  count_penalty,
  gather,
  forward,
  user_loss,
  output_gradient,
  backward_data,
  normalise_backward,
  close,    // of the part that computes: signals, progress, what the next passes start from
  verdict,  // whether all members go on
  move_running_moments,
  look_ahead,
  update,
  measure_norms,
  clip,
  follow_up,  // of the update: bounded norms, averages
  tally,
};

struct Pass {
  PassKind kind;
  std::int64_t level = 0;     // the layer, from 1; 0 where the pass is of no single one
  Share share = Share::rows;  // of what it computes
  std::vector<Access> accesses{};
  bool meets = false;  // all members wait for each other before it

  bool declares(Buffer buffer, std::int64_t at, Mode mode) const;
};

/// What of a step differs from epoch to epoch.
struct StepFeatures {
  std::vector<bool> trained;  // by layer; empty: all
  std::int64_t lowest = 1;    // level that backward-data comes down to
  bool looks_at_columns = false;
  bool counts_penalty = false;
  bool updates = true;  // rather than to leave gradients
  bool clips = false;
  bool clips_by_norm = false;
  bool bounds_norms = false;
  bool moves_averages = false;

  bool trains(std::int64_t l) const { return trained.empty() || trained[static_cast<std::size_t>(l - 1)]; }
};

/// The passes of a step of `plan` with their meetings: as few as keep every member from reading or overwriting what
/// another has still to write or to read, also from one step to the next. Throws std::logic_error when a pass would
/// race with itself. before: what may come before the first of these steps.
std::vector<Pass> make_step(const NetworkSpec& spec, const Plan& plan, const StepFeatures& features,
                            const std::vector<Pass>& before);

/// What an epoch does before its first step: it looks at the columns of the first batch.
std::vector<Pass> make_prologue();

/// Times that the members meet in a step.
std::int64_t count_meetings(const std::vector<Pass>& passes);

/// A meeting, counted from 0, of the steps that look at columns or of those that do not.
struct MeetingNumber {
  bool looks_at_columns;
  std::int64_t number;
};

/// Leaves it out of all steps made from now on: for the proof that the thread sanitizer reports its absence.
void drop_meeting(MeetingNumber meeting);
/// Whether a step had it.
bool meeting_was_dropped();

}  // namespace fastmlp
