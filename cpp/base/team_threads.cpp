// Teams of POSIX threads. Each calling thread keeps a pool of its own, which grows when a larger team is asked for.
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "base/spin.hpp"
#include "base/team.hpp"

namespace fastmlp {
namespace {

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
      round_.fetch_add(1, std::memory_order_release);
    }
    begins_.notify_all();
    for (const auto& thread : threads_) pthread_join(thread->handle, nullptr);
  }

  /// Creates threads up to `wanted`, and returns how many of these exist.
  int grow(int wanted) {
    while (static_cast<int>(threads_.size()) < wanted && add_thread()) {
    }
    return std::min(wanted, static_cast<int>(threads_.size()));
  }

  /// Runs the function on the caller, worker 0, and on count - 1 threads; the others only acknowledge the round.
  void run(int count, TeamFunction function, void* context) {
    Barrier barrier(count);
    busy_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      function_ = function;
      context_ = context;
      barrier_ = &barrier;
      count_ = count;
      round_.fetch_add(1, std::memory_order_release);
    }
    begins_.notify_all();
    function(context, Worker{0, count, barrier});
    for (int spin = 0; busy_.load(std::memory_order_acquire) > 0; ++spin) {
      if (spin < kSpins) {
        relax();
      } else {
        sched_yield();
      }
    }
  }

 private:
  struct PoolThread {
    Pool* pool;
    int index;
    std::uint32_t last_round;
    pthread_t handle;
  };

  bool add_thread() {
    try {
      threads_.reserve(threads_.size() + 1);
      auto thread = std::make_unique<PoolThread>();
      thread->pool = this;
      thread->index = static_cast<int>(threads_.size()) + 1;
      thread->last_round = round_.load(std::memory_order_relaxed);
      if (pthread_create(&thread->handle, nullptr, run_rounds, thread.get()) != 0) return false;
      threads_.push_back(std::move(thread));
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  static void* run_rounds(void* argument) {
    auto* thread = static_cast<PoolThread*>(argument);
    Pool& pool = *thread->pool;
    while (pool.next_round(thread->last_round)) {
      if (thread->index < pool.count_) {
        pool.function_(pool.context_, Worker{thread->index, pool.count_, *pool.barrier_});
      }
      pool.busy_.fetch_sub(1, std::memory_order_release);
    }
    return nullptr;
  }

  /// Waits for the next round: spins for a while, then sleeps. Returns false at the end of the pool.
  bool next_round(std::uint32_t& last_round) {
    for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == last_round; ++spin) relax();
    if (round_.load(std::memory_order_acquire) == last_round) {
      std::unique_lock lock(mutex_);
      begins_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != last_round; });
    }
    ++last_round;
    return !ends_;
  }

  std::vector<std::unique_ptr<PoolThread>> threads_;
  std::mutex mutex_;
  std::condition_variable begins_;
  // Written before a round begins. A round begins only after all threads have finished the previous one.
  TeamFunction function_ = nullptr;
  void* context_ = nullptr;
  Barrier* barrier_ = nullptr;
  int count_ = 1;
  bool ends_ = false;
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<int> busy_{0};
};

/// A team that a thread of a team asks for consists of that thread alone.
thread_local bool t_in_team = false;
thread_local std::unique_ptr<Pool> t_pool;

Pool* own_pool() {
  if (!t_pool) t_pool.reset(new (std::nothrow) Pool);
  return t_pool.get();
}

}  // namespace

int runtime_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  const int wanted = text == nullptr ? 0 : std::atoi(text);
  cpu_set_t set;
  const int processors = sched_getaffinity(0, sizeof set, &set) == 0
                             ? CPU_COUNT(&set)
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return wanted > 0 ? std::min(wanted, processors) : processors;
}

int openmp_version() { return 0; }

void install_fork_handler() {
  // The child has the forking thread alone, so it must never join the threads of the pool.
  static const int installed = pthread_atfork(nullptr, nullptr, [] { (void)t_pool.release(); });
  (void)installed;
}

void run_team(int threads, TeamFunction function, void* context) {
  Pool* pool = threads > 1 && !t_in_team ? own_pool() : nullptr;
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
