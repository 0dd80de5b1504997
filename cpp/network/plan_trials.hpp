// Which of several plans the next steps of a run take. Plans differ in speed alone, so the run may change them at any
// step: it tries others for a few steps now and then, and goes over to one that is faster.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastmlp {

/// Steps that are taken in one go under one plan.
struct PlanTurn {
  std::size_t plan = 0;
  std::int64_t steps = 0;
};

/// What has been measured of a plan.
struct PlanTimes {
  std::int64_t steps = 0;       // in all turns
  double seconds_per_step = 0;  // mean of the latest turns; 0: not known
};

class PlanTrials {
 public:
  /// The run begins with plan 0.
  explicit PlanTrials(std::size_t plans);

  /// The next turn, of at most `left` steps, where left >= 1.
  PlanTurn next(std::int64_t left) const;
  /// Learns how long a turn took. `steps`: those completed.
  void record(const PlanTurn& turn, std::int64_t steps, double seconds);

  /// The plan in use. Safe to call while another thread records.
  std::size_t current() const { return current_.load(std::memory_order_relaxed); }
  /// Of all plans; of the thread that records.
  const std::vector<PlanTimes>& times() const { return times_; }

 private:
  struct Trial {
    int turns = 0;           // since the plan was last compared
    std::int64_t steps = 0;  // in these turns
    double seconds = 0;
  };

  double expected_seconds(std::size_t plan, std::int64_t steps) const;
  std::int64_t trial_steps() const;
  void compare(std::size_t plan);

  std::vector<PlanTimes> times_;
  std::vector<Trial> trials_;
  std::atomic<std::size_t> current_{0};
  std::size_t next_trial_ = 0;  // plan that is tried next
  double total_seconds_ = 0;
  double trial_seconds_ = 0;
};

}  // namespace fastmlp
