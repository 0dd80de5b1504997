// The parameters of a network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "base/matrix_view.hpp"
#include "kernels/kernel_table.hpp"
#include "network/inference.hpp"
#include "network/spec.hpp"
#include "ops/dense.hpp"
#include "ops/gradient_sink.hpp"
#include "ops/input_stage.hpp"
#include "ops/loss.hpp"

namespace fastmlp {

/// One array of parameters or running moments: `copies` matrices in panels, one after the other.
template <typename T>
struct ParameterArray {
  ParameterKind kind = ParameterKind::weights;
  std::size_t index = 0;  // of the layer, or of the group of inputs
  Panels<T> first{};
  std::int64_t copies = 1;
  std::vector<std::int64_t> shape;  // as the user sees it

  std::int64_t stride() const { return first.size(); }
  std::int64_t size() const { return copies * stride(); }
  bool is_trained() const { return static_cast<std::size_t>(kind) < kTrainedKinds; }
};

template <typename T>
class Mlp {
 public:
  /// All parameters are zero; scales, mixes and variances are 1. isa: empty for the active one.
  Mlp(NetworkSpec spec, const std::string& isa);

  const NetworkSpec& spec() const { return spec_; }
  /// Of a network that has not been trained: its weights are for the inputs as they are scaled.
  void set_input_scale(double scale) { spec_.input_scale = scale; }
  const std::string& isa() const { return isa_; }
  const KernelTable<T>& kernels() const { return kernels_; }
  /// Those of the products of a training step; null: they are in T.
  const Bfloat16Kernels* bfloat16_kernels() const { return bfloat16_kernels_; }
  const DenseLayer<T>& layer(std::size_t l) const { return layers_[l]; }
  const std::vector<DenseLayer<T>>& layers() const { return layers_; }
  const std::vector<OutputGroup<T>>& groups() const { return groups_; }
  /// What the first layer reads; empty: the samples, or those scaled.
  const std::vector<EmbeddedColumns<T>>& input_groups() const { return input_groups_; }
  /// All arrays, the trained ones first, in the order of their addresses.
  const std::vector<ParameterArray<T>>& arrays() const { return arrays_; }
  /// Elements of the trained parameters, which form one array.
  std::int64_t parameter_elements() const { return parameter_elements_; }
  T* parameters() const { return arena_.at<T>(0); }
  /// Elements of the parameters and of the running moments that follow them.
  std::int64_t state_elements() const { return state_elements_; }

  /// The array of a layer or group of inputs; null: there is none.
  const ParameterArray<T>* find(ParameterKind kind, std::size_t index) const;
  /// Copies a row-major array from or to `state`: parameters(), or another array of the same layout.
  void get(const ParameterArray<T>& array, const T* state, T* destination) const;
  void set(const ParameterArray<T>& array, const T* source, T* state) const;

  /// Buffers of inference; not a part of the network.
  SpareBlocks<T>& spare_blocks() const { return spare_blocks_; }

 private:
  void describe_layer(std::size_t l);
  void describe_inputs();
  void describe(ParameterKind kind, std::size_t index, std::int64_t copies, std::int64_t rows, std::int64_t cols,
                std::vector<std::int64_t> shape);
  void allocate();

  NetworkSpec spec_;
  const std::string isa_;
  const KernelTable<T>& kernels_;
  const Bfloat16Kernels* const bfloat16_kernels_;
  Arena arena_;
  std::int64_t parameter_elements_ = 0;
  std::int64_t state_elements_ = 0;
  std::vector<DenseLayer<T>> layers_;
  std::vector<OutputGroup<T>> groups_;
  std::vector<EmbeddedColumns<T>> input_groups_;
  std::vector<ParameterArray<T>> arrays_;
  mutable SpareBlocks<T> spare_blocks_;
};

}  // namespace fastmlp
