"""A plan: where the parts of a model go on a chip, whether it fits, and how fast it will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from shrew.chips.costs import known
from shrew.chips.facts import FIRMWARE, Chip, Figure, Memory
from shrew.chips.heap import Share, share
from shrew.chips.layout import Layout, StoredTensor, blank_model
from shrew.chips.placement import FLASH, PSRAM, SRAM, place, read_whole
from shrew.chips.prediction import Machine, Time, decode_time, prompt_time
from shrew.model.config import ModelConfig

#: Fields of a chip that are copied to JSON unchanged.
FACTS = ("title", "core", "cores", "hertz", "fpu", "vectors", "pointer_bytes", "sram", "page")


@dataclass(frozen=True)
class Request:
    """A model, and a chip with given sizes of memory."""

    layout: Layout
    chip: Chip
    psram: int
    flash: int
    context: int
    cores: int = 2
    wifi: bool = True
    flash_memory: Memory | None = None
    """A kind of flash that replaces the chip's usual one."""


@dataclass(frozen=True)
class Use:
    """A memory and its contents."""

    name: str
    size: int
    segments: Mapping[str, int]
    """Bytes by kind of contents."""

    @property
    def rest(self) -> str:
        return f"{amount(self.left)} left" if self.left >= 0 else f"{amount(-self.left)} lacking"

    @property
    def left(self) -> int:
        """Free bytes; negative if bytes are lacking."""
        return self.size - sum(self.segments.values())


@dataclass(frozen=True)
class Plan:
    request: Request
    session_bytes: int
    """The engine's answer on this machine. With four-byte pointers the session may be slightly smaller."""
    session: str
    """The memory of the session."""
    placement: Mapping[str, str]
    memories: tuple[Use, ...]
    lacking: Mapping[str, str]
    """What does not fit (flash, mapping, session), and why."""
    machine: Machine
    slots: int
    """How many images of this size the flash holds in addition to the firmware."""
    mapped: int
    """Bytes of the window in use, in whole pages."""
    assumptions: Mapping[str, Figure] = field(repr=False)

    @property
    def fits(self) -> bool:
        return not self.lacking

    @cached_property
    def decode(self) -> Time:
        """Time per token of an answer that fills the context."""
        return decode_time(self.machine, self.request.layout, self.request.context)

    @cached_property
    def prompt(self) -> Time:
        """Time per token of a prompt that fills the context."""
        return prompt_time(self.machine, self.request.layout, self.request.context)

    def fields(self) -> dict[str, Any]:
        """The fields for JSON. A model that does not fit has no speed."""
        request = self.request
        return {
            "chip": request.chip.name,
            "facts": {name: getattr(request.chip, name) for name in FACTS},
            "fits": self.fits,
            "lacking": dict(self.lacking),
            "tok_per_s": round(self.decode.per_second, 2) if self.fits else None,
            "prompt_tok_per_s": round(self.prompt.per_second, 2) if self.fits else None,
            "context": request.context,
            "session_bytes": self.session_bytes,
            "session": self.session,
            "slots": self.slots,
            "memories": [
                {"name": use.name, "bytes": use.size, "left": use.left, "holds": dict(use.segments)}
                for use in self.memories
            ],
            "seconds_per_token": {"by_step": dict(self.decode.by_step), "by_cause": dict(self.decode.by_cause)},
            "placement": [
                {
                    "tensor": one.name,
                    "type": str(one.type),
                    "bytes": one.bytes,
                    "bytes_read_per_token": one.bytes if read_whole(request.layout.config, one) else one.row_bytes,
                    "memory": self.placement[one.name],
                }
                for one in request.layout.tensors
            ],
            "assumptions": [
                {"name": name, "value": figure.value, "kind": figure.kind, "source": figure.source}
                for name, figure in self.assumptions.items()
            ],
        }


@cache
def session_bytes(config: ModelConfig, context: int, floats: bool, cores: int) -> int:
    """Bytes of a session, computed by the engine itself."""
    model = blank_model(config)
    return model.session_bytes(context=context, cache="f32" if floats else "int8", threads=cores)


def make_plan(request: Request) -> Plan:
    """Makes the plan. A model that does not fit also gets one, which says what is lacking."""
    chip, layout = request.chip, request.layout
    psram = chip.psram_of(request.psram)
    cores = min(request.cores, chip.cores)
    session = session_bytes(layout.config, request.context, layout.is_float, cores)
    sram = share(chip, request.wifi, psram=bool(request.psram))
    room = sram.room
    in_sram = session <= sram.largest
    psram_room = max(0, request.psram - int(FIRMWARE.psram_reserve.value))
    in_psram = not in_sram and session <= psram_room
    home = PSRAM if in_psram else SRAM
    flash = request.flash_memory or chip.flash
    sram_left = room - session if in_sram else room if in_psram else 0
    psram_left = psram_room - session if in_psram else psram_room
    faster = psram is not None and psram.bandwidth.value > flash.bandwidth.value
    placement = place(layout, sram_left, psram_left if faster else 0)
    machine = Machine(chip, flash, psram, placement, home, cores)
    memories = _uses(request, sram, session, home, placement)
    mapped = mapped_bytes(chip, layout.image_bytes, request.psram)
    return Plan(
        request=request,
        session_bytes=session,
        session=home,
        placement=placement,
        memories=memories,
        lacking=_lacking(request, sram, session, in_sram or in_psram, mapped),
        machine=machine,
        slots=max(0, int(request.flash - FIRMWARE.flash.value)) // max(1, _paged(layout.image_bytes, chip.page)),
        mapped=mapped,
        assumptions=_assumptions(request, psram),
    )


def amount(count: int) -> str:
    """Formats bytes for people, in the binary units of memory chips."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.0f} KB"


def group_of(tensor: StoredTensor) -> str:
    """The kind of a tensor, for people."""
    part = tensor.name.rsplit(".", 2)[-2] if "." in tensor.name else tensor.name
    if tensor.spec.vector:
        return "norms and biases"
    if part in ("query", "key", "value", "out"):
        return "attention"
    return "MLP" if part in ("gate", "up", "down") else "head and embedding"


def _paged(count: int, page: int) -> int:
    return -(-count // page) * page


def mapped_bytes(chip: Chip, image_bytes: int, psram: int = 0) -> int:
    """Bytes of a chip's mapping window that an image, the firmware and, on some chips, PSRAM take."""
    return _paged(image_bytes, chip.page) + int(FIRMWARE.mapped.value) + (psram if chip.psram_in_window else 0)


def _uses(request: Request, sram: Share, session: int, home: str, placement: Mapping[str, str]) -> tuple[Use, ...]:
    chip, layout = request.chip, request.layout
    weights: dict[str, dict[str, int]] = {memory: {} for memory in (SRAM, PSRAM, FLASH)}
    for tensor in layout.tensors:
        at, group = weights[placement[tensor.name]], group_of(tensor)
        at[group] = at.get(group, 0) + tensor.bytes
    copied = sum(sum(weights[memory].values()) for memory in (SRAM, PSRAM))
    kept = {"session": session}
    own = {"firmware": sram.static, "Wi-Fi": sram.wifi, "tasks and reserve": sram.firmware}
    uses = [Use(SRAM, chip.sram, {**own, **(kept if home == SRAM else {}), **weights[SRAM]})]
    if request.psram:
        own = {"tasks and reserve": int(FIRMWARE.psram_reserve.value)}
        uses.append(Use(PSRAM, request.psram, {**own, **(kept if home == PSRAM else {}), **weights[PSRAM]}))
    image = {**weights[FLASH], "tokenizer and tables": layout.other_bytes, "copied to SRAM or PSRAM": copied}
    uses.append(Use(FLASH, request.flash, {"firmware": int(FIRMWARE.flash.value), **image}))
    return tuple(uses)


def _lacking(request: Request, sram: Share, session: int, has_session: bool, mapped: int) -> Mapping[str, str]:
    chip, image, lacking = request.chip, request.layout.image_bytes, {}
    flash = request.flash - int(FIRMWARE.flash.value)
    if image > flash:
        lacking["flash"] = f"the image takes {image:,} bytes, but the firmware leaves {flash:,}"
    if mapped > chip.window.value:
        lacking["mapping"] = f"image, firmware and PSRAM take {mapped:,} bytes of a window of {chip.window.value:,.0f}"
    if not has_session:
        most = f"{sram.largest:,} are free in one piece of SRAM"
        lacking["session"] = f"{session:,} bytes for {request.context} tokens, {most}"
    return lacking


def _named(kind: str, figure: Figure) -> Figure:
    return replace(figure, source=f"{kind}; {figure.source}")


def _assumptions(request: Request, psram: Memory | None) -> Mapping[str, Figure]:
    chip, flash = request.chip, request.flash_memory or request.chip.flash
    figures = {
        "cycles per instruction": chip.cycles_per_instruction,
        "SRAM for the heap": Figure(sum(chip.heap.regions), chip.heap.source, "documented"),
        "of it for code and data": chip.heap.static,
        **({"and those of Wi-Fi": chip.heap.wifi_static, "heap for Wi-Fi": chip.heap.wifi} if request.wifi else {}),
        "heap for the start": FIRMWARE.start,
        "heap for stacks": FIRMWARE.tasks,
        **({"heap for the second core": FIRMWARE.helper} if chip.cores > 1 else {}),
        **({} if request.psram else {"heap for requests": FIRMWARE.requests}),
        "heap left alone": FIRMWARE.reserve,
        "flash for the firmware": FIRMWARE.flash,
        "mapping window": chip.window,
        "of it for the firmware": FIRMWARE.mapped,
        "flash, bytes/s": _named(flash.name, flash.bandwidth),
        "flash, seconds to begin": flash.latency,
    }
    if psram:
        figures |= {"PSRAM, bytes/s": _named(psram.name, psram.bandwidth), "PSRAM, seconds to begin": psram.latency}
    if min(request.cores, chip.cores) > 1:
        figures["cycles to share a step"] = FIRMWARE.synchronisation
    error = known()[chip.costs].error
    counted = f"counts under QEMU, {error['mean']:.1%} away on average, {error['largest']:.1%} at most"
    if chip.vectors:
        counted += "; of the vector unit's assembly, cycles of an interpreter with an ideal memory"
    figures["instructions"] = Figure(error["mean"], counted, "measured")
    return figures
