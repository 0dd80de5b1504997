// Philox4x32-10, a counter-based random generator: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011. Every number is a pure function of (seed, purpose, stream, index), so
// shuffling, initialization and masks depend neither on threads nor on the numbers drawn before.
#pragma once

#include <array>
#include <cstdint>

namespace fastmlp {

enum class RandomPurpose : std::uint32_t { initialization = 1, shuffle = 2, dropout = 3, noise = 4 };

using PhiloxBlock = std::array<std::uint32_t, 4>;

inline PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, RandomPurpose purpose, std::uint32_t stream)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        purpose_(static_cast<std::uint32_t>(purpose)),
        stream_(stream) {}

  /// The 64 random bits of element `index`.
  std::uint64_t bits(std::uint64_t index) const {
    const PhiloxBlock block = philox4x32(
        {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream_, purpose_}, key_);
    return std::uint64_t{block[1]} << 32 | block[0];
  }
  /// Uniform in the open interval (0, 1), a multiple of 2^-53 plus 2^-54.
  double uniform(std::uint64_t index) const { return (static_cast<double>(bits(index) >> 11) + 0.5) * 0x1p-53; }
  /// Uniform in [0, bound); the bias of the multiply-shift is below bound * 2^-64.
  std::int64_t below(std::uint64_t index, std::int64_t bound) const {
    return static_cast<std::int64_t>(
        static_cast<unsigned __int128>(bits(index)) * static_cast<unsigned __int128>(bound) >> 64);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint32_t purpose_;
  std::uint32_t stream_;
};

}  // namespace fastmlp
