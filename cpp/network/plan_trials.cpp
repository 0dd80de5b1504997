#include "network/plan_trials.hpp"

#include <algorithm>
#include <cmath>

namespace fastmlp {
namespace {

/// Share of the time that trials may take.
constexpr double kTrialShare = 0.01;
/// A trial has at least as many steps and seconds: the first step under another plan finds the caches as the other plan
/// left them.
constexpr std::int64_t kFewestSteps = 3;
constexpr double kShortestTrial = 1e-3;
/// Turns of a trial before the plan is compared, and the share of the time of the plan in use that it must save. Both
/// keep noise from changing the plan.
constexpr int kTurns = 3;
constexpr double kLeastSaving = 0.1;
/// Plans that have not been tried are expected to take as many times as long as the plan in use: half the threads.
constexpr double kUnknownFactor = 2;
/// Share of a turn in the mean time of its plan.
constexpr double kWeightOfTurn = 0.3;

}  // namespace

PlanTrials::PlanTrials(std::size_t plans) : times_(plans), trials_(plans), next_trial_(plans > 1 ? 1 : 0) {}

double PlanTrials::expected_seconds(std::size_t plan, std::int64_t steps) const {
  const double known = times_[plan].seconds_per_step;
  const double step = known > 0 ? known : kUnknownFactor * times_[current()].seconds_per_step;
  return step * static_cast<double>(steps);
}

/// Of the next trial. A plan that is not known may be much slower than expected, so its first trial is short.
std::int64_t PlanTrials::trial_steps() const {
  if (times_[next_trial_].steps == 0) return kFewestSteps;
  const double steps = kShortestTrial / std::max(times_[current()].seconds_per_step, 1e-9);
  return std::max(kFewestSteps, static_cast<std::int64_t>(std::ceil(steps)));
}

PlanTurn PlanTrials::next(std::int64_t left) const {
  if (times_.size() == 1) return {0, left};
  const double step = times_[current()].seconds_per_step;
  if (step <= 0) return {current(), std::min(left, kFewestSteps)};
  const std::int64_t trial = trial_steps();
  const double due = (trial_seconds_ + expected_seconds(next_trial_, trial)) / kTrialShare;
  if (total_seconds_ >= due) return {next_trial_, std::min(left, trial)};
  const double wait = std::min(std::ceil((due - total_seconds_) / step), 1e15);
  return {current(), std::min(left, std::max<std::int64_t>(trial, static_cast<std::int64_t>(wait)))};
}

void PlanTrials::record(const PlanTurn& turn, std::int64_t steps, double seconds) {
  if (steps <= 0 || times_.size() == 1) return;
  PlanTimes& times = times_[turn.plan];
  const double step = seconds / static_cast<double>(steps);
  times.seconds_per_step =
      times.steps == 0 ? step : times.seconds_per_step + kWeightOfTurn * (step - times.seconds_per_step);
  times.steps += steps;
  total_seconds_ += seconds;
  if (turn.plan == current()) return;
  trial_seconds_ += seconds;
  Trial& trial = trials_[turn.plan];
  trial.steps += steps;
  trial.seconds += seconds;
  if (++trial.turns == kTurns) compare(turn.plan);
}

/// Goes over to a plan that was faster in its trial, and chooses the plan to be tried next.
void PlanTrials::compare(std::size_t plan) {
  const Trial trial = trials_[plan];
  trials_[plan] = {};
  const double step = trial.seconds / static_cast<double>(trial.steps);
  times_[plan].seconds_per_step = step;
  if (step < (1 - kLeastSaving) * times_[current()].seconds_per_step) {
    current_.store(plan, std::memory_order_relaxed);
    trial_seconds_ = 0;
    total_seconds_ = 0;
  }
  do {
    next_trial_ = (next_trial_ + 1) % times_.size();
  } while (next_trial_ == current());
}

}  // namespace fastmlp
