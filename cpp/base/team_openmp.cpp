// Teams of OpenMP threads. libgomp ends the process when it cannot create a thread, so this file first creates as many
// threads itself as libgomp would have to create.
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <optional>

#include "base/team.hpp"

namespace fastmlp {
namespace {

/// Forks of this process: each discards libgomp's pool of the thread that forks.
std::atomic<std::uint32_t> g_forks{0};

/// Stack size of a thread in bytes, read as libgomp reads it (kilobytes without a unit); 0: the system's default.
std::size_t stack_bytes() {
  const char* text = std::getenv("OMP_STACKSIZE");
  if (text == nullptr) text = std::getenv("GOMP_STACKSIZE");
  if (text == nullptr) return 0;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  while (std::isspace(static_cast<unsigned char>(*end)) != 0) ++end;
  int shift = 10;
  switch (std::tolower(static_cast<unsigned char>(*end))) {
    case 'b':
      shift = 0;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
    default:
      break;
  }
  return end == text || number > (~0ULL >> shift) ? 0 : static_cast<std::size_t>(number << shift);
}

/// Read at program start, as libgomp does.
const std::size_t g_stack_bytes = stack_bytes();

/// One trial thread. It waits until all trial threads exist, then ends.
struct Trial {
  pthread_t thread;
  pthread_mutex_t* gate;
  pid_t id;
};

void* wait_at_gate(void* argument) {
  auto* trial = static_cast<Trial*>(argument);
  trial->id = static_cast<pid_t>(syscall(SYS_gettid));
  pthread_mutex_lock(trial->gate);
  pthread_mutex_unlock(trial->gate);
  return nullptr;
}

/// A joined thread counts against the limits of the system until the kernel has removed it.
void wait_until_forgotten(pid_t id) {
  constexpr int kMostWaits = 2000;
  const timespec pause{0, 50000};
  for (int i = 0; i < kMostWaits && syscall(SYS_tgkill, getpid(), id, 0) == 0; ++i) {
    if (i > 10) nanosleep(&pause, nullptr);
    sched_yield();
  }
}

/// How many of `wanted` additional threads the system can create.
int creatable_threads(int wanted) {
  const std::unique_ptr<Trial[]> trials(new (std::nothrow) Trial[static_cast<std::size_t>(wanted)]);
  pthread_attr_t attributes;
  if (!trials || pthread_attr_init(&attributes) != 0) return 0;
  // If this size is refused the default stays, as in libgomp.
  if (g_stack_bytes > 0) pthread_attr_setstacksize(&attributes, g_stack_bytes);
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&gate);
  int created = 0;
  for (; created < wanted; ++created) {
    Trial& trial = trials[static_cast<std::size_t>(created)];
    trial.gate = &gate;
    if (pthread_create(&trial.thread, &attributes, wait_at_gate, &trial) != 0) break;
  }
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < created; ++i) pthread_join(trials[static_cast<std::size_t>(i)].thread, nullptr);
  for (int i = 0; i < created; ++i) wait_until_forgotten(trials[static_cast<std::size_t>(i)].id);
  pthread_attr_destroy(&attributes);
  return created;
}

/// The threads that libgomp keeps for the calling thread after its last team.
struct Pool {
  int threads = 1;
  std::uint32_t forks = 0;
};

thread_local Pool t_pool;

/// The largest team, up to `wanted`, for which libgomp can create its threads.
int safe_threads(int wanted) {
  const std::uint32_t forks = g_forks.load(std::memory_order_relaxed);
  if (t_pool.forks != forks) t_pool = {1, forks};
  if (wanted <= t_pool.threads) return wanted;
  return t_pool.threads + creatable_threads(wanted - t_pool.threads);
}

void run_alone(TeamFunction function, void* context) {
  Barrier barrier(1);
  function(context, Worker{0, 1, barrier});
}

}  // namespace

int runtime_threads() { return std::min(omp_get_max_threads(), omp_get_num_procs()); }

int openmp_version() { return _OPENMP; }

void install_fork_handler() {
  const auto release = [] {
    omp_pause_resource_all(omp_pause_soft);
    g_forks.fetch_add(1, std::memory_order_relaxed);
  };
  static const int installed = pthread_atfork(release, nullptr, nullptr);
  (void)installed;
}

void run_team(int threads, TeamFunction function, void* context) {
  // Inside another library's parallel region the size of libgomp's pool is unknown.
  const bool nested = omp_get_level() > 0;
  threads = std::min(threads, omp_get_thread_limit());
  if (threads > 1 && !nested) threads = safe_threads(threads);
  if (threads <= 1 || nested) return run_alone(function, context);
  std::optional<Barrier> barrier;
#pragma omp parallel num_threads(threads) default(shared)
  {
    // OpenMP may grant fewer threads than asked for.
#pragma omp single
    barrier.emplace(omp_get_num_threads());
    if (omp_get_thread_num() == 0) t_pool.threads = omp_get_num_threads();
    function(context, Worker{omp_get_thread_num(), omp_get_num_threads(), *barrier});
  }
}

}  // namespace fastmlp
