#include "base/team.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/spin.hpp"
#include "base/system.hpp"

namespace fastmlp {
namespace {

/// Reads the quota at most once a second: that takes longer than a small prediction.
int current_quota() {
  using Clock = std::chrono::steady_clock;
  static std::atomic<Clock::rep> next{0};
  static std::atomic<int> last{1};
  const Clock::rep now = Clock::now().time_since_epoch().count();
  if (now >= next.load(std::memory_order_acquire)) {
    last.store(quota_processors(), std::memory_order_relaxed);
    next.store(now + Clock::duration(std::chrono::seconds{1}).count(), std::memory_order_release);
  }
  return last.load(std::memory_order_relaxed);
}

}  // namespace

int available_threads() { return std::max(1, std::min(runtime_threads(), current_quota())); }

void Barrier::wait() {
  if (threads_ == 1) return;
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spin = 0; generation_.load(std::memory_order_acquire) == generation; ++spin) {
    if (spin < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace fastmlp
