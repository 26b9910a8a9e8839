"""Finds the changes to a plan that help most, by trying every change that a user could make."""

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

#: From wide to narrow. Ternary loses so much that it is tried only if nothing else may fit.
TYPES: Final = ("f32", "q8", "q4", "ternary")
TERNARY: Final = TYPES.index("ternary")

#: Group sizes to try: the type's default, and a large one, which is faster on vector units.
GROUPS_TRIED: Final = (-1, 128)

#: Smaller relative gains do not count.
LEAST: Final = 0.02


@dataclass(frozen=True)
class Change:
    """A change and its effect."""

    what: str
    plan: Plan

    def gain(self, before: Plan) -> float:
        return self.plan.decode.per_second / before.decode.per_second - 1

    def fields(self) -> dict[str, Any]:
        """The fields for JSON."""
        speeds = {key: value for key, value in self.plan.fields().items() if key in ("tok_per_s", "prompt_tok_per_s")}
        return {"change": self.what, **speeds}


_Try = tuple[str, Callable[[Request], Request]]


def changes(plan: Plan) -> list[Change]:
    """Changes, the best first. For a plan that fits, those that make it faster. Otherwise those that make it fit:
    single changes, or if none suffices, pairs."""
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
    """Possible changes: each a description, and a function that changes a request."""
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
        yield "one key and value head, retrained", _one_kv_head
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
    """The longest context that fits, in steps of 16; 0 if none does."""
    lowest, highest = 0, request.context // 16
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        if "session" in make_plan(replace(request, context=16 * middle)).lacking:
            highest = middle - 1
        else:
            lowest = middle
    return 16 * lowest
