// Teams of plain threads. Each calling thread keeps a pool of its own, which grows when a larger team is asked for.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <string_view>
#include <thread>

#include "base/spin.hpp"
#include "base/system.hpp"
#include "base/team.hpp"

namespace fastmlp {
namespace {

/// True in the threads of a pool, and in a caller while its team runs: a team that one of them asks for is that thread
/// alone.
thread_local bool t_in_team = false;

/// Owned by the thread that calls and by the threads of the pool; the last to leave deletes it. None waits for the end
/// of another, which on Windows a thread that ends must not do.
class Pool {
 public:
  /// Creates threads up to `wanted`, and returns how many of these exist.
  int grow(int wanted) {
    while (threads_ < wanted && add_thread()) {
    }
    return std::min(wanted, threads_);
  }

  /// Runs the function on the caller, worker 0, and on count - 1 threads; the others only acknowledge the round.
  void run(int count, TeamFunction function, void* context) {
    Barrier barrier(count);
    busy_.store(threads_, std::memory_order_relaxed);
    function_ = function;
    context_ = context;
    barrier_ = &barrier;
    count_ = count;
    begin_round();
    function(context, Worker{0, count, barrier});
    for (int spin = 0; busy_.load(std::memory_order_acquire) > 0; ++spin) {
      if (spin < kSpins) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

  /// Lets the threads end; the caller leaves.
  void end() {
    ends_ = true;
    begin_round();
    leave();
  }

 private:
  bool add_thread() {
    const int index = threads_ + 1;
    const std::uint32_t round = round_.load(std::memory_order_relaxed);
    owners_.fetch_add(1, std::memory_order_relaxed);
    try {
      std::thread([this, index, round] { run_rounds(index, round); }).detach();
    } catch (const std::exception&) {  // no thread, or no memory for it
      owners_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    threads_ = index;
    return true;
  }

  void leave() {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  void begin_round() {
    {
      const std::lock_guard lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    begins_.notify_all();
  }

  void run_rounds(int index, std::uint32_t last_round) {
    t_in_team = true;
    for (; wait_for_round(last_round); ++last_round) {
      if (index < count_) function_(context_, Worker{index, count_, *barrier_});
      busy_.fetch_sub(1, std::memory_order_release);
    }
    leave();
  }

  /// Waits for the round after the last one: spins for a while, then sleeps. Returns false at the end of the pool.
  bool wait_for_round(std::uint32_t last_round) {
    for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == last_round; ++spin) relax();
    if (round_.load(std::memory_order_acquire) == last_round) {
      std::unique_lock lock(mutex_);
      begins_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != last_round; });
    }
    return !ends_;
  }

  std::mutex mutex_;
  std::condition_variable begins_;
  std::atomic<int> owners_{1};
  int threads_ = 0;
  // Written before a round begins. A round begins only after all threads have finished the previous one.
  TeamFunction function_ = nullptr;
  void* context_ = nullptr;
  Barrier* barrier_ = nullptr;
  int count_ = 1;
  bool ends_ = false;
  alignas(kCacheLine) std::atomic<std::uint32_t> round_{0};
  alignas(kCacheLine) std::atomic<int> busy_{0};
};

/// The pool of a thread, which ends with it.
struct OwnPool {
  Pool* pool = nullptr;
  ~OwnPool() {
    if (pool != nullptr) pool->end();
  }
  /// Null where there is no memory.
  Pool* get() {
    if (pool == nullptr) pool = new (std::nothrow) Pool;
    return pool;
  }
};

thread_local OwnPool t_own;

}  // namespace

/// The number in OMP_NUM_THREADS, of which a list has one for each level of nested teams; 0 if there is none. GCC's
/// OpenMP ignores what is not a number, too.
static long wanted_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return 0;
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  const std::string_view rest(end);
  return rest.find_first_not_of(" \t") == std::string_view::npos || rest.front() == ',' ? number : 0;
}

int runtime_threads() {
  const long wanted = wanted_threads();
  const int processors = allowed_processors();
  return wanted > 0 && wanted < processors ? static_cast<int>(wanted) : processors;
}

int openmp_version() { return 0; }

void install_fork_handler() {
  // The child has none of the threads, so its pool is lost.
  static const bool installed = at_fork(nullptr, [] { t_own.pool = nullptr; });
  (void)installed;
}

void run_team(int threads, TeamFunction function, void* context) {
  Pool* pool = threads > 1 && !t_in_team ? t_own.get() : nullptr;
  const int others = pool == nullptr ? 0 : pool->grow(threads - 1);
  if (others == 0) {
    Barrier barrier(1);
    return function(context, Worker{0, 1, barrier});
  }
  t_in_team = true;
  pool->run(1 + others, function, context);
  t_in_team = false;
}

}  // namespace fastmlp
