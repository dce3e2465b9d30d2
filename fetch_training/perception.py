"""Pretraining of the actor's encoder: where are block and gripper, from one RGB-D image."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.policy.network import Actor
from fetch_training.images import PoseImages

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainSettings:
    """Epochs over the images, batch size, and the peak of the one-cycle learning rate."""

    epochs: int = 12
    batch: int = 128
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class PoseError:
    """Euclidean errors on held-out images [m]."""

    block_median_m: float
    block_p95_m: float
    grip_median_m: float


def pretrain_encoder(
    actor: Actor, images: PoseImages, held_out: PoseImages, settings: PretrainSettings, run_seed: int
) -> PoseError:
    """Fit the encoder's auxiliary outputs to the true positions (Huber loss); the actor's head is left alone."""
    rng = np.random.default_rng([run_seed, 2])
    optimizer = torch.optim.Adam(actor.encoder.parameters())
    steps = settings.epochs * (len(images) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    error = pose_error(actor, held_out)
    for epoch in range(settings.epochs):
        actor.train()
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, len(order) - settings.batch + 1, settings.batch):
            index = np.sort(order[start : start + settings.batch])
            predicted = actor.encode(*_pictures(images, index))
            wanted = actor.normalize_auxiliary(torch.from_numpy(_targets(images, index)))
            loss = torch.nn.functional.huber_loss(predicted, wanted, delta=0.2)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        error = pose_error(actor, held_out)
        _log.info("encoder epoch %d/%d loss %.5f %s", epoch + 1, settings.epochs, float(np.mean(losses)), error)
    return error


def pose_error(actor: Actor, images: PoseImages) -> PoseError:
    """How far the encoder's positions are from the true ones."""
    actor.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 256):
            index = np.arange(start, min(start + 256, len(images)))
            parts.append(actor.auxiliary(actor.encode(*_pictures(images, index))).numpy())
    predicted = np.concatenate(parts)
    block = np.linalg.norm(predicted[:, :3] - images.block_m, axis=1)
    grip = np.linalg.norm(predicted[:, 3:6] - images.grip_m, axis=1)
    return PoseError(float(np.median(block)), float(np.percentile(block, 95)), float(np.median(grip)))


def _pictures(images: PoseImages, index: NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(images.rgb[index]), torch.from_numpy(images.depth_mm[index])


def _targets(images: PoseImages, index: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.concatenate([images.block_m[index], images.grip_m[index]], axis=1)
