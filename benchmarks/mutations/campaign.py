"""Tries mutants of one input after the other, and says which ones something did not survive."""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Any, Final

from fetch_sim2real.errors import FetchSim2RealError

HANG_S: Final = 10.0
_MAX_WORDS: Final = 4000
# What was got stands in a message as a number, or in quotation marks, brackets or braces, or as what it is.
_VALUE: Final = re.compile(r"\d|['\"\[{(]|\b(got|NaN|nan|None|infinite|missing|empty)\b")


@dataclass(frozen=True)
class Input:
    """A kind of input: ``good`` is a whole one, ``mutant`` makes a broken one, ``consume`` does what the stack does.

    A refusal is an error of ours that ``consume`` raises. ``fields``: words of which a refusal has to name one, if it
    does not say what was got.
    """

    name: str
    good: Any
    mutant: Callable[[Random], Any]
    consume: Callable[[Any], None]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A mutant that something did not survive; ``--only NAME --mutant NUMBER`` makes it again."""

    input: str
    mutant: int
    what: str
    text: str


@dataclass
class Tally:
    """What became of the mutants of one input."""

    input: str
    accepted: int = 0
    refused: int = 0
    failures: list[Failure] = field(default_factory=list)


class _HangError(BaseException):
    """Not an Exception: nobody may catch it."""


def try_mutants(tried: Input, numbers: range, seed: int) -> Tally:
    """Try the mutants of these numbers; each depends on its number and ``seed`` alone."""
    tally = Tally(tried.name)
    tried.consume(tried.good)  # what is broken is only worth trying where what is whole passes
    for number in numbers:
        mutant = tried.mutant(Random(f"{tried.name} {seed} {number}"))
        try:
            with _limited(HANG_S):
                tried.consume(mutant)
            tally.accepted += 1
        except FetchSim2RealError as error:
            tally.refused += 1
            if complaint := _complaint_about(str(error), tried.fields):
                tally.failures.append(Failure(tried.name, number, complaint, str(error)))
        except _HangError:
            tally.failures.append(Failure(tried.name, number, "hang", traceback.format_exc()))
        except Exception:
            tally.failures.append(Failure(tried.name, number, "crash", traceback.format_exc()))
    return tally


def _complaint_about(text: str, fields: tuple[str, ...]) -> str:
    """What is wrong with the words of a refusal, empty if nothing is."""
    if "\n" in text or len(text) > _MAX_WORDS:
        return "refusal that is not one line"
    if not (_VALUE.search(text) or any(name in text for name in fields)):
        return "unnamed refusal"
    return ""


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
