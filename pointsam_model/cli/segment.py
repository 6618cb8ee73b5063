"""`pointsam segment`: one object of a cloud from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from pointsam_model.cli.options import (
    Checkpoint,
    CloudFile,
    Color,
    Columns,
    DeviceName,
    Dtype,
    Index,
    Model,
    Output,
    Time,
    Topic,
    console,
    load_predictor,
    read_source,
    refusals,
    tell_written,
)
from pointsam_model.data.clouds import SensorCloud
from pointsam_model.errors import PromptError

MASK_FORM = (
    "a mask is a .png with the cloud's rows and columns, whose non-black pixels are the mask, or"
    " a .npy, bool or numbers, (rows, columns) or (n,)"
)


def segment(
    cloud: CloudFile,
    click: Annotated[
        list[str] | None, typer.Option(help="x,y,z in metres, on the object; repeat for more")
    ] = None,
    off: Annotated[list[str] | None, typer.Option(help="x,y,z in metres, off the object")] = None,
    box: Annotated[
        str | None,
        typer.Option(help="x,y,z,x,y,z in metres, two opposite corners of a box around the object"),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help=escape(f"the object in the image of an organised cloud: {MASK_FORM}")),
    ] = None,
    topic: Topic = "",
    index: Index = None,
    time: Time = None,
    columns: Columns = 0,
    color: Color = True,
    output: Output = None,
    png: Annotated[Path | None, typer.Option(help="draw the best mask here")] = None,
    npz: Annotated[
        Path | None,
        typer.Option(
            help="write the arrays masks (c,n) bool and scores (c,) here, best first; .npz is"
            " appended if missing"
        ),
    ] = None,
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Segments one object of a cloud from clicks, a box or a mask; one click: up to three masks."""
    from pointsam_model import Prompt, instances_of
    from pointsam_model.data.writers import write_instances, writer_of
    from pointsam_model.pictures import DrawnMask, draw_masks

    with refusals():
        on, beside = click or [], off or []
        if not on and box is None and mask is None:
            raise PromptError("no object is indicated: give --click, --box or --mask")
        points = np.array([_numbers(text, 3) for text in [*on, *beside]]).reshape(-1, 3)
        labels = np.array([1] * len(on) + [0] * len(beside), np.int64)
        corners = None if box is None else np.reshape(_numbers(box, 6), (2, 3))
        if output is not None:
            writer_of(output)  # fails early if the suffix is unknown
        source = read_source(cloud, topic, columns, index, time)
        masked = None if mask is None else read_mask(mask, source)
        predictor = load_predictor(model, checkpoint, device, dtype)
        embedding = predictor.embed(source.as_seen(color))
        points = embedding.snap(points)
        prompt = Prompt(points, labels, masked, box=corners)
        (prediction,) = predictor.segment(embedding, [prompt])
        table = Table()
        for name in ("mask", "score", "stability", "points"):
            table.add_column(name, justify="right")
        for number, found in enumerate(prediction.masks):
            score, stability = prediction.scores[number], prediction.stability[number]
            held = np.count_nonzero(found)
            table.add_row(str(number + 1), f"{score:.2f}", f"{stability:.2f}", f"{held:,}")
        console.print(table)
        if npz is not None:
            written = npz if npz.suffix == ".npz" else npz.with_name(f"{npz.name}.npz")
            written.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(written, masks=prediction.masks, scores=prediction.scores)
            tell_written("masks", written)
        if output is not None:
            write_instances(output, source, instances_of(prediction.best()))
            tell_written("instance", output)
        if png is not None:
            best = np.flatnonzero(prediction.masks[0])
            caption = f"{len(best):,} points   score {prediction.scores[0]:.2f}"
            draw_masks(png, source, [DrawnMask(best, caption, points, labels)], source.name)
            tell_written("picture", png)


def read_mask(path: Path, cloud: SensorCloud) -> NDArray[Any]:
    """Reads a mask of a cloud from a file: bool or float, (n,).

    Raises:
        PromptError: the file is not a readable mask, or does not fit the cloud; says what does.
    """
    if path.suffix.lower() not in (".png", ".npy"):
        raise PromptError(f"{path}: {path.suffix or 'no suffix'} is not supported; {MASK_FORM}")
    try:
        array = _image(path) if path.suffix.lower() == ".png" else np.load(path)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PromptError(f"cannot read {path}: {error}; {MASK_FORM}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "bfiu":
        raise PromptError(f"{path} holds no array of numbers; {MASK_FORM}")
    if array.dtype.kind in "iu":
        array = array != 0
    if array.shape == (cloud.size,):
        return array
    if not cloud.organised:
        raise PromptError(
            f"{path} has the shape {array.shape}, but {cloud.name} is not organised in rows and "
            f"columns; its mask is a .npy of shape ({cloud.size},)"
        )
    if array.shape != (cloud.height, cloud.width):
        turned = array.shape == (cloud.width, cloud.height)
        raise PromptError(
            f"{path} has the shape {array.shape}; {cloud.name} has {cloud.height} rows of "
            f"{cloud.width} points" + (": rows and columns are swapped" if turned else "")
        )
    return array.reshape(-1)


def _image(path: Path) -> NDArray[np.bool_]:
    """(rows, columns) bool: which pixels of an image are not black; alpha is ignored."""
    from matplotlib.image import imread

    pixels = imread(path)
    return np.asarray(pixels > 0 if pixels.ndim == 2 else (pixels[..., :3] > 0).any(axis=2))


def _numbers(text: str, count: int) -> tuple[float, ...]:
    """Parses three numbers x,y,z, or six of two corners."""
    words = text.split(",")
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        what, like = ("point", "0.1,-0.2,0.8") if count == 3 else ("box", "0,-0.2,0.7,0.2,0,0.9")
        form = ",".join(["x,y,z"] * (count // 3))
        raise PromptError(f"{text!r} is not a {what}; give {form} in metres, for example {like}")
    return numbers
