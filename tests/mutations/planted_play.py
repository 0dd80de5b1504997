"""Bugs of the playground: other bits than those of the program, and pictures of something else."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["PLAY_MUTATIONS"]

PLAY_MUTATIONS = [
    Mutation(
        "playground: a step is counted from the start of the epoch",
        "python/fastmlp/play/course.py",
        "end = self.epoch * self.steps_per_epoch + step",
        "end = step",
    ),
    Mutation(
        "playground: the program forgets to resume",
        "python/fastmlp/play/program.py",
        'resume = "resume=True, " if place else ""',
        'resume = ""',
    ),
    Mutation(
        "playground: a change in an epoch counts for all of it",
        "python/fastmlp/play/session.py",
        "start = course.epoch + (1 if course.step else 0)",
        "start = course.epoch",
    ),
    Mutation(
        "playground: epochs of two phases in one call",
        "python/fastmlp/play/course.py",
        "most = max(1, min([goal[0], MOST_EPOCHS, *later]) - self.epoch)",
        "most = max(1, min([goal[0], MOST_EPOCHS]) - self.epoch)",
    ),
    Mutation(
        "playground: a training that diverged goes on with a new optimizer",
        "python/fastmlp/play/course.py",
        "self._return_to_kept(epochs=len(self.model.history.loss) - self._known)",
        "self.step = 0",
    ),
    Mutation(
        "playground: a training that diverged loses the epochs since the last call",
        "python/fastmlp/play/course.py",
        "self._fit(epochs)\n",
        "pass\n",
    ),
    Mutation(
        "playground: the penalty is left out",
        "python/fastmlp/play/program.py",
        "    if phase.l2:\n",
        "    if phase.l2 < 0:\n",
    ),
    Mutation(
        "playground: a client that leaves lets another thread in",
        "python/fastmlp/play/live.py",
        "return await asyncio.shield(self._alone(work))",
        "return await self._alone(work)",
    ),
    Mutation(
        "playground: a session ends while a tab reads it",
        "python/fastmlp/play/live.py",
        "if not self._live[name].readers:",
        "if name in self._live:",
    ),
    Mutation(
        "playground: a form of another page opens a session",
        "python/fastmlp/play/application.py",
        'kind.strip().lower() != "application/json"',
        'kind.strip().lower() == "application/xml"',
    ),
    Mutation(
        "playground: the plane is upside down",
        "python/fastmlp/play/picture.py",
        "np.meshgrid(along, along[::-1])",
        "np.meshgrid(along, along)",
    ),
    Mutation(
        "playground: pictures of units have the scale of the last one",
        "python/fastmlp/play/picture.py",
        "top = float(np.abs(outputs).max())",
        "top = float(np.abs(outputs[:, -1]).max())",
    ),
    Mutation(
        "playground: regions show the least likely class",
        "python/fastmlp/play/picture.py",
        "winners: Array = outputs.argmax(axis=1)",
        "winners: Array = outputs.argmin(axis=1)",
    ),
    Mutation(
        "playground: the curve ends before the last epoch",
        "python/fastmlp/play/picture.py",
        "places.append(count - 1)",
        "pass",
    ),
    Mutation(
        "playground: a drawing is not moved to its center of mass",
        "python/fastmlp/play/digits.py",
        "np.rint(_CENTER - center)",
        "np.rint(_CENTER - side / 2)",
    ),
    Mutation(
        "playground: the test part is trained",
        "python/fastmlp/play/program.py",
        "return self.x[: self.trained], self.y[: self.trained]",
        "return self.x, self.y",
    ),
    Mutation(
        "playground: sessions that are being made do not count",
        "python/fastmlp/play/live.py",
        "self._opening += 1",
        "self._opening += 0",
    ),
]
