"""Pictures of training, of what networks learned and of how they compute, with matplotlib.

Each function returns matplotlib Axes: those given as ``ax``, else those of a new figure, which no
list of open figures knows; so threads may draw at the same time. ``ax.figure.savefig(...)`` writes
a file, `svg` returns text.

>>> from fastmlp import plot
>>> ax = plot.activation_functions(["sigmoid", "tanh"])  # doctest: +SKIP
>>> ax.figure.savefig("activations.png", dpi=150)  # doctest: +SKIP
"""

from fastmlp.plot.classes import class_scores, confusion_matrix
from fastmlp.plot.curves import learning_curves, learning_rate, predictions
from fastmlp.plot.functions import activation_functions
from fastmlp.plot.gradients import gradient_norms
from fastmlp.plot.graph import computational_graph
from fastmlp.plot.images import images
from fastmlp.plot.output import svg
from fastmlp.plot.regions import decision_regions
from fastmlp.plot.style import OKABE_ITO, STYLE
from fastmlp.plot.weights import weight_templates

__all__ = [
    "OKABE_ITO",
    "STYLE",
    "activation_functions",
    "class_scores",
    "computational_graph",
    "confusion_matrix",
    "decision_regions",
    "gradient_norms",
    "images",
    "learning_curves",
    "learning_rate",
    "predictions",
    "svg",
    "weight_templates",
]
