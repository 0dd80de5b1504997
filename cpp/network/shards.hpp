// Shards: contiguous blocks of the rows of a batch, whose gradients are added in a fixed binary tree. The result
// depends on the number of shards, not on who computes which of them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/team.hpp"

namespace fastmlp {

/// The shards of every batch, and those that this process computes.
struct Shards {
  std::int64_t count = 1;
  Range own{0, 1};

  bool divides() const { return count > 1; }
  /// Whether other processes compute some of the shards.
  bool exchanges() const { return own.size() < count; }
};

/// Of the rows of a batch, those of the shards of this process.
Range own_rows(const Shards& shards, std::int64_t rows);

/// The largest nodes of the tree within `range`, in order. The left child of a node with n leaves has as many of them
/// as the largest power of two below n.
std::vector<Range> shard_sums(std::int64_t shards, Range range);

/// Where a process keeps the gradient of a shard: on a stack of sums, whose topmost are then added while the tree has
/// their sum.
struct ShardPlace {
  std::int64_t number = 0;    // among the shards of the process
  std::size_t level = 0;      // of the stack
  std::size_t additions = 0;  // of the two topmost sums
};

/// The places of the shards of a process, in order.
std::vector<ShardPlace> shard_places(const Shards& shards);

/// Sums that the stack holds at most.
std::size_t stack_height(const Shards& shards);

}  // namespace fastmlp
