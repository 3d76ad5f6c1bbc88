"""The head q̂: a small network on a hidden state and the rule that a line names. Two baselines beside it.

Source of the idea: SOKRATES, whose option-success predictor is a network on the state and the embedding of
the option. Trained by binary cross-entropy, stopped early on problems held out, then calibrated on these
(Platt 1999).
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

_WIDTH = 64
_EPOCHS, _PATIENCE = 100, 8
"""Most passes over the steps, and passes without a new least held-out loss after which training stops."""
_BATCH, _RATE, _DECAY, _DROPOUT = 128, 1e-3, 1e-1, 0.2
_HELD_OUT = 0.2
"""Share of the problems that training is stopped and calibrated on."""
_LEAST_SCALE, _MOST = 0.01, 10.0
"""Least spread of an input that counts, as a share of their mean spread; and the most that an input is, in
spreads. Some inputs of a language model are the same nearly everywhere and huge elsewhere."""
_LEAST_NAMED = 5
"""Steps that must name a rule for it to have an input: a model can write anything for one."""
_PRIOR = 4.0
"""Steps at the overall rate that are added to those of each rule, so that a rare one is not sure."""


class Material(NamedTuple):
    """Steps as arrays of the same length."""

    hidden: np.ndarray
    """float32, shape (num_steps, hidden size)."""
    logprob: np.ndarray
    """Mean log-probability of the line's tokens, in nats."""
    rules: np.ndarray
    """Names, as text."""
    groups: np.ndarray
    """What is held out together, as text."""
    valid: np.ndarray
    """0 or 1, float32."""

    def at(self, places: np.ndarray) -> "Material":
        """The steps at some places, or where a mask holds."""
        return Material(*(each[places] for each in self))


Predict: TypeAlias = Callable[[Material], np.ndarray]
"""The chance that each step is valid."""


class Head(NamedTuple):
    """A trained q̂: standardisation, two layers, and the calibration of their output."""

    tensors: dict[str, np.ndarray]
    rules: tuple[str, ...]
    """The names that have an input of their own, in order; others have none."""

    def __call__(self, material: Material) -> np.ndarray:
        return curve(self.tensors["calibration"], self.logits(material)[:, None])

    def logits(self, material: Material) -> np.ndarray:
        """The network's output for each step, before it is calibrated."""
        held = self.tensors
        inner = _inputs(material, self.rules, held["mean"], held["scale"]) @ held["first.weight"].T
        return np.maximum(inner + held["first.bias"], 0.0) @ held["second.weight"][0] + held["second.bias"][0]


def train_head(material: Material, seed: int) -> Head:
    """A head trained and calibrated on the steps of `material`, which are those of two groups or more."""
    held_out = _held_out(material.groups.tolist(), seed)
    learn, held = material.at(~held_out), material.at(held_out)
    rules = tuple(sorted(rule for rule, num in Counter(learn.rules.tolist()).items() if num >= _LEAST_NAMED))
    mean, scale = learn.hidden.mean(axis=0), learn.hidden.std(axis=0)
    scale = np.maximum(scale, _LEAST_SCALE * scale.mean() + 1e-6)
    tensors = {"mean": mean, "scale": scale}
    tensors |= _network(
        _inputs(learn, rules, mean, scale), learn.valid, _inputs(held, rules, mean, scale), held.valid, seed
    )
    logits = Head(tensors, rules).logits(held)
    return Head(tensors | {"calibration": logistic(logits[:, None], held.valid)}, rules)


def by_logprob(material: Material, seed: int) -> Predict:
    """Baseline: the mean log-probability of the line's tokens, calibrated on all steps of `material`."""
    weights = logistic(material.logprob[:, None], material.valid)
    return lambda steps: curve(weights, steps.logprob[:, None])


def by_rule(material: Material, seed: int) -> Predict:
    """Baseline: the share of the rule's steps in `material` that are valid."""
    overall = float(material.valid.mean())
    rates = {}
    for rule in set(material.rules.tolist()):
        own = material.valid[material.rules == rule]
        rates[rule] = (float(own.sum()) + _PRIOR * overall) / (len(own) + _PRIOR)
    return lambda steps: np.array([rates.get(rule, overall) for rule in steps.rules.tolist()])


def cross_fitted(
    material: Material, train: Callable[[Material, int], Predict], folds: int, seed: int
) -> np.ndarray:
    """The chance of each step by a predictor that was trained without its group, in `folds` parts.

    No group is in two parts. There are at least as many groups as parts.
    """
    part = parts(material.groups.tolist(), folds, seed)
    chances = np.empty(len(material.valid))
    for fold in range(folds):
        here = part == fold
        chances[here] = train(material.at(~here), seed + fold)(material.at(here))
    return chances


def parts(groups: Sequence[str], num: int, seed: int) -> np.ndarray:
    """The part of each group's members, from 0 to `num` - 1, by a shuffle of the groups."""
    names = sorted(set(groups))
    random.Random(seed).shuffle(names)
    part = {name: place % num for place, name in enumerate(names)}
    return np.array([part[name] for name in groups])


def _held_out(groups: Sequence[str], seed: int) -> np.ndarray:
    """Which steps are held out: whole groups, one at the least."""
    return parts(groups, max(2, min(len(set(groups)), round(1 / _HELD_OUT))), seed) == 0


def _inputs(material: Material, rules: Sequence[str], mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardised hidden states beside a column for each rule."""
    standard = np.clip((material.hidden - mean) / scale, -_MOST, _MOST)
    named = material.rules[:, None] == np.array(rules)[None, :]
    return np.concatenate([standard, named.astype(np.float32)], axis=1)


def _network(
    inputs: np.ndarray, valid: np.ndarray, held: np.ndarray, held_valid: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The layers with the least loss on what is held out."""
    import torch

    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], _WIDTH),
            torch.nn.ReLU(),
            torch.nn.Dropout(_DROPOUT),
            torch.nn.Linear(_WIDTH, 1),
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=_DECAY)
        loss_of = torch.nn.functional.binary_cross_entropy_with_logits
        x, y, held_x, held_y = map(torch.from_numpy, (inputs, valid, held, held_valid))
        least, since, best = float("inf"), 0, dict[str, "torch.Tensor"]()
        for _ in range(_EPOCHS):
            model.train()
            for places in torch.randperm(len(x)).split(_BATCH):
                optimizer.zero_grad()
                loss_of(model(x[places])[:, 0], y[places]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss = loss_of(model(held_x)[:, 0], held_y).item()
            since += 1
            if loss < least:
                least, since, best = loss, 0, {k: v.clone() for k, v in model.state_dict().items()}
            if since >= _PATIENCE:
                break
    names = {
        "0.weight": "first.weight",
        "0.bias": "first.bias",
        "3.weight": "second.weight",
        "3.bias": "second.bias",
    }
    return {names[key]: value.numpy() for key, value in best.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: for matrices this small, a second one costs more than it saves."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def logistic(columns: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The weights of the logistic curve that is likeliest, by Newton's method; the last is the shift.

    `columns` has shape (num, num_inputs), the weights (num_inputs + 1,). Outcomes are smoothed as by Platt
    1999, so that the curve is finite where an input separates the classes.
    """
    num, num_valid = len(valid), float(valid.sum())
    target = np.where(valid > 0.5, (num_valid + 1) / (num_valid + 2), 1 / (num - num_valid + 2))
    mean, spread = columns.mean(axis=0, dtype=np.float64), columns.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1.0)
    inputs = np.concatenate([(columns - mean) / spread, np.ones((num, 1))], axis=1)
    weights = np.zeros(inputs.shape[1])
    for _ in range(100):
        chance = _sigmoid(inputs @ weights)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + 1e-6 * np.eye(len(weights))
        step = np.linalg.solve(curvature, inputs.T @ (target - chance))
        weights += step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-10:
            break
    slopes = weights[:-1] / spread
    return np.array([*slopes, weights[-1] - slopes @ mean])


def curve(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The chances by a curve of `logistic`."""
    return _sigmoid(columns @ weights[:-1] + weights[-1])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))
