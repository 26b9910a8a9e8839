"""What would help most: every change that somebody could make, tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, Final

from shrew.chips.facts import FIRMWARE, MB, OCTAL_FLASH
from shrew.chips.layout import config_layout
from shrew.chips.plan import Plan, Request, make_plan
from shrew.image import WeightType

#: From wide to narrow. Ternary loses so much that it is tried only where nothing else may fit.
TYPES: Final = ("f32", "q8", "q4", "ternary")
TERNARY: Final = TYPES.index("ternary")

#: Columns that share a multiplier: the default of a type, and wide ones, which vector units like.
GROUPS_TRIED: Final = (-1, 128)

#: A gain smaller than this is none.
LEAST: Final = 0.02


@dataclass(frozen=True)
class Change:
    """A change, and what comes of it."""

    what: str
    plan: Plan

    def gain(self, before: Plan) -> float:
        return self.plan.decode.per_second / before.decode.per_second - 1

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        speeds = {key: value for key, value in self.plan.fields().items() if key in ("tok_per_s", "prompt_tok_per_s")}
        return {"change": self.what, **speeds}


_Try = tuple[str, Callable[[Request], Request]]


def changes(plan: Plan) -> list[Change]:
    """The best first. Of a plan that fits, those that make it faster; else those that make it fit, by one change or,
    if none does, by two."""
    singles = list(_candidates(plan))
    tried = [Change(what, make_plan(apply(plan.request))) for what, apply in singles]
    if plan.fits:
        useful = [change for change in tried if change.plan.fits and change.gain(plan) > LEAST]
    else:
        useful = [change for change in tried if change.plan.fits]
        if not useful:
            pairs = [_both(first, second) for first, second in combinations(singles, 2)]
            tried = [Change(what, make_plan(apply(plan.request))) for what, apply in pairs]
            useful = [change for change in tried if change.plan.fits]
    return sorted(useful, key=lambda change: -change.plan.decode.per_second)


def _both(first: _Try, second: _Try) -> _Try:
    return f"{first[0]} and {second[0]}", lambda request: second[1](first[1](request))


def _candidates(plan: Plan) -> Iterator[_Try]:
    """What else somebody could ask for: each a text, and what becomes of a request."""
    request = plan.request
    chip, layout, config = request.chip, request.layout, request.layout.config
    used = max(TYPES.index(weight.type) for weight in layout.matrix_types.values())
    for kind in TYPES[used + 1 : None if plan.lacking else TERNARY]:
        for group in GROUPS_TRIED:
            weight = WeightType(kind, group).checked()
            yield f"{weight} weights{', trained for it' if kind == 'ternary' else ''}", partial(_with_type, weight)
    context = _context_that_fits(request) if plan.lacking else request.context // 2
    if 16 <= context < request.context:
        yield f"a context of {context}", partial(replace, context=context)
    if config.kv_heads > 1:
        yield "one key and value head, trained anew", _one_kv_head
    for size in sorted({size for size in (*chip.psram, chip.default_psram) if size <= max(8 * MB, chip.default_psram)}):
        memory = chip.psram_of(size)
        if memory is not None and size > request.psram:
            yield f"{size // MB} MB of {memory.name}", partial(replace, psram=size)
    flash = request.flash
    while flash < layout.image_bytes + FIRMWARE.flash.value:
        flash *= 2
    if request.flash < flash <= chip.largest_flash:
        yield f"{flash // MB} MB of flash", partial(replace, flash=flash)
    if chip.octal_flash and request.flash_memory is None:
        yield OCTAL_FLASH.name, partial(replace, flash_memory=OCTAL_FLASH)
    if request.cores < chip.cores:
        yield f"{chip.cores} cores", partial(replace, cores=chip.cores)
    if request.wifi:
        yield "no Wi-Fi", partial(replace, wifi=False)


def _with_type(weight: WeightType, request: Request) -> Request:
    return replace(request, layout=request.layout.with_type(weight))


def _one_kv_head(request: Request) -> Request:
    config = replace(request.layout.config, kv_heads=1)
    types = request.layout.matrix_types
    layout = config_layout(config, WeightType("q8"), request.layout.name)
    return replace(request, layout=layout.with_types(types))


def _context_that_fits(request: Request) -> int:
    """The longest, in steps of 16; 0 if none is."""
    lowest, highest = 0, request.context // 16
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        if "session" in make_plan(replace(request, context=16 * middle)).lacking:
            highest = middle - 1
        else:
            lowest = middle
    return 16 * lowest
