"""Planted bugs of trainings that go on where they were cut."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["CONTINUATION"]

CONTINUATION = [
    Mutation(
        "sums of an epoch begin with each call",
        "cpp/network/trainer.cpp",
        "return continues ? position.sums : Progress{};",
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
        "cpp/network/step.cpp",
        "    add(PassKind::check_stop, Share::whole,\n"
        "        {reads(Buffer::stop, 0, Share::whole), reads(Buffer::diverged, 0, Share::whole)});\n"
        "    for (std::size_t l = 0; l < layers_; ++l) {\n"
        "      if (!spec_.layers[l].batch_norm) continue;\n"
        "      add(PassKind::update_running_moments, l, Share::outputs,\n"
        "          {reads(Buffer::batch_moments, l, Share::outputs), writes(Buffer::parameters, l, Share::outputs)});\n"
        "    }\n",
        "    for (std::size_t l = 0; l < layers_; ++l) {\n"
        "      if (!spec_.layers[l].batch_norm) continue;\n"
        "      add(PassKind::update_running_moments, l, Share::outputs,\n"
        "          {reads(Buffer::batch_moments, l, Share::outputs), writes(Buffer::parameters, l, Share::outputs)});\n"
        "    }\n"
        "    add(PassKind::check_stop, Share::whole,\n"
        "        {reads(Buffer::stop, 0, Share::whole), reads(Buffer::diverged, 0, Share::whole)});\n",
    ),
    Mutation(
        "a cut epoch diverges to the weights of the cut",
        "python/fastmlp/training/continuation.py",
        "return run.state(with_start=not between)",
        "return run.state()",
    ),
    Mutation(
        "callbacks forget on resume",
        "python/fastmlp/training/dispatch.py",
        "            if resumes and key in now.states:",
        "            if False:",
    ),
    Mutation(
        "a callback is told twice",
        "python/fastmlp/training/dispatch.py",
        "            if key in self._now.told:",
        "            if False:",
    ),
    Mutation(
        "a stop is forgotten where another callback raises",
        "python/fastmlp/training/continuation.py",
        "stops=self.stops or stops, **changes)",
        "stops=False, **changes)",
    ),
    Mutation(
        "the plan is that of the last fit",
        "python/fastmlp/training/resumption.py",
        "epochs=max(epochs, old.epochs))",
        "epochs=epochs)",
    ),
    Mutation(
        "a changed plan is guessed",
        "python/fastmlp/training/resumption.py",
        "        if not np.array_equal(planned, schedule",
        "        if False and not np.array_equal(planned, schedule",
    ),
    Mutation(
        "the last run is given up before the next one stands",
        "python/fastmlp/training/continuation.py",
        "        self.saved = state\n        self.run = None\n",
        "        self.saved = None\n        self.run = None\n",
    ),
    Mutation(
        "going on from the weights that are shown",
        "python/fastmlp/training/loop.py",
        "            self.model._put_parameters(self._now.kept)\n",
        "            pass\n",
    ),
    Mutation(
        "a file without state resumes in silence",
        "python/fastmlp/stored_model.py",
        "    if was_trained and not state:",
        "    if False:",
    ),
    Mutation(
        "rows of epochs that are done again stay in the log",
        "python/fastmlp/loggers.py",
        "            os.truncate(self._path, self._size)\n",
        "            pass\n",
    ),
    Mutation(
        "an estimator shuffles a cut epoch anew",
        "python/fastmlp/estimators/session.py",
        "        session.restore_random(estimator, self.random, self.drawn)\n",
        "",
    ),
    Mutation(
        "an estimator counts orders but does not draw them again",
        "python/fastmlp/estimators/session.py",
        "        for _ in range(drawn):",
        "        for _ in range(0):",
    ),
    Mutation(
        "a run is kept for other shards",
        "python/fastmlp/training/run.py",
        "arguments == self._arguments",
        "arguments[:-1] == self._arguments[:-1]",
    ),
    Mutation(
        "an estimator's best parameters come before note of its last ones",
        "python/fastmlp/estimators/base.py",
        "        if final is last:\n            session.settle(session.progress.changed(kept=None))\n"
        "        else:\n            self._set_parameters(final)\n",
        "        session.settle(session.progress.changed(kept=None))\n        if final is not last:\n"
        "            self._set_parameters(final)\n"
        "            session.settle(session.progress.changed(kept=last.named()))\n",
    ),
    Mutation(
        "a network made anew counts before it has its parameters",
        "python/fastmlp/estimators/base.py",
        "            session.is_ahead = False\n        else:",
        "        else:",
    ),
    Mutation(
        "a training that had converged is not finished",
        "python/fastmlp/estimators/base.py",
        "            parameters = session.latest(parameters)\n",
        "            if self._plateau.count > self._used.n_iter_no_change:\n                return\n"
        "            parameters = session.latest(parameters)\n",
    ),
    Mutation(
        "a closed writer is kept",
        "python/fastmlp/loggers.py",
        '        writer, self._writer = getattr(self, "_writer", None), None\n'
        "        if writer is not None:\n            writer.close()\n",
        '        writer = getattr(self, "_writer", None)\n'
        "        if writer is not None:\n            writer.close()\n        self._writer = None\n",
    ),
    Mutation(
        "a fit that was cut before it began is gone on with",
        "python/fastmlp/estimators/base.py",
        '                mode = "fit"\n',
        "                pass\n",
    ),
    Mutation(
        "a signal writes no checkpoint",
        "python/fastmlp/cli/commands/train.py",
        "                    save_checkpoint(model, run, outcome)\n",
        "                    pass\n",
    ),
    Mutation(
        "an epoch is noted twice after a signal",
        "python/fastmlp/experiment/runner.py",
        '        if outcome.records and outcome.records[-1]["epoch"] == record["epoch"]:\n'
        "            return self._ends(record)  # a signal interrupted the callbacks after the recording\n",
        "",
    ),
]
