// The thread team: the only place that knows OpenMP. One parallel region serves a whole epoch; inside it the
// members meet at a barrier of our own, because a fork and a join cost more than a step of a small network.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastmlp {

/// Threads that this process may use: affinity mask, cgroup CPU quota and OMP_NUM_THREADS, at least 1.
int available_threads();

/// OpenMP version date, e.g. 201511.
int openmp_version();

/// Makes fork safe after a parallel region: libgomp's pool is released before the fork. Idempotent.
void install_fork_handler();

/// Spins for a while, then yields: a member that waits long leaves the core to others.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}
  void wait();

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  const int members_;
};

/// What a member of the team knows of itself.
struct Member {
  int index;
  int count;
  Barrier& barrier;
};

using TeamFunction = void (*)(void* context, const Member& member);

/// Runs function(context, member) on a team of at most `threads`; the function must not throw.
void run_team(int threads, TeamFunction function, void* context);

/// The same for any callable taking a const Member&.
template <typename Callable>
void run_team(int threads, Callable&& callable) {
  run_team(threads, [](void* context, const Member& member) { (*static_cast<Callable*>(context))(member); }, &callable);
}

}  // namespace fastmlp
