"""Text to calibrate on, written by the model itself: nothing else is as close to what it will be asked to say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import count, islice

import numpy as np

from shrew.corpus import EncodedDocument
from shrew.engine import Model
from shrew.errors import DataError

TOGETHER = 4  # documents written between two looks at the number of tokens


def write_documents(
    model: Model, tokens: int, *, seed: int = 0, executor: Executor | None = None
) -> list[EncodedDocument]:
    """Documents of ``tokens`` tokens or a little more in all, sampled at temperature 1 from beginning-of-text.

    DataError where the model has no beginning-of-text. The threads of ``executor`` do not change the result.
    """
    if model.bos is None:
        raise DataError(
            f"{model.name}: cannot write text to calibrate on, it has no beginning-of-text; give --text FILE"
        )
    documents: list[EncodedDocument] = []
    seeds: Iterator[int] = count(seed << 32)
    total = 0
    while total < tokens:
        batch = list(islice(seeds, TOGETHER))
        written = executor.map(lambda s: _write(model, s), batch) if executor else (_write(model, s) for s in batch)
        for document in written:
            if len(document.ids) > 1:
                documents.append(document)
            total += len(document.ids)  # an empty one counts too: a model may say nothing, but not for ever
    if not documents:
        raise DataError(f"{model.name}: writes only empty texts, nothing to calibrate on; give --text FILE")
    return documents


def _write(model: Model, seed: int) -> EncodedDocument:
    steps = model.session().generate("", raw=True, temperature=1.0, seed=seed)
    ids = [model.bos, *(step.token for step in steps if step.token is not None)]
    learn = np.ones(len(ids), np.bool_)
    learn[0] = False
    return EncodedDocument(np.array(ids, np.uint16), learn)
