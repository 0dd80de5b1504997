#include "base/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fastmlp {
namespace {
constexpr std::int64_t kAlignment = 64;
/// Blocks of at least this many bytes are mapped as pages of their own.
constexpr std::size_t kMappedBytes = std::size_t{256} << 10;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}  // namespace

std::size_t Arena::reserve_bytes(std::int64_t bytes) {
  const auto offset = static_cast<std::int64_t>(size_);
  const std::int64_t padded = checked_sum(bytes, kAlignment - 1) / kAlignment * kAlignment;
  size_ = static_cast<std::size_t>(checked_sum(offset, padded));
  return static_cast<std::size_t>(offset);
}

void Arena::allocate() {
  if (size_ < kMappedBytes) {
    block_ = static_cast<unsigned char*>(std::aligned_alloc(kAlignment, std::max<std::size_t>(size_, kAlignment)));
    if (block_ == nullptr) throw std::bad_alloc();
    std::memset(block_, 0, size_);
    return;
  }
  // Fresh anonymous pages are zero. Large blocks are aligned so that the kernel can use huge pages.
  const std::size_t alignment = size_ >= kHugePage ? kHugePage : 1;
  const auto wanted =
      static_cast<std::size_t>(checked_sum(static_cast<std::int64_t>(size_ | 1), static_cast<std::int64_t>(alignment)));
  void* mapped = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = (address + alignment - 1) / alignment * alignment;
  if (aligned != address) munmap(mapped, aligned - address);
  mapped_ = wanted - (aligned - address);
  block_ = reinterpret_cast<unsigned char*>(aligned);
#ifdef MADV_HUGEPAGE
  if (size_ >= kHugePage) madvise(block_, size_, MADV_HUGEPAGE);
#endif
}

Arena::~Arena() {
  if (mapped_ > 0) {
    munmap(block_, mapped_);
  } else {
    std::free(block_);
  }
}

}  // namespace fastmlp
