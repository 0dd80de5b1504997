"""Bugs of the passes of a step: what they declare, how an epoch is cut, what weights weigh."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["PASS_MUTATIONS"]

STEP = "cpp/network/step.cpp"
PASS_MUTATIONS = [
    Mutation(
        "the loss reads outputs that others have still to write",
        STEP,
        "{writes(Buffer::activations, layers_, Share::rows), writes(Buffer::dz, last, Share::rows),",
        "{writes(Buffer::dz, last, Share::rows),",
    ),
    Mutation(
        "a layer split by outputs reads its own rows alone",
        STEP,
        "activation_share(l, input)),",
        "activation_share(l, Share::rows)),",
    ),
    Mutation(
        "the next step begins before the update has ended",
        STEP,
        "accesses.push_back(writes(target, l, own ? Share::outputs : Share::chunks));",
        "",
    ),
    Mutation(
        "clipping begins before all gradients are kept",
        STEP,
        "norms.push_back(reads(Buffer::gradients, part, Share::panels));",
        "",
    ),
    Mutation(
        "a block of rows that is no whole panel",
        "cpp/network/plan.cpp",
        "plan.row_block = round_up(std::min(any_outputs ? rows : thread_rows, kMostRows), panel);",
        "plan.row_block = std::min(any_outputs ? rows : thread_rows, kMostRows);",
    ),
    Mutation(
        "a last batch of few samples is normalized",
        "cpp/network/trainer.cpp",
        "if (even && !drop_last) return",
        "if (false) return",
    ),
    Mutation(
        "a batch of one sample is normalized",
        "cpp/network/trainer.cpp",
        "if (smallest == 1 && ",
        "if (smallest < 1 && ",
    ),
    Mutation(
        "a partial batch is not dropped",
        "cpp/network/trainer.hpp",
        "return drop_last ? samples / size :",
        "return false ? samples / size :",
    ),
    Mutation(
        "right predictions are counted, not weighed, in training",
        "cpp/network/epoch.cpp",
        "if (request_.sample_weights == nullptr) {\n    return",
        "if (batch.size > 0) {\n    return",
    ),
    Mutation(
        "right predictions are counted, not weighed, in evaluations",
        "cpp/bindings/bind_network.cpp",
        "right += outputs.sample_weights == nullptr ? 1 :",
        "right += true ? 1 :",
    ),
    Mutation(
        "weights of validation data are not heard",
        "python/fastmlp/network/network.py",
        "weights = data[2] if len(data) == 3 else None",
        "weights = None",
    ),
]
