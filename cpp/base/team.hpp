// The thread team. One parallel region serves a whole epoch, because a fork and a join cost more than a step of a small
// network; inside it the threads synchronize at a Barrier. team_openmp.cpp, the only file that uses OpenMP, or
// team_threads.cpp creates the threads (CMake: FASTMLP_THREADING).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.hpp"
#include "base/matrix_view.hpp"

namespace fastmlp {

/// Largest team: more threads than any machine has, and few enough that memory for each can be taken.
inline constexpr int kMostThreads = 1 << 16;

/// Throws std::invalid_argument unless least <= threads <= kMostThreads. least is 0 where the core may choose.
inline void require_threads(int threads, int least) {
  require(threads >= least && threads <= kMostThreads, "threads must be from " + std::to_string(least) + " to " +
                                                           std::to_string(kMostThreads) + ", got " +
                                                           std::to_string(threads));
}

/// Threads that this process may use: affinity mask, cgroup CPU quota and OMP_NUM_THREADS, at least 1.
int available_threads();

/// Version date of OpenMP, e.g. 201511; 0 in builds without it.
int openmp_version();

/// Makes fork safe after a parallel region: the child does not wait for threads that only its parent has. Idempotent.
void install_fork_handler();

/// Size of a cache line in bytes.
inline constexpr std::size_t kCacheLine = 64;

/// Spins for a while, then yields, so that a thread that waits long does not block a core.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  alignas(kCacheLine) std::atomic<int> arrived_{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> generation_{0};
  const int threads_;
};

/// One thread of a team.
struct Worker {
  int index;  // 0 is the calling thread
  int count;  // threads of the team
  Barrier& barrier;

  /// This thread's part of [0, total).
  Range share(std::int64_t total) const { return even_share(total, index, count); }
};

using TeamFunction = void (*)(void* context, const Worker& worker);

/// Runs function(context, worker) on each thread of a team; the calling thread is worker 0. The function must not
/// throw. The team has at most `threads` threads, and fewer where the system grants fewer. So callers allocate memory
/// for `threads` workers and divide work by Worker::count.
void run_team(int threads, TeamFunction function, void* context);

/// Threads that OpenMP or the affinity mask allows, before the limit of the cgroup.
int runtime_threads();

/// The same for any callable that takes a const Worker&.
template <typename Callable>
void run_team(int threads, Callable&& callable) {
  run_team(threads, [](void* context, const Worker& worker) { (*static_cast<Callable*>(context))(worker); }, &callable);
}

}  // namespace fastmlp
