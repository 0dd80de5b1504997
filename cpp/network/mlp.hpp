// The parameters of a network, and what can be computed from them without changing them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "network/spec.hpp"
#include "ops/dense.hpp"

namespace fastmlp {

/// Returns false to stop the computation; called now and then from the calling thread.
using KeepGoing = std::function<bool()>;

/// What inference writes; null members are skipped.
template <typename T>
struct InferenceOutputs {
  T* values = nullptr;                // (count, outputs): the last layer's outputs
  bool probabilities = false;         // values pass through softmax first
  std::int32_t* predicted = nullptr;  // (count,): index of the first largest output
  const void* targets = nullptr;      // with row_loss: as LossCall::targets
  T* row_loss = nullptr;              // (count,)
};

template <typename T>
class Mlp {
 public:
  /// Zero parameters. isa: empty for the active one.
  Mlp(NetworkSpec spec, const std::string& isa);

  const NetworkSpec& spec() const { return spec_; }
  const KernelTable<T>& kernels() const { return kernels_; }
  const DenseLayer<T>& layer(std::int64_t l) const { return layers_[static_cast<std::size_t>(l)]; }
  std::int64_t parameter_elements() const { return parameter_elements_; }
  T* parameters() const { return arena_.at<T>(0); }

  /// Row-major (in, out) and (out,) arrays.
  void get_weights(std::int64_t l, T* destination) const;
  void set_weights(std::int64_t l, const T* source);
  void get_biases(std::int64_t l, T* destination) const;
  void set_biases(std::int64_t l, const T* source);

  /// Runs the samples through the network in blocks of rows; memory does not grow with their number.
  /// Returns false when keep_going stopped it.
  bool infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
             const KeepGoing& keep_going) const;

 private:
  NetworkSpec spec_;
  const KernelTable<T>& kernels_;
  Arena arena_;
  std::int64_t parameter_elements_ = 0;
  std::vector<DenseLayer<T>> layers_;
};

}  // namespace fastmlp
