"""Figures of trainings, results and networks, drawn with matplotlib.

Each function draws on the Axes given as ``ax`` and returns them; without ``ax`` it draws on a new
figure. In a notebook pyplot has the new figure, so that it is shown when its cell ends and by
``plt.show()``; so it has in a program that uses pyplot with windows. Elsewhere, and in threads, new
figures are not pyplot's, so threads can draw at the same time and figures need not be closed.
``ax.figure.savefig(path)`` writes a file; `svg` returns the figure as text and `animation` several
as one moving image. `descend`, `LossPlane` and `count_linear_regions` compute what others draw.

>>> from fastmlp import plot
>>> ax = plot.activation_functions(["sigmoid", "tanh"])
>>> ax.get_title()
'Activations'
>>> ax.figure.savefig("activations.png", dpi=150)  # doctest: +SKIP
"""

from fastmlp.plot.curves import activation_functions, gradient_norms, learning_curves, learning_rate
from fastmlp.plot.expression import expression_graph
from fastmlp.plot.graph import computational_graph
from fastmlp.plot.images import images, weight_templates
from fastmlp.plot.influence import partial_dependence
from fastmlp.plot.linear_regions import (
    count_linear_regions,
    linear_regions,
    linear_regions_bound,
)
from fastmlp.plot.output import svg
from fastmlp.plot.over_time import animation, decision_regions_over_time, training_frames
from fastmlp.plot.probabilities import calibration_curve, precision_recall_curve, roc_curve
from fastmlp.plot.regions import decision_regions, hidden_space
from fastmlp.plot.results import class_scores, confusion_matrix, importance, predictions, residuals
from fastmlp.plot.style import OKABE_ITO, STYLE
from fastmlp.plot.surfaces import LossPlane, descend, loss_surface

__all__ = [
    "OKABE_ITO",
    "STYLE",
    "LossPlane",
    "activation_functions",
    "animation",
    "calibration_curve",
    "class_scores",
    "computational_graph",
    "confusion_matrix",
    "count_linear_regions",
    "decision_regions",
    "decision_regions_over_time",
    "descend",
    "expression_graph",
    "gradient_norms",
    "hidden_space",
    "images",
    "importance",
    "learning_curves",
    "learning_rate",
    "linear_regions",
    "linear_regions_bound",
    "loss_surface",
    "partial_dependence",
    "precision_recall_curve",
    "predictions",
    "residuals",
    "roc_curve",
    "svg",
    "training_frames",
    "weight_templates",
]


def __dir__() -> list[str]:
    return __all__
