#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <algorithm>
#include <new>
#include <thread>

#include "base/system.hpp"

namespace fastmlp {

Mapping map_zeros(std::size_t bytes) {
  void* mapped = VirtualAlloc(nullptr, std::max<std::size_t>(bytes, 1), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (mapped == nullptr) throw std::bad_alloc();
  return {static_cast<unsigned char*>(mapped), bytes};
}

void unmap(Mapping mapping) { VirtualFree(mapping.data, 0, MEM_RELEASE); }

int allowed_processors() {
  DWORD_PTR process = 0;
  DWORD_PTR system = 0;
  int count = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system) != 0) {
    for (; process != 0; process &= process - 1) ++count;
  }
  // A process in several groups of processors has no mask.
  return count > 0 ? count : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int quota_processors() { return 1 << 20; }

bool at_fork(void (*)(), void (*)()) { return true; }  // no process forks

int creatable_threads(int wanted, std::size_t) { return wanted; }

}  // namespace fastmlp
