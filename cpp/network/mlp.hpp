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
#include "ops/loss.hpp"

namespace fastmlp {

/// Returns false to stop the computation; called now and then from the calling thread.
using KeepGoing = std::function<bool()>;

/// From outputs to what they say: probabilities of classes, of yes or no, rates.
enum class Link { none, softmax, sigmoid, exp };

/// Arrays of a layer: weights (in, out), all others (out,). The last three exist with batch normalisation.
enum class ParameterKind { weights, biases, scales, means, variances };

/// What inference writes; null members are skipped.
template <typename T>
struct InferenceOutputs {
  std::vector<T*> hidden;                // (count, units) for each hidden layer, or empty
  T* values = nullptr;                   // (count, outputs): the last layer's outputs
  Link link = Link::none;                // function that values pass through first
  std::int32_t* predicted = nullptr;     // (count,): index of the first largest output
  std::vector<GroupTargets<T>> targets;  // with row_loss
  const T* sample_weights = nullptr;     // with row_loss
  T* row_loss = nullptr;                 // (count,)
  std::int32_t* correct = nullptr;       // (count,), with row_loss
};

template <typename T>
class Mlp {
 public:
  /// Zero parameters, scales and variances 1. isa: empty for the active one.
  Mlp(NetworkSpec spec, const std::string& isa);

  const NetworkSpec& spec() const { return spec_; }
  const KernelTable<T>& kernels() const { return kernels_; }
  const DenseLayer<T>& layer(std::int64_t l) const { return layers_[static_cast<std::size_t>(l)]; }
  const std::vector<OutputGroup<T>>& groups() const { return groups_; }
  /// What is trained, as one array.
  std::int64_t parameter_elements() const { return parameter_elements_; }
  T* parameters() const { return arena_.at<T>(0); }
  /// The parameters, and after them the running moments.
  std::int64_t state_elements() const { return state_elements_; }

  bool has(ParameterKind kind, std::int64_t l) const;
  /// Row-major arrays, from or to this network or one of its layout elsewhere (`state` is its first element).
  void get(ParameterKind kind, std::int64_t l, const T* state, T* destination) const;
  void set(ParameterKind kind, std::int64_t l, const T* source, T* state) const;

  /// Runs the samples through the network in blocks of rows; memory does not grow with their number.
  /// Returns false when keep_going stopped it.
  bool infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
             const KeepGoing& keep_going) const;

 private:
  T* vector_of(ParameterKind kind, std::int64_t l) const;

  NetworkSpec spec_;
  const KernelTable<T>& kernels_;
  Arena arena_;
  std::int64_t parameter_elements_ = 0;
  std::int64_t state_elements_ = 0;
  std::vector<DenseLayer<T>> layers_;
  std::vector<OutputGroup<T>> groups_;
};

}  // namespace fastmlp
