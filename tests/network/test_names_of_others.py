"""Names of other libraries for settings of optimizers, and names that stand for optimizers."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import pytest

import fastmlp
from fastmlp.optimizers import OPTIMIZERS, checked_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_stands_for_an_optimizer_with_its_defaults(name):
    assert checked_optimizer(name) == OPTIMIZERS[name]()
    assert checked_optimizer(name.upper()) == OPTIMIZERS[name]()


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_every_optimizer_takes_lr_and_weight_decay(kind):
    made = kind(lr=0.25, weight_decay=0.5)
    assert made == kind(0.25, decay=0.5)
    assert (made.lr, made.weight_decay) == (0.25, 0.5)
    assert pickle.loads(pickle.dumps(made)) == dataclasses.replace(made) == made
    assert "lr" not in inspect.signature(kind).parameters


def test_rmsprop_takes_centered():
    assert fastmlp.RMSprop(centered=True) == fastmlp.RMSprop(centred=True)
    assert fastmlp.RMSprop(centered=True).centered


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fastmlp.SGD(0.1, lr=0.1), TypeError, "lr is another name of learning_rate"),
        (lambda: fastmlp.SGD(lr=0.1, learning_rate=0.1), TypeError, "give one of the two"),
        (lambda: fastmlp.AdamW(weight_decay=0.1, decay=0.1), TypeError, "another name of decay"),
        (lambda: fastmlp.Adam(centered=True), TypeError, "unexpected keyword argument 'centered'"),
        (lambda: fastmlp.SGD(lr=-1), ValueError, "learning_rate must be"),
        (lambda: fastmlp.Adam(betas=(0.9, 0.99)), TypeError, "'betas'; here it is beta1 and beta2"),
        (lambda: fastmlp.RMSprop(alpha=0.9), TypeError, "'alpha'; here it is rho$"),
        (lambda: fastmlp.SGD(alpha=0.9), TypeError, "'alpha'; here it is l2$"),
        (lambda: fastmlp.Lion(eps=0.9), TypeError, "argument 'eps'$"),
        (lambda: fastmlp.MLP([2, 2], n_jobs=2), TypeError, "argument 'n_jobs'$"),
        (lambda: fastmlp.MLP([2, 2], max_iter=2), TypeError, "here it is epochs of fit$"),
        (lambda: fastmlp.SGD(momentun=0.9), TypeError, "'momentun'; did you mean 'momentum'"),
        (lambda: fastmlp.MLP([2, 2], lr=0.1), TypeError, "'lr'; here it is optimizer=fastmlp.SGD"),
        (lambda: fastmlp.MLP([2, 2], activatoin="relu"), TypeError, "did you mean 'activation'"),
        (lambda: fastmlp.MLP([2, 2]).fit([[0, 1]], [0], max_iter=3), TypeError, "it is epochs"),
        (lambda: fastmlp.MLP([2, 2], nonsense=1), TypeError, "argument 'nonsense'$"),
        (lambda: checked_optimizer("adm"), ValueError, "one of sgd, .*did you mean 'adam'"),
        (lambda: checked_optimizer(3), TypeError, "must be a name or an optimizer of fastmlp"),
    ],
)  # fmt: skip
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_fit_takes_a_name():
    models = [fastmlp.MLP([2, 3, 2], seed=1) for _ in range(2)]
    for model, optimizer in zip(models, ("nadam", fastmlp.Nadam()), strict=True):
        model.fit([[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=2, optimizer=optimizer, verbose=0)
    first, second = (model.parameters() for model in models)
    assert all((first[name] == second[name]).all() for name in first)
