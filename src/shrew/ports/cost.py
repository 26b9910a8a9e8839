"""A model's cost on a target: instructions, code, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from shrew.engine import Model
from shrew.errors import PortError
from shrew.ports.bundle import Job, Outcome, Step
from shrew.ports.target import FULL, VARIANTS, Target, Variant

#: Limit of an emulated run, in seconds.
TIMEOUT: Final = 1800

#: Positions whose cost is reported, in addition to the mean of all.
POSITIONS: Final = (1, 64, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Instructions of ``shrew_session_feed`` and greedy ``shrew_session_sample`` per token; sizes in bytes."""

    target: str
    context: int
    instructions_per_token: int
    """Mean over all positions of the context."""
    at: dict[int, int]
    """Instructions at :data:`POSITIONS`, as far as the context reaches."""
    instructions_per_prompt_token: int
    """Mean over a prompt that fills the context, read in blocks of the default size."""
    code_bytes: int
    """Machine code and constants of the engine, with every function of shrew.h."""
    variants: dict[str, int]
    """The same for every build variant."""
    runtime_bytes: int
    """Code and constants of the compiler's runtime and the C library."""
    static_bytes: int
    """Variables of the engine."""
    session_bytes: int
    stack_bytes: int
    """The most stack that decoding, reading a prompt or generating text used below the caller."""

    def fields(self) -> dict[str, Any]:
        """The fields for JSON. Positions become ``at_1`` and so on."""
        fields = asdict(self)
        fields.update({f"at_{position}": count for position, count in fields.pop("at").items()})
        return fields


def measure(target: Target, model: Model, *, context: int = 256, variant: Variant = FULL) -> Cost:
    """Decodes greedily from beginning-of-text until the context is full, and measures the cost."""
    context = min(context, model.context)
    image = bytes(model.image())[: model.image_bytes]
    start = model.bos if model.bos is not None else 0
    decode = Job(image=image, prompt=[start], tokens=context, context=context, trace=True)
    (decoded,) = _checked(target, [decode], variant)
    ids = [start, *(step.next for step in decoded.steps[:-1])]
    text = b"".join(model.token_bytes(token) for token in ids[: context // 2]).decode("utf-8", "ignore")
    prompt = Job(image=image, prompt=ids, context=context, trace=True)
    chat = Job(image=image, mode="text", prompt=text, raw=True, tokens=4, context=context, top_p=0.9, trace=True)
    sampled = Job(image=image, prompt=ids[:1], tokens=2, context=context, temperature=1.0, top_p=0.9, trace=True)
    read, chatted, chosen = target.run([prompt, chat, sampled], timeout=TIMEOUT, variant=variant)
    counts = {step.position: _instructions(target, step) for step in decoded.steps}
    size = target.size(variant)
    return Cost(
        target=target.name,
        context=context,
        instructions_per_token=round(sum(counts.values()) / len(counts)),
        at={position: counts[position] for position in POSITIONS if position in counts},
        instructions_per_prompt_token=round(sum(_instructions(target, step) for step in read.steps) / len(ids)),
        code_bytes=size.code,
        variants={name: target.size(other).code for name, other in VARIANTS.items()},
        runtime_bytes=size.runtime,
        static_bytes=size.static,
        session_bytes=decoded.session_bytes or 0,
        stack_bytes=max(outcome.stack_bytes or 0 for outcome in (decoded, read, chatted, chosen)),
    )


def _checked(target: Target, jobs: list[Job], variant: Variant) -> list[Outcome]:
    outcomes = target.run(jobs, timeout=TIMEOUT, variant=variant)
    for outcome in outcomes:
        if outcome.result["status"] != 0:
            raise PortError(f"{target.name}: the model ended with status {outcome.result['status']} (shrew.h says why)")
    return outcomes


def _instructions(target: Target, step: Step) -> int:
    if step.instructions is None:
        raise PortError(f"{target.name}: this port does not count instructions; use an emulated target")
    return step.instructions
