// Blocks of independent work, without barriers: threads that are free take the next block, and the caller waits only
// for blocks that others have begun. A team (team.hpp) would wait until the system has let each of its threads run, on
// a machine that other programs use much longer than the work takes.
#pragma once

#include <cstdint>

namespace fastmlp {

using BlockFunction = void (*)(void* context, int worker, std::int64_t block);

/// Runs function(context, worker, block) for each block in [0, blocks). worker < threads tells threads apart; the
/// calling thread is worker 0. The function must not throw. Where the system grants no thread, the caller runs all.
void parallel_for(int threads, std::int64_t blocks, BlockFunction function, void* context);

/// Makes a fork safe: the child has none of the threads. Idempotent.
void install_parallel_for_fork_handler();

/// The same for any callable that takes (int worker, std::int64_t block).
template <typename Callable>
void parallel_for(int threads, std::int64_t blocks, Callable&& callable) {
  parallel_for(
      threads, blocks,
      [](void* context, int worker, std::int64_t block) { (*static_cast<Callable*>(context))(worker, block); },
      &callable);
}

}  // namespace fastmlp
