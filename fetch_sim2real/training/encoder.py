"""Pretraining of the actor's encoder: where are objects and gripper, from one RGB-D image.

Two targets: the positions themselves, and, for as many of the first feature channels, attention on the cell in which
each of them appears. Without the second the encoder spends its first five epochs before it notices the block at all,
which covers 5 of 441 cells.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.common.ranges import Range, rgb_of
from fetch_sim2real.policy.network import SURENESS, Actor
from fetch_sim2real.sim.randomization.distractors import draw_other_hue
from fetch_sim2real.training.dense import knows_bfloat16
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class AugmentSettings:
    """How much pictures of 96 x 96 are changed; each value is the largest, or a probability where it says share."""

    exposure_factor: float = 1.3
    tint_factor: float = 1.12  # of each colour on its own
    ghost_share: float = 0.3
    ghost_weight: float = 0.25  # of another picture laid over
    patches: int = 2
    patch_px: tuple[int, int] = (9, 38)
    patch_depth_mm: tuple[int, int] = (400, 1_200)
    patch_hole_share: float = 0.3
    hue_gap_deg: float = 25.0  # between a patch's hue and those of objects
    clear_px: float = 13.0  # between a patch and the centres of objects and gripper
    hide_share: float = 0.08  # of the pictures have an object behind one more patch
    hide_px: tuple[int, int] = (18, 35)


def augment(
    images: PoseImages, index: NDArray[np.intp], settings: AugmentSettings, hues_deg: Sequence[Range],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.bool_]]:
    """Return changed copies of the pictures ``index`` (B,): rgb (B, S, S, 3), depth [mm] (B, S, S), and whether
    each of k objects is hidden now (B, k). ``hues_deg`` are those of the objects, which nothing else has."""
    rgb, depth_mm = images.rgb[index].astype(np.float32), images.depth_mm[index].copy()
    rgb *= _factors(rng, (len(rgb), 1, 1, 1), settings.exposure_factor)
    rgb *= _factors(rng, (len(rgb), 1, 1, 3), settings.tint_factor)
    ghosts = np.flatnonzero(rng.random(len(rgb)) < settings.ghost_share)
    weight = rng.uniform(0.0, settings.ghost_weight, (len(ghosts), 1, 1, 1)).astype(np.float32)
    others = images.rgb[index[rng.permutation(len(index))[: len(ghosts)]]]
    rgb[ghosts] += weight * (others - rgb[ghosts])
    centers_px = np.concatenate([images.objects_uv[index], images.grip_uv[index][:, None]], axis=1)
    for picture in range(len(rgb)):
        for _ in range(rng.integers(settings.patches + 1)):
            _put_patch(rgb[picture], depth_mm[picture], centers_px[picture], settings, hues_deg, rng)
    hidden = rng.random((len(rgb), centers_px.shape[1] - 1)) < settings.hide_share
    for picture, hides in np.argwhere(hidden).tolist():
        side_px = rng.integers(*settings.hide_px, 2)
        corner = (centers_px[picture, hides] - side_px / 2 + rng.uniform(-3.0, 3.0, 2)).round()
        _fill(rgb[picture], depth_mm[picture], corner, side_px, settings, hues_deg, rng)
    return np.clip(rgb, 0.0, 255.0).astype(np.uint8), depth_mm, hidden


def _factors(rng: np.random.Generator, shape: tuple[int, ...], largest: float) -> NDArray[np.float32]:
    return np.exp(rng.uniform(-np.log(largest), np.log(largest), shape)).astype(np.float32)


def _put_patch(
    rgb: NDArray[np.float32],
    depth_mm: NDArray[np.uint16],
    centers_px: NDArray[np.float32],
    settings: AugmentSettings,
    hues_deg: Sequence[Range],
    rng: np.random.Generator,
) -> None:
    """Put a rectangle of one colour and depth into a picture, unless it would come too close to a centre (k, 2)."""
    size = rng.integers(*settings.patch_px, 2)
    corner: FloatArray = rng.uniform(0.0, rgb.shape[0] - size).round()
    beside = np.maximum(np.maximum(corner - centers_px, centers_px - corner - size), 0.0)
    if not np.any(np.linalg.norm(beside, axis=1) < settings.clear_px):
        _fill(rgb, depth_mm, corner, size, settings, hues_deg, rng)


def _fill(
    rgb: NDArray[np.float32],
    depth_mm: NDArray[np.uint16],
    corner: FloatArray,
    size: NDArray[np.int64],
    settings: AugmentSettings,
    hues_deg: Sequence[Range],
    rng: np.random.Generator,
) -> None:
    """Put a rectangle of one colour and depth, or a hole, at ``corner`` (2,) [px] of a picture."""
    (left, top), (right, bottom) = (np.clip(edge, 0, len(rgb)).astype(int) for edge in (corner, corner + size))
    hue_deg = draw_other_hue(hues_deg, settings.hue_gap_deg, rng)
    rgb[top:bottom, left:right] = 255.0 * rgb_of(np.array([hue_deg, *rng.uniform(0.0, 1.0, 2)]))
    hole = rng.random() < settings.patch_hole_share
    depth_mm[top:bottom, left:right] = 0 if hole else rng.integers(*settings.patch_depth_mm)


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainSettings:
    """Epochs over the images, batch size, and the peak of the one-cycle learning rate."""

    epochs: int = 16
    batch: int = 128
    learning_rate: float = 2e-3
    # Weight of the attention's cross-entropy [nats] beside the positions' Huber loss [bottleneck units].
    attention_weight: float = 0.02
    augment: AugmentSettings | None = field(default_factory=AugmentSettings)


@dataclass(frozen=True)
class PoseError:
    """Euclidean errors on held-out images [m]."""

    object_median_m: float
    object_p95_m: float
    grip_median_m: float


def pretrain_encoder(
    actor: Actor, images: PoseImages, held_out: PoseImages, settings: PretrainSettings, hues_deg: Sequence[Range],
    run_seed: int,
) -> PoseError:
    """Fit the encoder's auxiliary outputs to the true positions (Huber loss); the actor's head is left alone.

    ``hues_deg`` are those of the objects: see ``augment``.
    """
    rng = np.random.default_rng([run_seed, 2])
    optimizer = torch.optim.Adam(actor.encoder.parameters())
    steps = settings.epochs * (len(images) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    error, low_precision = pose_error(actor, held_out), knows_bfloat16()
    for epoch in range(settings.epochs):
        actor.train()
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, len(order) - settings.batch + 1, settings.batch):
            index = np.sort(order[start : start + settings.batch])
            rgb, depth_mm, hidden = _varied(images, index, settings.augment, hues_deg, rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
                features, depth = actor.encoder.feature_maps(rgb, depth_mm)
            features = features.float()
            bottleneck, wanted = actor.encoder.read(features, depth), torch.from_numpy(_targets(images, index))
            # Where a hidden object is cannot be seen: nothing is to be learned from a guess.
            weight = torch.ones_like(wanted)
            weight[:, :-3] = torch.from_numpy(np.repeat(~hidden, 3, axis=1)).float()
            seen, normalized = bottleneck[:, : wanted.shape[1]], actor.normalize_auxiliary(wanted)
            loss = (weight * torch.nn.functional.huber_loss(seen, normalized, delta=0.2, reduction="none")).mean()
            loss = loss + settings.attention_weight * _attention_loss(actor, features, images, index, ~hidden)
            if actor.spec.sure_of:
                loss = loss + _sureness_loss(actor, bottleneck, wanted, images.objects_seen[index] & ~hidden)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        error = pose_error(actor, held_out)
        _log.info("encoder epoch %d/%d loss %.5f %s", epoch + 1, settings.epochs, float(np.mean(losses)), error)
    return error


def _sureness_loss(
    actor: Actor, bottleneck: torch.Tensor, wanted: torch.Tensor, seen: NDArray[np.bool_]
) -> torch.Tensor:
    """What the encoder says of its estimates of k objects, against how far off they are [m] and whether each is seen
    (B, k): negative log likelihoods, of an exponential distribution of distances and of a coin."""
    positions, objects = len(actor.spec.auxiliary), seen.shape[1]
    off_m = (actor.auxiliary(bottleneck.detach()) - wanted)[:, :-3].unflatten(1, (objects, 3)).norm(dim=2)
    spread, probability = SURENESS
    told = bottleneck[:, positions : positions + len(SURENESS) * objects].unflatten(1, (objects, len(SURENESS)))
    expected_m = 10.0 ** (told[..., 0] * spread.scale + spread.centre)
    is_seen = (told[..., 1] * probability.scale + probability.centre).clamp(1e-4, 1.0 - 1e-4)
    coin = torch.nn.functional.binary_cross_entropy(is_seen, torch.from_numpy(seen).float())
    return (off_m / expected_m + expected_m.log()).mean() + coin


def _attention_loss(
    actor: Actor, features: torch.Tensor, images: PoseImages, index: NDArray[np.intp], shows: NDArray[np.bool_]
) -> torch.Tensor:
    """Cross-entropy between the first channels' attention and where objects and gripper appear; of each object where
    it is not hidden (B, k)."""
    cells, step = features.shape[-1], actor.encoder.step
    logits = actor.encoder.softmax.logits(features)
    loss = torch.zeros(())
    centers_px = np.concatenate([images.objects_uv[index], images.grip_uv[index][:, None]], axis=1)
    shows = np.pad(shows, ((0, 0), (0, 1)), constant_values=True)
    for channel in range(centers_px.shape[1]):
        cell = np.rint(centers_px[:, channel] / step).astype(np.int64)
        inside = torch.from_numpy(np.all((cell >= 0) & (cell < cells), axis=1) & shows[:, channel])
        flat = torch.from_numpy(np.clip(cell[:, 1], 0, cells - 1) * cells + np.clip(cell[:, 0], 0, cells - 1))
        loss = loss + torch.nn.functional.cross_entropy(logits[inside, channel], flat[inside])
    return loss


def pose_error(actor: Actor, images: PoseImages) -> PoseError:
    """Return how far [m] the encoder's positions are from the true ones, all objects together."""
    off_m = np.linalg.norm(errors_m(actor, images), axis=2)
    of_objects, of_grip = off_m[:, :-1], off_m[:, -1]
    return PoseError(float(np.median(of_objects)), float(np.percentile(of_objects, 95)), float(np.median(of_grip)))


def errors_m(actor: Actor, images: PoseImages) -> NDArray[np.float32]:
    """Return the encoder's positions minus the true ones (n, k + 1, 3), of the objects and then of the gripper."""
    estimated: NDArray[np.float32] = actor.auxiliary(torch.from_numpy(encode_all(actor, images))).numpy()
    return (estimated - _targets(images, np.arange(len(images)))).reshape(len(images), -1, 3)


def encode_all(actor: Actor, images: PoseImages) -> NDArray[np.float32]:
    """Return the bottlenecks (n, b) of all images."""
    actor.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 256):
            index = np.arange(start, min(start + 256, len(images)))
            parts.append(actor.encode(*_pictures(images, index)).numpy())
    return np.concatenate(parts)


def _pictures(images: PoseImages, index: NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(images.rgb[index]), torch.from_numpy(images.depth_mm[index])


def _varied(
    images: PoseImages, index: NDArray[np.intp], settings: AugmentSettings | None, hues_deg: Sequence[Range],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.bool_]]:
    """The pictures ``index`` changed at random, or as they are without ``settings``; which objects (B, k) are hidden.
    """
    if settings is None:
        return *_pictures(images, index), np.zeros((len(index), images.objects_m.shape[1]), bool)
    rgb, depth_mm, hidden = augment(images, index, settings, hues_deg, rng)
    return torch.from_numpy(rgb), torch.from_numpy(depth_mm), hidden


def _targets(images: PoseImages, index: NDArray[np.intp]) -> NDArray[np.float32]:
    """Positions (B, 3 k + 3) of objects and gripper, as the auxiliary outputs of an actor stand."""
    return np.concatenate([images.objects_m[index].reshape(len(index), -1), images.grip_m[index]], axis=1)
