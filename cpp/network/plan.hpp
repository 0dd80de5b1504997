// What is decided once for a network, a batch size and a number of threads, and not again in any step.
// Nothing here changes a bit of the result.
#pragma once

#include <cstdint>
#include <optional>
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
  // Columns that are zero in the whole batch are left out; unset: where they are many.
  std::optional<bool> leaves_out_columns;
  // Backward-data, one per layer, the first one's meaningless: transposes weights instead of gradients and results.
  std::vector<bool> transposes_weights;
  // Forward and backward-data: rows x depth of the broadcast operand that stay in the second-level cache while the
  // panels of the weights go by.
  std::int64_t row_block = 0;
  std::int64_t depth_block = 0;
  // Backward-weights: output panels whose gradients stay there while the input goes by.
  std::int64_t panel_group = 1;
};

/// threads: 0 chooses by the work of a step. panel: elements of a panel row; element_bytes: of one scalar.
Plan make_plan(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel, int element_bytes);

/// Decisions that a test takes out of the plan's hands, so that no path waits for the sizes that lead to it.
struct PlanOverrides {
  std::optional<std::uint64_t> split_by_outputs;  // bit l - 1: layer l; those with batch normalisation always are
  std::optional<std::uint64_t> transposes_weights;
  std::optional<bool> own_input;
  std::optional<bool> leaves_out_columns;
  // In panels.
  std::optional<std::int64_t> row_block;
  std::optional<std::int64_t> depth_block;
  std::optional<std::int64_t> panel_group;
};

/// For all plans that this process makes from now on.
void override_plans(const PlanOverrides& overrides);

/// Floating-point operations of one forward pass for one sample.
double forward_flops(const NetworkSpec& spec);

/// `requested`, or for 0 the number that pays for `flops` operations between two barriers.
int choose_threads(int requested, double flops, std::int64_t rows);

}  // namespace fastmlp
