// What operating systems do in different ways. system_posix.cpp and system_windows.cpp alone call them.
#pragma once

#include <cstddef>

namespace fastmlp {

/// Pages of memory of this process alone.
struct Mapping {
  unsigned char* data = nullptr;
  std::size_t bytes = 0;
};

/// Zeroed pages; many of them are aligned so that the system can use huge pages. Throws std::bad_alloc.
Mapping map_zeros(std::size_t bytes);
void unmap(Mapping mapping);

/// Processors on which this process may run, by its affinity mask where the system has one.
int allowed_processors();

/// Processors whose time the system grants to this process by a quota, or a large number without one.
int quota_processors();

/// From now on runs `before` in a process that is about to fork and `in_child` in its child; either may be null.
/// Returns whether the system has granted it.
bool at_fork(void (*before)(), void (*in_child)());

/// How many of `wanted` threads with stacks of the given size, 0 for the usual one, the system can create now. Creates
/// and ends them.
int creatable_threads(int wanted, std::size_t stack_bytes);

}  // namespace fastmlp
