#include "network/shards.hpp"

#include <algorithm>

namespace fastmlp {
namespace {

void add_nodes(Range node, Range range, std::vector<Range>& nodes) {
  if (node.end <= range.begin || range.end <= node.begin) return;
  if (range.begin <= node.begin && node.end <= range.end) {
    nodes.push_back(node);
    return;
  }
  std::int64_t left = 1;
  while (2 * left < node.size()) left *= 2;
  add_nodes({node.begin, node.begin + left}, range, nodes);
  add_nodes({node.begin + left, node.end}, range, nodes);
}

}  // namespace

Range own_rows(const Shards& shards, std::int64_t rows) {
  return {even_share(rows, shards.own.begin, shards.count).begin,
          even_share(rows, shards.own.end - 1, shards.count).end};
}

std::vector<Range> shard_sums(std::int64_t shards, Range range) {
  std::vector<Range> nodes;
  if (range.size() > 0) add_nodes({0, shards}, range, nodes);
  return nodes;
}

std::vector<ShardPlace> shard_places(const Shards& shards) {
  std::vector<ShardPlace> places;
  std::size_t level = 0;
  for (std::int64_t number = 0; number < shards.own.size(); ++number) {
    const std::size_t next = shard_sums(shards.count, {shards.own.begin, shards.own.begin + number + 1}).size();
    places.push_back({number, level, level + 1 - next});
    level = next;
  }
  return places;
}

std::size_t stack_height(const Shards& shards) {
  std::size_t height = 0;
  for (const ShardPlace& place : shard_places(shards)) height = std::max(height, place.level + 1);
  return height;
}

}  // namespace fastmlp
