"""The state of an estimator as builtin objects and arrays, for pickles, copies and files.

Libraries that store estimators without pickle hold builtin objects and arrays only, or ask their
users to trust each other type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from fastmlp.estimators.network import Parameters, Predictor
from fastmlp.estimators.policy import Plateau
from fastmlp.estimators.session import Moment, Session, Solver, SolverRate
from fastmlp.history import History
from fastmlp.training.continuation import Planned, Progress

__all__ = ["as_live", "as_plain"]

State = dict[str, Any]


def as_plain(state: Mapping[str, Any]) -> State:
    """Return an estimator's attributes with objects of this package replaced by their content.

    Values of constructor parameters are the user's and stay as they are.
    """
    plain = dict(state)
    plain.pop("_predictor", None)  # a cache
    plain.pop("_seeded", None)  # a copy must not seed the generator of another estimator
    if "_plateau" in plain:
        plain["_plateau"] = vars(plain["_plateau"]).copy()
    if "_best_parameters" in plain:
        plain["_best_parameters"] = plain["_best_parameters"].named()
    if plain.get("_session") is not None:
        plain["_session"] = _session_tree(plain["_session"])
    return plain


def as_live(plain: Mapping[str, Any]) -> State:
    """Return the attributes from which `as_plain` made its result."""
    state = dict(plain)
    if "coefs_" in state:
        state["_predictor"] = Predictor()
    if "_plateau" in state:
        state["_plateau"] = Plateau(**state["_plateau"])
    if "_best_parameters" in state:
        state["_best_parameters"] = Parameters.of(state["_best_parameters"])
    if state.get("_session") is not None:
        state["_session"] = _session_of(state["_session"])
    return state


def _session_tree(session: Session) -> State:
    held = session.__getstate__()
    names = ("saved", "order", "split", "partial", "is_ahead", "refusal")
    parameters = held["_parameters"]
    return {name: held[name] for name in names} | {
        "parameters": None if parameters is None else parameters.named(),
        "solver": _solver_tree(session.solver),
        "progress": _progress_tree(held["progress"]),
    }


def _session_of(tree: State) -> Session:
    session = Session(_solver_of(tree["solver"]))
    session.progress = _progress_of(tree["progress"])
    session.saved, session.refusal = tree["saved"], tree["refusal"]
    session.order = np.asarray(tree["order"])
    session.split = None if tree["split"] is None else tuple(tree["split"])
    session.partial = tuple(tree["partial"])
    session.is_ahead = tree["is_ahead"]
    if tree["parameters"] is not None:
        session.hold(Parameters.of(tree["parameters"]))
    return session


def _solver_tree(solver: Solver) -> State:
    rate = solver.learning_rate
    return {
        "learning_rate": rate.settings() if isinstance(rate, SolverRate) else rate,
        "rule": solver.rule,
        "core_settings": dict(solver.core_settings),
        "brings_rate": solver.brings_rate,
    }


def _solver_of(tree: State) -> Solver:
    rate = tree["learning_rate"]
    return Solver(**tree | {"learning_rate": SolverRate(**rate) if type(rate) is dict else rate})


def _progress_tree(progress: Progress) -> State:
    tree = {field.name: getattr(progress, field.name) for field in fields(progress)}
    moment = progress.others.get("moment")
    return tree | {
        "history": vars(progress.history).copy(),
        "planned": None if progress.planned is None else asdict(progress.planned),
        "told": sorted(progress.told),
        "others": {} if moment is None else {"moment": _moment_tree(moment)},
    }


def _progress_of(tree: State) -> Progress:
    others = tree["others"]
    planned, schedule = tree["planned"], tree["schedule"]
    return Progress(
        **tree
        | {
            "history": History(**tree["history"]),
            "planned": None if planned is None else Planned(**planned),
            "told": frozenset(tree["told"]),
            "seen": {key: tuple(sums) for key, sums in tree["seen"].items()},
            "schedule": None if schedule is None else tuple(schedule),
            "others": {"moment": _moment_of(others["moment"])} if others else {},
        }
    )


def _moment_tree(moment: Moment) -> State:
    tree = {field.name: getattr(moment, field.name) for field in fields(moment)}
    return tree | {"best": None if moment.best is None else moment.best.named()}


def _moment_of(tree: State) -> Moment:
    best = None if tree["best"] is None else Parameters.of(tree["best"])
    return Moment(**tree | {"plateau": tuple(tree["plateau"]), "best": best})
