"""The actor localizes, is deterministic, and treats its inputs as its docstrings say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fetch_sim2real.perception.normalize import HOLE
from fetch_sim2real.perception.observe import ObservationSpec, ScaledValue, make_observation_spec
from fetch_sim2real.perception.preprocess import ImageSpec
from fetch_sim2real.policy.network import Actor, ActorSpec, MemorySpec, SpatialSoftmax, build_actor, default_actor_spec

IMAGE = ImageSpec(size=84, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
BLOCK = tuple(
    ScaledValue(name=f"block_{axis}", centre=centre, scale=scale)
    for axis, centre, scale in (("x", 0.8, 0.1), ("y", 0.0, 0.2), ("z", 0.7, 0.05))
)


def observation_spec(image: ImageSpec = IMAGE) -> ObservationSpec:
    return make_observation_spec(
        image, proprioception=True, last_actions=2, goal_centre_m=(0, 0, 0), goal_scale_m=(0.1, 0.1, 0.1)
    )


def make_actor(seed: int = 0, **changes: object) -> Actor:
    torch.manual_seed(seed)
    spec = ActorSpec.model_validate(default_actor_spec(BLOCK, latent=4).model_dump() | changes)
    return build_actor(spec, observation_spec())


def inputs(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.integers(0, 256, (batch, 84, 84, 3), dtype=np.uint8)),
        torch.from_numpy(rng.integers(0, 2000, (batch, 84, 84)).astype(np.uint16)),
        torch.from_numpy(rng.normal(size=(batch, observation_spec().vector_size)).astype(np.float32)),
        torch.zeros(batch, 0),
    )


def blob(size: int, row: float, column: float) -> torch.Tensor:
    """A sharp Gaussian bump (1, 1, size, size) around the cell coordinates (row, column)."""
    cells = torch.arange(size, dtype=torch.float32)
    return -((cells[:, None] - row) ** 2 + (cells[None, :] - column) ** 2)[None, None]


STEP = 4


@pytest.mark.parametrize(("row", "column"), [(10, 10), (4, 15), (16.5, 5.25)])
def test_spatial_softmax_reads_position_and_depth_of_a_blob(row: float, column: float) -> None:
    size = 21
    layer = SpatialSoftmax(1, STEP, IMAGE)
    # A slanted surface: z grows by 20 mm a column, so that the depth found tells which column was attended.
    z = 0.7 + 0.02 * torch.arange(size, dtype=torch.float32)
    depth = ((z - 0.4) / 1.2 - 0.5).expand(1, 1, size, size)
    u, v, d, x, y = layer(blob(size, row, column), depth)[0].tolist()
    # Cell i is centred on pixel 4 i of the 84.
    expected_u, expected_v = (STEP * column + 0.5) / 84 * 2 - 1, (STEP * row + 0.5) / 84 * 2 - 1
    expected_z = 0.7 + 0.02 * column
    assert u == pytest.approx(expected_u, abs=2e-3)
    assert v == pytest.approx(expected_v, abs=2e-3)
    assert (d + 0.5) * 1.2 + 0.4 == pytest.approx(expected_z, abs=2e-3)
    # Lateral offsets are metres over the far distance: a pinhole's deprojection.
    half = np.tan(np.deg2rad(20))
    assert x * 1.6 == pytest.approx(expected_u * half * expected_z, abs=2e-3)
    assert y * 1.6 == pytest.approx(expected_v * half * expected_z, abs=2e-3)


def test_moving_the_blob_moves_the_point_by_as_much() -> None:
    layer = SpatialSoftmax(1, STEP, IMAGE)
    depth = torch.zeros(1, 1, 21, 21)
    first, second = layer(blob(21, 8, 9), depth)[0], layer(blob(21, 11, 7), depth)[0]
    torch.testing.assert_close(second[:2] - first[:2], torch.tensor([-2.0, 3.0]) * STEP * 2 / 84, atol=1e-5, rtol=0)


def test_a_lower_temperature_sharpens() -> None:
    layer = SpatialSoftmax(1, STEP, IMAGE)
    logits = 0.01 * blob(21, 3, 3)
    blunt = layer(logits, torch.zeros(1, 1, 21, 21))[0, 0].item()
    with torch.no_grad():
        layer.log_temperature.fill_(float(np.log(0.01)))
    sharp = layer(logits, torch.zeros(1, 1, 21, 21))[0, 0].item()
    target = (STEP * 3 + 0.5) / 84 * 2 - 1
    assert abs(sharp - target) < 0.01 < abs(blunt - target)


def test_holes_do_not_pull_the_depth() -> None:
    layer = SpatialSoftmax(1, STEP, IMAGE)
    logits = 0.1 * blob(21, 10, 10)
    depth = torch.full((1, 1, 21, 21), 0.2)
    whole = layer(logits, depth)[0]
    depth[..., ::2] = HOLE
    torch.testing.assert_close(layer(logits, depth)[0, 2], whole[2], atol=1e-3, rtol=0)
    # Nothing seen at all: still finite.
    assert torch.isfinite(layer(logits, torch.full((1, 1, 21, 21), HOLE))).all()


def test_the_feature_map_keeps_its_resolution() -> None:
    assert make_actor().encoder.softmax.u.numel() >= 20 * 20


def single_bright_pixel(row: int, column: int) -> tuple[torch.Tensor, torch.Tensor]:
    rgb, depth = torch.zeros(1, 84, 84, 3, dtype=torch.uint8), torch.full((1, 84, 84), 1500).to(torch.uint16)
    rgb[0, row, column] = 255
    depth[0, row, column] = 600
    return rgb, depth


@pytest.mark.parametrize(("row", "column"), [(0, 0), (40, 12), (80, 80)])
def test_features_and_depth_and_coordinates_belong_to_the_same_pixel(row: int, column: int) -> None:
    """Convolutions that pass the middle pixel on must find its own position and its own depth."""
    actor = make_actor()
    with torch.no_grad():
        for layer in actor.encoder.conv:
            if isinstance(layer, torch.nn.Conv2d):
                middle = layer.kernel_size[0] // 2
                layer.weight.zero_()
                layer.weight[:, 0, middle, middle] = 1.0
                layer.bias.zero_()  # type: ignore[union-attr]
        actor.encoder.softmax.log_temperature.fill_(float(np.log(0.01)))
        maps = actor.encoder.feature_maps(*single_bright_pixel(row, column))
        u, v, d, _, _ = actor.encoder.softmax(*maps).reshape(5, -1)[:, 0].tolist()
    assert u == pytest.approx((column + 0.5) / 84 * 2 - 1, abs=1e-3)
    assert v == pytest.approx((row + 0.5) / 84 * 2 - 1, abs=1e-3)
    assert (d + 0.5) * 1.2 + 0.4 == pytest.approx(0.6, abs=2e-3)


def test_encoder_learns_where_a_block_is() -> None:
    """The point of the architecture: positions in metres from few images, by the auxiliary loss alone."""
    image = ImageSpec(size=42, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
    torch.manual_seed(0)
    actor = build_actor(default_actor_spec(BLOCK), observation_spec(image))
    rng, camera = np.random.default_rng(0), image.camera()

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        z = rng.uniform(0.8, 1.0, count)
        pixels = rng.integers(6, 34, (count, 2))
        rgb = np.full((count, 42, 42, 3), 90, np.uint8) + rng.integers(0, 40, (count, 42, 42, 3), dtype=np.uint8)
        depth = np.full((count, 42, 42), 1200, np.uint16)
        for i, (u, v) in enumerate(pixels):
            rgb[i, v - 2 : v + 3, u - 2 : u + 3] = (220, 30, 30)
            depth[i, v - 2 : v + 3, u - 2 : u + 3] = round(z[i] * 1000)
        points = camera.deproject(pixels, z) + np.array([0.8, 0.0, -0.2])
        return torch.from_numpy(rgb), torch.from_numpy(depth), torch.from_numpy(points.astype(np.float32))

    optimizer = torch.optim.Adam(actor.encoder.parameters(), lr=3e-3)
    for _ in range(150):
        rgb, depth, points = draw(32)
        loss = (actor.encode(rgb, depth) - actor.normalize_auxiliary(points)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rgb, depth, points = draw(256)
    with torch.inference_mode():
        error = (actor.auxiliary(actor.encode(rgb, depth)) - points).norm(dim=-1)
    blind = (points - points.mean(dim=0)).norm(dim=-1)
    assert error.median() < 0.3 * blind.median()


def test_how_sure_an_estimate_is_stands_between_positions_and_latent_numbers() -> None:
    plain, sure = make_actor(), make_actor(sure_of=("block",))
    names, latent = [value.name for value in sure.spec.bottleneck], [f"latent_{index}" for index in range(4)]
    assert names == ["block_x", "block_y", "block_z", "block_spread", "block_seen", *latent]
    sure.encoder.load_state_dict(plain.encoder.state_dict(), strict=False)
    rgb, depth, _, _ = inputs(5)
    with torch.no_grad():
        without, with_it = plain.encode(rgb, depth), sure.encode(rgb, depth)
    assert (with_it[:, [0, 1, 2, 5, 6, 7, 8]] == without).all() and (with_it[:, 3:5].abs() <= 1.0).all()
    # It learns to tell from what is found, and changes nothing of that.
    sure.encode(rgb, depth)[:, 3:5].sum().backward()
    changed = {name for name, weight in sure.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert changed == {name for name, _ in sure.named_parameters() if name.startswith("encoder.sure")}


def test_same_input_same_action_bit_for_bit() -> None:
    actor = make_actor().eval()
    with torch.inference_mode():
        first, second = actor(*inputs(1)), actor(*inputs(1))
    assert torch.equal(first.action, second.action)
    assert torch.equal(first.bottleneck, second.bottleneck)


def test_a_batch_computes_what_single_steps_compute() -> None:
    actor = make_actor().eval()
    rgb, depth, vector, state = inputs(8)
    with torch.inference_mode():
        batch = actor(rgb, depth, vector, state).action
        single = [actor(rgb[i : i + 1], depth[i : i + 1], vector[i : i + 1], state[:1]).action for i in range(8)]
    torch.testing.assert_close(batch, torch.cat(single), atol=5e-6, rtol=0)


def test_encoder_and_head_apart_are_the_actor() -> None:
    actor = make_actor().eval()
    rgb, depth, vector, state = inputs(3)
    with torch.inference_mode():
        whole = actor(rgb, depth, vector, state)
        bottleneck = actor.encode(rgb, depth)
        action, _ = actor.act(bottleneck, vector, state)
    assert torch.equal(whole.action, action)
    assert torch.equal(whole.bottleneck, bottleneck)
    assert bottleneck.shape == (3, len(BLOCK) + 4)


@pytest.mark.parametrize("coordinate_channels", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradients_reach_every_weight(coordinate_channels: bool, layer_norm: bool) -> None:
    actor = make_actor(coordinate_channels=coordinate_channels, layer_norm=layer_norm)
    actor(*inputs(4)).action.square().sum().backward()
    for name, parameter in actor.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


def test_a_frozen_encoder_learns_nothing_from_the_actions() -> None:
    actor = make_actor()
    rgb, depth, vector, state = inputs(4)
    with torch.no_grad():
        bottleneck = actor.encode(rgb, depth)
    actor.act(bottleneck, vector, state)[0].sum().backward()
    assert all(parameter.grad is None for parameter in actor.encoder.parameters())
    assert all(parameter.grad is not None for parameter in actor.head.parameters())


GRU = MemorySpec(kind="gru", size=12).model_dump()


def sequences(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = len(BLOCK) + 4, observation_spec().vector_size
    bottleneck, vector = (torch.randn(batch, length, size, generator=generator) for size in sizes)
    return bottleneck, vector


def test_a_sequence_computes_what_its_steps_compute() -> None:
    actor = make_actor(memory=GRU).eval()
    bottleneck, vector = sequences(3, 5)
    with torch.inference_mode():
        actions, last = actor.act(bottleneck, vector, actor.initial_state(3))
        state, steps = actor.initial_state(3), []
        for t in range(5):
            action, state = actor.act(bottleneck[:, t], vector[:, t], state)
            steps.append(action)
    torch.testing.assert_close(actions, torch.stack(steps, dim=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(last, state, atol=1e-6, rtol=0)


def test_what_was_seen_before_matters_to_an_actor_with_memory_alone() -> None:
    bottleneck, vector = sequences(1, 2)
    for memory, matters in ((GRU, True), (None, False)):
        actor = make_actor(memory=memory).eval()
        with torch.inference_mode():
            _, state = actor.act(bottleneck[:, 0], vector[:, 0], actor.initial_state())
            after, _ = actor.act(bottleneck[:, 1], vector[:, 1], state)
            alone, _ = actor.act(bottleneck[:, 1], vector[:, 1], actor.initial_state())
        assert torch.equal(after, alone) is not matters


def test_gradients_reach_back_through_the_memory() -> None:
    actor = make_actor(memory=GRU)
    bottleneck, vector = sequences(2, 4)
    bottleneck.requires_grad_()
    actor.act(bottleneck, vector, actor.initial_state(2))[0][:, -1].square().sum().backward()
    assert bottleneck.grad is not None and float(bottleneck.grad[:, 0].abs().max()) > 0
    for name, parameter in actor.head.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("part", ["rgb", "depth", "vector"])
def test_every_input_matters(part: str) -> None:
    actor = make_actor().eval()
    names = ("rgb", "depth", "vector", "state")
    one, other = dict(zip(names, inputs(1, 0), strict=True)), dict(zip(names, inputs(1, 1), strict=True))
    with torch.inference_mode():
        base = actor(*one.values()).action
        changed = actor(*(one | {part: other[part]}).values()).action
    assert float((base - changed).abs().max()) > 1e-5


def test_actions_stay_in_their_range() -> None:
    actor = make_actor()
    with torch.no_grad():
        actor.head.out.weight.mul_(1000)
        action = actor(*inputs(16)).action
    assert action.shape == (16, 4)
    assert float(action.abs().max()) <= 1.0
    assert float(action.abs().max()) > 0.99


def test_auxiliary_outputs_are_in_their_units() -> None:
    actor = make_actor()
    position = torch.tensor([[0.85, -0.1, 0.72]])
    bottleneck = torch.cat([actor.normalize_auxiliary(position), torch.ones(1, 4)], dim=-1)
    torch.testing.assert_close(bottleneck[:, :3], torch.tensor([[0.5, -0.5, 0.4]]))
    torch.testing.assert_close(actor.auxiliary(bottleneck), position)


def test_saved_tensors_are_weights_only() -> None:
    actor = make_actor(coordinate_channels=True)
    assert set(actor.state_dict()) == {name for name, _ in actor.named_parameters()}


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": {"kind": "gru", "size": 0}},
        {"memory": {"kind": "lstm", "size": 8}},
        {"hidden": ()},
        {"conv": ()},
        {"activation": "sine"},
        {"auxiliary": (), "latent": 0},
        {"hidden": (10**9,)},
        {"sure_of": ("cup",)},
    ],
)
def test_architectures_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_actor(**changes)
