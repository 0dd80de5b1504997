// The thread team. One parallel region serves a whole epoch; inside it the members meet at a barrier of our own,
// because a fork and a join cost more than a step of a small network. Where its threads come from is in one of
// team_openmp.cpp, the only place that knows OpenMP, and team_threads.cpp (CMake: FASTMLP_THREADING).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.hpp"

namespace fastmlp {

/// More than any machine has; a team has memory for each.
inline constexpr int kMostThreads = 1 << 16;

/// A number of threads from `least` on, 0 where that leaves the choice to the core.
inline void require_threads(int threads, int least) {
  require(threads >= least && threads <= kMostThreads, "threads must be from " + std::to_string(least) + " to " +
                                                           std::to_string(kMostThreads) + ", got " +
                                                           std::to_string(threads));
}

/// Threads that this process may use: affinity mask, cgroup CPU quota and OMP_NUM_THREADS, at least 1.
int available_threads();

/// OpenMP version date, e.g. 201511; 0 without it.
int openmp_version();

/// Makes fork safe after a parallel region: the child starts without the threads it does not have. Idempotent.
void install_fork_handler();

/// Bytes that travel from core to core together.
inline constexpr std::size_t kCacheLine = 64;

/// Spins for a while, then yields: a member that waits long leaves the core to others.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}
  void wait();

 private:
  alignas(kCacheLine) std::atomic<int> arrived_{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> generation_{0};
  const int members_;
};

/// What a member of the team knows of itself.
struct Member {
  int index;
  int count;
  Barrier& barrier;
};

using TeamFunction = void (*)(void* context, const Member& member);

/// Runs function(context, member) on a team of at most `threads`, the calling thread as member 0; the function must not
/// throw. The team is what arrived: where the system grants fewer threads it is smaller, with none the caller alone.
/// So memory by member is taken for `threads`, and work is dealt out by Member::count.
void run_team(int threads, TeamFunction function, void* context);

/// Threads that the way they are had would use, before the limits of the cgroup.
int runtime_threads();

/// The same for any callable taking a const Member&.
template <typename Callable>
void run_team(int threads, Callable&& callable) {
  run_team(threads, [](void* context, const Member& member) { (*static_cast<Callable*>(context))(member); }, &callable);
}

}  // namespace fastmlp
