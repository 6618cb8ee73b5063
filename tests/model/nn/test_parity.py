"""Every stage of the network gives the published implementation's numbers (tests/fixtures)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from places import FIXTURES
from safetensors.torch import load_file

from pointsam_model import ops
from pointsam_model.config.model import ModelConfig, ViTConfig
from pointsam_model.nn import CloudEncoding, Patches, PointSAM, make_patches
from pointsam_model.nn.vit import ViT
from pointsam_model.weights import load_model

TOLERANCE = 1e-4


def recorded(name: str) -> dict[str, torch.Tensor]:
    with np.load(FIXTURES / "tiny" / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)


@pytest.fixture(scope="module")
def model() -> PointSAM:
    folder = FIXTURES / "tiny"
    return load_model(str(folder / "config.json"), folder / "weights.safetensors", device="cpu")


@pytest.fixture(scope="module")
def patches() -> Patches:
    coords = recorded("raw_input")["coords"]
    return make_patches(coords, 64, 32)


@pytest.fixture(scope="module")
def encoding(model: PointSAM, patches: Patches) -> CloudEncoding:
    return model.encode(patches, recorded("raw_input")["features"])


def test_normalisation_matches() -> None:
    data = recorded("raw_input")
    coords, _, _ = ops.normalise(data["raw_xyz"])
    close(coords, data["coords"][0])


def test_patch_centres_and_groups_match_exactly(patches: Patches) -> None:
    data = recorded("grouping")
    rows = ops.farthest_points(data["coords"], 64)
    assert torch.equal(rows, data["fps_idx"].long())
    assert torch.equal(patches.groups.sort(-1).values, data["knn_idx"].long())
    close(patches.centers, data["centers"])


def test_patch_features_match(model: PointSAM, patches: Patches) -> None:
    features = patches.gather(recorded("raw_input")["features"])
    embedded = model.pc_encoder.patch_embed(patches.offsets, features)
    close(embedded, recorded("patch_embed")["embeddings"])


def test_cloud_embedding_and_its_position_match(encoding: CloudEncoding) -> None:
    data = recorded("encoder")
    close(encoding.embedding, data["pc_embeddings"])
    close(encoding.position, data["pc_pe"])


@pytest.mark.parametrize(("name", "label"), [("pos", 1), ("neg", 0), ("none", -1)])
def test_one_click_of_each_label_matches(model: PointSAM, name: str, label: int) -> None:
    data = recorded("prompts")
    embedded = model.point_encoder(data["prompt_coords"][:, :1], torch.tensor([[label]]))
    close(embedded, data[name])


def test_three_clicks_match(model: PointSAM) -> None:
    data = recorded("prompts")
    close(model.point_encoder(data["prompt_coords"], data["prompt_labels"]), data["three"])


def test_mask_prompt_matches(model: PointSAM, patches: Patches) -> None:
    data = recorded("decoder")
    close(model.mask_encoder.no_mask_embed.weight[None], data["dense_no_mask"])
    dense = model.mask_encoder(patches, data["prompt_mask_logits"][:, None])
    close(dense[0], data["dense_from_mask"])


def test_a_mask_prompt_may_look_at_the_nearest_points_of_a_patch_only(
    model: PointSAM, patches: Patches
) -> None:
    config = dataclasses.replace(model.config, mask_patch_size=8)
    few = PointSAM(config).eval()
    few.load_state_dict(model.state_dict())
    logits = recorded("decoder")["prompt_mask_logits"][:, None]
    smaller = dataclasses.replace(
        patches, groups=patches.groups[:, :, :8], offsets=patches.offsets[:, :, :8]
    )
    close(few.mask_encoder(patches, logits), model.mask_encoder(smaller, logits))


def test_what_is_kept_of_a_cloud_for_its_first_clicks_changes_nothing(
    model: PointSAM, encoding: CloudEncoding
) -> None:
    prompts = recorded("prompts")
    clicks, labels = prompts["prompt_coords"][:, None, :1], prompts["prompt_labels"][:, None, :1]
    kept = model.keep_first_view(encoding)
    assert kept.first_view is not None and encoding.first_view is None
    for mine, other in zip(
        model.decode(kept, clicks, labels), model.decode(encoding, clicks, labels), strict=True
    ):
        close(mine, other)


def test_interpolation_table_matches(patches: Patches) -> None:
    data = recorded("decoder")
    order, expected = patches.index.sort(-1), data["interp_index"].long().sort(-1)
    assert torch.equal(order.values, expected.values)
    close(
        patches.weight.gather(-1, order.indices), data["interp_weight"].gather(-1, expected.indices)
    )


def test_transformer_and_upscaling_match(model: PointSAM, encoding: CloudEncoding) -> None:
    prompts, data = recorded("prompts"), recorded("decoder")
    points = encoding.embedding[:, None] + model.mask_encoder(
        encoding.patches, data["prompt_mask_logits"][:, None]
    )
    clicks = model.point_encoder(prompts["prompt_coords"], prompts["prompt_labels"])[:, None]
    tokens, points = model.mask_decoder.attend(points, encoding.position, clicks, None)
    close(tokens, data["transformer_tokens"])
    close(points, data["transformer_points"])
    patches = encoding.patches
    features = ops.interpolate(points, patches.index, patches.weight)
    close(features[:, :64], data["interp_feats_first64"])
    close(model.mask_decoder.output_upscaling(features)[:, :64], data["upscaled_first64"])


@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(
    ("case", "clicks", "with_mask", "multimask"),
    [
        ("click1_multi", 1, False, True),
        ("click1_single", 1, False, False),
        ("click3", 3, True, False),
        ("click3_multi", 3, True, True),
    ],
)
def test_masks_and_predicted_iou_match(
    model: PointSAM,
    encoding: CloudEncoding,
    case: str,
    clicks: int,
    with_mask: bool,
    multimask: bool,
    grad: bool,
) -> None:
    prompts, data = recorded("prompts"), recorded("decoder")
    with torch.set_grad_enabled(grad):
        logits, ious = model.decode(
            encoding,
            prompts["prompt_coords"][:, None, :clicks],
            prompts["prompt_labels"][:, None, :clicks],
            mask_logits=data["prompt_mask_logits"][:, None] if with_mask else None,
            multimask=multimask,
        )
    close(logits[:, 0], data[f"{case}_masks"])
    close(ious[:, 0], data[f"{case}_iou"])


def test_a_rollout_of_five_clicks_matches(model: PointSAM, encoding: CloudEncoding) -> None:
    data = recorded("rollout")
    coords = recorded("raw_input")["coords"][0]
    mask_logits = None
    for step in range(int(data["n_iters"])):
        rows = data["prompt_idx"][:, : step + 1]
        logits, ious = model.decode(
            encoding,
            coords[rows][None],
            data["prompt_labels"][None, :, : step + 1].long(),
            mask_logits=mask_logits,
            multimask=step == 0,
        )
        close(logits[0], data[f"it{step}_masks"])
        close(ious[0], data[f"it{step}_iou_preds"])
        best = ious.argmax(-1)[..., None, None]
        mask_logits = logits.take_along_dim(best, 2)[:, :, 0]


def test_two_clouds_of_two_masks_in_one_batch_match(model: PointSAM) -> None:
    first, data = recorded("raw_input"), recorded("batch_rollout")
    coords = torch.cat([first["coords"], data["coords2"][None]])
    features = torch.cat([first["features"], data["features2"][None]])
    encoding = model.encode(make_patches(coords, 64, 32), features)
    rows = data["prompt_idx"].unflatten(0, (2, 2))
    labels = data["prompt_labels"].unflatten(0, (2, 2)).long()
    mask_logits = None
    for step in range(2):
        chosen = rows[..., : step + 1]
        clicks = torch.stack([coords[cloud][chosen[cloud]] for cloud in range(2)])
        logits, ious = model.decode(
            encoding,
            clicks,
            labels[..., : step + 1],
            mask_logits=mask_logits,
            multimask=step == 0,
        )
        close(logits.flatten(0, 1), data[f"it{step}_masks"])
        close(ious.flatten(0, 1), data[f"it{step}_iou_preds"])
        mask_logits = logits.take_along_dim(ious.argmax(-1)[..., None, None], 2)[:, :, 0]


def test_the_giants_blocks_match() -> None:
    folder = FIXTURES / "tiny_giant_vit_blocks"
    config = ModelConfig.from_json(folder / "config.json").vit
    assert config == ViTConfig("eva_giant", 64, 2, 4, 4.3636364, 1e-6)
    transformer = ViT(config)
    weights = load_file(folder / "weights.safetensors")
    transformer.load_state_dict({name: weights[name] for name in transformer.state_dict()})
    with np.load(folder / "tokens.npz", allow_pickle=False) as file:
        close(transformer(torch.from_numpy(file["x"])), torch.from_numpy(file["y"]))
