// Teams of plain threads. Each thread that computes keeps a pool of its own, grown when a larger team is asked for.
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
    for (const auto& worker : workers_) pthread_join(worker->thread, nullptr);
  }

  /// As many workers as can be had, up to `wanted`.
  int grow(int wanted) {
    while (static_cast<int>(workers_.size()) < wanted && add_worker()) {
    }
    return std::min(wanted, static_cast<int>(workers_.size()));
  }

  /// The caller is member 0; workers beyond `count` only say that they have seen the round.
  void run(int count, TeamFunction function, void* context) {
    Barrier barrier(count);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      function_ = function;
      context_ = context;
      barrier_ = &barrier;
      count_ = count;
      round_.fetch_add(1, std::memory_order_release);
    }
    begins_.notify_all();
    function(context, Member{0, count, barrier});
    for (int spin = 0; busy_.load(std::memory_order_acquire) > 0; ++spin) {
      if (spin < kSpins) {
        relax();
      } else {
        sched_yield();
      }
    }
  }

 private:
  struct Worker {
    Pool* pool;
    int index;
    std::uint32_t seen;  // last round
    pthread_t thread;
  };

  bool add_worker() {
    try {
      workers_.reserve(workers_.size() + 1);
      auto worker = std::make_unique<Worker>();
      worker->pool = this;
      worker->index = static_cast<int>(workers_.size()) + 1;
      worker->seen = round_.load(std::memory_order_relaxed);
      if (pthread_create(&worker->thread, nullptr, work, worker.get()) != 0) return false;
      workers_.push_back(std::move(worker));
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  static void* work(void* argument) {
    auto* worker = static_cast<Worker*>(argument);
    Pool& pool = *worker->pool;
    while (pool.next_round(worker->seen)) {
      if (worker->index < pool.count_) {
        pool.function_(pool.context_, Member{worker->index, pool.count_, *pool.barrier_});
      }
      pool.busy_.fetch_sub(1, std::memory_order_release);
    }
    return nullptr;
  }

  /// Spins for a while, then sleeps; false at the end of the pool.
  bool next_round(std::uint32_t& seen) {
    for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == seen; ++spin) relax();
    if (round_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      begins_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
    }
    ++seen;
    return !ends_;
  }

  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::condition_variable begins_;
  // Written before a round begins; no round begins before all workers have ended the last one.
  TeamFunction function_ = nullptr;
  void* context_ = nullptr;
  Barrier* barrier_ = nullptr;
  int count_ = 1;
  bool ends_ = false;
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<int> busy_{0};
};

/// A team inside a team is its caller alone.
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
  // The child is the thread that forked alone: those of its pool are not there to be joined, now or at its end.
  static const int installed = pthread_atfork(nullptr, nullptr, [] { (void)t_pool.release(); });
  (void)installed;
}

void run_team(int threads, TeamFunction function, void* context) {
  Pool* pool = threads > 1 && !t_in_team ? own_pool() : nullptr;
  const int workers = pool == nullptr ? 0 : pool->grow(threads - 1);
  if (workers == 0) {
    Barrier barrier(1);
    return function(context, Member{0, 1, barrier});
  }
  t_in_team = true;
  pool->run(1 + workers, function, context);
  t_in_team = false;
}

}  // namespace fastmlp
