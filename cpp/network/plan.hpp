// What is decided once for a network, a batch size and a number of threads, and not again in any step.
// Nothing here changes a bit of the result.
#pragma once

#include <cstdint>
#include <vector>

#include "network/spec.hpp"

namespace fastmlp {

/// How the members of a team share the forward pass and the update of a layer.
enum class Split {
  rows,     // each takes rows of the batch and reads all weights; blocks of the update are dealt out evenly
  outputs,  // each takes output panels and meets only its own part of the weights, for a barrier more
};

struct Plan {
  int threads = 1;
  std::vector<Split> splits;  // one per layer
  // Each member gathers the whole batch for itself: cheaper than lines of the input that travel from core to core.
  bool own_input = false;
  // Backward-data, one per layer, the first one's meaningless: transposes weights instead of gradients and results.
  std::vector<bool> transposes_weights;
  // Forward and backward-data: rows x depth of the broadcast operand that stay in the second-level cache while the
  // panels of the weights go by.
  std::int64_t row_block = 0;
  std::int64_t depth_block = 0;
  // Backward-weights: output panels whose gradients stay there while the input goes by.
  std::int64_t panel_group = 1;

  /// Whether the members meet before layer `layer` (from 0) is computed: a split by outputs reads rows that others
  /// wrote, unless the input is its own, and is read by those who own rows.
  bool meets_before(std::size_t layer) const {
    if (layer == 0 && own_input) return false;
    return splits[layer] == Split::outputs || (layer > 0 && splits[layer - 1] == Split::outputs);
  }
};

/// threads: 0 chooses by the work of a step. panel: elements of a panel row; element_bytes: of one scalar.
Plan make_plan(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel, int element_bytes);

/// Floating-point operations of one forward pass for one sample.
double forward_flops(const NetworkSpec& spec);

/// `requested`, or for 0 the number that pays for `flops` operations between two barriers.
int choose_threads(int requested, double flops, std::int64_t rows);

}  // namespace fastmlp
