// Inference: the outputs of a network, block by block.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "network/spec.hpp"
#include "ops/loss.hpp"

namespace fastmlp {

template <typename T>
class Mlp;

/// Called now and then from the calling thread. Returns false to stop the computation.
using KeepGoing = std::function<bool()>;

/// Inverse link function that turns outputs into probabilities of classes, probabilities of one event, or rates.
enum class Link { none, softmax, sigmoid, exp };

/// What inference computes; null pointers are skipped.
template <typename T>
struct InferenceOutputs {
  std::vector<T*> hidden;                // (members, count, units) for each hidden layer, or empty
  T* values = nullptr;                   // (count, outputs): the last layer's outputs
  Link link = Link::none;                // applied to values
  std::int32_t* predicted = nullptr;     // (count,): index of the first largest output
  std::vector<GroupTargets<T>> targets;  // with row_loss
  const T* sample_weights = nullptr;     // with row_loss
  T* row_loss = nullptr;                 // (count,)
  std::int32_t* correct = nullptr;       // (count,), with row_loss
};

enum class InferenceStatus { completed, stopped, not_finite };

template <typename T>
class InferenceBlock;

/// Buffers that calls leave for later ones, so that a prediction does not fetch fresh pages from the system. Without a
/// lock, because a fork may come at any time.
template <typename T>
class SpareBlocks {
 public:
  SpareBlocks();
  ~SpareBlocks();
  SpareBlocks(const SpareBlocks&) = delete;
  SpareBlocks& operator=(const SpareBlocks&) = delete;

  /// A block for so many samples of so many columns.
  std::unique_ptr<InferenceBlock<T>> take(const Mlp<T>& mlp, std::int64_t samples, std::int64_t columns);
  void leave(std::unique_ptr<InferenceBlock<T>> block);

 private:
  static constexpr std::size_t kMost = 16;
  std::array<std::atomic<InferenceBlock<T>*>, kMost> blocks_{};
};

/// Computes outputs block by block, so that memory does not grow with the number of samples. threads: 0 chooses by the
/// work. Stops when keep_going says so and, as outputs then mean nothing, at samples that are NaN or infinite.
template <typename T>
InferenceStatus infer(const Mlp<T>& mlp, const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
                      const KeepGoing& keep_going);

}  // namespace fastmlp
