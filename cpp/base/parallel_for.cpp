#include "base/parallel_for.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "base/spin.hpp"
#include "base/system.hpp"

namespace fastmlp {
namespace {

/// A call of parallel_for. It lives on the stack of its caller, who waits until all helpers have left it.
struct Job {
  const int threads;
  const std::int64_t blocks;
  const BlockFunction function;
  void* const context;
  int joined = 0;  // helpers, ever; guarded by the mutex of the helpers
  std::atomic<int> inside{0};
  std::atomic<std::int64_t> next{0};

  void run(int worker) {
    for (std::int64_t block = next.fetch_add(1); block < blocks; block = next.fetch_add(1)) {
      function(context, worker, block);
    }
  }
  bool has_blocks() const { return next.load(std::memory_order_relaxed) < blocks; }
};

/// Threads of the process that help any caller. Never destroyed: they wait for work until the process ends.
class Helpers {
 public:
  /// Lets helpers join a job. Returns false if there are none, or no memory.
  bool post(Job& job) {
    const std::lock_guard lock(mutex_);
    while (count_ < job.threads - 1 && add_thread()) {
    }
    if (count_ == 0) return false;
    try {
      jobs_.push_back(&job);
    } catch (const std::bad_alloc&) {
      return false;
    }
    posted_.fetch_add(1, std::memory_order_release);
    for (int i = std::min(sleepers_, job.threads - 1); i > 0; --i) begins_.notify_one();
    return true;
  }

  /// Takes a job back: no helper joins it any more.
  void withdraw(Job& job) {
    const std::lock_guard lock(mutex_);
    jobs_.remove(&job);
  }

 private:
  bool add_thread() {
    try {
      std::thread([this] { help(); }).detach();
    } catch (const std::exception&) {  // no thread, or no memory for it
      return false;
    }
    ++count_;
    return true;
  }

  [[noreturn]] void help() {
    for (std::uint32_t seen = 0;;) {
      int worker = 0;
      Job* job = join(seen, worker);
      job->run(worker);
      job->inside.fetch_sub(1, std::memory_order_release);  // from here on the job may be gone
    }
  }

  /// Waits for a job with work: spins for a while, then sleeps.
  Job* join(std::uint32_t& seen, int& worker) {
    for (int spin = 0; spin < kSpins && posted_.load(std::memory_order_acquire) == seen; ++spin) relax();
    std::unique_lock lock(mutex_);
    for (;;) {
      seen = posted_.load(std::memory_order_relaxed);
      for (Job* job : jobs_) {
        if (job->joined == job->threads - 1 || !job->has_blocks()) continue;
        worker = ++job->joined;
        job->inside.fetch_add(1, std::memory_order_relaxed);
        return job;
      }
      ++sleepers_;
      begins_.wait(lock);
      --sleepers_;
    }
  }

  std::mutex mutex_;
  std::condition_variable begins_;
  std::list<Job*> jobs_;
  int count_ = 0;
  int sleepers_ = 0;
  std::atomic<std::uint32_t> posted_{0};
};

std::atomic<Helpers*> g_helpers{nullptr};

Helpers* all_helpers() {
  if (Helpers* present = g_helpers.load(std::memory_order_acquire)) return present;
  std::unique_ptr<Helpers> made(new (std::nothrow) Helpers);
  Helpers* none = nullptr;
  if (made == nullptr || g_helpers.compare_exchange_strong(none, made.get())) return made.release();
  return none;
}

}  // namespace

void install_parallel_for_fork_handler() {
  // The helpers of the parent, whose lock may be held, are left alone.
  static const bool installed = at_fork(nullptr, [] { g_helpers.store(nullptr); });
  (void)installed;
}

void parallel_for(int threads, std::int64_t blocks, BlockFunction function, void* context) {
  Job job{static_cast<int>(std::min<std::int64_t>(threads, blocks)), blocks, function, context};
  Helpers* helpers = job.threads > 1 ? all_helpers() : nullptr;
  const bool posted = helpers != nullptr && helpers->post(job);
  job.run(0);
  if (!posted) return;
  helpers->withdraw(job);
  for (int spin = 0; job.inside.load(std::memory_order_acquire) > 0; ++spin) {
    if (spin < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace fastmlp
