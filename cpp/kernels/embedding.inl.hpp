// Embeddings of numbers: basis functions of one column of samples, and a linear map of them. The rows lie in the lanes.
// Included by table.inl.hpp only.
//
// Rows go in blocks of 256, padded to whole groups of 16 by copies of the last row whose gradients are zero. A sum over
// the rows of a block starts from +0 in each of 16 lanes; the lanes of blocks are added, ascending, and combined last.
//
// A rule evaluates its basis functions, emit(k, vector, value, derivative by the angle if kHasDerivatives), and
// converts their gradients to those of its arrays and of x.

namespace fastmlp::FASTMLP_ISA {

constexpr std::int64_t kEmbeddedRows = 256;
constexpr int kEmbeddingTile = 4;  // basis functions or outputs of a register tile
constexpr int kEmbeddingVectors = FASTMLP_ACCUMULATORS < 16 ? 2 : 4;
constexpr double kPerTurn = 1 / kTwoPi;

/// The parts of a call's scratch memory; arrays of a block's rows are kEmbeddedRows apart.
template <typename T>
struct EmbeddingMemory {
  T* x;
  T* dx;
  T* basis;
  T* delta;     // gradients of the basis functions, then of the angles
  T* gradient;  // of the map's results, before the rectifier
  T* lanes;     // sums of the earlier blocks

  EmbeddingMemory(T* scratch, std::int64_t bases, std::int64_t outputs)
      : x(scratch),
        dx(x + kEmbeddedRows),
        basis(dx + kEmbeddedRows),
        delta(basis + bases * kEmbeddedRows),
        gradient(delta + bases * kEmbeddedRows),
        lanes(gradient + outputs * kEmbeddedRows) {}
};

template <typename T>
static std::int64_t embedding_scratch(std::int64_t bases, std::int64_t outputs) {
  const std::int64_t sums = bases * outputs + outputs + 2 * bases;
  return (2 + 2 * bases + outputs) * kEmbeddedRows + 16 * sums;
}

/// Rows of a call that are computed together.
template <typename T>
struct EmbeddedBlock {
  std::int64_t first;
  std::int64_t rows;
  std::int64_t vectors;  // of the padded rows
  bool last;

  EmbeddedBlock(std::int64_t first_row, std::int64_t all)
      : first(first_row),
        rows(all - first_row < kEmbeddedRows ? all - first_row : kEmbeddedRows),
        vectors((rows + 15) / 16 * (16 / kLanes<T>)),
        last(first + rows == all) {}
  /// Rows of a vector that exist; 0 or less: none.
  std::int64_t count(std::int64_t vector) const { return rows - vector * kLanes<T>; }
};

/// Where lanes of sums over rows wait for the next block, and become results after the last.
template <typename T>
struct LaneSums {
  T* lanes;
  bool first;
  bool last;

  void add(std::int64_t index, Lanes16<T> sum, T* result, T factor = 1) const {
    if (!first) {
      const Lanes16<T> before = Lanes16<T>::from(lanes + 16 * index);
      for (int i = 0; i < Lanes16<T>::kCount; ++i) sum.part[i] = before.part[i] + sum.part[i];
    }
    if (last) {
      *result = factor * reduce16(sum, [](Vec<T> a, Vec<T> b) { return a + b; });
    } else {
      sum.to(lanes + 16 * index);
    }
  }
};

template <typename T>
static inline void load_column(const EmbeddedBlock<T>& block, const T* x, T* padded) {
  for (std::int64_t v = 0; v < block.vectors; ++v) {
    const std::int64_t at = v * kLanes<T>;
    store(padded + at, load_first(x + at, block.count(v), x[block.rows - 1]));
  }
}

/// finish(m, vector, sum over d of coefficients[d * by_depth + m * by_result] * source d), d ascending, for `kResults`
/// results m and `kCount` vectors of rows.
template <typename T, int kResults, int kCount, typename Finish>
static inline void combine_tile(std::int64_t depth, const T* source, const T* coefficients, std::int64_t by_depth,
                                std::int64_t by_result, Finish finish) {
  Vec<T> sums[kResults][kCount] = {};
  for (std::int64_t d = 0; d < depth; ++d) {
    Vec<T> values[kCount];
    for (int v = 0; v < kCount; ++v) values[v] = load(source + d * kEmbeddedRows + v * kLanes<T>);
    for (int m = 0; m < kResults; ++m) {
      const Vec<T> coefficient = splat<T>(coefficients[d * by_depth + m * by_result]);
      for (int v = 0; v < kCount; ++v) sums[m][v] = fma(coefficient, values[v], sums[m][v]);
    }
  }
  for (int m = 0; m < kResults; ++m) {
    for (int v = 0; v < kCount; ++v) finish(m, v, sums[m][v]);
  }
}

template <typename T, int kResults, typename Finish>
static inline void combine_some(std::int64_t depth, std::int64_t vectors, const T* source, const T* coefficients,
                                std::int64_t by_depth, std::int64_t by_result, Finish finish) {
  std::int64_t v = 0;
  for (; v + kEmbeddingVectors <= vectors; v += kEmbeddingVectors) {
    combine_tile<T, kResults, kEmbeddingVectors>(
        depth, source + v * kLanes<T>, coefficients, by_depth, by_result,
        [&](std::int64_t m, std::int64_t i, Vec<T> sum) { finish(m, v + i, sum); });
  }
  for (; v < vectors; ++v) {
    combine_tile<T, kResults, 1>(depth, source + v * kLanes<T>, coefficients, by_depth, by_result,
                                 [&](std::int64_t m, std::int64_t, Vec<T> sum) { finish(m, v, sum); });
  }
}

/// Calls work(first, a constant number of them) for `count` things, kEmbeddingTile at a time.
template <typename Work>
static inline void for_each_tile(std::int64_t count, Work work) {
  std::int64_t first = 0;
  for (; first + kEmbeddingTile <= count; first += kEmbeddingTile) work(first, Constant<kEmbeddingTile>{});
  static_assert(kEmbeddingTile == 4);
  switch (count - first) {
    case 3:
      return work(first, Constant<3>{});
    case 2:
      return work(first, Constant<2>{});
    case 1:
      return work(first, Constant<1>{});
    default:
      return;
  }
}

template <typename T, typename Finish>
static inline void combine(std::int64_t results, std::int64_t depth, std::int64_t vectors, const T* source,
                           const T* coefficients, std::int64_t by_depth, std::int64_t by_result, Finish finish) {
  for_each_tile(results, [&](std::int64_t first, auto tile) {
    combine_some<T, tile.value>(depth, vectors, source, coefficients + first * by_result, by_depth, by_result,
                                [&](std::int64_t m, std::int64_t v, Vec<T> sum) { finish(first + m, v, sum); });
  });
}

/// Lane sums over a block's rows of a[k] times b[i], for a tile of arrays a and one of b.
template <typename T, int kFirst, int kSecond, typename Finish>
static inline void dot_tile(std::int64_t vectors, const T* a, const T* b, Finish finish) {
  constexpr int kParts = Lanes16<T>::kCount;
  Lanes16<T> sums[kFirst][kSecond];
  for (int part = 0; part < kParts; ++part) {
    Vec<T> products[kFirst][kSecond] = {};
    for (std::int64_t v = part; v < vectors; v += kParts) {
      Vec<T> second[kSecond];
      for (int i = 0; i < kSecond; ++i) second[i] = load(b + i * kEmbeddedRows + v * kLanes<T>);
      for (int k = 0; k < kFirst; ++k) {
        const Vec<T> first = load(a + k * kEmbeddedRows + v * kLanes<T>);
        for (int i = 0; i < kSecond; ++i) products[k][i] = fma(first, second[i], products[k][i]);
      }
    }
    for (int k = 0; k < kFirst; ++k) {
      for (int i = 0; i < kSecond; ++i) sums[k][i].part[part] = products[k][i];
    }
  }
  for (int k = 0; k < kFirst; ++k) {
    for (int i = 0; i < kSecond; ++i) finish(k, i, sums[k][i]);
  }
}

template <typename T>
static inline Lanes16<T> lane_total(std::int64_t vectors, const T* values) {
  Lanes16<T> total = Lanes16<T>::filled(0);
  for (std::int64_t v = 0; v < vectors; v += Lanes16<T>::kCount) {
    const Lanes16<T> group = Lanes16<T>::from(values + v * kLanes<T>);
    for (int i = 0; i < Lanes16<T>::kCount; ++i) total.part[i] += group.part[i];
  }
  return total;
}

/// A linear embedding.
struct ValueBasis {
  static constexpr bool kHasDerivatives = false;
  template <typename T, typename Emit>
  static void evaluate(const EmbeddingCall<T>&, std::int64_t vectors, const T* x, Emit emit) {
    for (std::int64_t v = 0; v < vectors; ++v) emit(0, v, load(x + v * kLanes<T>), Vec<T>{});
  }
  template <typename T>
  static void differentiate(const EmbeddingCall<T>&, std::int64_t vectors, const EmbeddingMemory<T>& memory,
                            const EmbeddingGradients<T>&, const LaneSums<T>&) {
    for (std::int64_t at = 0; at < vectors * kLanes<T>; at += kLanes<T>) store(memory.dx + at, load(memory.delta + at));
  }
};

/// From the gradients of `count` angles in memory.delta to those of the frequencies and of x.
template <typename T>
static inline void differentiate_angles(const EmbeddingCall<T>& call, std::int64_t count, std::int64_t vectors,
                                        const EmbeddingMemory<T>& memory, const EmbeddingGradients<T>& gradients,
                                        const LaneSums<T>& sums) {
  const T two_pi = static_cast<T>(kTwoPi);
  const std::int64_t index = call.bases * call.outputs + call.outputs;
  for_each_tile(count, [&](std::int64_t first, auto tile) {
    dot_tile<T, tile.value, 1>(vectors, memory.delta + first * kEmbeddedRows, memory.x,
                               [&](std::int64_t k, std::int64_t, Lanes16<T> sum) {
                                 sums.add(index + first + k, sum, gradients.frequencies + first + k, two_pi);
                               });
  });
  if (gradients.x == nullptr) return;
  combine<T>(1, count, vectors, memory.delta, call.frequencies, 1, 0, [&](std::int64_t, std::int64_t v, Vec<T> sum) {
    store(memory.dx + v * kLanes<T>, splat<T>(two_pi) * sum);
  });
}

/// PBLD: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on
/// tabular data", NeurIPS 2024.
struct CosineBasis {
  static constexpr bool kHasDerivatives = true;
  template <typename T, typename Emit>
  static void evaluate(const EmbeddingCall<T>& call, std::int64_t vectors, const T* x, Emit emit) {
    for (std::int64_t k = 0; k < call.bases; ++k) {
      const Vec<T> frequency = splat<T>(call.frequencies[k]);
      const Vec<T> phase = splat<T>(call.phases[k] * static_cast<T>(kPerTurn));
      for (std::int64_t v = 0; v < vectors; ++v) {
        const CosineSine<T> both = cos_sin_turns<T>(fma(frequency, load(x + v * kLanes<T>), phase));
        emit(k, v, both.cosine, -both.sine);
      }
    }
  }
  template <typename T>
  static void differentiate(const EmbeddingCall<T>& call, std::int64_t vectors, const EmbeddingMemory<T>& memory,
                            const EmbeddingGradients<T>& gradients, const LaneSums<T>& sums) {
    const std::int64_t index = call.bases * call.outputs + call.outputs + call.bases;
    for (std::int64_t k = 0; k < call.bases; ++k) {
      sums.add(index + k, lane_total(vectors, memory.delta + k * kEmbeddedRows), gradients.phases + k);
    }
    differentiate_angles(call, call.bases, vectors, memory, gradients, sums);
  }
};

/// Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS
/// 2022; also the next.
struct PeriodicBasis {
  static constexpr bool kHasDerivatives = false;
  template <typename T, typename Emit>
  static void evaluate(const EmbeddingCall<T>& call, std::int64_t vectors, const T* x, Emit emit) {
    const std::int64_t half = call.bases / 2;
    for (std::int64_t k = 0; k < half; ++k) {
      const Vec<T> frequency = splat<T>(call.frequencies[k]);
      for (std::int64_t v = 0; v < vectors; ++v) {
        const CosineSine<T> both = cos_sin_turns<T>(frequency * load(x + v * kLanes<T>));
        emit(k, v, both.cosine, Vec<T>{});
        emit(k + half, v, both.sine, Vec<T>{});
      }
    }
  }
  template <typename T>
  static void differentiate(const EmbeddingCall<T>& call, std::int64_t vectors, const EmbeddingMemory<T>& memory,
                            const EmbeddingGradients<T>& gradients, const LaneSums<T>& sums) {
    const std::int64_t half = call.bases / 2;
    const std::int64_t to_sine = half * kEmbeddedRows;
    for (std::int64_t k = 0; k < half; ++k) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        const std::int64_t at = k * kEmbeddedRows + v * kLanes<T>;
        const Vec<T> by_cosine = load(memory.basis + at + to_sine) * load(memory.delta + at);
        store(memory.delta + at, fma(load(memory.basis + at), load(memory.delta + at + to_sine), -by_cosine));
      }
    }
    differentiate_angles(call, half, vectors, memory, gradients, sums);
  }
};

/// Multiplies by the reciprocal of a bin's width, which is within 1.5 ulp of the quotient.
struct PiecewiseLinearBasis {
  static constexpr bool kHasDerivatives = false;
  template <typename T>
  struct Bin {
    Vec<T> lower;
    Vec<T> upper;
    Vec<T> derivative;
    bool first;
    bool last;

    Bin(const EmbeddingCall<T>& call, std::int64_t k)
        : lower(splat<T>(call.edges[k])),
          upper(splat<T>(call.edges[k + 1])),
          derivative(splat<T>(T{1} / (call.edges[k + 1] - call.edges[k]))),
          first(k == 0),
          last(k == call.bases - 1) {}
  };
  template <typename T, typename Emit>
  static void evaluate(const EmbeddingCall<T>& call, std::int64_t vectors, const T* x, Emit emit) {
    const Vec<T> infinity = splat<T>(static_cast<T>(__builtin_inf()));
    for (std::int64_t k = 0; k < call.bases; ++k) {
      const Bin<T> bin(call, k);
      const Vec<T> least = bin.first ? -infinity : Vec<T>{};
      const Vec<T> most = bin.last ? infinity : splat<T>(1);
      for (std::int64_t v = 0; v < vectors; ++v) {
        const Vec<T> share = (load(x + v * kLanes<T>) - bin.lower) * bin.derivative;
        const Vec<T> raised = share < least ? least : share;
        emit(k, v, raised > most ? most : raised, Vec<T>{});
      }
    }
  }
  template <typename T>
  static void differentiate(const EmbeddingCall<T>& call, std::int64_t vectors, const EmbeddingMemory<T>& memory,
                            const EmbeddingGradients<T>& gradients, const LaneSums<T>&) {
    if (gradients.x == nullptr) return;
    for (std::int64_t at = 0; at < vectors * kLanes<T>; at += kLanes<T>) store(memory.dx + at, Vec<T>{});
    const Vec<T> infinity = splat<T>(static_cast<T>(__builtin_inf()));
    for (std::int64_t k = 0; k < call.bases; ++k) {
      const Bin<T> bin(call, k);
      const Vec<T> lower = bin.first ? -infinity : bin.lower;
      const Vec<T> upper = bin.last ? infinity : bin.upper;
      for (std::int64_t at = 0; at < vectors * kLanes<T>; at += kLanes<T>) {
        const Vec<T> x = load(memory.x + at);
        const Vec<T> derivative = ((x > lower) & (x <= upper)) ? bin.derivative : Vec<T>{};
        store(memory.dx + at, fma(derivative, load(memory.delta + k * kEmbeddedRows + at), load(memory.dx + at)));
      }
    }
  }
};

/// Calls finish(i, vector, output i before the rectifier) from a block's basis functions.
template <typename T, typename Finish>
static inline void map_bases(const EmbeddingCall<T>& call, std::int64_t vectors, const T* basis, Finish finish) {
  combine<T>(call.outputs, call.bases, vectors, basis, call.maps, call.outputs, 1,
             [&](std::int64_t i, std::int64_t v, Vec<T> sum) { finish(i, v, sum + splat<T>(call.map_bias[i])); });
}

template <typename T, typename Rule>
static void embed(const EmbeddingCall<T>& call, T* out) {
  const EmbeddingMemory<T> memory(call.scratch, call.bases, call.outputs);
  for (std::int64_t first = 0; first < call.rows; first += kEmbeddedRows) {
    const EmbeddedBlock<T> block(first, call.rows);
    load_column(block, call.x + first, memory.x);
    const auto write = [&](std::int64_t i, std::int64_t v, Vec<T> value) {
      store_first(out + i * call.stride + first + v * kLanes<T>, value, block.count(v));
    };
    if (call.outputs == 0) {
      Rule::evaluate(call, block.vectors, memory.x,
                     [&](std::int64_t k, std::int64_t v, Vec<T> value, Vec<T>) { write(k, v, value); });
    } else {
      Rule::evaluate(call, block.vectors, memory.x, [&](std::int64_t k, std::int64_t v, Vec<T> value, Vec<T>) {
        store(memory.basis + k * kEmbeddedRows + v * kLanes<T>, value);
      });
      map_bases(call, block.vectors, memory.basis, [&](std::int64_t i, std::int64_t v, Vec<T> sum) {
        write(i, v, call.relu ? Relu::value<T>(sum, 0) : sum);
      });
    }
    if (!call.keeps_value) continue;
    const std::int64_t last = call.outputs == 0 ? call.bases : call.outputs;
    for (std::int64_t v = 0; v < block.vectors; ++v) write(last, v, load(memory.x + v * kLanes<T>));
  }
}

/// From the gradient of a block's outputs to those of the map and, in memory.delta, of its basis functions.
template <typename T, typename Rule, typename Read>
static inline void map_bases_backward(const EmbeddingCall<T>& call, std::int64_t vectors,
                                      const EmbeddingMemory<T>& memory, const EmbeddingGradients<T>& gradients,
                                      const LaneSums<T>& sums, Read read) {
  if (call.relu) {
    map_bases(call, vectors, memory.basis, [&](std::int64_t i, std::int64_t v, Vec<T> sum) {
      store(memory.gradient + i * kEmbeddedRows + v * kLanes<T>, read(i, v) * Relu::derivative<T>(sum, 0));
    });
  } else {
    for (std::int64_t i = 0; i < call.outputs; ++i) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        store(memory.gradient + i * kEmbeddedRows + v * kLanes<T>, read(i, v));
      }
    }
  }
  for_each_tile(call.bases, [&](std::int64_t k0, auto bases) {
    for_each_tile(call.outputs, [&](std::int64_t i0, auto outputs) {
      dot_tile<T, bases.value, outputs.value>(vectors, memory.basis + k0 * kEmbeddedRows,
                                              memory.gradient + i0 * kEmbeddedRows,
                                              [&](std::int64_t k, std::int64_t i, Lanes16<T> sum) {
                                                const std::int64_t at = (k0 + k) * call.outputs + i0 + i;
                                                sums.add(at, sum, gradients.maps + at);
                                              });
    });
  });
  for (std::int64_t i = 0; i < call.outputs; ++i) {
    sums.add(call.bases * call.outputs + i, lane_total(vectors, memory.gradient + i * kEmbeddedRows),
             gradients.map_bias + i);
  }
  combine<T>(call.bases, call.outputs, vectors, memory.gradient, call.maps, 1, call.outputs,
             [&](std::int64_t k, std::int64_t v, Vec<T> sum) {
               T* delta = memory.delta + k * kEmbeddedRows + v * kLanes<T>;
               store(delta, Rule::kHasDerivatives ? load(delta) * sum : sum);
             });
}

template <typename T, typename Rule>
static void embed_backward(const EmbeddingCall<T>& call, const T* gradient, const EmbeddingGradients<T>& gradients) {
  const EmbeddingMemory<T> memory(call.scratch, call.bases, call.outputs);
  for (std::int64_t first = 0; first < call.rows; first += kEmbeddedRows) {
    const EmbeddedBlock<T> block(first, call.rows);
    const LaneSums<T> sums{memory.lanes, first == 0, block.last};
    const auto read = [&](std::int64_t i, std::int64_t v) {
      return load_first(gradient + i * call.stride + first + v * kLanes<T>, block.count(v), T{0});
    };
    load_column(block, call.x + first, memory.x);
    const bool has_map = call.outputs != 0;
    Rule::evaluate(call, block.vectors, memory.x, [&](std::int64_t k, std::int64_t v, Vec<T> value, Vec<T> derivative) {
      const std::int64_t at = k * kEmbeddedRows + v * kLanes<T>;
      store(memory.basis + at, value);
      if (Rule::kHasDerivatives) store(memory.delta + at, derivative);
      if (!has_map) store(memory.delta + at, Rule::kHasDerivatives ? derivative * read(k, v) : read(k, v));
    });
    if (has_map) map_bases_backward<T, Rule>(call, block.vectors, memory, gradients, sums, read);
    Rule::differentiate(call, block.vectors, memory, gradients, sums);
    if (gradients.x == nullptr) continue;
    for (std::int64_t v = 0; v < block.vectors; ++v) {
      const Vec<T> dx = load(memory.dx + v * kLanes<T>);
      const Vec<T> kept = call.keeps_value ? read(has_map ? call.outputs : call.bases, v) : Vec<T>{};
      store_first(gradients.x + first + v * kLanes<T>, call.keeps_value ? dx + kept : dx, block.count(v));
    }
  }
}

}  // namespace fastmlp::FASTMLP_ISA
