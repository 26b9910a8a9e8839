"""From a run folder to what an image is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew import __version__
from shrew.engine import QuantizedMatrix
from shrew.errors import RunError
from shrew.quantize.rounded import integers_of
from shrew.tokenizer import Tokenizer
from shrew.train.backends.rounding import stored_types
from shrew.train.prepare import DataConfig
from shrew.train.run import Run


@dataclass(frozen=True)
class LoadedRun:
    run: Run
    tokenizer: Tokenizer
    parameters: Mapping[str, NDArray[np.float32]]
    quantized: Mapping[str, QuantizedMatrix]
    """The matrices of ``parameters`` that were trained as integers, exactly as they were in training."""

    def metadata(
        self,
        *,
        name: str | None = None,
        licence: str | None = None,
        description: str | None = None,
        refusal: str | None = None,
    ) -> list[tuple[str, str]]:
        """What the image says about itself, and to questions that are none of its business (docs/FORMAT.md)."""
        data = DataConfig.from_table(self.run.config.data)
        sources = ", ".join(Path(source).name for source in data.sources) if data else "imported weights"
        entries = [
            ("name", name or self.run.path.resolve().name),
            ("licence", licence),
            ("description", description),
            ("provenance", f"trained by Shrew on {sources}" if data else sources),
            ("prompt_template", self._prompt_template()),
            ("refusal", refusal),
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
    try:
        quantized = integers_of(parameters, run.load_scales(), stored_types(run.config.model, run.config.train))
    except RunError as error:
        raise RunError(f"{run.weights_path}: does not fit config.toml: {error}") from None
    return LoadedRun(run, tokenizer, parameters, quantized)
