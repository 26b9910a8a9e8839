"""Named models: a shape, a tokenizer, and suitable training options; everything except the data.

==============  ==========  ==============================================================================
preset          parameters  for
==============  ==========  ==============================================================================
`microgpt`           4,192  the smallest whole GPT: learns names letter by letter, on a chip too
`nano`              33,952  a chip without PSRAM and a handful of facts
`desk`             206,304  answering questions about one small subject, trained in minutes
`stories260k`      260,032  short stories; the shape of the well-known 260K TinyStories model
`tiny`           1,023,360  stories that hold together, on a chip with PSRAM
`image-64k`         86,336  text, the best of what was tried for an image of 64,000 bytes in q4
`image-230k`       363,136  the same for 230,000 bytes
`image-1m`       1,695,488  the same for 1,000,000 bytes
`image-4m`       7,167,040  the same for 4,000,000 bytes
`qa-18x128`      5,294,080  questions and answers in 8 MB of PSRAM
`qa-18x192`      5,714,304  the same, deeper than wide
`qa-22x128`      6,350,336  the same
`qa-12x192`      6,149,760  the same, wider than deep
==============  ==========  ==============================================================================

The last four have the shapes of HardwareOne's LLM tool as of 2026-03-30, where they are called narrow3,
HW1HelpAgent192_deep, HW1HelpAgent and HW1HelpAgent192: GPT-2 with every bias, heads of 32 and a context of 128. Their
training options are also from there: AdamW, a batch of 16 and a peak rate of 3e-4. The sizes stated there, in int8 with
a cache of 64 tokens, are 6.9, 7.3, 7.5 and 7.5 MB. Here, q8 images with a session of 128 tokens take 6.3, 7.0, 7.5 and
7.1 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from shrew.errors import ConfigError
from shrew.model.config import ModelConfig
from shrew.tokenizer import Prompts, Tokenizer, train_for_corpus

if TYPE_CHECKING:
    from shrew.corpus import Corpus


def _hardwareone(layers: int, dim: int, ffn: int) -> ModelConfig:
    return ModelConfig(
        dim=dim,
        layers=layers,
        heads=dim // 32,
        vocab=4096,
        context=128,
        ffn=ffn,
        norm="layer",
        position="learned",
        mlp="gelu",
        bias_qkv=True,
        bias_out=True,
        bias_mlp=True,
    )


_HARDWAREONE: Final = {"steps": 5000, "batch": 16, "learning_rate": 3e-4, "warmup": 0.06, "weight_decay": 0.01}


@dataclass(frozen=True, kw_only=True)
class Preset:
    description: str
    model: ModelConfig
    """``model.vocab`` is the intended size of the tokenizer; the trained tokenizer may have fewer tokens."""
    tokenizer: Literal["bpe", "character"] = "bpe"
    train: Mapping[str, int | float | str] = field(default_factory=dict)
    """Options that differ from the defaults of ``shrew.run.TrainConfig``."""

    def model_for(self, vocab: int) -> ModelConfig:
        """The configuration for a tokenizer with ``vocab`` tokens."""
        return replace(self.model, vocab=vocab)

    def learn_tokenizer(self, corpus: Corpus, vocab: int | None = None, prompts: Prompts = "folded") -> Tokenizer:
        """Trains a tokenizer for ``corpus``, with about ``vocab`` tokens (None: the preset's number)."""
        # A character tokenizer could not encode characters that only held-out documents have.
        documents = corpus.train + corpus.held_out if self.tokenizer == "character" else corpus.train
        return train_for_corpus(documents, kind=self.tokenizer, vocab=vocab or self.model.vocab, prompts=prompts)


def _fitted(dim: int, layers: int, vocab: int, ffn: int, heads: int, kv_heads: int, steps: int, size: str) -> Preset:
    """A preset for text in an image of a given size: shape and options from docs/LOG.md, "Shapes at a fixed size"."""
    return Preset(
        description=f"text, in an image of {size} as q4",
        model=ModelConfig(dim=dim, layers=layers, heads=heads, kv_heads=kv_heads, vocab=vocab, context=512, ffn=ffn),
        train={
            "steps": steps,
            "batch": 8,
            "learning_rate": 1.2e-2,
            "optimizer": "muon",
            "schedule": "wsd",
            "weights": "q4",
        },
    )


PRESETS: Final[Mapping[str, Preset]] = {
    "microgpt": Preset(
        description="the smallest whole GPT: names, letter by letter",
        model=ModelConfig(
            dim=16,
            layers=1,
            heads=4,
            vocab=27,
            context=16,
            ffn=64,
            norm="rms-plain",
            position="learned",
            mlp="relu",
            tied_head=False,
            embed_norm=True,
            final_norm=False,
        ),
        tokenizer="character",
        train={"steps": 2000, "batch": 32, "learning_rate": 1e-2, "weight_decay": 0.0},
    ),
    "nano": Preset(
        description="a handful of facts on a chip without PSRAM",
        model=ModelConfig(dim=32, layers=2, heads=4, kv_heads=2, vocab=384, context=128, ffn=80),
        train={"steps": 2000, "batch": 16, "learning_rate": 6e-3},
    ),
    "desk": Preset(
        description="questions and answers about one small subject, trained in minutes",
        model=ModelConfig(dim=96, layers=2, heads=6, kv_heads=3, vocab=512, context=128, ffn=176),
        train={"minutes": 3.0, "batch": 8, "learning_rate": 8e-3, "optimizer": "muon"},
    ),
    "stories260k": Preset(
        description="short stories; the shape of the well-known 260K TinyStories model",
        model=ModelConfig(dim=64, layers=5, heads=8, kv_heads=4, vocab=512, context=512, ffn=172),
        train={"steps": 10000, "batch": 16, "learning_rate": 3e-3},
    ),
    "tiny": Preset(
        description="stories that hold together, on a chip with PSRAM",
        model=ModelConfig(dim=128, layers=5, heads=8, kv_heads=4, vocab=1024, context=512, ffn=336),
        train={"steps": 20000, "batch": 16, "learning_rate": 2e-3},
    ),
    "image-64k": _fitted(64, 2, 768, 32, heads=2, kv_heads=1, steps=3000, size="64 KB"),
    "image-230k": _fitted(128, 2, 1536, 88, heads=4, kv_heads=2, steps=4000, size="230 KB"),
    "image-1m": _fitted(256, 3, 4096, 24, heads=8, kv_heads=4, steps=6000, size="1 MB"),
    "image-4m": _fitted(320, 6, 4096, 696, heads=10, kv_heads=5, steps=10000, size="4 MB"),
    "qa-18x128": Preset(
        description="questions and answers in 8 MB of PSRAM",
        model=_hardwareone(layers=18, dim=128, ffn=768),
        train=_HARDWAREONE,
    ),
    "qa-18x192": Preset(
        description="questions and answers in 8 MB of PSRAM, deep and wide",
        model=_hardwareone(layers=18, dim=192, ffn=320),
        train=_HARDWAREONE,
    ),
    "qa-22x128": Preset(
        description="questions and answers in 8 MB of PSRAM, the deepest",
        model=_hardwareone(layers=22, dim=128, ffn=768),
        train=_HARDWAREONE,
    ),
    "qa-12x192": Preset(
        description="questions and answers in 8 MB of PSRAM, with the widest layers",
        model=_hardwareone(layers=12, dim=192, ffn=768),
        train=_HARDWAREONE,
    ),
}


def preset(name: str) -> Preset:
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
