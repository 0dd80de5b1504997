// Teams of OpenMP threads. libgomp ends the process when it cannot create a thread, so this file first creates as many
// threads itself as libgomp would have to create.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdlib>
#include <optional>

#include "base/system.hpp"
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
  return t_pool.threads + creatable_threads(wanted - t_pool.threads, g_stack_bytes);
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
  static const bool installed = at_fork(release, nullptr);
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
