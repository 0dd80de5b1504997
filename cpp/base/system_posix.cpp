// Linux, macOS and others that follow POSIX.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <new>
#include <thread>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "base/check.hpp"
#include "base/system.hpp"

namespace fastmlp {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// One trial thread. It waits until all trial threads exist, then ends.
struct Trial {
  pthread_t thread;
  pthread_mutex_t* gate;
#ifdef __linux__
  pid_t id;
#endif
};

void* wait_at_gate(void* argument) {
  auto* trial = static_cast<Trial*>(argument);
#ifdef __linux__
  trial->id = static_cast<pid_t>(syscall(SYS_gettid));
#endif
  pthread_mutex_lock(trial->gate);
  pthread_mutex_unlock(trial->gate);
  return nullptr;
}

/// On Linux a joined thread counts against the limits of the system until the kernel has removed it.
void wait_until_forgotten([[maybe_unused]] const Trial& trial) {
#ifdef __linux__
  constexpr int kMostWaits = 2000;
  const timespec pause{0, 50000};
  for (int i = 0; i < kMostWaits && syscall(SYS_tgkill, getpid(), trial.id, 0) == 0; ++i) {
    if (i > 10) nanosleep(&pause, nullptr);
    sched_yield();
  }
#endif
}

}  // namespace

Mapping map_zeros(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : 1;
  const auto wanted =
      static_cast<std::size_t>(checked_sum(static_cast<std::int64_t>(bytes | 1), static_cast<std::int64_t>(alignment)));
  void* mapped = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = (address + alignment - 1) / alignment * alignment;
  if (aligned != address) munmap(mapped, aligned - address);
  auto* data = reinterpret_cast<unsigned char*>(aligned);
#ifdef MADV_HUGEPAGE
  if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return {data, wanted - (aligned - address)};
}

void unmap(Mapping mapping) { munmap(mapping.data, mapping.bytes); }

int allowed_processors() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int quota_processors() {
  constexpr int kNoQuota = 1 << 20;
#ifdef __linux__
  // The cgroup, version 2.
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/sys/fs/cgroup/cpu.max", "re"),
                                                             [](std::FILE* f) { return f ? std::fclose(f) : 0; });
  double quota = 0;
  double period = 0;
  if (file && std::fscanf(file.get(), "%lf %lf", &quota, &period) == 2 && period > 0) {
    return std::max(1, static_cast<int>(std::ceil(quota / period)));
  }
#endif
  return kNoQuota;
}

bool at_fork(void (*before)(), void (*in_child)()) { return pthread_atfork(before, nullptr, in_child) == 0; }

int creatable_threads(int wanted, std::size_t stack_bytes) {
  const std::unique_ptr<Trial[]> trials(new (std::nothrow) Trial[static_cast<std::size_t>(wanted)]);
  pthread_attr_t attributes;
  if (!trials || pthread_attr_init(&attributes) != 0) return 0;
  // If this size is refused the usual one stays.
  if (stack_bytes > 0) pthread_attr_setstacksize(&attributes, stack_bytes);
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
  for (int i = 0; i < created; ++i) wait_until_forgotten(trials[static_cast<std::size_t>(i)]);
  pthread_attr_destroy(&attributes);
  return created;
}

}  // namespace fastmlp
