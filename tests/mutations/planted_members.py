"""Bugs of networks for tables: the input stage, members of an ensemble, mixes, rates of arrays."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["MEMBER_MUTATIONS"]

INPUT = "cpp/ops/input_stage.cpp"
DENSE = "cpp/ops/dense.cpp"
MEMBERS = "cpp/ops/members.cpp"
EPOCH = "cpp/network/epoch.cpp"
SETTINGS = "cpp/network/step_settings.cpp"
INITIALIZER = "cpp/network/initializer.cpp"

MEMBER_MUTATIONS = [
    Mutation(
        "inputs of all members have the scales of the first",
        INPUT,
        "layer.input_scales + member * layer.input_stride + p * inputs.panel, source, destination);",
        "layer.input_scales + p * inputs.panel, source, destination);",
    ),
    Mutation(
        "gradient by the inputs with the scales of the first member",
        INPUT,
        "kernels.scale_columns(part.size(), vectors, layer.input_scales + first, own, own);",
        "kernels.scale_columns(part.size(), vectors, layer.input_scales + p * gradient.panel, own, own);",
    ),
    Mutation(
        "gradients of the input scales of all members but the last lost",
        INPUT,
        "inputs.at(p, shared ? 0 : part.begin), dscales + first);",
        "inputs.at(p, shared ? 0 : part.begin), dscales + p * gradient.panel);",
    ),
    Mutation(
        "gradient by the inputs of the second member lost",
        INPUT,
        "for (std::int64_t member = 1; member < members; ++member) {",
        "for (std::int64_t member = 2; member < members; ++member) {",
    ),
    Mutation(
        "unknown codes are those of the first level",
        INPUT,
        "const T* entry = table + (level < 0 ? group.levels : level) * group.outputs;",
        "const T* entry = table + (level < 0 ? 0 : level) * group.outputs;",
    ),
    Mutation(
        "gradient of unknown codes for the first level",
        INPUT,
        "(level < 0 ? group.levels : level) * group.outputs;\n    for (std::int64_t i = 0; i < group.outputs; ++i) entry[i] +=",
        "(level < 0 ? 0 : level) * group.outputs;\n    for (std::int64_t i = 0; i < group.outputs; ++i) entry[i] +=",
    ),
    Mutation(
        "gradient of a level that occurs twice from one row",
        INPUT,
        "entry[i] += gradient[i * rows + row];",
        "entry[i] = gradient[i * rows + row];",
    ),
    Mutation(
        "one-hot inputs are always off",
        INPUT,
        "values[2 * level + 1]",
        "values[2 * level]",
    ),
    Mutation(
        "numbers are not clipped",
        INPUT,
        "if (group.group.clip == 0) continue;",
        "if (group.group.clip >= 0) continue;",
    ),
    Mutation(
        "embeddings of all columns with the parameters of the first",
        INPUT,
        "return array.data == nullptr ? nullptr : array.data + j * array.size();",
        "return array.data == nullptr ? nullptr : array.data;",
    ),
    Mutation(
        "gradient of the mixes without the mask of dropout",
        DENSE,
        "first_of(output.derivatives),\n                    first_of(output.residues));",
        "first_of(output.derivatives),\n                    nullptr);",
    ),
    Mutation(
        "biases and mixes of the first member for all",
        DENSE,
        "const std::int64_t first = member * layer.output_stride + p * output.values.panel;",
        "const std::int64_t first = p * output.values.panel;",
    ),
    Mutation(
        "all members update the weights of the first",
        DENSE,
        "const Panels<T> weights = layer.weights_of(copy);\n  const std::int64_t panel",
        "const Panels<T> weights = layer.weights_of(0);\n  const std::int64_t panel",
    ),
    Mutation(
        "back through the weights of the first member",
        EPOCH,
        "const Panels<T> weights = layer.weights_of(copy);\n    if (!by_rows)",
        "const Panels<T> weights = layer.weights_of(0);\n    if (!by_rows)",
    ),
    Mutation(
        "loss is the sum of the members' losses",
        EPOCH,
        "const double weight = batch.weight * static_cast<double>(spec_.members);",
        "const double weight = batch.weight;",
    ),
    Mutation(
        "members have the targets of the batch's first rows",
        EPOCH,
        "const std::int64_t first = batch.first + rows.begin - member * batch.size;",
        "const std::int64_t first = batch.first;",
    ),
    Mutation(
        "members measure their batches by the order of the first",
        EPOCH,
        "const std::int64_t* order = order_.of_member(member);\n  const double",
        "const std::int64_t* order = order_.of_member(0);\n  const double",
    ),
    Mutation(
        "members take the samples of the first",
        EPOCH,
        "request_.samples, order_.of_member(member), first, {}, inputs, part);",
        "request_.samples, order_.of_member(0), first, {}, inputs, part);",
    ),
    Mutation(
        "members take the columns of the samples of the first",
        EPOCH,
        "request_.samples, order_.of_member(member), first, {}, gathered, part);",
        "request_.samples, order_.of_member(0), first, {}, gathered, part);",
    ),
    Mutation(
        "weight of a batch is that of the first member's",
        EPOCH,
        "weight += static_cast<double>(request_.sample_weights[order_.sample(member, place)]);",
        "weight += static_cast<double>(request_.sample_weights[order_.sample(0, place)]);",
    ),
    Mutation(
        "embeddings learn from the batch of the first member",
        "cpp/network/update.cpp",
        "memory.batch().inputs, sink, memory.input_scratch());",
        "memory.batch().size, sink, memory.input_scratch());",
    ),
    Mutation(
        "all members draw the same order",
        INITIALIZER,
        "random.below(first + static_cast<std::uint64_t>(i), i + 1)",
        "random.below(0 * first + static_cast<std::uint64_t>(i), i + 1)",
    ),
    Mutation(
        "factor of dropout ignored",
        EPOCH,
        "factors[step] : 1}",
        "1 : 1}",
    ),
    Mutation(
        "decay of a step ignored",
        EPOCH,
        "of_step(request_.decays, settings.decay)",
        "settings.decay",
    ),
    Mutation(
        "logits of members are averaged",
        MEMBERS,
        "kernels.softmax(1, row.cols, row.data, row.stride());",
        "return;",
    ),
    Mutation(
        "outputs of members are added",
        MEMBERS,
        "sum.data[i] /= static_cast<T>(members);",
        "sum.data[i] /= T{1};",
    ),
    Mutation(
        "moments of all members together",
        "cpp/ops/batch_norm.cpp",
        "for_members(layer.vector_copies(), values.rows, {0, values.rows}, [&]",
        "for_members(std::int64_t{1}, values.rows, {0, values.rows}, [&]",
    ),
    Mutation(
        "rates of groups of inputs for layers",
        SETTINGS,
        "own_[array.index + (is_of_inputs(array.kind) ? layers_ : 0)]",
        "own_[array.index]",
    ),
    Mutation(
        "factor of an array's decay ignored",
        SETTINGS,
        "* array.rate * array.decay;",
        "* array.rate;",
    ),
    Mutation(
        "factor of an array's epsilon ignored",
        SETTINGS,
        "own.epsilon *= array.epsilon;",
        "",
    ),
    Mutation(
        "inputs are trained where the first layer is frozen",
        "cpp/network/update.cpp",
        "if (group.is_trained() && trains(0)) columns",
        "if (group.is_trained()) columns",
    ),
    Mutation(
        "kept gradients of inputs are forgotten",
        "cpp/network/update.cpp",
        "const bool trained = is_of_inputs(array.kind) ? trains(0) : trains(array.index);",
        "const bool trained = !is_of_inputs(array.kind) && trains(array.index);",
    ),
    Mutation(
        "members scale inputs that others have still to embed",
        "cpp/network/step.cpp",
        "spec_.members > spec_.input_copies() ? Share::whole : Share::rows)",
        "Share::rows)",
    ),
    Mutation(
        "fitted biases put kinks on the other side",
        INITIALIZER,
        "return static_cast<T>(-combination / total);",
        "return static_cast<T>(combination / total);",
    ),
    Mutation(
        "layers are fitted to what no activation has passed",
        INITIALIZER,
        "dense_finish<T>(kernels, layer, {z}, {}, {0, rows}, p);",
        "",
    ),
    Mutation(
        "deviation of a rounded mean",
        INITIALIZER,
        "deviation > kRounding * std::fabs(mean) ? deviation : T{1};",
        "deviation > 0 * kRounding * std::fabs(mean) ? deviation : T{1};",
    ),
    Mutation(
        "hidden layers of members overlap",
        "cpp/network/inference.cpp",
        "hidden + (member * all + rows.begin) * values.cols",
        "hidden + (member + rows.begin) * values.cols",
    ),
]
