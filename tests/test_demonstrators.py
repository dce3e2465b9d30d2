"""The demonstrators' rules, position by position."""

from __future__ import annotations

import pytest
import torch

from fetch_training.demonstrators import Situation, push

OBJECT_M = torch.tensor([0.60, 0.00, 0.745])
GOAL_M = torch.tensor([0.60, 0.20, 0.745])


def situation(grip_m: tuple[float, float, float], coming_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Situation:
    return Situation(
        torch.tensor([grip_m]), OBJECT_M[None], GOAL_M[None], torch.zeros(1), torch.tensor([coming_m])
    )  # fmt: skip


def test_motion_on_its_way_counts_as_made() -> None:
    high = push(situation((0.50, -0.20, 0.85), coming_m=(0.03, 0.04, -0.01)))
    torch.testing.assert_close(high, push(situation((0.53, -0.16, 0.84))))


def test_the_object_goes_ahead_of_a_gripper_that_pushes() -> None:
    """5 cm before the goal, with 4 cm of pushing on their way, a centimetre is left: that is to stay."""
    near = Situation(
        torch.tensor([[0.60, 0.105, 0.757]]), torch.tensor([[0.60, 0.15, 0.745]]), GOAL_M[None], torch.zeros(1),
        torch.tensor([[0.0, 0.04, 0.0]]),
    )  # fmt: skip
    assert push(near)[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert push(near._replace(coming_m=torch.zeros(1, 3)))[0, 1] > 0.2


def test_a_gripper_above_pushes_nothing() -> None:
    before, after = (push(situation((0.60, y, 0.83), coming_m=(0.0, c, 0.0))) for y, c in ((-0.05, 0.04), (-0.01, 0.0)))
    torch.testing.assert_close(before, after)
