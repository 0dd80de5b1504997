// Decisions for a network, a batch size and a number of threads, made once before the first step. None of them changes
// a bit of the results.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "network/spec.hpp"

namespace fastmlp {

/// How the threads of a team divide the forward pass and the update of a layer.
enum class Split {
  rows,     // each thread takes rows of the batch and reads all weights; threads take chunks of the update
  outputs,  // each thread takes output panels and reads and updates their weights alone, at the cost of a barrier
};

struct Plan {
  int threads = 1;
  std::vector<Split> splits;  // per layer
  // Each thread gathers the whole batch for itself, which is cheaper than reading rows from the cache of another core.
  bool own_input = false;
  // Whether columns that are zero in the whole batch are left out; unset: if they are many.
  std::optional<bool> leaves_out_columns;
  // Per layer: backward-data transposes the weights instead of gradients and results.
  std::vector<bool> transposes_weights;
  // Forward and backward-data: rows and depth of the block of the broadcast operand that stays in the second-level
  // cache while the weights are read.
  std::int64_t row_block = 0;
  std::int64_t depth_block = 0;
  // Backward-weights: output panels whose gradients stay in that cache while the input is read.
  std::int64_t panel_group = 1;
};

/// threads: 0 chooses by the work of a step. panel: elements of a panel row; element_bytes: of one scalar.
Plan make_plan(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel, int element_bytes);

/// The same plan, and others that may be faster: with fewer threads, and with all layers split by rows. None has more
/// threads than the first.
std::vector<Plan> make_plans(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel,
                             int element_bytes);

/// Decisions that a test makes in place of the plan, so that small networks take every path.
struct PlanOverrides {
  std::optional<std::uint64_t> split_by_outputs;  // bit l: layer l; normalization decides alone
  std::optional<std::uint64_t> transposes_weights;
  std::optional<bool> own_input;
  std::optional<bool> leaves_out_columns;
  // In panels:
  std::optional<std::int64_t> row_block;
  std::optional<std::int64_t> depth_block;
  std::optional<std::int64_t> panel_group;
  std::optional<int> threads;       // of the first plan, where their number is not given
  std::vector<std::int64_t> turns;  // steps of the turns that plans take one after the other, again and again
};

/// Applies to all plans that this process makes from now on.
void override_plans(const PlanOverrides& overrides);
/// PlanOverrides::turns; empty: the times of steps decide.
const std::vector<std::int64_t>& forced_turns();

/// Floating-point operations of one forward pass for one sample.
double forward_flops(const NetworkSpec& spec);

/// `requested`, or for 0 the number that pays for `flops` operations between two barriers.
int choose_threads(int requested, double flops, std::int64_t rows);

}  // namespace fastmlp
