"""The grammar of commands in an image: text patterns, which are compiled to an automaton over bytes.

In a pattern, ``(on|off)`` stands for one of several alternatives, ``[please]`` for optional text, and ``<0-100>`` for
an integer without leading zeros. A backslash escapes the next character.

The automaton is acyclic and minimal: states are made from the end of the patterns to their beginning, and states with
the same continuations are shared (hash-consing, as for Daciuk's minimal acyclic automata, 2000).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from shrew.engine import MAX_COMMAND_BYTES
from shrew.errors import ConfigError

MOST_STATES, MOST_EDGES = 0xFFFF, 0x7FFF
ACCEPTS = 0x8000

#: A command with a lower probability than this is refused.
DEFAULT_THRESHOLD: Final = 0.7

_HEADER = struct.Struct("<fHH")
_NUMBER = re.compile(r"<(\d+)-(\d+)>")

State = int
Edges = tuple[tuple[int, State], ...]


#: An element of a sequence: text, a range of numbers, or alternatives.
Part: TypeAlias = "bytes | range | list[Parts]"
Parts: TypeAlias = "list[Part]"


class _Automaton:
    """Distinct states as (accepts, edges). Edges are (byte, state), ordered by byte."""

    def __init__(self) -> None:
        self.states: list[tuple[bool, Edges]] = []
        self._known: dict[tuple[bool, Edges], State] = {}
        self._unions: dict[tuple[State, State], State] = {}
        self.end = self.state(True, ())

    def state(self, accepts: bool, edges: Edges) -> State:
        key = accepts, edges
        if key not in self._known:
            self._known[key] = len(self.states)
            self.states.append(key)
        return self._known[key]

    def sequence(self, parts: Parts, then: State) -> State:
        """The state that accepts ``parts`` followed by ``then``."""
        for part in reversed(parts):
            if isinstance(part, bytes):
                for byte in reversed(part):
                    then = self.state(False, ((byte, then),))
            elif isinstance(part, range):
                then = self.number(part[0], part[-1], then)
            else:
                first, *others = (self.sequence(alternative, then) for alternative in part)
                then = reduce(self.union, others, first)
        return then

    def union(self, a: State, b: State) -> State:
        if a == b:
            return a
        key = (a, b) if a < b else (b, a)
        if key not in self._unions:
            (accepts_a, edges_a), (accepts_b, edges_b) = self.states[a], self.states[b]
            merged = dict(edges_a)
            for byte, target in edges_b:
                merged[byte] = self.union(merged[byte], target) if byte in merged else target
            self._unions[key] = self.state(accepts_a or accepts_b, tuple(sorted(merged.items())))
        return self._unions[key]

    def number(self, low: int, high: int, then: State) -> State:
        found: State | None = None
        for digits in range(len(str(low)), len(str(high)) + 1):
            least, most = max(low, 10 ** (digits - 1) if digits > 1 else 0), min(high, 10**digits - 1)
            part = self._digits(str(least), str(most), then)
            found = part if found is None else self.union(found, part)
        assert found is not None
        return found

    def _digits(self, least: str, most: str, then: State) -> State:
        """The state for a range of numbers with equally many digits."""
        if not least:
            return then
        edges, rest = [], len(least) - 1
        for digit in range(int(least[0]), int(most[0]) + 1):
            low = least[1:] if digit == int(least[0]) else "0" * rest
            high = most[1:] if digit == int(most[0]) else "9" * rest
            edges.append((ord("0") + digit, self._digits(low, high, then)))
        return self.state(False, tuple(edges))


class _Pattern:
    """Parses a pattern."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def read(self) -> Parts:
        sequence = self._sequence()
        if self._at < len(self._text):
            raise self._error(f"{self._text[self._at]!r} closes nothing")
        return sequence

    def _sequence(self) -> Parts:
        """Parses up to a closing bracket or a bar."""
        parts: Parts = []
        while (character := self._next()) and character not in ")]|":
            start = self._at
            self._at += 1
            if character == "(":
                parts.append(self._alternatives(")"))
            elif character == "[":
                parts.append([*self._alternatives("]"), []])
            elif character == "<":
                match = _NUMBER.match(self._text, start)
                if match is None or int(match[1]) > int(match[2]):
                    raise self._error("'<' begins no range of numbers such as <0-100>")
                self._at = match.end()
                parts.append(range(int(match[1]), int(match[2]) + 1))
            else:
                if character == "\\":
                    character = self._next()
                    self._at += 1
                    if not character:
                        raise self._error("nothing follows the backslash")
                parts.append(character.encode())
        return parts

    def _alternatives(self, closing: str) -> list[Parts]:
        found = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            found.append(self._sequence())
        if self._next() != closing:
            raise self._error(f"{closing!r} is missing")
        self._at += 1
        return found

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"command {self._text!r}: {what}")


@dataclass(frozen=True)
class Commands:
    """A grammar, as a section of an image."""

    section: bytes

    @classmethod
    def of(cls, patterns: Sequence[str], threshold: float = DEFAULT_THRESHOLD) -> Commands:
        """Compiles patterns. ConfigError names the malformed pattern, or the limit that is exceeded."""
        _check_threshold(threshold)
        if not patterns:
            raise ConfigError("a grammar needs at least one command")
        automaton = _Automaton()
        start: State | None = None
        for pattern in patterns:
            try:
                built = automaton.sequence(_Pattern(pattern).read(), automaton.end)
            except UnicodeEncodeError:
                raise ConfigError(f"command {pattern!r}: is not valid text") from None
            except RecursionError:
                raise ConfigError(f"command {pattern[:40]!r}…: is nested too deeply, or too long") from None
            if automaton.states[built][0]:
                raise ConfigError(f"command {pattern!r}: may be empty")
            start = built if start is None else automaton.union(start, built)
        assert start is not None
        return cls(_section(automaton, start, threshold))

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Commands:
        """The grammar of exactly these commands."""
        return cls.of([literal(text) for text in texts])

    @property
    def threshold(self) -> float:
        return float(_HEADER.unpack_from(self.section)[0])

    def with_threshold(self, threshold: float) -> Commands:
        _check_threshold(threshold)
        return Commands(struct.pack("<f", threshold) + self.section[4:])

    @cached_property
    def _states(self) -> list[tuple[bool, list[tuple[int, int, int]]]]:
        _, states, edges = _HEADER.unpack_from(self.section)
        first = struct.unpack_from(f"<{states}H", self.section, _HEADER.size)
        start = _HEADER.size + 2 * (states + states % 2)
        table = list(struct.iter_unpack("<BBH", self.section[start : start + 4 * edges]))
        ends = [*(f & ~ACCEPTS for f in first[1:]), edges]
        return [(bool(f & ACCEPTS), table[f & ~ACCEPTS : end]) for f, end in zip(first, ends, strict=True)]

    def count(self) -> int:
        """The number of commands."""
        totals = [0] * len(self._states)
        for state in reversed(range(len(self._states))):
            accepts, edges = self._states[state]
            totals[state] = accepts + sum((high - low + 1) * totals[target] for low, high, target in edges)
        return totals[0]

    def __iter__(self) -> Iterator[str]:
        """All commands, in the order of their bytes."""
        stack = [(b"", 0)]
        while stack:
            text, state = stack.pop()
            accepts, edges = self._states[state]
            if accepts:
                yield text.decode()
            for low, high, target in reversed(edges):
                stack += ((text + bytes([byte]), target) for byte in range(high, low - 1, -1))

    def __contains__(self, command: object) -> bool:
        if not isinstance(command, str):
            return False
        state = 0
        for byte in command.encode(errors="replace"):
            edges = self._states[state][1]
            state = next((target for low, high, target in edges if low <= byte <= high), 0)
            if not state:  # no edge leads back to the first state
                return False
        return self._states[state][0]

    def examples(self, number: int) -> list[str]:
        return list(islice(self, number))


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise ConfigError(f"the confidence that commands need is {threshold}, must be 0 to 1")


def read_patterns(path: Path) -> list[str]:
    """Reads patterns from a file, one per line. Lines that begin with # are comments. ConfigError if unreadable."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: cannot read: {reason}") from None
    patterns = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not patterns:
        raise ConfigError(f"{path}: has no commands; write one per line, such as: led (on|off)")
    return patterns


def literal(command: str) -> str:
    """The pattern of exactly one command."""
    return re.sub(r"([\\()\[\]|<>])", r"\\\1", command)


def _section(automaton: _Automaton, start: State, threshold: float) -> bytes:
    order, depth = _order(automaton, start)
    if depth > MAX_COMMAND_BYTES:
        raise ConfigError(f"a command has {depth} bytes, more than the {MAX_COMMAND_BYTES} that the engine holds")
    number = {state: i for i, state in enumerate(order)}
    first, edges = [], bytearray()
    for state in order:
        accepts, targets = automaton.states[state]
        first.append(len(edges) // 4 | (ACCEPTS if accepts else 0))
        for low, high, target in _ranges(targets):
            edges += struct.pack("<BBH", low, high, number[target])
    if len(order) > MOST_STATES or len(edges) // 4 > MOST_EDGES:
        raise ConfigError(
            f"the commands need {len(order):,} states and {len(edges) // 4:,} edges, an image holds "
            f"{MOST_STATES:,} and {MOST_EDGES:,}; use fewer or simpler patterns"
        )
    if len(first) % 2:
        first.append(0)
    header = _HEADER.pack(threshold, len(order), len(edges) // 4)
    return header + struct.pack(f"<{len(first)}H", *first) + bytes(edges)


def _order(automaton: _Automaton, start: State) -> tuple[list[State], int]:
    """The states reachable from ``start``, each before its successors, and the length of the longest path."""
    length: dict[State, int] = {}
    done: list[State] = []
    stack = [(start, False)]
    while stack:
        state, finished = stack.pop()
        targets = [target for _, target in automaton.states[state][1]]
        if finished:
            if state not in length:
                length[state] = max((1 + length[target] for target in targets), default=0)
                done.append(state)
        elif state not in length:
            stack.append((state, True))
            stack += ((target, False) for target in targets if target not in length)
    return done[::-1], length[start]


def _ranges(edges: Edges) -> list[tuple[int, int, State]]:
    """Merges edges of neighbouring bytes that lead to the same state."""
    ranges: list[tuple[int, int, State]] = []
    for byte, target in edges:
        if ranges and ranges[-1][1] == byte - 1 and ranges[-1][2] == target:
            ranges[-1] = (ranges[-1][0], byte, target)
        else:
            ranges.append((byte, byte, target))
    return ranges
