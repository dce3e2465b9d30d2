"""Questions to the human, answered at the keyboard or by a script's lines, while the ROS session goes on."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from fetch_sim2real.ros.session import RosSession


class Terminal:
    """Standard input and a console. Where input is no terminal, its lines are the answers and no key aborts."""

    def __init__(self, session: RosSession, console: Console, assume_yes: bool, descriptor: int | None = None) -> None:
        self._session, self.console, self._assume_yes = session, console, assume_yes
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._is_terminal = os.isatty(self._descriptor)
        self._pending = b""
        self._has_ended = False

    def line(self, question: str) -> str | None:
        """Ask ``question`` and return the answer, stripped; None at the end of the input."""
        self.console.print(f"{question} ", end="", style="bold", highlight=False, markup=False)
        while b"\n" not in self._pending and not self._has_ended:
            self._session.spin(0.05)
            while self._is_readable() and b"\n" not in self._pending:
                got = os.read(self._descriptor, 4096)
                if not got:
                    self._has_ended = True
                    break
                self._pending += got
        if not self._pending:
            self.console.print("(end of input)")
            return None
        line, _, self._pending = self._pending.partition(b"\n")
        answer = line.decode("utf-8", errors="replace").strip()
        if not self._is_terminal:
            self.console.print(answer, highlight=False, markup=False)
        return answer

    def yes(self, question: str) -> bool:
        """Ask ``question`` and return whether the answer is yes; anything else, and the end of the input, is no."""
        if self._assume_yes:
            self.console.print(f"{question} [y/N] yes (--yes)", style="bold", highlight=False, markup=False)
            return True
        answer = self.line(f"{question} [y/N]")
        return answer is not None and answer.lower() in ("y", "yes")

    @contextmanager
    def any_key(self) -> Iterator[Callable[[], bool]]:
        """Yield a function that says whether a key was pressed."""
        if not self._is_terminal:
            yield lambda: False
            return
        before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        termios.tcflush(self._descriptor, termios.TCIFLUSH)
        try:
            yield self._is_readable
        finally:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

    def _is_readable(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0.0)[0])
