#include "base/team.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/spin.hpp"

namespace fastmlp {
namespace {

/// CPUs granted by the cgroup (v2) quota, or a large number when there is none.
int read_quota_cpus() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/sys/fs/cgroup/cpu.max", "re"),
                                                             [](std::FILE* f) { return f ? std::fclose(f) : 0; });
  double quota = 0;
  double period = 0;
  if (!file || std::fscanf(file.get(), "%lf %lf", &quota, &period) != 2 || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

/// Reads the quota at most once a second: that takes longer than a small prediction.
int quota_cpus() {
  using Clock = std::chrono::steady_clock;
  static std::atomic<Clock::rep> next{0};
  static std::atomic<int> last{1};
  const Clock::rep now = Clock::now().time_since_epoch().count();
  if (now >= next.load(std::memory_order_acquire)) {
    last.store(read_quota_cpus(), std::memory_order_relaxed);
    next.store(now + Clock::duration(std::chrono::seconds{1}).count(), std::memory_order_release);
  }
  return last.load(std::memory_order_relaxed);
}

}  // namespace

int available_threads() { return std::max(1, std::min(runtime_threads(), quota_cpus())); }

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
      sched_yield();
    }
  }
}

}  // namespace fastmlp
