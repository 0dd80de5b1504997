"""The bugs that mutations.py plants: one kind of mistake each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str


MUTATIONS = [
    Mutation(
        "last step of the depth dropped",
        "cpp/kernels/gemm.inl.hpp",
        "for (std::int64_t k = 0; k < depth; ++k, a += kDepthStep",
        "for (std::int64_t k = 0; k < depth - (depth % 7 == 1); ++k, a += kDepthStep",
    ),
    Mutation(
        "depth blocks overwrite instead of accumulating",
        "cpp/kernels/gemm.inl.hpp",
        "acc[i][j] = block.partial != nullptr ? load",
        "acc[i][j] = false ? load",
    ),
    Mutation(
        "edge tile starts at the wrong row",
        "cpp/kernels/gemm.inl.hpp",
        "row += height + tall;",
        "row += height;",
    ),
    Mutation(
        "missing zero padding of the transpose",
        "cpp/kernels/gemm.inl.hpp",
        "i0 + i < rows ? load",
        "i0 + i < kPanel<T> ? load",
    ),
    Mutation(
        "bias added twice",
        "cpp/kernels/activation.inl.hpp",
        "load(z + at) + load(bias + j * kLanes<T>)",
        "load(z + at) + load(bias + j * kLanes<T>) * splat<T>(2)",
    ),
    Mutation(
        "derivative of the logistic function",
        "cpp/kernels/activation.inl.hpp",
        "return output * (splat<T>(1) - output);",
        "return output * (splat<T>(1) + output);",
    ),
    Mutation(
        "derivative of tanh",
        "cpp/kernels/activation.inl.hpp",
        "fma(-output, output, splat<T>(1))",
        "splat<T>(1) - output",
    ),
    Mutation(
        "label off by one",
        "cpp/kernels/class_loss.inl.hpp",
        "gradient[label_at] -= scale;",
        "gradient[label_at + (label + 1 < call.outputs && (label + 1) % kPanel<T> != 0)] -= scale;",
    ),
    Mutation(
        "softmax without its maximum",
        "cpp/kernels/output_row.inl.hpp",
        "exp<T>(part - splat<T>(maximum))",
        "exp<T>(part)",
    ),
    Mutation(
        "missing division by the batch",
        "cpp/network/epoch.cpp",
        "static_cast<T>(1 / batch.weight)",
        "T{1}",
    ),
    Mutation(
        "ragged last batch divided by the full batch size",
        "cpp/network/epoch.cpp",
        "static_cast<T>(1 / batch.weight)",
        "static_cast<T>(1.0 / static_cast<double>(state_.batch_size))",
    ),
    Mutation(
        "sign of the momentum",
        "cpp/kernels/optimizer.inl.hpp",
        "slot[0] = fma(splat<T>(s.momentum), slot[0], splat<T>(-s.learning_rate) * g);",
        "slot[0] = fma(splat<T>(-s.momentum), slot[0], splat<T>(-s.learning_rate) * g);",
    ),
    Mutation(
        "Nesterov with the old velocity",
        "cpp/kernels/optimizer.inl.hpp",
        "w += fma(splat<T>(s.momentum), slot[0], descent);",
        "w += slot[0];",
    ),
    Mutation(
        "L2 on the biases",
        "cpp/ops/gradient_sink.hpp",
        "settings.l1 = settings.l2 = 0;",
        "",
    ),
    Mutation(
        "backward-data leaves out the activation",
        "cpp/ops/dense.cpp",
        "apply_derivative(kernels, derivative, {row, row + samples}, p, result);",
        "",
    ),
    Mutation(
        "first bias gradient only",
        "cpp/ops/dense.cpp",
        "if (in_panel > 0 || layer.normalises()) continue;",
        "if (in_panel > 0 || layer.normalises() || out_panel > 0) continue;",
    ),
    Mutation(
        "shuffle ignores the epoch",
        "cpp/network/initializer.cpp",
        "RandomPurpose::shuffle, epoch)",
        "RandomPurpose::shuffle, 0 * epoch)",
    ),
    Mutation(
        "input scale applied twice",
        "cpp/network/input.cpp",
        "static_cast<T>(spec.input_scale)",
        "static_cast<T>(spec.input_scale * spec.input_scale)",
    ),
    Mutation(
        "targets not shuffled with the samples",
        "cpp/network/epoch.cpp",
        ".index = order_ == nullptr ? nullptr : order_ + first,",
        ".index = nullptr,",
    ),
    Mutation(
        "Adam without the correction of its mean",
        "cpp/network/step_settings.cpp",
        "step_size = learning_rate / (1 - beta1_product);",
        "step_size = learning_rate;",
    ),
    Mutation(
        "steps counted anew in each epoch",
        "cpp/network/epoch.cpp",
        "state_.moments = moments;",
        "",
    ),
    Mutation(
        "decay on the biases",
        "cpp/ops/gradient_sink.hpp",
        "settings.shrink = 1;",
        "",
    ),
    Mutation(
        "columns are taken from the wrong features",
        "cpp/kernels/gather.inl.hpp",
        "x[columns[k + j]]",
        "x[k + j]",
    ),
    Mutation(
        "weights of columns left out stand still",
        "cpp/network/update.cpp",
        "if (batch.idle != nullptr && trains(1)) {",
        "if (false) {",
    ),
    Mutation(
        "a member leaves out columns that are live in the rows of another",
        "cpp/network/input.cpp",
        "for (const View& view : views_) seen |= view.marks[k];",
        "seen |= mine.marks[k];",
    ),
    Mutation(
        "blocks of a group counted wrong",
        "cpp/ops/dense.cpp",
        "in_panel = (block - first * x.count()) / group",
        "in_panel = (block - first * x.count()) % x.count()",
    ),
    Mutation(
        "partial sums of backward-data start anew",
        "cpp/ops/dense.cpp",
        ".c = scratch,\n                       .accumulate = depth.begin > 0};",
        ".c = scratch,\n                       .accumulate = false};",
    ),
    Mutation(
        "no barrier before a layer split by outputs",
        "cpp/network/plan.hpp",
        "return splits[layer] == Split::outputs ||",
        "return false &&",
    ),
    Mutation(
        "an allocation in every step",
        "cpp/network/epoch.cpp",
        "  const std::int64_t size = batch_size(first);\n",
        "  const std::int64_t size = batch_size(first);\n  const std::vector<char> spare(static_cast<std::size_t>(size));\n",
    ),
    Mutation(
        "GELU without the density in its slope",
        "cpp/kernels/activation.inl.hpp",
        "return fma(z, density, normal_cdf<T>(z));",
        "return normal_cdf<T>(z);",
    ),
    Mutation(
        "slopes are kept without the dropout mask",
        "cpp/kernels/random.inl.hpp",
        "if (slopes != nullptr) store(slopes + at, load(slopes + at) * factor);",
        "",
    ),
    Mutation(
        "kept units are not scaled up",
        "cpp/ops/dense.cpp",
        "static_cast<T>(1 / (1 - dropout.rate))",
        "T{1}",
    ),
    Mutation(
        "the same dropout mask in every step",
        "cpp/network/epoch.cpp",
        "batch.step = static_cast<std::uint32_t>(moments.steps);",
        "batch.step = 0;",
    ),
    Mutation(
        "the same dropout mask in every layer",
        "cpp/network/epoch.cpp",
        "static_cast<std::uint32_t>(level), batch.step",
        "1, batch.step",
    ),
    Mutation(
        "a mask begins anew with each thread's rows",
        "cpp/ops/random.hpp",
        ".row = rows.begin,",
        ".row = 0,",
    ),
    Mutation(
        "batch normalisation without the gradient by the variance",
        "cpp/kernels/batch_norm.inl.hpp",
        "const Vec<T> mean_scale = from_batch ? scale / count : Vec<T>{};",
        "const Vec<T> mean_scale{};",
    ),
    Mutation(
        "biased running variance",
        "cpp/ops/batch_norm.cpp",
        "values.rows > 1 ? rows / (rows - 1) : T{1}",
        "T{1}",
    ),
    Mutation(
        "running moments move in loss_and_gradients",
        "cpp/network/epoch.cpp",
        "request_.training && state_.updates && update_.trains(l)",
        "request_.training",
    ),
    Mutation(
        "bias of a normalised layer updated twice",
        "cpp/ops/dense.cpp",
        "if (in_panel > 0 || layer.normalises()) continue;",
        "if (in_panel > 0) continue;",
    ),
    Mutation(
        "frozen layers are trained",
        "cpp/network/update.hpp",
        "return request_.trainable.empty() || request_.trainable[static_cast<std::size_t>(l - 1)];",
        "return l > 0;",
    ),
    Mutation(
        "clipping by the norm of one layer",
        "cpp/network/update.cpp",
        "total += sums[first_column + j];",
        "total = sums[first_column + j];",
    ),
    Mutation(
        "max-norm of rows taken for squares",
        "cpp/kernels/batch_norm.inl.hpp",
        "const Vec<T> norm = sqrt(squares);",
        "const Vec<T> norm = squares;",
    ),
    Mutation(
        "average moves by its decay",
        "cpp/network/update.cpp",
        "kernels_.move_averages(count, decay,",
        "kernels_.move_averages(count, 1 - decay,",
    ),
    Mutation(
        "sample weights do not enter the gradient",
        "cpp/kernels/elementwise_loss.inl.hpp",
        "splat<T>(call.scale * sample_weight)",
        "splat<T>(call.scale)",
    ),
    Mutation(
        "second group of outputs reads the first one's place",
        "cpp/ops/loss.cpp",
        "copy_columns<false>(outputs, group.first,",
        "copy_columns<false>(outputs, 0,",
    ),
    Mutation(
        "smoothing leaves the class at one",
        "cpp/kernels/class_loss.inl.hpp",
        "(T{1} - call.smoothing) * share + spread",
        "share + spread",
    ),
    Mutation(
        "sparse rows at the feature's own place",
        "cpp/network/input.cpp",
        "places == nullptr ? samples.columns[i] : places[samples.columns[i]]",
        "samples.columns[i] % panels.cols",
    ),
    Mutation(
        "a resumed run forgets its velocities",
        "cpp/bindings/bind_training.cpp",
        "state.mlp.set(kind, l, values.data(), arrays);",
        "",
    ),
    Mutation(
        "resumed schedule forgets the losses",
        "python/fastmlp/continuation.py",
        "        schedule.restore(saved[1])",
        "        schedule.reset()",
    ),
    Mutation(
        "best of a resumed run is its checkpoint",
        "python/fastmlp/experiment/runner.py",
        "outcome.best_parameters = checkpoint.best or checkpoint.parameters",
        "outcome.best_parameters = checkpoint.parameters",
    ),
    Mutation(
        "checkpoint without the state of averages",
        "cpp/bindings/bind_training.cpp",
        "  state.shows_averages = values[3] != 0;",
        "  state.shows_averages = false;",
    ),
    Mutation(
        "sums of an epoch begin with each call",
        "cpp/network/trainer.cpp",
        "return goes_on ? position.sums : Progress{};",
        "return Progress{};",
    ),
    Mutation(
        "an average counts twice where its epoch was cut",
        "cpp/network/trainer.cpp",
        "  if (state_.averaged) return;\n",
        "",
    ),
    Mutation(
        "running moments move before the step is sure",
        "cpp/network/epoch.cpp",
        "    if (halted) return;\n    move_running_moments(batch, member);",
        "    move_running_moments(batch, member);\n    if (halted) return;",
    ),
    Mutation(
        "a cut epoch diverges to the weights of the cut",
        "python/fastmlp/continuation.py",
        "return self.run.state(with_start=not between)",
        "return self.run.state()",
    ),
    Mutation(
        "callbacks forget on resume",
        "python/fastmlp/continuation.py",
        "        if resumes and key in progress.states:",
        "        if False:",
    ),
    Mutation(
        "a callback is told twice",
        "python/fastmlp/training.py",
        "            if key in self._now.told:",
        "            if False:",
    ),
    Mutation(
        "a stop is forgotten where another callback raises",
        "python/fastmlp/continuation.py",
        "stops=self.stops or stops, **changes)",
        "stops=False, **changes)",
    ),
    Mutation(
        "the plan is that of the last fit",
        "python/fastmlp/resumption.py",
        "epochs=max(epochs, old.epochs))",
        "epochs=epochs)",
    ),
    Mutation(
        "a changed plan is guessed",
        "python/fastmlp/resumption.py",
        "        if not np.array_equal(planned, schedule",
        "        if False and not np.array_equal(planned, schedule",
    ),
    Mutation(
        "the last run is given up before the next one stands",
        "python/fastmlp/continuation.py",
        "        self.saved = state\n        self.run = None\n",
        "        self.saved = None\n        self.run = None\n",
    ),
    Mutation(
        "going on from the weights that are shown",
        "python/fastmlp/training.py",
        "            self.model.put_parameters(self._now.kept)\n",
        "            pass\n",
    ),
    Mutation(
        "a file without state resumes in silence",
        "python/fastmlp/storage.py",
        "        elif trained:",
        "        elif False:",
    ),
    Mutation(
        "rows of epochs that are done again stay in the log",
        "python/fastmlp/loggers.py",
        "            os.truncate(self._path, self._size)\n",
        "            pass\n",
    ),
    Mutation(
        "an estimator shuffles a cut epoch anew",
        "python/fastmlp/estimators/moment.py",
        "            estimator._random_state.set_state(self.random)",
        "            pass",
    ),
    Mutation(
        "old checkpoints go first",
        "python/fastmlp/experiment/checkpoint.py",
        "        checkpoint.save(self.directory",
        "        [p.unlink() for p in self._files()]\n        checkpoint.save(self.directory",
    ),
    Mutation(
        "data not compared on resume",
        "python/fastmlp/experiment/runner.py",
        "if expected is not None and dict(expected) != dict(actual):",
        "if False:",
    ),
    Mutation(
        "settings before the environment",
        "python/fastmlp/cli/training.py",
        "        run.write_json(run.environment_path, runner.facts(experiment))\n        run.write_config(experiment.config)\n",
        "        run.write_config(experiment.config)\n        run.write_json(run.environment_path, runner.facts(experiment))\n",
    ),
    Mutation(
        "patience counts one less",
        "python/fastmlp/experiment/keeper.py",
        "since_best < self._patience",
        "since_best < self._patience + 1",
    ),
    Mutation(
        "time limit ignored",
        "python/fastmlp/experiment/keeper.py",
        'elapsed + record["seconds"] > self._max_time',
        "False",
    ),
    Mutation(
        "test part selects the best",
        "python/fastmlp/experiment/runner.py",
        "        return self.prepared.validation is not None\n",
        "        return True\n",
    ),
    Mutation(
        "schedule defaults not written",
        "python/fastmlp/experiment/build.py",
        '            "schedule": _explicit_schedule(config),\n',
        "",
    ),
    Mutation(
        "digest leaves the config out",
        "python/fastmlp/model_file.py",
        "    add(config_text.encode())\n",
        "",
    ),
    Mutation(
        "lock not taken",
        "python/fastmlp/experiment/locking.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
    ),
    Mutation(
        "overwrite of a run in use",
        "python/fastmlp/experiment/rundir.py",
        "        with run.locked():\n            run._remove_old()\n",
        "        run._remove_old()\n",
    ),
    Mutation(
        "freeze ignored",
        "python/fastmlp/experiment/build.py",
        "        model.freeze(list(config.training.freeze))\n",
        "        pass\n",
    ),
]
