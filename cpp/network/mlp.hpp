// The parameters of a network, and inference.
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

/// Called now and then from the calling thread. Returns false to stop the computation.
using KeepGoing = std::function<bool()>;

/// Inverse link function that turns outputs into probabilities of classes, probabilities of one event, or rates.
enum class Link { none, softmax, sigmoid, exp };

/// Arrays of a layer: weights (in, out), all others (out,). The last three exist with batch normalization.
enum class ParameterKind { weights, biases, scales, means, variances };

/// What inference computes; null pointers are skipped.
template <typename T>
struct InferenceOutputs {
  std::vector<T*> hidden;                // (count, units) for each hidden layer, or empty
  T* values = nullptr;                   // (count, outputs): the last layer's outputs
  Link link = Link::none;                // applied to values
  std::int32_t* predicted = nullptr;     // (count,): index of the first largest output
  std::vector<GroupTargets<T>> targets;  // with row_loss
  const T* sample_weights = nullptr;     // with row_loss
  T* row_loss = nullptr;                 // (count,)
  std::int32_t* correct = nullptr;       // (count,), with row_loss
};

template <typename T>
class Mlp {
 public:
  /// All parameters are zero; scales and variances are 1. isa: empty for the active one.
  Mlp(NetworkSpec spec, const std::string& isa);

  const NetworkSpec& spec() const { return spec_; }
  const KernelTable<T>& kernels() const { return kernels_; }
  const DenseLayer<T>& layer(std::size_t l) const { return layers_[l]; }
  const std::vector<DenseLayer<T>>& layers() const { return layers_; }
  const std::vector<OutputGroup<T>>& groups() const { return groups_; }
  /// Elements of the trained parameters, which form one array.
  std::int64_t parameter_elements() const { return parameter_elements_; }
  T* parameters() const { return arena_.at<T>(0); }
  /// Elements of the parameters and of the running moments that follow them.
  std::int64_t state_elements() const { return state_elements_; }

  bool has(ParameterKind kind, std::size_t l) const;
  /// Copies a row-major array from or to `state`: parameters(), or another array of the same layout.
  void get(ParameterKind kind, std::size_t l, const T* state, T* destination) const;
  void set(ParameterKind kind, std::size_t l, const T* source, T* state) const;

  /// Computes outputs block by block, so that memory does not grow with the number of samples. Returns false when
  /// keep_going stopped it.
  bool infer(const SampleRows& samples, const InferenceOutputs<T>& outputs, int threads,
             const KeepGoing& keep_going) const;

 private:
  T* vector_of(ParameterKind kind, std::size_t l) const;

  NetworkSpec spec_;
  const KernelTable<T>& kernels_;
  Arena arena_;
  std::int64_t parameter_elements_ = 0;
  std::int64_t state_elements_ = 0;
  std::vector<DenseLayer<T>> layers_;
  std::vector<OutputGroup<T>> groups_;
};

}  // namespace fastmlp
