"""The repetitions of all faults as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.faults.measure import Measurement

_HEAD = (
    "| fault | last valid command to braking, as commanded [ms] | bound [ms] | of the arm [ms] | unsampled [ms] "
    "| fault to braking [ms] | driver's state after | moves again after |\n"
    "|---|---|---|---|---|---|---|---|"
)


def markdown(measured: Sequence[Measurement], missing: Sequence[str]) -> str:
    """One row a fault: all repetitions' times, and what they have in common; faults that gave none come last."""
    rows = [_row([one for one in measured if one.fault == fault]) for fault in dict.fromkeys(m.fault for m in measured)]
    return "\n".join([_HEAD, *rows, *(f"| {fault} | not measured | | | | | | |" for fault in missing)])


def _row(same: Sequence[Measurement]) -> str:
    times = ", ".join(f"{1e3 * one.commanded_s:.0f}" for one in same)
    arm = ", ".join(f"{1e3 * one.braking_s:.0f}" for one in same)
    exceeded = "" if all(one.is_within_bound for one in same) else " **exceeded**"
    stalls = ", ".join(f"{1e3 * one.stall_s:.0f}" for one in same)
    faults = ", ".join(f"{1e3 * one.after_fault_s:.0f}" for one in same)
    states = " or ".join(sorted({one.state for one in same}))
    back = " or ".join(sorted({one.needed or "never" for one in same}))
    alone = " **and moved without**" if any(one.moved_alone for one in same) else ""
    bound = f"{1e3 * same[0].bound_s:.0f}{' from the fault' if same[0].since_fault else ''}"
    return f"| {same[0].fault} | {times}{exceeded} | {bound} | {arm} | {stalls} | {faults} | {states} | {back}{alone} |"
