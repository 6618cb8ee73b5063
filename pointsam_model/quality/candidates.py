"""Candidate masks for the clicks on an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pointsam_model.geometry import MergeTree, Partition
from pointsam_model.geometry.walker import Prior

Mask = NDArray[np.bool_]

NO_HEIGHT = -0.5  # of candidates that are no part
UNKNOWN = -1.0  # score and stability of candidates that the network did not give
REBUILT = 12  # heights at most at which masks are put together anew from parts
# Radii about the newest click, in distances to where the mask changes; 0: that point alone.
BALLS_ADDED, BALLS_TAKEN = (1.0, 1.6, 2.5), (0.0, 0.5, 1.0, 1.6, 2.5)
OWN_PRIORS = (0.03, 0.3)  # strength of the network's answer in a walk
MASK_PRIORS = ((0.85, 0.02), (0.9, 0.2))  # probability inside the mask so far, and its strength
SOFTENED = 2.0  # logits over this are a prior's
CERTAIN = 8.0  # logits beyond it count as this
WALKED = 1e-4  # least probability that a walker's logit knows
SURE = 6.0  # logit, of either sign, of masks that have no logits of their own
ANY_HEIGHT = 9.0
UNCHANGED = 0.7  # IoU with the mask so far, where it obeys already
MOSTLY_WITHIN, LEAST_LEFT = 0.8, 0.05  # of a mask in the one so far, and of that one


class Origin(IntEnum):
    """Where a candidate comes from."""

    PART = 0  # a part that holds the only click
    NETWORK = 1  # what the network answers
    CHANGED = 2  # the mask so far, with a part at the newest click added or taken away
    REBUILT = 3  # parts at all clicks on the object, without those at the clicks off it
    OBEDIENT = 4  # the network's answer, with the least part at the newest click set right
    SO_FAR = 5  # the mask so far as it is
    BALL = 6  # the mask so far, with a ball about the newest click added or taken away
    WALK = 7  # a walker's
    CLAIMED = 8  # what a box or a mask of the source claims


@dataclass(frozen=True)
class Asked:
    """What is asked about one object on m kept points.

    Attributes:
        clicks: rows of the kept points nearest to the clicks, the newest last; may be empty where
            something is claimed.
        labels: 1 on, 0 off the object.
        so_far: (m,) the mask so far; None: none.
        claimed: (m,) what a box or a mask claims; None: nothing.
    """

    clicks: Sequence[int]
    labels: Sequence[int]
    so_far: Mask | None = None
    claimed: Mask | None = None

    @property
    def before(self) -> Mask | None:
        """(m,) what is to be changed: the mask so far, or else what is claimed; None: nothing."""
        return self.claimed if self.so_far is None else self.so_far

    @property
    def on(self) -> list[int]:
        """Clicks on the object."""
        return [row for row, label in zip(self.clicks, self.labels, strict=True) if label]

    @property
    def off(self) -> list[int]:
        """Clicks off the object."""
        return [row for row, label in zip(self.clicks, self.labels, strict=True) if not label]


@dataclass(frozen=True)
class NetworkAnswer:
    """What the network answers: logits (c,m), predicted IoUs (c,) and stabilities (c,)."""

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    stability: NDArray[np.float32]


@dataclass
class Pool:
    """Candidates, and what is known of each.

    Attributes:
        asked, network: what they answer, and what the network said.
        masks: of each (m,).
        logits: of each (m,) float32, or None where it is no more than a mask.
        origin: of each, an `Origin`.
        height, above: border inside of the part it comes from, and around it.
        score, stability: the network's; UNKNOWN where it did not give the mask.
    """

    asked: Asked
    network: NetworkAnswer
    masks: list[Mask] = field(default_factory=list)
    logits: list[NDArray[np.float32] | None] = field(default_factory=list)
    origin: list[Origin] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    above: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    stability: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.masks)

    def add(
        self,
        mask: Mask,
        origin: Origin,
        *,
        height: float = NO_HEIGHT,
        above: float = NO_HEIGHT,
        network: int | None = None,
        logits: NDArray[np.float32] | None = None,
    ) -> None:
        """Adds a candidate; `network` tells which of the network's masks it is made of."""
        self.masks.append(mask)
        self.logits.append(logits)
        self.origin.append(origin)
        self.height.append(height)
        self.above.append(above)
        self.score.append(UNKNOWN if network is None else float(self.network.scores[network]))
        self.stability.append(
            UNKNOWN if network is None else float(self.network.stability[network])
        )

    def disobedience(self) -> NDArray[np.int64]:
        """(c,) how many clicks each candidate has on the wrong side."""
        right = np.asarray(self.asked.labels, np.bool_)
        there = np.stack(self.masks)[:, np.asarray(self.asked.clicks, np.int64)]
        return np.asarray((there != right).sum(1))

    def only(self, which: NDArray[np.bool_]) -> None:
        """Drops the others."""
        rows = np.flatnonzero(which).tolist()
        for name in ("masks", "logits", "origin", "height", "above", "score", "stability"):
            values = getattr(self, name)
            setattr(self, name, [values[row] for row in rows])

    def logits_of(self, which: int) -> NDArray[np.float32]:
        """(m,) logits of a candidate, of its mask's sign everywhere."""
        own = self.logits[which]
        if own is not None:
            return own
        return np.where(self.masks[which], SURE, -SURE).astype(np.float32)


def pool_of(partition: Partition, asked: Asked, network: NetworkAnswer) -> Pool:
    """All candidates that obey as many of the clicks as any does; none is empty.

    Args:
        partition: of the kept points.
        asked: at least one click, or something claimed.
        network: its answer to the same.
    """
    pool = Pool(asked, network)
    own = _own_points(partition, asked)
    if asked.so_far is None and len(asked.clicks) == 1:
        _add_parts(pool, partition.tree)
    elif asked.clicks:
        _add_rebuilt(pool, partition, own)
        _add_obedient(pool, partition, own)
    if asked.so_far is not None:
        pool.add(asked.so_far, Origin.SO_FAR)
        if asked.clicks:
            _add_changed(pool, partition, asked.so_far, own)
            _add_balls(pool, partition, asked.so_far, own)
    if asked.claimed is not None:
        pool.add(asked.claimed, Origin.CLAIMED)
        _add_claimed_parts(pool, partition.tree, asked.claimed)
    for number, logits in enumerate(network.logits):
        pool.add(logits > 0, Origin.NETWORK, network=number, logits=logits)
    _add_walks(pool, partition)
    wrong = pool.disobedience()
    some = np.array([bool(mask.any()) for mask in pool.masks])
    if some.any():
        pool.only(some & (wrong <= wrong[some].min()))
    if asked.so_far is not None and not asked.on:
        _only_less(pool, asked.so_far)
    return pool


def _only_less(pool: Pool, so_far: Mask) -> None:
    """Drops what is another object than the mask so far: clicks off an object alone do not say that
    another one is meant. Where they already lie off it, hardly anything is to change."""
    obeyed = not any(so_far[click] for click in pool.asked.off)
    size = max(int(so_far.sum()), 1)
    alike = []
    for mask in pool.masks:
        shared = int((mask & so_far).sum())
        whole = shared / max(int((mask | so_far).sum()), 1) >= UNCHANGED
        less = shared >= MOSTLY_WITHIN * int(mask.sum()) and shared >= LEAST_LEFT * size
        alike.append(whole if obeyed else less)
    if any(alike):
        pool.only(np.array(alike))


def _own_points(partition: Partition, asked: Asked) -> NDArray[np.int64]:
    """(m,) which click is the nearest to each point; all 0 without clicks."""
    if len(asked.clicks) < 2:
        return np.zeros(len(partition), np.int64)
    nearest, least = (
        np.zeros(len(partition), np.int64),
        _squared_distance(partition, asked.clicks[0]),
    )
    for number, click in enumerate(asked.clicks[1:], 1):
        distance = _squared_distance(partition, click)
        nearest[distance < least] = number
        np.minimum(least, distance, out=least)
    return nearest


def _squared_distance(partition: Partition, point: int) -> NDArray[np.float32]:
    """(m,) [m²] of all points from one of them."""
    off = partition.points - partition.points[point]
    return np.asarray(np.einsum("md,md->m", off, off))


def _levels(tree: MergeTree, click: int) -> tuple[list[int], NDArray[np.bool_], list[float]]:
    """The parts that hold a click, their masks, and the border around each."""
    chain = tree.chain(click)
    heights = [float(tree.height[part]) for part in chain]
    return chain, tree.masks(chain), [*heights[1:], 1.0]


def _add_parts(pool: Pool, tree: MergeTree) -> None:
    chain, masks, above = _levels(tree, pool.asked.clicks[-1])
    for part, mask, border in zip(chain, masks, above, strict=True):
        pool.add(mask, Origin.PART, height=float(tree.height[part]), above=border)


def _add_changed(pool: Pool, partition: Partition, so_far: Mask, own: NDArray[np.int64]) -> None:
    tree, asked = partition.tree, pool.asked
    newest, label = asked.clicks[-1], asked.labels[-1]
    others = asked.off if label else asked.on
    chain, masks, above = _levels(tree, newest)
    mine = own == len(asked.clicks) - 1
    for part, mask, border in zip(chain, masks, above, strict=True):
        if mask[others].any():
            mask = mask & mine  # a click of the other kind is in it: only what lies nearer
        changed = so_far | mask if label else so_far & ~mask
        pool.add(changed, Origin.CHANGED, height=float(tree.height[part]), above=border)


def _add_balls(pool: Pool, partition: Partition, so_far: Mask, own: NDArray[np.int64]) -> None:
    newest, label = pool.asked.clicks[-1], pool.asked.labels[-1]
    distance = np.sqrt(_squared_distance(partition, newest))
    elsewhere = so_far != so_far[newest]
    if not elsewhere.any():
        return
    part = partition.tree.masks(partition.tree.chain(newest)[:1])[0]
    mine = own == len(pool.asked.clicks) - 1
    for share in BALLS_ADDED if label else BALLS_TAKEN:
        ball = (distance <= share * distance[elsewhere].min()) & mine
        kinds = [(ball & part, 1.0)]
        if share:  # else both are that point alone
            kinds.insert(0, (ball, 0.0))
        for mask, clipped in kinds:
            changed = so_far | mask if label else so_far & ~mask
            pool.add(changed, Origin.BALL, height=share, above=clipped)


def _add_rebuilt(pool: Pool, partition: Partition, own: NDArray[np.int64]) -> None:
    tree, on, off = partition.tree, pool.asked.on, pool.asked.off
    if not on:
        return
    chains, off_chains = ([tree.chain(click) for click in clicks] for clicks in (on, off))
    heights = sorted({float(tree.height[part]) for chain in chains for part in chain})
    if len(heights) > REBUILT:
        chosen = np.linspace(0, len(heights) - 1, REBUILT).astype(int)
        heights = [heights[row] for row in chosen]
    labels = np.asarray(pool.asked.labels)
    nearer_on = labels[own] == 1
    clicked_off = np.isin(tree.leaf, tree.leaf[off])
    # What the clicks off the object stand for: the most that holds no click on it.
    beside = np.zeros(len(partition), np.bool_)
    for chain in off_chains:
        beside |= tree.masks([_up_to(tree, chain, ANY_HEIGHT, on)])[0]
    seen: set[bytes] = set()
    for height in heights:
        made = [_together(tree, [_up_to(tree, chain, height, off) for chain in chains])]
        if off:
            whole = _together(tree, [_up_to(tree, chain, height, []) for chain in chains])
            made.append(whole & ~beside)
        for mask in made:
            if mask[off].any():  # on and off the object in one smallest part: cut it between them
                mask = mask & (nearer_on | ~clicked_off)
            key = mask.tobytes()
            if key not in seen:
                seen.add(key)
                pool.add(mask, Origin.REBUILT, height=height, above=height)


def _together(tree: MergeTree, parts: list[int] | NDArray[np.int64]) -> Mask:
    """(m,) the points of any of some parts."""
    return np.asarray(tree.masks(parts).any(0))


def _up_to(tree: MergeTree, chain: list[int], height: float, without: Sequence[int]) -> int:
    """The largest part of a click's chain below a height that holds none of some others."""
    found = chain[0]
    for part in chain[1:]:
        if tree.height[part] > height or any(tree.holds(part, other) for other in without):
            break
        found = part
    return found


def _add_obedient(pool: Pool, partition: Partition, own: NDArray[np.int64]) -> None:
    newest, label = pool.asked.clicks[-1], pool.asked.labels[-1]
    part = partition.tree.masks(partition.tree.chain(newest)[:1])[0]
    part = part & (own == len(pool.asked.clicks) - 1)
    for number, logits in enumerate(pool.network.logits):
        mask = (logits > 0) | part if label else (logits > 0) & ~part
        pool.add(mask, Origin.OBEDIENT, height=0.0, above=0.0, network=number)


def _add_claimed_parts(pool: Pool, tree: MergeTree, claimed: Mask) -> None:
    """All parts that are mostly claimed, whole and cut to the claim; the largest of each chain."""
    inside = np.bincount(tree.leaf[claimed], minlength=int(tree.leaf.max()) + 1)
    total = np.bincount(tree.leaf, minlength=len(inside))
    within = np.concatenate(([0], np.cumsum(inside)))
    all_of = np.concatenate(([0], np.cumsum(total)))
    share = (within[tree.last] - within[tree.first]) / (all_of[tree.last] - all_of[tree.first])
    covered = (within[tree.last] - within[tree.first]) / max(int(claimed.sum()), 1)
    for least in (0.5, 0.8, 0.95):
        mostly = np.flatnonzero(share >= least)
        if len(mostly) == 0:
            continue
        whole = _together(tree, mostly)
        pool.add(whole, Origin.CLAIMED, height=least, above=0.0)
        pool.add(whole & claimed, Origin.CLAIMED, height=least, above=1.0)
    best = int(np.argmax(2 * share * covered / np.maximum(share + covered, 1e-9)))
    pool.add(tree.masks([best])[0], Origin.PART, height=float(tree.height[best]), above=1.0)


def _add_walks(pool: Pool, partition: Partition) -> None:
    asked, network = pool.asked, pool.network
    best = int(np.argmax(network.scores))
    own = 1 / (1 + np.exp(-network.logits[best].clip(-CERTAIN, CERTAIN) / SOFTENED))
    priors = [Prior(own, strength) for strength in OWN_PRIORS]
    start = asked.before
    if start is not None:
        priors += [
            Prior(np.where(start, inside, 1 - inside).astype(np.float32), strength)
            for inside, strength in MASK_PRIORS
        ]
    spread = partition.walker.spread(priors, asked.clicks, asked.labels)
    for prior, inside in zip(priors, spread, strict=True):
        known = inside.clip(WALKED, 1 - WALKED)
        logits = (SOFTENED * np.log(known / (1 - known))).astype(np.float32)
        pool.add(
            logits > 0,
            Origin.WALK,
            height=prior.strength,
            above=0.0,
            network=best,
            logits=logits,
        )
