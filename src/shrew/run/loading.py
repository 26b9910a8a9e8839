"""Loads a run folder as the source of an image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from shrew import __version__
from shrew.corpus import Corpus, commands_of
from shrew.engine import QuantizedMatrix
from shrew.errors import RunError
from shrew.files import printable
from shrew.image import Commands, Source
from shrew.model.parameters import Parameters
from shrew.quantize.rounded import integers_of
from shrew.run.config import stored_types
from shrew.run.folder import Run
from shrew.run.memory import DEFAULT_REFUSAL, RunMemory, load_memory
from shrew.tokenizer import Tokenizer


@dataclass(frozen=True)
class LoadedRun:
    run: Run
    tokenizer: Tokenizer
    parameters: Parameters
    quantized: Mapping[str, QuantizedMatrix]
    """The matrices of ``parameters`` that were trained as integers, with exactly the values of training."""

    @property
    def knows_corpus(self) -> bool:
        """Whether the run names its corpus, and that still exists."""
        data = self.run.data
        return data is not None and not data.gone

    @cached_property
    def corpus(self) -> Corpus:
        """Loads the run's corpus. DataError or RunError if it is gone, unreadable or unknown."""
        return self.run.load_corpus()

    @cached_property
    def commands(self) -> list[str] | None:
        """The learnt commands; None if they are not known. Runs of the first version do not store them, so they are
        read from the corpus."""
        kept = self.run.load_commands()
        return commands_of(self.corpus.train) if kept is None and self.knows_corpus else kept

    @cached_property
    def memory(self) -> RunMemory | None:
        """The memory that the run keeps, or None. RunError if it cannot be read."""
        return load_memory(self.run)

    def source(
        self,
        *,
        memory: RunMemory | Literal["own"] | None = "own",
        name: str | None = None,
        licence: str | None = None,
        description: str | None = None,
        refusal: str | None = None,
    ) -> Source:
        """The source of an image of the run, with metadata (docs/FORMAT.md). ``memory`` replaces that of the run."""
        remembered = self.memory if memory == "own" else memory
        data = self.run.data
        sources = ", ".join(Path(source).name for source in data.sources) if data else "imported weights"
        metadata = [
            ("name", name or printable(Path(os.path.realpath(self.run.path)).name)),
            ("licence", licence),
            ("description", description),
            ("provenance", f"trained by Shrew on {sources}" if data else sources),
            ("prompt_template", self._prompt_template()),
            ("refusal", refusal or self._refusal(remembered)),
            ("created_by", f"shrew {__version__}"),
        ]
        left_out = []
        if data and data.gone:
            gone = ", ".join(data.gone)
            left_out.append(f"its data is gone ({gone}); text that the model writes stands in for what no option gives")
            if self.commands is None:
                left_out.append("its commands are not known without its data; give --commands FILE if it has some")
        return Source(
            self.run.config.model,
            self.parameters,
            self.tokenizer,
            [(key, value) for key, value in metadata if value],
            self.quantized,
            Commands.of_texts(self.commands) if self.commands else None,
            memory=remembered.memory if remembered else None,
            left_out=left_out,
        )

    def _refusal(self, memory: RunMemory | None) -> str | None:
        """What the image says instead of a refused answer; None if it refuses none."""
        if memory is None:
            return DEFAULT_REFUSAL if self.commands else None
        return memory.refusal

    def _prompt_template(self) -> str:
        """The chat frame as readable text; the engine uses the token ids."""
        names = {token: name for name, token in self.tokenizer.specials.items()}
        prefix, suffix = (
            "".join(names.get(token, f"<{token}>") for token in side)
            for side in (self.tokenizer.prompt_prefix, self.tokenizer.prompt_suffix)
        )
        return f"{prefix}{{prompt}}{suffix}"


def load_run(path: Path) -> LoadedRun:
    """Loads a run folder's configuration, tokenizer and best weights, reading each file once."""
    run = Run.open(path)
    tokenizer = Tokenizer.load(run.tokenizer_path)
    if tokenizer.vocab != run.config.model.vocab:
        raise RunError(
            f"{path}: tokenizer.json has {tokenizer.vocab} tokens, config.toml says {run.config.model.vocab}; "
            "one of the two comes from another run"
        )
    parameters, scales, _ = run.load_weights()
    try:
        quantized = integers_of(parameters, scales, stored_types(run.config.model, run.config.train))
    except RunError as error:
        raise RunError(f"{run.weights_path}: does not fit config.toml: {error}") from None
    return LoadedRun(run, tokenizer, parameters, quantized)
