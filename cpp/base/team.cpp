#include "base/team.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

namespace fastmlp {
namespace {

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// CPUs granted by the cgroup (v2) quota, or a large number when there is none.
int quota_cpus() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/sys/fs/cgroup/cpu.max", "re"),
                                                             [](std::FILE* f) { return f ? std::fclose(f) : 0; });
  double quota = 0;
  double period = 0;
  if (!file || std::fscanf(file.get(), "%lf %lf", &quota, &period) != 2 || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

}  // namespace

int available_threads() { return std::max(1, std::min({omp_get_max_threads(), omp_get_num_procs(), quota_cpus()})); }

int openmp_version() { return _OPENMP; }

void install_fork_handler() {
  static const int installed = pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
  (void)installed;
}

void Barrier::wait() {
  if (members_ == 1) return;
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  constexpr int kSpins = 5000;  // some 50 us; longer waits leave the core to others
  for (int spin = 0; generation_.load(std::memory_order_acquire) == generation; ++spin) {
    if (spin < kSpins) {
      relax();
    } else {
      sched_yield();
    }
  }
}

void run_team(int threads, TeamFunction function, void* context) {
  if (threads <= 1) {
    Barrier barrier(1);
    function(context, Member{0, 1, barrier});
    return;
  }
  std::unique_ptr<Barrier> barrier;
#pragma omp parallel num_threads(threads) default(shared)
  {
    // OpenMP may grant fewer threads than asked for; the team is what arrived.
#pragma omp single
    barrier.reset(new (std::nothrow) Barrier(omp_get_num_threads()));
    if (barrier) function(context, Member{omp_get_thread_num(), omp_get_num_threads(), *barrier});
  }
  if (!barrier) throw std::bad_alloc();
}

}  // namespace fastmlp
