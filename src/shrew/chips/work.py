"""The engine's work for a block of tokens: how often each inner loop runs in each step, and which tensors it reads.

The steps are those of engine/src/forward.c, attention.c, session.c and sampler.c. Counts are in units of work, such as
one multiply-add of a q8 matrix. costs.py has the cost of a unit on each processor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shrew.chips.layout import Layout, StoredTensor

#: Prompt tokens that the engine processes together by default: DEFAULT_BLOCK in session.c.
BLOCK = 8

#: Rows that a kernel processes together (ROWS in scalar.c, TILE in pie.c), and rows that stay on one core.
ROWS = 8
TILE = 16
ROW_STEP = 16


@dataclass
class Step:
    """One piece of work. Several cores share its rows or heads if it has enough multiply-adds."""

    name: str
    units: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    """Bytes read of each tensor, by name."""
    cached: int = 0
    """Bytes of cached keys and values that are read."""
    shared: int = 0
    """Multiply-adds that the session's parallel_for splits; 0: one core does everything."""
    parts: int = 1
    """Number of parts into which they can be split: key heads, or groups of ROW_STEP matrix rows."""


def steps(layout: Layout, *, tokens: int, position: int, scored: int, sampled: bool, floats: bool) -> list[Step]:
    """The steps of a block of ``tokens`` fed at ``position``. The last ``scored`` tokens get logits; with ``sampled``,
    the next token is chosen from them.

    ``floats``: the session caches floats, as for f32 models.
    """
    return _Pass(layout, tokens, position, scored, sampled, floats).steps()


def decode_steps(layout: Layout, position: int) -> list[Step]:
    """The steps of one token of an answer."""
    return steps(layout, tokens=1, position=position, scored=1, sampled=True, floats=layout.is_float)


def prompt_steps(layout: Layout, position: int, tokens: int) -> list[Step]:
    """The steps of a block of a prompt that is not the last."""
    return steps(layout, tokens=tokens, position=position, scored=0, sampled=False, floats=layout.is_float)


class _Pass:
    def __init__(self, layout: Layout, tokens: int, position: int, scored: int, sampled: bool, floats: bool) -> None:
        self.config = layout.config
        self.tensors = {tensor.name: tensor for tensor in layout.tensors}
        self.tokens, self.position = tokens, position
        self.scored, self.sampled, self.floats = scored, sampled, floats

    def steps(self) -> list[Step]:
        done = [self._embedding()]
        for layer in range(self.config.layers):
            done += self._layer(f"layers.{layer}", self.tokens if layer + 1 < self.config.layers else self.scored)
        if self.scored:
            done += self._head()
        return done

    def _embedding(self) -> Step:
        c, step = self.config, Step("embedding")
        step.units["pass"] = 1
        step.units["token"] = self.tokens
        for name in ("token_embedding.weight", "position_embedding.weight"):
            if name in self.tensors:
                table = self.tensors[name]
                step.units[f"embed {'f32' if table.type.type == 'f32' else 'integer'}"] += self.tokens * c.dim
                step.reads[name] = self.tokens * table.row_bytes
        if c.position == "rope":
            step.units["sine"] = self.tokens * c.head_dim // 2
            self._read(step, "rope_frequency")
        if c.embed_norm:
            self._norm(step, "embed_norm", self.tokens)
        step.units["finite"] = self.tokens * c.dim
        return step

    def _layer(self, name: str, needed: int) -> list[Step]:
        """The steps of one layer. All tokens cache keys and values; only ``needed`` tokens go on from there."""
        c, dropped = self.config, self.tokens > needed
        query, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        first = Step("qkv")
        first.units["layer"] = 1
        self._norm(first, f"{name}.attention_norm", self.tokens)
        done = [first]
        inputs = [f"{name}.key", f"{name}.value"]
        done.append(self._project("qkv", inputs if dropped else [*inputs, f"{name}.query"], self.tokens))
        keys = Step("attention")
        if c.position == "rope":
            keys.units["rotate"] = self.tokens * kv
        if self.floats:
            keys.units["copy"] = 2 * self.tokens * kv
        else:
            keys.units["store"] = 2 * self.tokens * kv
            keys.units["store head"] = 2 * self.tokens * c.kv_heads
        done.append(keys)
        if not needed:
            return done
        if dropped:
            done.append(self._project("qkv", [f"{name}.query"], needed))
        done += [self._queries(needed, query), self._attention(needed)]
        done.append(self._project("out", [f"{name}.out"], needed))
        done += self._mlp(name, needed)
        return done

    def _queries(self, tokens: int, width: int) -> Step:
        step = Step("attention")
        if self.config.position == "rope":
            step.units["rotate"] = tokens * width
        if not self.floats:
            step.units["store"] = tokens * width
            step.units["store head"] = tokens * self.config.heads
        return step

    def _attention(self, tokens: int) -> Step:
        c, step = self.config, Step("attention")
        first = self.position + self.tokens - tokens
        held = sum(first + b + 1 for b in range(tokens))  # sum over tokens of the keys that each sees
        step.shared, step.parts = 4 * (first + tokens) * tokens * c.heads * c.head_dim, c.kv_heads
        if self.floats:
            step.units["f32 attend"] = held * c.heads * c.head_dim
            step.units["f32 weigh"] = held * c.heads
            step.units["f32 head"] = tokens * c.heads
            step.cached = 8 * (first + tokens) * c.kv_heads * c.head_dim
            return step
        width = -(-c.head_dim // 8) * 8
        pairs, single = divmod(c.heads // c.kv_heads, 2)
        step.units["code"] = 2 * held * c.kv_heads
        step.units["score two"] = held * width * pairs * c.kv_heads
        step.units["score one"] = held * width * single * c.kv_heads
        if width == 8:
            step.units["score 8"] = held * c.heads
        elif width % 16 == 0:
            step.units["score 16"] = held * c.heads * width // 16
            step.units["weigh 16"] = held * c.heads
        step.units["weigh"] = held * c.heads
        step.units["mix"] = held * width * c.heads
        step.units["mix call"] = tokens * c.heads * width // 8
        step.units["head"] = tokens * c.heads
        step.cached = 2 * (first + tokens) * c.kv_heads * (width + 1)
        return step

    def _mlp(self, name: str, tokens: int) -> list[Step]:
        c, gated = self.config, self.config.mlp == "swiglu"
        norm, act = Step("mlp"), Step("mlp")
        self._add(norm, tokens)
        self._norm(norm, f"{name}.mlp_norm", tokens)
        exactly = "f32 " if self.tensors[f"{name}.down.weight"].type.type == "f32" and c.mlp != "relu" else ""
        act.units[f"{exactly}{c.mlp}"] = tokens * c.ffn
        up = self._project("mlp", [f"{name}.up", f"{name}.gate"] if gated else [f"{name}.up"], tokens)
        down = self._project("mlp", [f"{name}.down"], tokens)
        end = Step("mlp")
        self._add(end, tokens)
        return [norm, up, act, down, end]

    def _head(self) -> list[Step]:
        c, norm, end = self.config, Step("head"), Step("head")
        if c.final_norm:
            self._norm(norm, "final_norm", self.scored)
        matrix = "token_embedding" if c.tied_head else "head"
        end.units["finite"] = self.scored * c.vocab
        if self.sampled:
            end.units["choose"] = c.vocab
        return [norm, self._project("head", [matrix], self.scored), end]

    def _add(self, step: Step, tokens: int) -> None:
        step.units["add"] += tokens * self.config.dim

    def _norm(self, step: Step, name: str, tokens: int) -> None:
        step.units[f"norm {self.config.norm}"] += tokens * self.config.dim
        step.units["norm"] += tokens
        self._read(step, f"{name}.weight")
        self._read(step, f"{name}.bias")

    def _read(self, step: Step, name: str) -> None:
        if name in self.tensors:
            step.reads[name] += self.tensors[name].bytes

    def _project(self, name: str, matrices: Sequence[str], tokens: int) -> Step:
        """Products of matrices with the same input, which is quantised once for all of them."""
        step = Step(name)
        weights = [self.tensors[f"{matrix}.weight"] for matrix in matrices]
        if any(weight.type.type != "f32" for weight in weights):
            step.units["quantize"] = tokens * weights[0].spec.cols
            step.units["quantize row"] = tokens
        for matrix, weight in zip(matrices, weights, strict=True):
            _multiply(step, weight, tokens)
            step.reads[weight.name] = weight.bytes
            if f"{matrix}.bias" in self.tensors:
                step.units["bias"] += tokens * weight.spec.rows
                self._read(step, f"{matrix}.bias")
        step.parts = sum(-(-weight.spec.rows // ROW_STEP) for weight in weights)
        return step


def _multiply(step: Step, weight: StoredTensor, tokens: int) -> None:
    kind, rows, cols = weight.type.type, weight.spec.rows, weight.spec.cols
    step.shared += rows * cols * tokens
    step.units["matrix"] += 1
    if kind == "f32":
        step.units["f32 product"] += rows * cols * tokens
        step.units["f32 row"] += rows * tokens
        return
    padded, taken = -(-cols // 16) * 16, -(-rows // ROWS) * ROWS if rows >= ROWS else rows
    step.units[f"{kind} product"] += taken * padded * tokens
    step.units[f"{kind} row"] += taken * tokens
    step.units[f"{kind} group"] += taken * tokens * weight.groups
    step.units[f"{kind} line"] += rows * tokens * max(weight.groups, 1)
    step.units[f"{kind} tile"] += -(-rows // TILE) * tokens * max(weight.groups, 1)
