"""Runs the assembly of the ESP32-S3's kernels, of which no emulator here knows the vector instructions.

The source itself is parsed and executed. The interpreter knows exactly the instructions that it uses, base Xtensa and
PIE, as the ISA summary and chapter 1 of the ESP32-S3 Technical Reference Manual define them. Errors that the chip would
ignore are reported: reading an uninitialised register, an address outside the given memory, a misaligned scalar access,
changing a1.

Cycles assume ideal memory: one per instruction, the time that the pipeline waits for operands (tables 1.7-1 and 1.7-2
of the manual: a value ready at the end of stage A and needed at the start of stage B costs A - B + 1), and two for a
taken branch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

GUARDS: Final = ("#if defined(__XTENSA__) && defined(SHREW_PIE)", "#endif")
DIRECTIVES: Final = (".text", ".align", ".global", ".type", ".size")
ACCX_LIMIT: Final = 1 << 39
BRANCH_CYCLES: Final = 2
STACK_BYTES: Final = 256


class MachineError(Exception):
    """The program makes an error, or uses something that this interpreter does not know."""


@dataclass
class Memory:
    """Blocks of memory, far enough apart that running over the end of one is detected."""

    blocks: dict[int, bytearray] = field(default_factory=dict)

    def place(self, content: bytes, misaligned: int = 0) -> int:
        """Copies content to the next block, 16-byte aligned unless told otherwise; returns its address."""
        address = 0x3FC00000 + 0x100000 * len(self.blocks) + misaligned
        self.blocks[address] = bytearray(content)
        return address

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        for base, block in self.blocks.items():
            if base <= address and address + size <= base + len(block):
                return block, address - base
        raise MachineError(f"{size} bytes at {address:#x} are outside all blocks")

    def load(self, address: int, size: int) -> bytes:
        block, offset = self._find(address, size)
        return bytes(block[offset : offset + size])

    def store(self, address: int, content: bytes) -> None:
        block, offset = self._find(address, len(content))
        block[offset : offset + len(content)] = content


@dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    operands: tuple[int | str, ...]


@dataclass(frozen=True)
class Program:
    instructions: list[Instruction]
    labels: dict[str, int]


def lanes(q: bytes, size: int) -> list[int]:
    """The signed integers in a vector register."""
    return [int.from_bytes(q[i : i + size], "little", signed=True) for i in range(0, 16, size)]


def clamp(value: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min(value, (1 << (bits - 1)) - 1))


def signed(value: int) -> int:
    return (value & 0xFFFFFFFF) - ((value & 0x80000000) << 1)


class Machine:
    """Registers, and the effect of instructions on them. ``None``: not initialised."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.a: list[int | None] = [None] * 16
        self.q: list[bytes | None] = [None] * 8
        self.accx: int | None = None
        self.qacc: list[int] | None = None  # eight of 40 bits: QACC_L, then QACC_H
        self.next = 0
        self.loop: tuple[int, int, int] | None = None  # begin, end, times left after this one
        self.instructions = 0
        self.cycles = 0
        self.ready: dict[str, int] = {}  # cycle at whose end a register's value exists, less its stage

    def ar(self, n: int) -> int:
        value = self.a[n]
        if value is None:
            raise MachineError(f"a{n} is read but was never written")
        return value

    def qr(self, n: int) -> bytes:
        value = self.q[n]
        if value is None:
            raise MachineError(f"q{n} is read but was never written")
        return value

    def set_ar(self, n: int, value: int) -> None:
        if n < 2:
            raise MachineError(f"a{n} belongs to the calling convention")
        self.a[n] = value & 0xFFFFFFFF

    def load(self, n: int, step: int, size: int = 16) -> bytes:
        """Loads from the address rounded down to a multiple of the size, like the unit, and advances the original."""
        content = self.memory.load(self.ar(n) & -size, size)
        self.set_ar(n, self.ar(n) + step)
        return content

    def products(self, qx: int, qy: int, size: int) -> list[int]:
        return [x * y for x, y in zip(lanes(self.qr(qx), size), lanes(self.qr(qy), size), strict=True)]

    def accumulate(self, qx: int, qy: int, size: int) -> None:
        if self.accx is None:
            raise MachineError("ACCX is read but was never written")
        self.accx = clamp(self.accx + sum(self.products(qx, qy, size)), 40)

    def accumulate_lanes(self, qx: int, qy: int) -> None:
        if self.qacc is None:
            raise MachineError("QACC is read but was never written")
        self.qacc = [clamp(a + b, 40) for a, b in zip(self.qacc, self.products(qx, qy, 2), strict=True)]

    def store_lanes(self, n: int, step: int, half: int, part: slice) -> None:
        """Stores bytes of one half of QACC (20 in all) at the address rounded down to a multiple of their number."""
        if self.qacc is None:
            raise MachineError("QACC is read but was never written")
        lanes = self.qacc[4 * half : 4 * half + 4]
        content = b"".join(lane.to_bytes(5, "little", signed=True) for lane in lanes)[part]
        self.memory.store(self.ar(n) & -len(content), content)
        self.set_ar(n, self.ar(n) + step)


Step = Callable[..., None]


@dataclass(frozen=True)
class Kind:
    """One mnemonic. operands: a or q for a register, and how it is used: < read, > written, both; the number is the
    stage at whose end it is written. Or a range of immediates, low:high:step; or a label. more: registers used that are
    not operands, with their stages."""

    operands: str
    step: Step
    more: str = ""


def _entry(m: Machine, sp: int, size: int) -> None:
    if sp != 1:
        raise MachineError("entry moves a1")
    m.a[1] = m.ar(1) - size


def _loopgtz(m: Machine, count: int, end: int) -> None:
    if m.loop:
        raise MachineError("hardware loops do not nest")
    times = signed(m.ar(count))
    if times > 0:
        m.loop = (m.next, end, times - 1)
    else:
        m.next = end


def _branch(m: Machine, taken: bool, target: int) -> None:
    if taken:
        m.next = target
        m.cycles += BRANCH_CYCLES


def _aligned(address: int) -> int:
    if address % 4:
        raise MachineError(f"the word at {address:#x} is not aligned")
    return address


def _l32i(m: Machine, to: int, at: int, offset: int) -> None:
    m.set_ar(to, int.from_bytes(m.memory.load(_aligned(m.ar(at) + offset), 4), "little"))


def _s32i(m: Machine, value: int, at: int, offset: int) -> None:
    m.memory.store(_aligned(m.ar(at) + offset), m.ar(value).to_bytes(4, "little"))


def _zero_accx(m: Machine) -> None:
    m.accx = 0


def _zero_qacc(m: Machine) -> None:
    m.qacc = [0] * 8


def _zero_q(m: Machine, to: int) -> None:
    m.q[to] = bytes(16)


def _srs_accx(m: Machine, to: int, by: int, _: int) -> None:
    if m.accx is None:
        raise MachineError("ACCX is read but was never written")
    m.accx >>= m.ar(by) & 63
    m.set_ar(to, clamp(m.accx, 32))


def _movi_32_q(m: Machine, to: int, value: int, lane: int) -> None:
    words = [(m.q[to] or bytes(16))[i : i + 4] for i in range(0, 16, 4)]
    words[lane] = m.ar(value).to_bytes(4, "little")
    m.q[to] = b"".join(words)


def _vld(m: Machine, to: int, at: int, step: int) -> None:
    m.q[to] = m.load(at, step)


def _vld_l_64(m: Machine, to: int, at: int, step: int) -> None:
    m.q[to] = m.load(at, step, 8) + m.qr(to)[8:]


def _vldbc_16(m: Machine, to: int, at: int, step: int) -> None:
    m.q[to] = m.load(at, step, 2) * 8


def _vsubs_s8_ld(m: Machine, loaded: int, at: int, to: int, x: int, y: int) -> None:
    if loaded == to:
        raise MachineError("one register cannot take both results")
    content = m.load(at, 16)
    if x == y:  # zeros, whatever was in it
        difference = bytes(16)
    else:
        pairs = zip(lanes(m.qr(x), 1), lanes(m.qr(y), 1), strict=True)
        difference = b"".join(clamp(a - b, 8).to_bytes(1, "little", signed=True) for a, b in pairs)
    m.q[loaded], m.q[to] = content, difference


def _vzip_8(m: Machine, first: int, second: int) -> None:
    if first == second:
        raise MachineError("zips two registers")
    both = bytes(byte for pair in zip(m.qr(first), m.qr(second), strict=True) for byte in pair)
    m.q[first], m.q[second] = both[:16], both[16:]


def _andq(m: Machine, to: int, x: int, y: int) -> None:
    m.q[to] = bytes(a & b for a, b in zip(m.qr(x), m.qr(y), strict=True))


def _vmulas_accx_ld(size: int) -> Step:
    def step(m: Machine, loaded: int, at: int, by: int, x: int, y: int) -> None:
        m.accumulate(x, y, size)
        m.q[loaded] = m.load(at, by)

    return step


LOW: Final = slice(0, 16)
HIGH: Final = slice(16, 20)
ACCUMULATES: Final = "accx<2 accx>2"
KINDS: Final = {
    "entry": Kind("a<> 16:32760:8", _entry),
    "retw": Kind("", lambda m: None),
    "mov": Kind("a>1 a<", lambda m, to, x: m.set_ar(to, m.ar(x))),
    "movi": Kind("a>1 -2048:2047:1", lambda m, to, value: m.set_ar(to, value)),
    "addi": Kind("a>1 a< -128:127:1", lambda m, to, x, value: m.set_ar(to, m.ar(x) + value)),
    "add": Kind("a>1 a< a<", lambda m, to, x, y: m.set_ar(to, m.ar(x) + m.ar(y))),
    "l32i": Kind("a>2 a< 0:1020:4", _l32i),
    "s32i": Kind("a< a< 0:1020:4", _s32i),
    "srli": Kind("a>1 a< 0:15:1", lambda m, to, x, by: m.set_ar(to, m.ar(x) >> by)),
    "bnez": Kind("a< label", lambda m, n, target: _branch(m, m.ar(n) != 0, target)),
    "bnei": Kind("a< 1:256:1 label", lambda m, n, value, target: _branch(m, m.ar(n) != value, target)),
    "loopgtz": Kind("a< label", _loopgtz),
    "ee.zero.accx": Kind("", _zero_accx, "accx>1"),
    "ee.srs.accx": Kind("a>1 a< 0:0:1", _srs_accx, "accx<1 accx>1"),
    "ee.movi.32.q": Kind("q<>1 a< 0:3:1", _movi_32_q),
    "ee.vld.128.ip": Kind("q>2 a<>1 -2048:2032:16", _vld),
    "ee.vsubs.s8.ld.incp": Kind("q>2 a<>1 q>1 q< q<", _vsubs_s8_ld),
    "ee.vzip.8": Kind("q<>1 q<>1", _vzip_8),
    "ee.andq": Kind("q>1 q< q<", _andq),
    "ee.vmulas.s16.accx": Kind("q< q<", lambda m, x, y: m.accumulate(x, y, 2), ACCUMULATES),
    "ee.vmulas.s16.accx.ld.ip": Kind("q>2 a<>1 -512:496:16 q< q<", _vmulas_accx_ld(2), ACCUMULATES),
    "ee.vmulas.s8.accx": Kind("q< q<", lambda m, x, y: m.accumulate(x, y, 1), ACCUMULATES),
    "ee.vmulas.s8.accx.ld.ip": Kind("q>2 a<>1 -512:496:16 q< q<", _vmulas_accx_ld(1), ACCUMULATES),
    "ee.zero.q": Kind("q>1", _zero_q),
    "ee.zero.qacc": Kind("", _zero_qacc, "qacc>1"),
    "ee.vld.l.64.ip": Kind("q>2 a<>1 -1024:1016:8", _vld_l_64),
    "ee.vld.l.64.xp": Kind("q>2 a<>1 a<", lambda m, to, at, by: _vld_l_64(m, to, at, m.ar(by))),
    "ee.vldbc.16.ip": Kind("q>2 a<>1 0:254:2", _vldbc_16),
    "ee.vmulas.s16.qacc": Kind("q< q<", lambda m, x, y: m.accumulate_lanes(x, y), "qacc<2 qacc>2"),
    "ee.st.qacc_l.l.128.ip": Kind("a<>1 -2048:2032:16", lambda m, at, by: m.store_lanes(at, by, 0, LOW), "qacc<1"),
    "ee.st.qacc_l.h.32.ip": Kind("a<>1 -512:508:4", lambda m, at, by: m.store_lanes(at, by, 0, HIGH), "qacc<1"),
    "ee.st.qacc_h.l.128.ip": Kind("a<>1 -2048:2032:16", lambda m, at, by: m.store_lanes(at, by, 1, LOW), "qacc<1"),
    "ee.st.qacc_h.h.32.ip": Kind("a<>1 -512:508:4", lambda m, at, by: m.store_lanes(at, by, 1, HIGH), "qacc<1"),
}


def _operand(text: str, kind: str) -> int | str:
    if kind[0] in "aq" and re.fullmatch(rf"{kind[0]}\d+", text):
        number = int(text[1:])
        if number < (16 if kind[0] == "a" else 8):
            return number
    elif kind == "label" and re.fullmatch(r"\.L\w+", text):
        return text
    elif ":" in kind and re.fullmatch(r"-?\d+", text):
        low, high, step = map(int, kind.split(":"))
        if low <= int(text) <= high and int(text) % step == 0:
            return int(text)
    raise MachineError(f"{text!r} is not what the instruction takes")


def parse(text: str) -> Program:
    """Parses assembly text. MachineError, with the line, at anything unknown."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0].strip()
        if not code or code in GUARDS or code.split()[0] in DIRECTIVES:
            continue
        if match := re.fullmatch(r"([.\w]+):", code):
            labels[match[1]] = len(instructions)
            continue
        name, *rest = code.split(None, 1)
        texts = [operand.strip() for operand in rest[0].split(",")] if rest else []
        try:
            if name not in KINDS:
                raise MachineError(f"{name!r} is not an instruction that this interpreter knows")
            kinds = KINDS[name].operands.split()
            if len(texts) != len(kinds):
                raise MachineError(f"{name} takes {len(kinds)} operands")
            operands = tuple(_operand(t, k) for t, k in zip(texts, kinds, strict=True))
        except MachineError as error:
            raise MachineError(f"line {number}: {error}") from None
        instructions.append(Instruction(number, name, operands))
    return Program(instructions, labels)


def load(path: Path) -> Program:
    return parse(path.read_text())


def _wait(m: Machine, instruction: Instruction) -> None:
    """Advances the clock to when the instruction can begin, and records when its results will be ready."""
    kind = KINDS[instruction.name]
    named = [
        f"{k[0]}{operand}{k[1:]}"
        for k, operand in zip(kind.operands.split(), instruction.operands, strict=True)
        if k[0] in "aq"
    ]
    written: dict[str, int] = {}
    start = m.cycles
    for use in [*named, *kind.more.split()]:
        match = re.fullmatch(r"(\w+?)(<?)(>?)(\d?)", use)
        assert match
        register, reads, writes, stage = match.groups()
        if reads:
            needed = int(stage or 1) if not writes else 1
            start = max(start, m.ready.get(register, 0) - needed + 1)
        if writes:
            written[register] = int(stage or 1)
    m.cycles = start + 1
    m.ready.update({register: start + stage for register, stage in written.items()})


def call(program: Program, name: str, memory: Memory, arguments: Sequence[int], limit: int = 10_000_000) -> Machine:
    """Calls a function with windowed registers: six arguments in a2 to a7, more at the caller's stack pointer."""
    m = Machine(memory)
    stack = memory.place(bytes(STACK_BYTES) + b"".join(x.to_bytes(4, "little") for x in arguments[6:]))
    m.a[0], m.a[1] = 0x40000000, stack + STACK_BYTES
    m.a[2 : 2 + len(arguments[:6])] = [x & 0xFFFFFFFF for x in arguments[:6]]
    m.next = program.labels[name]
    if program.instructions[m.next].name != "entry":
        raise MachineError(f"{name} does not begin with entry")
    while True:
        instruction = program.instructions[m.next]
        _wait(m, instruction)
        m.instructions += 1
        m.next += 1
        if instruction.name == "retw":
            return m
        operands = [program.labels[x] if isinstance(x, str) else x for x in instruction.operands]
        try:
            KINDS[instruction.name].step(m, *operands)
        except MachineError as error:
            raise MachineError(f"line {instruction.line}: {error}") from None
        if m.loop and m.next == m.loop[1]:
            begin, end, left = m.loop
            m.loop = (begin, end, left - 1) if left else None
            m.next = begin if left else end
        if m.instructions > limit:
            raise MachineError("runs for ever")
