"""Script: writes the results of PyTorch's optimizers on the network of optimizer_net.py.

``PYTHONPATH=tests python -m support.torch_trajectories`` where PyTorch and fastmlp are installed.
PyTorch keeps the velocity of SGD free of the learning rate, which at a constant rate is the same
trajectory; it has no Lion.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from support.optimizer_net import BATCH, SIZES, STEPS, TRAJECTORIES, data, small_model

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05),
    "momentum": lambda p: torch.optim.SGD(p, 0.02, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.05, eps=1e-10),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.001),
    "rmsprop momentum": lambda p: torch.optim.RMSprop(p, 0.001, alpha=0.95, momentum=0.8),
    "rmsprop centred": lambda p: torch.optim.RMSprop(p, 0.001, centered=True, eps=1e-3),
    "rmsprop centred momentum": lambda p: torch.optim.RMSprop(
        p, 0.001, momentum=0.5, centered=True, eps=1e-3
    ),
    "adam": lambda p: torch.optim.Adam(p, 0.003),
    "amsgrad": lambda p: torch.optim.Adam(p, 0.003, betas=(0.8, 0.99), amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.003, weight_decay=0.0),
    "adamax": lambda p: torch.optim.Adamax(p, 0.003),
    "nadam": lambda p: torch.optim.NAdam(p, 0.003),
}


def trajectory(name: str) -> list[np.ndarray]:
    """Return weights, then biases, after the thousand steps."""
    model = small_model()
    parameters = [
        torch.tensor(np.array(p), requires_grad=True) for p in [*model.weights, *model.biases]
    ]
    layers = len(SIZES) - 1
    if name == "adamw":  # decay of the weights alone
        groups = [
            {"params": parameters[:layers], "weight_decay": 0.1},
            {"params": parameters[layers:], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, 0.003)
    else:
        optimizer = OPTIMIZERS[name](parameters)
    x, y = (torch.tensor(a) for a in data())
    for step in range(STEPS):
        first = step * BATCH % len(x)
        h = x[first : first + BATCH]
        for i in range(layers):
            h = h @ parameters[i] + parameters[layers + i]
            h = torch.sigmoid(h) if i + 1 < layers else h
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(h, y[first : first + BATCH]).backward()
        optimizer.step()
    return [p.detach().numpy() for p in parameters]


def main() -> None:
    recorded = {name: [p.tolist() for p in trajectory(name)] for name in OPTIMIZERS}
    document = {"torch": torch.__version__, "steps": STEPS, "trajectories": recorded}
    TRAJECTORIES.write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
