"""Keeps a camera open, whatever happens to it, and passes on its pairs. It runs in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from camera_node.faults import CameraError, Fault
from camera_node.pairs import DeviceClock, PairFilter, Refusal
from camera_node.source import CameraChangedError, CameraDescription, RawPair, RgbdSource, TimeDomain
from camera_node.statistics import Statistics
from fetch_sim2real.common.stamp_sequence import StampSequence, StampVerdict
from fetch_sim2real.types import RgbdFrame

# Longer than that no command would be accepted for it; the camera itself takes less than a tenth of a second.
MAX_AGE_NS: Final = 500_000_000
# A stamp may be ahead of the host's clock by what the SDK's estimate is uncertain.
MAX_AHEAD_NS: Final = 2_000_000
# A camera that has just been started adjusts its exposure before it delivers.
FIRST_PAIR_S: Final = 5.0
# Stalled twice in a row: opening it anew is not enough.
_STALLS_BEFORE_RESET: Final = 2
# A reset, the longest thing that a camera does, takes up to ten.
STOP_LIMIT_S: Final = 12.0
_READ_S: Final = 0.1

_FAULT_OF: Final = {
    Refusal.REPEATED: Fault.FROZEN,
    Refusal.UNPAIRED: Fault.UNPAIRED,
    Refusal.FUTURE: Fault.CLOCK,
    Refusal.LATE: Fault.CLOCK,
    Refusal.NOT_ADVANCING: Fault.CLOCK,
    Refusal.STRAY: Fault.CLOCK,
}
_FAULT_WITHOUT: Final = {"color": Fault.NO_COLOR, "depth": Fault.NO_DEPTH}
# Stamps by other clocks than the host's say nothing of how old a pair is.
_OWN_TIME: Final = (TimeDomain.RECORDED, TimeDomain.SIMULATED)


class State(Enum):
    """What a session is doing."""

    IDLE = "idle"  # not started yet
    OPENING = "opening"
    STREAMING = "streaming"
    WAITING = "waiting"  # for the next attempt
    OVER = "over"  # a recording was played to its end
    FAILED = "failed"  # nothing can mend it
    STOPPED = "stopped"


@dataclass(frozen=True)
class Timing:
    """How long a session waits. ``give_up_s``: how long there may be no camera at first; None: for ever."""

    frame_timeout_s: float = 1.0
    reconnect_s: float = 6.0
    give_up_s: float | None = None


@dataclass(frozen=True)
class Status:
    """A moment's view of a session. ``camera`` is the one that is open or was last."""

    state: State
    camera: CameraDescription | None
    error: CameraError | None
    openings: int
    color_drops: int
    depth_drops: int
    clock_offset_ms: float | None
    time_domain: TimeDomain | None
    clock_sets: int = 0


class Listener(Protocol):
    """Whom a session tells; called from its thread."""

    def on_frame(self, frame: RgbdFrame, camera: CameraDescription) -> None:
        """Take in a new pair. Its arrays are good only during the call."""
        ...

    def on_opened(self, camera: CameraDescription) -> None:
        """Note that the camera streams."""
        ...

    def on_error(self, error: CameraError) -> None:
        """Take note that the camera does not stream; it will be opened again if that makes sense."""
        ...


class CameraSession:
    """One source, kept open until ``stop``."""

    def __init__(
        self,
        source: RgbdSource,
        listener: Listener,
        timing: Timing,
        initial_reset: bool = False,
        host_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._source = source
        self._listener = listener
        self._timing = timing
        self._reset_next = initial_reset
        self._host_ns = host_ns
        self._stop = threading.Event()
        # A daemon, so that an SDK that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._state = State.IDLE
        self._camera: CameraDescription | None = None
        self._error: CameraError | None = None
        self._crash: BaseException | None = None
        self._openings = self._stalls = 0
        self._limit_s = FIRST_PAIR_S
        self._earlier_drops = (0, 0)
        self._filter = PairFilter()
        self._clock = DeviceClock()
        self._domain: TimeDomain | None = None
        # Stamps of one node never go back, whatever is plugged in, unless the clock that they are of does.
        self._stamps = StampSequence()
        self.statistics = Statistics()

    def start(self) -> None:
        """Begin to open the camera; later calls do nothing."""
        if self._state is not State.IDLE:
            return
        self._state = State.OPENING
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the camera."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_LIMIT_S)

    @property
    def status(self) -> Status:
        """Where it stands. Each part is current; they need not be of the same microsecond."""
        color, depth = self._earlier_drops
        return Status(
            state=self._state,
            camera=self._camera,
            error=self._error,
            openings=self._openings,
            color_drops=color + self._filter.color_drops,
            depth_drops=depth + self._filter.depth_drops,
            clock_offset_ms=self._clock.offset_ms,
            time_domain=self._domain,
            clock_sets=self._stamps.new_clocks,
        )

    def raise_failure(self) -> None:
        """Raise what ended the session for good, if anything did."""
        if self._crash is not None:
            raise self._crash
        if self._state is State.FAILED and self._error is not None:
            raise self._error

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_open()
        except BaseException as error:  # a fault of ours: the main thread raises it
            self._crash = error
        finally:
            self._source.close()

    def _keep_open(self) -> None:
        started_s = time.monotonic()
        while not self._stop.is_set():
            try:
                self._stream()
            except CameraChangedError:
                continue
            except CameraError as error:
                self._error = error
                is_final = error.is_final or self._is_given_up(started_s)
                if error.fault is Fault.RECORDING_OVER:
                    self._state = State.OVER
                else:
                    self._state = State.FAILED if is_final else State.WAITING
                self._listener.on_error(error)
                if self._state is not State.WAITING:
                    return
                self._stop.wait(self._timing.reconnect_s)
        self._state = State.STOPPED

    def _is_given_up(self, started_s: float) -> bool:
        limit_s = self._timing.give_up_s
        return limit_s is not None and self._openings == 0 and time.monotonic() - started_s >= limit_s

    def _stream(self) -> None:
        self._state = State.OPENING
        try:
            self._begin(self._source.open(self._reset_next))
            while not self._stop.is_set():
                self._wait_for_pair()
        finally:
            self._source.close()

    def _begin(self, camera: CameraDescription) -> None:
        self._earlier_drops = (
            self._earlier_drops[0] + self._filter.color_drops,
            self._earlier_drops[1] + self._filter.depth_drops,
        )
        self._filter, self._clock = PairFilter(), DeviceClock()
        self._camera = camera
        self._reset_next = False
        self._openings += 1
        self._limit_s = max(FIRST_PAIR_S, self._timing.frame_timeout_s)

    def _wait_for_pair(self) -> None:
        """Until one good pair has been passed on."""
        deadline_s = time.monotonic() + self._limit_s
        refusals: Counter[Refusal] = Counter()
        while not self._stop.is_set():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0:
                raise self._stalled(refusals)
            pair = self._source.read(min(left_s, _READ_S))
            if pair is None:
                if self._source.is_paused():
                    deadline_s = time.monotonic() + self._limit_s
                continue
            refusal = self._take(pair)
            if refusal is None:
                return
            refusals[refusal] += 1
            self.statistics.refused(refusal)

    def _take(self, pair: RawPair) -> Refusal | None:
        refusal = self._filter.refusal(pair)
        if refusal is not None:
            return refusal
        stamp_ns = self._clock.stamp_ns(pair.color)
        age_ns = self._host_ns() - stamp_ns
        if pair.color.domain not in _OWN_TIME:
            # A stamp from the future would make old pairs look young.
            if age_ns < -MAX_AHEAD_NS:
                return Refusal.FUTURE
            if age_ns > MAX_AGE_NS:
                return Refusal.LATE
        # Not too far ahead, by the host's clock. A recording and a simulation may jump ahead.
        verdict = self._stamps.judge(stamp_ns)
        if not verdict.is_taken:
            return Refusal.STRAY if verdict is StampVerdict.STRAY else Refusal.NOT_ADVANCING
        assert self._camera is not None
        self._domain = pair.color.domain
        if self._state is not State.STREAMING:
            self._state, self._error, self._stalls = State.STREAMING, None, 0
            self._limit_s = self._timing.frame_timeout_s
            self._listener.on_opened(self._camera)
        self._listener.on_frame(RgbdFrame(stamp_ns, pair.rgb, pair.depth_mm), self._camera)
        self.statistics.accepted(age_ns * 1e-6, pair.align_s * 1e3)
        return None

    def _stalled(self, refusals: Counter[Refusal]) -> CameraError:
        if not self._source.is_connected():
            return CameraError(Fault.UNPLUGGED, f"{self._camera} is gone: plug it in again")
        self._stalls += 1
        self._reset_next = self._stalls >= _STALLS_BEFORE_RESET
        then = "it is reset" if self._reset_next else "it is opened anew"
        if not refusals:
            missing = self._source.missing()
            return CameraError(
                Fault.STALLED if missing is None else _FAULT_WITHOUT[missing],
                f"no {missing or 'pair'} for {self._limit_s:g} s: {then}. If that does not help, try another cable or "
                "port",
            )
        worst = refusals.most_common(1)[0][0]
        counts = ", ".join(f"{count} {refusal.value}" for refusal, count in refusals.most_common())
        return CameraError(
            _FAULT_OF[worst],
            f"no usable pair for {self._limit_s:g} s, but {counts}: {then}. If that does not help, plug it in anew",
        )
