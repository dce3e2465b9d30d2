"""The driver's states: what leads where, and above all what does not lead to ACTIVE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch_sim2real.control.states import TRANSITIONS, Event, State, StateMachine, TransitionError

LATCHED = (State.STOPPED, State.FAULT)


def machine_in(state: State) -> StateMachine:
    machine = StateMachine()
    machine.state = state
    return machine


def test_starts_disabled() -> None:
    assert StateMachine().state is State.DISABLED


def test_only_enable_leads_to_active() -> None:
    assert {event for (_, event), target in TRANSITIONS.items() if target is State.ACTIVE} == {Event.ENABLE}


def test_latched_states_are_left_by_reset_alone_and_not_to_active() -> None:
    for state in LATCHED:
        ways_out = {event: target for (s, event), target in TRANSITIONS.items() if s is state and target not in LATCHED}
        assert ways_out == {Event.RESET: State.DISABLED}


@pytest.mark.parametrize("state", list(State))
def test_a_fault_is_taken_in_every_state(state: State) -> None:
    assert machine_in(state).handle(Event.FAULT, "motor tripped") is State.FAULT


@pytest.mark.parametrize("state", list(State))
def test_a_stop_is_taken_in_every_state(state: State) -> None:
    assert machine_in(state).handle(Event.STOP, "operator") in LATCHED


def test_silence_holds_and_waits_for_an_enable() -> None:
    machine = machine_in(State.ACTIVE)
    assert machine.handle(Event.SILENCE, "no command for 0.1 s") is State.HOLD
    assert machine.reason == "no command for 0.1 s"
    assert machine.handle(Event.ENABLE, "operator") is State.ACTIVE


def test_what_is_not_in_the_table_raises_and_changes_nothing() -> None:
    machine = machine_in(State.STOPPED)
    machine.reason = "tracking error"
    with pytest.raises(TransitionError, match=r"'enable' is not possible while stopped \(tracking error\).*reset"):
        machine.handle(Event.ENABLE, "again")
    assert machine.state is State.STOPPED
    assert not machine.allows(Event.ENABLE)
    assert machine.allows(Event.RESET)


def test_enabling_twice_is_an_error() -> None:
    with pytest.raises(TransitionError):
        machine_in(State.ACTIVE).handle(Event.ENABLE, "again")


def test_a_latched_state_keeps_its_first_reason() -> None:
    machine = StateMachine()
    machine.handle(Event.FAULT, "run-stop pressed")
    machine.handle(Event.FAULT, "breaker off")
    machine.handle(Event.STOP, "operator")
    assert (machine.state, machine.reason) == (State.FAULT, "run-stop pressed")


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_no_history_reaches_active_without_an_enable_after_the_last_trouble(events: list[Event]) -> None:
    machine = StateMachine()
    taken = []
    for event in events:
        if machine.allows(event):
            machine.handle(event, event.value)
            taken.append(event)
    if machine.state is State.ACTIVE:
        assert taken[-1] is Event.ENABLE
        trouble = [i for i, event in enumerate(taken) if event in (Event.FAULT, Event.STOP)]
        if trouble:
            assert Event.RESET in taken[trouble[-1] :]
