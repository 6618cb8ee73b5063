"""Fits an `Estimator` to rows of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pointsam_model.nn.estimator import FARTHEST, Estimator

BATCH = 2048
DROPPED = 0.3  # of the hidden numbers of the first layer, in each step
DROPPED_CHOOSING = 0.5  # the same of a chooser
MOST_RATE, DECAY = 4e-3, 0.1
LEAST_DEVIATION = 1e-6
FIRST_POOLS, LATER_POOLS = 48, 48  # in each step of a chooser


class Loss(Enum):
    """What is minimised, and so what an output tells of a number that is uncertain."""

    CROSS_ENTROPY = "cross entropy"  # the probability of a yes
    SQUARED = "squared error"  # the mean
    ABSOLUTE = "absolute error"  # the median


def fit_estimator(
    numbers: NDArray[np.float32],
    targets: NDArray[np.float32],
    *,
    width: int,
    steps: int,
    about: Mapping[str, str],
    loss: Loss = Loss.CROSS_ENTROPY,
    weights: NDArray[np.float64] | None = None,
    standard: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Estimator:
    """An estimator whose outputs come near the targets.

    Args:
        numbers: (r,f).
        targets: (r,o), 0 to 1; NaN: not known, and not learned from.
        width: of the two hidden layers.
        steps: of the optimiser, with BATCH rows each.
        about: what is kept with the estimator, for people.
        loss: what is minimised.
        weights: (r,) how often each row is drawn, relative to others; None: all alike.
        standard: (s,f) rows whose mean and deviation numbers are measured in; None: their own.
        seed: of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    upto = np.cumsum(np.ones(len(numbers)) if weights is None else weights)
    wanted = torch.from_numpy(targets)

    def loss_of(network: Network) -> Tensor:
        drawn = np.searchsorted(upto, upto[-1] * rng.random(BATCH), side="right")
        return _loss(network(drawn), wanted[torch.from_numpy(drawn)], loss)

    return _fitted(numbers, targets.shape[1], loss_of, width, steps, about, standard, seed)


def fit_chooser(
    numbers: NDArray[np.float32],
    worth: NDArray[np.float32],
    pool: NDArray[np.int64],
    first: NDArray[np.bool_],
    *,
    width: int,
    steps: int,
    about: Mapping[str, str],
    standard: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Estimator:
    """An estimator whose greatest logit in a pool chooses what is worth most.

    What is minimised is the worth that is missed: the best one's in the pool, less the mean over
    all, each as probable as its logit says (softmax). So all that it learns is the order within a
    pool: an easy pool and a hard one count alike, and the middling ones of either do not count.

    Args:
        numbers: (r,f).
        worth: (r,) float, 0 to 1.
        pool: (r,) which pool a row is of; the rows of a pool follow each other.
        first: (r,) one kind of pools, drawn as often as the other.
        width, steps, about, standard, seed: as of `fit_estimator`.
    """
    rng = np.random.default_rng(seed)
    pools = np.split(np.arange(len(pool)), np.flatnonzero(np.diff(pool)) + 1)
    open_ones = [rows for rows in pools if np.ptp(worth[rows]) > 0]
    kinds = [
        ([rows for rows in open_ones if first[rows[0]] == kind], count)
        for kind, count in ((True, FIRST_POOLS), (False, LATER_POOLS))
    ]
    known = torch.from_numpy(worth)

    def loss_of(network: Network) -> Tensor:
        drawn = [
            own[number]
            for own, count in kinds
            if own
            for number in rng.integers(0, len(own), count).tolist()
        ]
        rows = np.concatenate(drawn)
        of = torch.from_numpy(np.repeat(np.arange(len(drawn)), [len(own) for own in drawn]))
        missed = known[torch.from_numpy(rows)]
        best = missed.new_zeros(len(drawn)).scatter_reduce(0, of, missed, "amax")
        chance = _softmax(network(rows)[:, 0], of, len(drawn))
        return (chance * (best[of] - missed)).sum() / len(drawn)

    return _fitted(numbers, 1, loss_of, width, steps, about, standard, seed, DROPPED_CHOOSING)


Network = Callable[[NDArray[np.int64]], Tensor]  # logits (b,o) of some of the rows


def _fitted(
    numbers: NDArray[np.float32],
    outputs: int,
    loss_of: Callable[[Network], Tensor],
    width: int,
    steps: int,
    about: Mapping[str, str],
    standard: NDArray[np.float32] | None,
    seed: int,
    dropped: float = DROPPED,
) -> Estimator:
    torch.manual_seed(seed)
    usual = numbers if standard is None else standard
    mean, deviation = usual.mean(0), usual.std(0) + LEAST_DEVIATION
    rows = torch.from_numpy(((numbers - mean) / deviation).astype(np.float32))
    rows = rows.clamp(-FARTHEST, FARTHEST)
    layers = [nn.Linear(rows.shape[1], width), nn.Linear(width, width), nn.Linear(width, outputs)]
    network = nn.Sequential(
        layers[0], nn.ReLU(), nn.Dropout(dropped), layers[1], nn.ReLU(), layers[2]
    )
    optimiser = torch.optim.AdamW(network.parameters(), MOST_RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, MOST_RATE, total_steps=steps + 1)

    def some(drawn: NDArray[np.int64]) -> Tensor:
        logits: Tensor = network(rows[torch.from_numpy(drawn)])
        return logits

    for _ in range(steps):
        loss = loss_of(some)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    tensors = {"mean": torch.from_numpy(mean), "deviation": torch.from_numpy(deviation)}
    for number, layer in enumerate(layers):
        tensors[f"weight.{number}"] = layer.weight.detach()
        tensors[f"bias.{number}"] = layer.bias.detach()
    return Estimator(tensors, about)


def side_by_side(one: Estimator, other: Estimator, about: Mapping[str, str]) -> Estimator:
    """Both in one that gives the outputs of the first and then those of the second.

    They must measure their numbers in the same mean and deviation.
    """
    a, b = one.tensors, other.tensors
    if not (torch.equal(a["mean"], b["mean"]) and torch.equal(a["deviation"], b["deviation"])):
        raise ValueError("the estimators were fitted with different normalisations")
    tensors = {
        "mean": a["mean"],
        "deviation": a["deviation"],
        "weight.0": torch.cat([a["weight.0"], b["weight.0"]]),
        **{f"weight.{i}": torch.block_diag(a[f"weight.{i}"], b[f"weight.{i}"]) for i in (1, 2)},
        **{f"bias.{i}": torch.cat([a[f"bias.{i}"], b[f"bias.{i}"]]) for i in range(3)},
    }
    return Estimator(tensors, about)


def averaged(members: Sequence[Estimator], about: Mapping[str, str]) -> Estimator:
    """One that gives the mean of several's logits, steadier than each.

    They must measure their numbers in the same mean and deviation.
    """
    together = members[0]
    for member in members[1:]:
        together = side_by_side(together, member, about)
    outputs = len(members[0].tensors["bias.2"])
    tensors = dict(together.tensors)
    for name in ("weight.2", "bias.2"):
        tensors[name] = tensors[name].unflatten(0, (len(members), outputs)).mean(0)
    return Estimator(tensors, about)


def blind(estimator: Estimator, to: Sequence[int]) -> Estimator:
    """The same that does not look at some of its numbers."""
    weight = estimator.tensors["weight.0"].clone()
    weight[:, list(to)] = 0
    return Estimator({**estimator.tensors, "weight.0": weight}, estimator.about)


def _softmax(logits: Tensor, of: Tensor, groups: int) -> Tensor:
    """Of logits (r,), each within its group (r,)."""
    most = logits.detach().new_full((groups,), -torch.inf).scatter_reduce(0, of, logits, "amax")
    grown = (logits - most[of]).exp()
    return grown / logits.new_zeros(groups).index_add(0, of, grown)[of]


def _loss(logits: Tensor, wanted: Tensor, loss: Loss) -> Tensor:
    known = ~wanted.isnan()
    target = wanted.nan_to_num()
    if loss is Loss.CROSS_ENTROPY:
        error = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        error = (logits.sigmoid() - target).abs()
        error = error.square() if loss is Loss.SQUARED else error
    return (error * known).sum() / known.sum().clamp_min(1)
