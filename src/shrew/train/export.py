"""From a run folder to an image, with what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew import __version__
from shrew.corpus import END_OF_TEXT, encode_documents, read_corpus
from shrew.engine import Model
from shrew.errors import RunError
from shrew.evaluation import Likelihood, score_texts, score_tokens
from shrew.image import WeightType, build_image
from shrew.quantize import TensorError, tensor_errors
from shrew.tokenizer import Tokenizer
from shrew.train.prepare import DataConfig
from shrew.train.run import Run


@dataclass(frozen=True)
class LoadedRun:
    run: Run
    tokenizer: Tokenizer
    parameters: Mapping[str, NDArray[np.float32]]

    def metadata(self, *, name: str | None = None, licence: str | None = None) -> list[tuple[str, str]]:
        """What the image says about itself."""
        data = DataConfig.from_table(self.run.config.data)
        sources = ", ".join(Path(source).name for source in data.sources) if data else "imported weights"
        entries = [
            ("name", name or self.run.path.resolve().name),
            ("licence", licence),
            ("provenance", f"trained by Shrew on {sources}" if data else sources),
            ("prompt_template", self._prompt_template()),
            ("created_by", f"shrew {__version__}"),
        ]
        return [(key, value) for key, value in entries if value]

    def _prompt_template(self) -> str:
        """The chat frame for people to read; the engine uses the token ids."""
        names = {token: name for name, token in self.tokenizer.specials.items()}
        prefix, suffix = (
            "".join(names.get(token, f"<{token}>") for token in side)
            for side in (self.tokenizer.prompt_prefix, self.tokenizer.prompt_suffix)
        )
        return f"{prefix}{{prompt}}{suffix}"


@dataclass(frozen=True)
class QuantizedRun:
    image: bytes
    errors: list[TensorError]
    before: Likelihood | None
    """Of the floats; None where no text to measure on is known."""
    after: Likelihood | None


def load_run(path: Path) -> LoadedRun:
    """A run folder's configuration, tokenizer and best weights."""
    run = Run.open(path)
    tokenizer = Tokenizer.load(run.tokenizer_path)
    if tokenizer.vocab != run.config.model.vocab:
        raise RunError(
            f"{path}: tokenizer.json has {tokenizer.vocab} tokens, config.toml says {run.config.model.vocab}; "
            "one of the two comes from another run"
        )
    parameters, _ = run.load_weights()
    return LoadedRun(run, tokenizer, parameters)


def quantize_run(
    loaded: LoadedRun,
    types: Mapping[str, WeightType],
    metadata: Sequence[tuple[str, str]],
    *,
    text: Path | None = None,
    separator: str = END_OF_TEXT,
) -> QuantizedRun:
    """An image with the given types, measured on ``text`` or on what the run held out, before and after."""
    config = loaded.run.config.model
    image = build_image(config, loaded.parameters, loaded.tokenizer, types=types, metadata=metadata)
    after = Model.from_bytes(image, "quantised image")
    before = Model.from_bytes(build_image(config, loaded.parameters, loaded.tokenizer), "float image")
    scores: list[Likelihood | None] = [None, None]
    if text is not None:
        texts = [document.response for document in read_corpus(text, format="text", separator=separator)]
        scores = [score_texts(model, texts) for model in (before, after)]
    elif held_out := _held_out(loaded):
        scores = [score_tokens(model, held_out) for model in (before, after)]
    return QuantizedRun(image, tensor_errors(after, config, loaded.parameters, types), *scores)


def _held_out(loaded: LoadedRun) -> list[tuple[NDArray[np.uint16], NDArray[np.bool_]]]:
    data = DataConfig.from_table(loaded.run.config.data)
    documents = data.load().held_out if data else []
    return [(d.ids, d.learn) for d in encode_documents(documents, loaded.tokenizer)]
