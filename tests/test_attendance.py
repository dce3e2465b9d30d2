"""Who enabled the driver has to stay: heartbeats by the steady clock, and who need not beat."""

from __future__ import annotations

import pytest

from arm_driver.attendance import Attendance
from fetch_sim2real.stack.heartbeat import BEAT_PERIOD_S, HEARTBEAT_TIMEOUT_S, HEARTBEATS, LAUNCH, OFF, OPERATOR

BEAT_NS = round(BEAT_PERIOD_S * 1e9)
TIMEOUT_NS = round(HEARTBEAT_TIMEOUT_S * 1e9)


def attendance(
    heartbeat: str = OPERATOR, is_live: bool = True, is_simulated: bool = False, is_lockstep: bool = False
) -> Attendance:
    return Attendance(heartbeat, is_live=is_live, is_simulated=is_simulated, is_lockstep=is_lockstep)


def test_several_beats_may_be_lost() -> None:
    assert HEARTBEAT_TIMEOUT_S >= 4 * BEAT_PERIOD_S


def test_on_a_robot_nothing_is_enabled_without_a_heartbeat() -> None:
    watched = attendance()
    assert "operate heartbeat" in watched.refusal(0) and "heartbeat:=off" in watched.refusal(0)
    watched.on_beat("me", 0)
    assert not watched.refusal(TIMEOUT_NS)
    assert watched.refusal(TIMEOUT_NS + 1), "an old beat is none"


def test_its_loss_is_noticed_after_the_timeout_and_named() -> None:
    watched = attendance()
    for beat in range(10):
        watched.on_beat("me", beat * BEAT_NS)
        if beat == 0:
            watched.begin(0)
        assert not watched.complaint(beat * BEAT_NS)
    last_ns = 9 * BEAT_NS
    assert not watched.complaint(last_ns + TIMEOUT_NS)
    assert "me" in watched.complaint(last_ns + TIMEOUT_NS + 1)


def test_all_who_were_there_have_to_stay_and_nobody_else() -> None:
    watched = attendance()
    watched.on_beat("a", 0)
    watched.on_beat("b", 0)
    watched.begin(0)
    watched.on_beat("a", BEAT_NS)
    watched.on_beat("c", BEAT_NS)
    assert watched.complaint(TIMEOUT_NS + BEAT_NS).count("heartbeat_lost: b,") == 1
    watched.on_beat("b", TIMEOUT_NS + BEAT_NS)
    watched.on_beat("a", TIMEOUT_NS + BEAT_NS)
    assert not watched.complaint(2 * TIMEOUT_NS), "c has come later: it may leave"


def test_a_shadow_lockstep_and_off_need_nobody() -> None:
    for free in (
        attendance(is_live=False),
        attendance(is_simulated=True, is_lockstep=True),
        attendance(OFF),
    ):
        assert not free.refusal(0)
        free.on_beat("me", 0)
        free.begin(0)
        assert not free.complaint(100 * TIMEOUT_NS)
        assert "not needed" in free.words(0) or "off" in free.words(0)


def test_a_simulation_in_real_time_needs_nobody_but_watches_who_is_there() -> None:
    simulated = attendance(is_simulated=True)
    assert not simulated.refusal(0)
    simulated.begin(0)
    assert not simulated.complaint(100 * TIMEOUT_NS)
    simulated.on_beat("me", 0)
    simulated.begin(0)
    assert "me" in simulated.complaint(TIMEOUT_NS + 1)


def test_with_launch_the_process_that_started_the_driver_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = attendance(LAUNCH)
    assert not watched.refusal(0) and not watched.complaint(100 * TIMEOUT_NS)
    monkeypatch.setattr("os.getppid", lambda: 1)
    assert "has ended" in watched.refusal(0) and "has ended" in watched.complaint(0)


def test_invented_names_fill_no_memory_and_push_nobody_out() -> None:
    watched = attendance()
    watched.on_beat("me", 0)
    watched.begin(0)
    for number in range(1000):
        watched.on_beat(f"{number}" * 1000, number)
    assert watched.words(0).count("(") < 20 and len(watched.words(0)) < 2000
    watched.on_beat("me", 1000)
    assert not watched.complaint(TIMEOUT_NS)


def test_every_choice_is_accepted() -> None:
    for choice in HEARTBEATS:
        attendance(choice)
