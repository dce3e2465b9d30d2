"""Chains of skills: what tasks bring where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.tasks.registry import find_task


def test_every_task_has_a_chain_of_skills() -> None:
    chains = {name: find_task(name).skills for name in ("push", "pick_and_place", "reach", "reach_block")}
    assert chains["push"][0] == Skill("gripper", "gripper", "block", hand_over_m=0.06)
    assert chains["pick_and_place"][0].hand_over_m == 0.03, "what is gripped has to be between the fingers"
    assert chains["pick_and_place"][1] == Skill("block", "block", GOAL)
    assert chains["reach"] == (Skill("gripper", "gripper", GOAL),)
    assert chains["reach_block"] == (Skill("gripper", "gripper", GOAL, follows=True),)


def test_positions_of_skills_are_in_base_link_whatever_frame_goals_are_in() -> None:
    grip, block, goal = np.array([[0.6, 0.0, 0.9]]), np.array([[0.7, 0.1, 0.7]]), np.array([[0.0, 0.05, 0.1]])
    task = find_task("reach_block")
    assert task.skills_achieved_m(grip, {"block": block}) == pytest.approx(grip[:, None])
    assert task.skills_asked_m(goal, {"block": block}) == pytest.approx((block + goal)[:, None])
    task = find_task("push")
    assert task.skills_achieved_m(grip, {"block": block}) == pytest.approx(np.stack([grip, block], axis=1))
    assert task.skills_asked_m(goal, {"block": block}) == pytest.approx(np.stack([block, goal], axis=1))
    assert task.skills_allowed(grip, {"block": block}, np.zeros(1)).all()


def test_a_chain_names_what_there_is() -> None:
    with pytest.raises(FetchSim2RealError, match="skill 'put': mover is 'brick', expected gripper, block"):
        replace(find_task("push"), chain=(Skill("put", "brick", GOAL),))
