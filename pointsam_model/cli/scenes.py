"""`pointsam scenes` and `pointsam pool`: draw generated scenes, and store them for training."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pointsam_model.cli.options import progress, refusals, tell_written


class Kind(str, Enum):
    """Kinds of scenes, named as in `pointsam_model.scenes`."""

    mixture = "mixture"
    tabletop = "tabletop"
    fused = "fused"
    single = "single"
    room = "room"
    street = "street"
    parts = "parts"
    bin = "bin"
    empty = "empty"


KindName = Annotated[Kind, typer.Option(help="what the scenes show; mixture: some of each")]


def scenes(
    png: Annotated[Path, typer.Option(help="where to draw them")],
    kind: KindName = Kind.tabletop,
    count: Annotated[int, typer.Option(min=1, max=100, help="how many")] = 12,
    seed: Annotated[
        int, typer.Option(min=0, help="seed of the first scene; the others follow")
    ] = 0,
) -> None:
    """Draws a sheet of generated scenes with their instance labels."""
    from pointsam_model.pictures import draw_sheet
    from pointsam_model.scenes import MixtureConfig, SceneConfig, generate

    with refusals(), progress() as bar:
        clouds = []
        config = MixtureConfig(tabletop=SceneConfig(width=320, height=240))
        for number in bar.track(range(seed, seed + count), description="scenes"):
            (scene,) = generate(kind.value, [number], config)
            clouds.append(replace(scene, name=f"seed {number}"))
        draw_sheet(png, clouds)
    tell_written("picture", png)


def pool(
    folder: Annotated[Path, typer.Argument(help="folder for the scenes")],
    kind: KindName = Kind.tabletop,
    shards: Annotated[int, typer.Option(min=1, help="how many shards of 128 scenes")] = 160,
    looks: Annotated[
        int,
        typer.Option(min=0, help="crops around objects of each scene, in addition to the whole"),
    ] = 0,
    first: Annotated[int, typer.Option(min=0, help="number of the first shard")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="processes that generate scenes")] = 1,
    device: Annotated[str, typer.Option(help="device that generates scenes: cpu or cuda")] = "cpu",
) -> None:
    """Generates the scenes that training draws from; existing shards are kept."""
    import multiprocessing

    from pointsam_model.training.pool import make_pool

    with refusals(), progress() as bar:
        task = bar.add_task("shards of scenes", total=shards)
        wanted = range(first, first + shards)
        if jobs == 1:
            for _ in make_pool(folder, wanted, kind=kind.value, looks=looks, device=device):
                bar.advance(task)
            return
        with multiprocessing.get_context("spawn").Pool(jobs) as workers:
            for _ in workers.imap_unordered(
                _make_shard, [(folder, shard, kind.value, looks, device) for shard in wanted]
            ):
                bar.advance(task)


def _make_shard(work: tuple[Path, int, str, int, str]) -> None:
    """Makes one shard, in its own process and on a single core."""
    import torch

    from pointsam_model.training.pool import make_pool

    torch.set_num_threads(1)
    folder, shard, kind, looks, device = work
    wanted = range(shard, shard + 1)
    for _ in make_pool(folder, wanted, kind=kind, looks=looks, device=device):
        pass
