"""Bugs in defaults, diagnosis and measures, to be planted one at a time."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["JUDGEMENT_MUTATIONS"]

JUDGEMENT_MUTATIONS = [
    Mutation(
        "sparse samples are not standardized",
        "python/fastmlp/network/standardization.py",
        "self._finite(name, elements / self.deviation[columns], dtype)",
        "self._finite(name, elements, dtype)",
    ),
    Mutation(
        "outputs begin at the mean in units of 1",
        "python/fastmlp/training/defaults.py",
        "        weights[..., outputs] *= deviation\n",
        "",
    ),
    Mutation(
        "steps of the last layer are in units of 1",
        "python/fastmlp/training/defaults.py",
        "Group(rate=unit)",
        "Group(rate=1.0)",
    ),
    Mutation(
        "gradients by standardized inputs",
        "python/fastmlp/network/network.py",
        "            scaled = (scaled / self._standardization.deviation).astype(self.dtype)\n",
        "            scaled = scaled.astype(self.dtype)\n",
    ),
    Mutation(
        "samples without weight decide about scales",
        "python/fastmlp/network/network.py",
        "                rows = rows[weights != 0]\n",
        "                rows = rows[weights >= 0]\n",
    ),
    Mutation(
        "a training state forgets the standardization",
        "python/fastmlp/network/standardization.py",
        "        return {_FACTOR: np.array(self.factor), **named}\n",
        "        return {_FACTOR: np.array(self.factor)}\n",
    ),
    Mutation(
        "any fit decides about scales again",
        "python/fastmlp/model.py",
        "        return self._is_as_drawn and last.refusal is None and not stepped\n",
        "        return self._is_as_drawn and last.refusal is None\n",
    ),
    Mutation(
        "dead units are those that are 0 once",
        "python/fastmlp/diagnosis/units.py",
        "(outputs == 0).all(axis=0)",
        "(outputs == 0).any(axis=0)",
    ),
    Mutation(
        "skill by the loss of training samples",
        "python/fastmlp/diagnosis/evidence.py",
        '        return self._skill(self.measured.get("loss"), 1)\n',
        '        return self._skill(self.course("loss")[-1], 0)\n',
    ),
    Mutation(
        "constants without weights of classes",
        "python/fastmlp/diagnosis/evidence.py",
        "                counts = np.bincount(labels_of(data, outputs), weights, minlength=outputs)\n",
        "                counts = np.ones(outputs)\n",
    ),
    Mutation(
        "a linear model sees hidden units",
        "python/fastmlp/experiment/judgement.py",
        "        [architecture.layer_sizes[0], architecture.layer_sizes[-1]],\n",
        "        [architecture.layer_sizes[0], 4, architecture.layer_sizes[-1]],\n",
    ),
]
