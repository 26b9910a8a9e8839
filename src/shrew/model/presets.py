"""Named models: a shape, a tokenizer, and training options that suit them; all but the data.

==============  ==========  ==============================================================================
preset          parameters  for
==============  ==========  ==============================================================================
`microgpt`           4,192  the smallest whole GPT: learns names letter by letter, on a chip too
`nano`              33,952  a chip without PSRAM and a handful of facts
`desk`             206,304  answering questions about one small subject, trained in minutes
`stories260k`      260,032  short stories; the shape of the well-known 260K TinyStories model
`tiny`           1,023,360  stories that hold together, on a chip with PSRAM
==============  ==========  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from shrew.errors import ConfigError
from shrew.model.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    description: str
    model: ModelConfig
    """``model.vocab`` is the tokenizer's size to aim for; the tokenizer that comes out decides."""
    tokenizer: Literal["bpe", "character"] = "bpe"
    train: Mapping[str, int | float | str] = field(default_factory=dict)
    """Options for ``shrew.train.config.TrainConfig`` that differ from its own."""

    def model_for(self, vocab: int) -> ModelConfig:
        """The model for a tokenizer of ``vocab`` tokens."""
        return replace(self.model, vocab=vocab)


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
}


def preset(name: str) -> Preset:
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
