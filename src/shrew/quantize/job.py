"""A complete quantisation: text to calibrate on, types for a size, calibration, losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from shrew.corpus import EncodedDocument, PackedRows, pack, read_corpus
from shrew.engine import DATA_ALIGNMENT, Model
from shrew.errors import ConfigError
from shrew.evaluation import Likelihood, score_tokens
from shrew.image import Source, WeightType, image_of
from shrew.image.writer import Matrix
from shrew.model.config import stored_tensors
from shrew.quantize.calibration import calibrate, calibration_tokens
from shrew.quantize.fit import CANDIDATES, Choice, fit, measure_choices
from shrew.quantize.text import write_documents

#: Tokens that the model generates, or at most reads: to compare types for a size; to measure the loss.
SENSITIVITY_TOKENS, MEASURE_TOKENS = 3_000, 8_000

#: Shows progress of a number of steps (None: unknown) while its context lasts. Calling what it yields advances it by
#: one step, and optionally changes its title.
Progress = Callable[[str, int | None], AbstractContextManager[Callable[..., None]]]


class Job:
    """The data of one quantisation: documents to calibrate on and others to measure on."""

    def __init__(
        self,
        source: Source,
        learnt: Sequence[EncodedDocument],
        held_out: Sequence[EncodedDocument],
        text: Path | None,
        measure: Path | None,
        separator: str,
        seed: int,
        executor: Executor,
        progress: Progress,
    ) -> None:
        """``learnt`` and ``held_out``: the model's training documents and held-out documents, if known."""
        self.source, self.seed, self.executor, self.progress = source, seed, executor, progress
        self._learnt, self._held_out = learnt, held_out
        self._floats = Model.from_bytes(image_of(source.bare, WeightType("f32")), "float image")
        self._writer = Model.from_bytes(
            image_of(source.bare, WeightType("q8")), "float image"
        )  # generates faster than f32
        self._text = None if text is None else read_documents(text, separator, self._floats)
        self._measure = None if measure is None else read_documents(measure, separator, self._floats)

    def calibrate(self, types: Mapping[str, WeightType], steps: int) -> dict[str, Matrix]:
        rows = self._rows(calibration_tokens(steps))
        config, parameters = self.source.config, self.source.parameters
        with self.progress("calibrating", steps) as advance:
            return calibrate(
                config,
                parameters,
                types,
                rows,
                steps=steps,
                seed=self.seed,
                executor=self.executor,
                progress=lambda step, distance: advance(f"calibrating, {distance:.4f} nats/token to go"),
            )

    def fit(self, budget: int) -> list[Choice]:
        s = self.source
        matrices = sum(tensor.ndim == 2 for tensor in s.parameters.values())
        with self.progress("weighing types", matrices * len(CANDIDATES)) as advance:
            table = measure_choices(
                s.config, s.parameters, self._rows(SENSITIVITY_TOKENS), executor=self.executor, progress=advance
            )
        least = sum(choices[0].bytes for choices in table)
        rest = len(image_of(s, CANDIDATES[0])) - least
        if not stored_tensors(s.config)[-1].vector:
            rest += DATA_ALIGNMENT - 1  # the last tensor is not padded; its padding depends on its type
        try:
            return fit(table, budget - rest)
        except ConfigError:
            message = f"--fit: {budget:,} bytes are too few for this model; the smallest image takes {least + rest:,}"
            if s.memory:
                message += f", {len(s.memory.section):,} of them for its memory: give --memory SIZE or off"
            raise ConfigError(message) from None

    def losses(self, model: Model) -> tuple[Likelihood | None, Likelihood | None, str]:
        """The loss before and after, and a description of the text; None if there is nothing to measure on."""
        documents, kind = (self._measure, "given") if self._measure else (self._held_out, "held-out")
        if not documents:
            if self._floats.bos is None:
                return None, None, ""
            documents, kind = self._written(MEASURE_TOKENS, self.seed + 1), "self-written"
        pairs = [(document.ids, document.learn) for document in documents]
        before, after = self.executor.map(lambda m: score_tokens(m, pairs), (self._floats, model))
        return before, after, kind

    def _rows(self, tokens: int) -> PackedRows:
        """Rows of documents with about this many tokens, chosen at random if there are more."""
        documents = self._text or self._learnt or self._written(tokens, self.seed)
        order = np.random.default_rng(self.seed).permutation(len(documents))
        sizes = np.cumsum([len(documents[i].ids) for i in order])
        chosen = order[: int(np.searchsorted(sizes, tokens)) + 1]
        return pack([documents[i] for i in chosen], self.source.config.context)[0]

    def _written(self, tokens: int, seed: int) -> Sequence[EncodedDocument]:
        with self.progress("writing text", None):
            return write_documents(self._writer, tokens, seed=seed, executor=self.executor)


def read_documents(path: Path, separator: str, model: Model) -> list[EncodedDocument]:
    """Reads the documents of a text file, each with its own beginning-of-text."""
    start = [] if model.bos is None else [model.bos]
    documents = []
    for document in read_corpus(path, format="text", separator=separator):
        ids = np.concatenate([np.array(start, np.uint16), model.encode(document.response)])
        learn = np.ones(len(ids), np.bool_)
        learn[:1] = False
        documents.append(EncodedDocument(ids, learn))
    return documents
