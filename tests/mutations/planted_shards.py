"""Bugs of batches in shards, and of the sums over processes."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["SHARD_MUTATIONS"]

EPOCH = "cpp/network/epoch.cpp"
PROCESSES = "python/fastmlp/training/processes.py"
SHARD_MUTATIONS = [
    Mutation(
        "the masks of every shard are those of the first rows of the batch",
        "cpp/ops/dense.hpp",
        "work(part, part.begin + member * (whole - size) + before);",
        "work(part, part.begin + member * (whole - size));",
    ),
    Mutation(
        "the loss of a shard is averaged over its own rows",
        EPOCH,
        "const double weight = batch.weight * static_cast<double>(spec_.members);",
        "const double weight = static_cast<double>(batch.size * spec_.members);",
    ),
    Mutation(
        "shards are added in the order in which they are computed",
        "cpp/network/shards.cpp",
        "while (2 * left < node.size()) left *= 2;",
        "left = node.size() - 1;",
    ),
    Mutation(
        "a shard without rows keeps the gradient of the last step",
        "cpp/network/update.cpp",
        "if (memory.batch().rows == 0) return clear_gradients(memory);",
        "if (memory.batch().rows == 0) return;",
    ),
    Mutation(
        "the losses of other shards are lost",
        EPOCH,
        "results_[top - 1].loss += results_[top].loss;",
        "",
    ),
    Mutation(
        "sums of processes are added in the order of their ranks",
        PROCESSES,
        "while len(stack) > 1 and len(_core.shard_sums(shards, stack[-2][0], stack[-1][1])) == 1:",
        "while len(stack) > 1:",
    ),
    Mutation(
        "a process goes on where another one diverged",
        PROCESSES,
        "max(int(block.status[0]) for block in self._from)",
        "int(self._to[0].status[0])",
    ),
    Mutation(
        "an error of one process leaves the others waiting",
        PROCESSES,
        "                self.communicator.Abort(code)\n",
        "",
    ),
    Mutation(
        "a signal of one process is not told to the others",
        PROCESSES,
        "block.status[:] = status, number",
        "block.status[:] = status, 0",
    ),
    Mutation(
        "an exception of a callback stays with its process",
        PROCESSES,
        "        return self.gathered(value, failure)[0]\n",
        "        return self.gathered(value)[0]\n",
    ),
    Mutation(
        "a process begins each batch where one of all shards would",
        EPOCH,
        "return batch * own_rows(state_.shards, batches_.size).size() -",
        "return batch * batches_.size -",
    ),
    Mutation(
        "shards with samples of their own are drawn alike",
        "python/fastmlp/training/shares.py",
        "np.random.SeedSequence([self.seed, shard])",
        "np.random.SeedSequence([self.seed, 0])",
    ),
    Mutation(
        "a batch weighs what its samples in this process do",
        "python/fastmlp/training/shares.py",
        "told = [sums] if self.group is None else self.group.gathered(sums)",
        "told = [sums]",
    ),
    Mutation(
        "two processes of a sweep draw the same trial",
        "python/fastmlp/experiment/study.py",
        "        with self._turns, self._silence():\n            self._give_up_lost()",
        "        with self._silence():\n            self._give_up_lost()",
    ),
    Mutation(
        "the trial of a killed process of a sweep is lost",
        "python/fastmlp/experiment/study.py",
        "if process is None or self._process.has_ended(str(process)):",
        "if process is None:",
    ),
]
