"""Bugs in trainings on sources, to be planted one at a time."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["STREAM_MUTATIONS"]

STREAM_MUTATIONS = [
    Mutation(
        "samples of a resumed epoch are those of its begin",
        "python/fastmlp/training/stream.py",
        "        self._needed = self._start(first_step)  # the first one that is\n",
        "        self._needed = 0\n        self._read = self._start(first_step)\n",
    ),
    Mutation(
        "memory of steps that are to come is freed",
        "python/fastmlp/training/stream.py",
        "            pages.release(self._start(step))\n",
        "            pages.release(self._start(step + 64))\n",
    ),
    Mutation(
        "memory is kept until the end of the epoch",
        "python/fastmlp/training/loop.py",
        "            reading.release(first + count)\n",
        "            pass\n",
    ),
    Mutation(
        "a place of the buffer is drawn anew before all have left",
        "python/fastmlp/training/stream.py",
        "                places = places[len(now) :]\n",
        "                places = places[:0]\n",
    ),
    Mutation(
        "every epoch of a source has one order",
        "python/fastmlp/training/stream.py",
        "np.random.SeedSequence([self.seed, epoch])",
        "np.random.SeedSequence([self.seed, 0])",
    ),
    Mutation(
        "the order of a source does not depend on the seed",
        "python/fastmlp/training/stream.py",
        "np.random.SeedSequence([self.seed, epoch])",
        "np.random.SeedSequence([0, epoch])",
    ),
    Mutation(
        "chunks come in their order",
        "python/fastmlp/training/stream.py",
        "        order = None if count is None else",
        "        order = None if count is not None else",
    ),
    Mutation(
        "a source that grows is cut",
        "python/fastmlp/training/stream.py",
        "        if len(block) > left and not self._stream.limit:\n",
        "        if False:\n",
    ),
    Mutation(
        "a source that shrinks is taken",
        "python/fastmlp/training/stream.py",
        "        if self._read < planned.samples and planned.samples != UNKNOWN and not limited:\n",
        "        if False:\n",
    ),
    Mutation(
        "batches of a network with batch normalization are those of others",
        "python/fastmlp/model.py",
        "            divides_evenly=any(self.architecture.batch_normalization),\n",
        "            divides_evenly=False,\n",
    ),
    Mutation(
        "a resumed epoch may have another buffer",
        "python/fastmlp/model.py",
        "buffer if shuffle else 0",
        "0 * buffer or 1",
    ),
    Mutation(
        "the thread reads without bound",
        "python/fastmlp/training/read_ahead.py",
        "                self._free.acquire()\n",
        "",
    ),
    Mutation(
        "the thread outlives its training",
        "python/fastmlp/training/read_ahead.py",
        "        if self._thread.ident is not None:\n            self._thread.join()\n",
        "",
    ),
    Mutation(
        "errors of the thread are lost",
        "python/fastmlp/training/read_ahead.py",
        "        if error is not None:\n            raise error\n",
        "",
    ),
    Mutation(
        "chunks of other types of targets are converted",
        "python/fastmlp/network/chunks.py",
        "            if mine.dtype != wanted.dtype or mine.shape[1:] != wanted.shape[1:]:\n",
        "            if mine.shape[1:] != wanted.shape[1:] and mine.dtype == wanted.dtype:\n",
    ),
    Mutation(
        "chunks of an iterator that were looked at are lost",
        "python/fastmlp/network/chunks.py",
        "                self.source.put_back(taken)\n",
        "                pass\n",
    ),
    Mutation(
        "the whole first chunk decides how inputs are scaled",
        "python/fastmlp/network/chunks.py",
        "    return np.concatenate([np.asarray(bounded(part)) for part in parts])[:rows]\n",
        "    return np.concatenate([np.asarray(bounded(part)) for part in parts])\n",
    ),
]
