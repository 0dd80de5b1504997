#include "network/plan.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/team.hpp"

namespace fastmlp {
namespace {

/// Half of the second-level cache of current x86 and Arm server cores; the other half is for operands that stream.
constexpr std::int64_t kCacheBytes = 256 << 10;
constexpr std::int64_t kMostRows = 256;
/// Output panels whose gradients are used for each panel of the input that is read. With more rows than the cache holds
/// it saves reads of the input from memory.
constexpr std::int64_t kPanelGroup = 4;
/// With more threads the repeated gathering costs more than it saves.
constexpr int kMostOwnInputs = 4;
constexpr std::int64_t kLeastDepth = 128;

/// Splits by outputs if the panels divide evenly and one of two conditions holds: the weights would move between cores
/// (they are larger than the batch, and each thread has few rows), or they do not fit in the cache, so that every
/// thread would read them from memory.
Split choose_split(std::int64_t batch_size, std::int64_t inputs, std::int64_t outputs, int threads, int panel,
                   int element_bytes) {
  constexpr std::int64_t kFewRows = 128;
  constexpr std::int64_t kManyBytes = 32 << 20;  // more than a usual last-level cache
  constexpr double kMostImbalance = 1.1;
  const std::int64_t panels = ceil_div(outputs, panel);
  const std::int64_t most = ceil_div(panels, threads);
  const double imbalance = static_cast<double>(most * threads) / static_cast<double>(panels);
  const bool weights_move = outputs >= batch_size && batch_size < kFewRows * threads;
  const bool from_memory = checked_product(checked_product(inputs, outputs), element_bytes) > kManyBytes;
  const bool pays = weights_move || from_memory;
  return threads > 1 && pays && imbalance <= kMostImbalance ? Split::outputs : Split::rows;
}

/// By outputs where the gradients of a unit are sums over all rows between two products, by rows where each row is
/// normalized over all units; null: the layer can be split either way.
std::optional<Split> required_split(const LayerSpec& layer) {
  if (layer.batch_norm || layer.output_scales) return Split::outputs;
  if (layer.layer_norm) return Split::rows;
  return std::nullopt;
}

/// Whether the weights have fewer blocks to transpose than gradients and results together.
bool choose_transposed_weights(std::int64_t thread_rows, std::int64_t inputs, std::int64_t outputs, int panel) {
  const auto panels = [&](std::int64_t size) { return ceil_div(size, panel); };
  return panels(inputs) * panels(outputs) < panels(thread_rows) * (panels(inputs) + panels(outputs));
}

PlanOverrides& overrides() {
  static PlanOverrides current;
  return current;
}

bool bit(std::uint64_t bits, std::size_t place) { return (bits >> (place % 64) & 1) != 0; }

void apply(const PlanOverrides& forced, const NetworkSpec& spec, int panel, Plan& plan) {
  for (std::size_t l = 0; l < plan.splits.size(); ++l) {
    if (forced.split_by_outputs && !required_split(spec.layers[l])) {
      plan.splits[l] = bit(*forced.split_by_outputs, l) ? Split::outputs : Split::rows;
    }
    if (forced.transposes_weights) plan.transposes_weights[l] = bit(*forced.transposes_weights, l);
  }
  if (!spec.has_input_stage()) plan.own_input = forced.own_input.value_or(plan.own_input);
  plan.leaves_out_columns = forced.leaves_out_columns;
  if (forced.row_block) plan.row_block = *forced.row_block * panel;
  if (forced.depth_block) plan.depth_block = *forced.depth_block * panel;
  plan.panel_group = forced.panel_group.value_or(plan.panel_group);
}

}  // namespace

void override_plans(const PlanOverrides& wanted) { overrides() = wanted; }

Plan make_plan(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel, int element_bytes) {
  Plan plan;
  // Forward, backward-data and backward-weights cost the same.
  plan.threads = choose_threads(threads, 3 * forward_flops(spec) * static_cast<double>(batch_size), batch_size);
  const std::int64_t rows = checked_product(batch_size, spec.members);
  const std::int64_t thread_rows = ceil_div(rows, plan.threads);
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const std::int64_t inputs = spec.inputs_of(l);
    const std::int64_t outputs = spec.layer_sizes[l + 1];
    plan.splits.push_back(required_split(spec.layers[l])
                              .value_or(choose_split(rows, inputs, outputs, plan.threads, panel, element_bytes)));
    plan.transposes_weights.push_back(choose_transposed_weights(thread_rows, inputs, outputs, panel));
  }
  plan.own_input =
      plan.splits[0] == Split::outputs && !spec.has_input_stage() && plan.threads <= kMostOwnInputs && plan.threads > 1;
  const bool any_outputs = std::find(plan.splits.begin(), plan.splits.end(), Split::outputs) != plan.splits.end();
  // Whole panels, because the transposed gradient consists of panels. In a team smaller than planned, the rows of a
  // thread take several blocks.
  plan.row_block = round_up(std::min(any_outputs ? rows : thread_rows, kMostRows), panel);
  plan.depth_block = std::max(kLeastDepth, kCacheBytes / (plan.row_block * element_bytes) / panel * panel);
  plan.panel_group = kPanelGroup;
  apply(overrides(), spec, panel, plan);
  return plan;
}

std::vector<Plan> make_plans(const NetworkSpec& spec, std::int64_t batch_size, int threads, int panel,
                             int element_bytes) {
  const auto with_threads = [&](int count) { return make_plan(spec, batch_size, count, panel, element_bytes); };
  std::vector<Plan> plans{with_threads(threads == 0 ? overrides().threads.value_or(0) : threads)};
  const int most = plans.front().threads;
  for (int count = most; count > 1;) plans.push_back(with_threads(count /= 2));
  Plan by_rows = plans.front();
  for (std::size_t l = 0; l < by_rows.splits.size(); ++l) {
    by_rows.splits[l] = required_split(spec.layers[l]).value_or(Split::rows);
  }
  by_rows.own_input = false;
  if (by_rows.splits != plans.front().splits) plans.push_back(by_rows);
  return plans;
}

const std::vector<std::int64_t>& forced_turns() { return overrides().turns; }

double forward_flops(const NetworkSpec& spec) {
  double flops = 0;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    flops += 2.0 * static_cast<double>(spec.inputs_of(l)) * static_cast<double>(spec.layer_sizes[l + 1]);
  }
  return flops * static_cast<double>(spec.members);
}

int choose_threads(int requested, double flops, std::int64_t rows) {
  // With less work per thread, the barriers and the moves of weights between cores cost more than a thread saves.
  constexpr double kFlopsPerThread = 1.5e6;
  const auto worthwhile = static_cast<int>(std::clamp(flops / kFlopsPerThread, 1.0, 1e6));
  require_threads(requested, 0);
  int wanted = requested;
  // available_threads() takes longer than a small prediction.
  if (requested == 0) wanted = worthwhile == 1 ? 1 : std::min(available_threads(), worthwhile);
  return static_cast<int>(std::min<std::int64_t>(wanted, std::max<std::int64_t>(rows, 1)));
}

}  // namespace fastmlp
