"""A corpus small enough to be learned by heart in a second."""

from __future__ import annotations

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.model.config import ModelConfig

VOCAB, T = 20, 16
MODEL = ModelConfig(dim=16, layers=2, heads=4, kv_heads=2, vocab=VOCAB, context=T, ffn=24)


def toy_rows(documents: int = 8, seed: int = 0) -> PackedRows:
    """Documents of 8 tokens, two to a row; the first token is the prompt and names the document."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, VOCAB, (documents, 9))
    ids[:, 0] = np.arange(documents)
    inputs, targets = (x.reshape(-1, T).astype(np.uint16) for x in (ids[:, :-1], ids[:, 1:]))
    half = np.arange(T) // 8
    return PackedRows(
        inputs=inputs,
        targets=targets,
        weights=np.ones(inputs.shape, np.float32),
        documents=np.broadcast_to(half, inputs.shape).astype(np.int16),
        positions=np.broadcast_to(np.arange(T) % 8, inputs.shape).astype(np.uint16),
    )
