#include "base/arena.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/system.hpp"

namespace fastmlp {
namespace {
constexpr std::int64_t kAlignment = 64;
/// Blocks of at least this many bytes are mapped as pages of their own.
constexpr std::size_t kMappedBytes = std::size_t{256} << 10;
}  // namespace

std::size_t Arena::reserve_bytes(std::int64_t bytes) {
  const auto offset = static_cast<std::int64_t>(size_);
  const std::int64_t padded = checked_sum(bytes, kAlignment - 1) / kAlignment * kAlignment;
  size_ = static_cast<std::size_t>(checked_sum(offset, padded));
  return static_cast<std::size_t>(offset);
}

void Arena::allocate() {
  if (size_ < kMappedBytes) {
    block_ = static_cast<unsigned char*>(::operator new(size_, std::align_val_t{kAlignment}));
    std::memset(block_, 0, size_);
    return;
  }
  const Mapping mapping = map_zeros(size_);
  block_ = mapping.data;
  mapped_ = mapping.bytes;
}

Arena::~Arena() {
  if (mapped_ > 0) {
    unmap({block_, mapped_});
  } else {
    ::operator delete(block_, std::align_val_t{kAlignment});
  }
}

}  // namespace fastmlp
