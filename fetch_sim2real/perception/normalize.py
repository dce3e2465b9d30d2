"""From an image's storage form to the numbers that the first layer sees: one function for training and deployment."""

from __future__ import annotations

import torch

from fetch_sim2real.perception.preprocess import Image, ImageSpec

# Depth in [near, far] becomes [-0.5, 0.5]; a pixel without depth must not look like any distance.
HOLE = -1.0


def normalize_images(rgb: torch.Tensor, depth_mm: torch.Tensor, spec: ImageSpec) -> torch.Tensor:
    """Return float32 (B, 4, S, S), channels last in memory, from rgb (B, S, S, 3) uint8 and depth (B, S, S) uint16
    [mm].

    Colour is in [-0.5, 0.5]; depth is clipped to the spec's range and scaled to [-0.5, 0.5], HOLE where it is 0.
    What the spec's channels leave out looks like black colour, or like holes.
    """
    if spec.channels == "depth":
        rgb = torch.zeros_like(rgb)
    if spec.channels == "rgb":
        depth_mm = torch.zeros_like(depth_mm)
    colour = rgb.to(torch.float32) / 255.0 - 0.5
    depth_m = depth_mm.to(torch.float32) * 1e-3
    scaled = (depth_m.clamp(spec.depth_near_m, spec.depth_far_m) - spec.depth_near_m) / (
        spec.depth_far_m - spec.depth_near_m
    ) - 0.5
    depth = torch.where(depth_m > 0, scaled, torch.full_like(scaled, HOLE))
    # Stored channel-last, so permuting the view gives convolutions the layout they are fastest in, without a copy.
    return torch.cat([colour, depth.unsqueeze(-1)], dim=-1).permute(0, 3, 1, 2)


def to_tensor(image: Image, spec: ImageSpec) -> torch.Tensor:
    """Return the normalized image (4, S, S) float32 of one image in storage form."""
    return normalize_images(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None], spec)[0]
