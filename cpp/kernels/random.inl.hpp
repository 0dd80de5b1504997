// Random masks and noise: Philox4x32-10 on vectors, the generator of base/philox.hpp. A number depends on its position
// alone, not on threads or the width of a vector. Included by table.inl.hpp only.

namespace fastmlp::FASTMLP_ISA {

constexpr int kCounters = FASTMLP_VECTOR_BYTES / 8;

static inline Words words(std::uint64_t x) { return x - Words{}; }

/// The four words of kCounters consecutive counters, each in the low half of a lane.
struct PhiloxWords {
  Words word[4];
};

/// The keys of the rounds, the same for all elements of a block.
struct PhiloxKeys {
  static constexpr int kRounds = 10;
  Words key0[kRounds];
  Words key1[kRounds];

  explicit PhiloxKeys(std::uint64_t seed) {
    auto low = static_cast<std::uint32_t>(seed);
    auto high = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < kRounds; ++round) {
      key0[round] = words(low);
      key1[round] = words(high);
      low += 0x9E3779B9u;
      high += 0xBB67AE85u;
    }
  }
};

static inline PhiloxWords philox(const RandomBlock& block, const PhiloxKeys& keys, std::uint32_t first) {
  constexpr std::uint64_t kLow = 0xFFFFFFFFu;
  Words numbers;
  for (int lane = 0; lane < kCounters; ++lane) numbers[lane] = static_cast<std::uint32_t>(first + lane);
  Words c0 = numbers;
  Words c1 = words(block.level);
  Words c2 = words(block.step);
  Words c3 = words(block.purpose);
#pragma GCC unroll 10
  for (int round = 0; round < PhiloxKeys::kRounds; ++round) {
    // multiply_words reads the low halves only, so the high halves need not be cleared.
    const Words product0 = multiply_words(words(0xD2511F53u), c0);
    const Words product1 = multiply_words(words(0xCD9E8D57u), c2);
    c0 = (product1 >> 32) ^ c1 ^ keys.key0[round];
    c1 = product1;
    c2 = (product0 >> 32) ^ c3 ^ keys.key1[round];
    c3 = product0;
  }
  return {{c0 & kLow, c1 & kLow, c2 & kLow, c3 & kLow}};
}

/// One word for each element of a panel row.
template <typename T>
static inline void random_words(const RandomBlock& block, const PhiloxKeys& keys, std::int64_t row,
                                std::uint32_t* out) {
  constexpr int kGroup = kCounters < 4 ? kCounters : 4;
  const auto first = static_cast<std::uint32_t>(((block.row + row) * block.groups + block.group) * 4);
  for (int c = 0; c < kPanel<T> / 4; c += kCounters) {
    const PhiloxWords w = philox(block, keys, first + c);
    const Words pairs[2] = {w.word[0] | w.word[1] << 32, w.word[2] | w.word[3] << 32};
    for (int half = 0; half < 2; ++half) {
      std::uint64_t lanes[kCounters];
      __builtin_memcpy(lanes, &pairs[half], sizeof lanes);
      for (int lane = 0; lane < kCounters && c + lane < kPanel<T> / 4; lane += kGroup) {
        std::uint32_t* group = out + (c + lane) / 4 * 16 + half * 8 + (c + lane) % 4 * 2;
        __builtin_memcpy(group, lanes + lane, kGroup * sizeof(std::uint64_t));
      }
    }
  }
}

/// Lanes of `scale` where a word is not below `threshold`, and of zero where it is.
template <typename T>
static inline Vec<T> kept(const std::uint32_t* drawn, std::uint32_t threshold, T scale) {
  typedef std::uint32_t Drawn __attribute__((vector_size(kLanes<T> * sizeof(std::uint32_t))));
  typedef std::int32_t Mask __attribute__((vector_size(kLanes<T> * sizeof(std::int32_t))));
  Drawn lanes;
  __builtin_memcpy(&lanes, drawn, sizeof lanes);
  const Mask stays = lanes >= (threshold - Drawn{});
  return reinterpret_cast<Vec<T>>(__builtin_convertvector(stays, Bits<T>) & reinterpret_cast<Bits<T>>(splat(scale)));
}

template <typename T>
static void dropout(const RandomBlock& block, std::int64_t rows, std::int64_t vectors, std::uint32_t threshold, T scale,
                    T* values, T* derivatives, T* residues) {
  const PhiloxKeys keys(block.seed);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint32_t drawn[kPanel<T>];
    random_words<T>(block, keys, row, drawn);
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      const Vec<T> factor = kept<T>(drawn + j * kLanes<T>, threshold, scale);
      store(values + at, load(values + at) * factor);
      if (derivatives != nullptr) store(derivatives + at, load(derivatives + at) * factor);
      if (residues != nullptr) store(residues + at, load(residues + at) * factor);
    }
  }
}

template <typename T>
static void add_noise(const RandomBlock& block, std::int64_t rows, std::int64_t vectors, T deviation, T* values) {
  const PhiloxKeys keys(block.seed);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint32_t drawn[kPanel<T>];
    T uniform[kPanel<T>];
    random_words<T>(block, keys, row, drawn);
    // Exact in 24 bits, and never 0 or 1.
    for (int i = 0; i < kPanel<T>; ++i) {
      uniform[i] = (static_cast<T>(static_cast<std::int32_t>(drawn[i] >> 9)) + T{0.5}) * T{0x1p-23};
    }
    for (std::int64_t j = 0; j < vectors; ++j) {
      const std::int64_t at = row * kPanel<T> + j * kLanes<T>;
      const Vec<T> deviate = inverse_normal_cdf<T>(load(uniform + j * kLanes<T>));
      store(values + at, fma(splat<T>(deviation), deviate, load(values + at)));
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA
