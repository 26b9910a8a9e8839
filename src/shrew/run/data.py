"""The corpus of a run, and where its files are now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shrew.corpus import BUILTIN_NAMES, END_OF_TEXT, HELD_OUT, Corpus, Format, drop_duplicates, load_corpus
from shrew.errors import ConfigError, DataError
from shrew.files import printable
from shrew.run.config import Value


@dataclass(frozen=True)
class DataConfig:
    """The ``[data]`` table of a run's ``config.toml``."""

    sources: tuple[str, ...]
    """Built-in names and paths."""
    format: Format = "auto"
    separator: str = END_OF_TEXT
    held_out: float = HELD_OUT
    drop_duplicates: bool = False

    def load(self) -> Corpus:
        corpus = load_corpus(self.sources, format=self.format, separator=self.separator, held_out=self.held_out)
        if self.drop_duplicates:
            corpus = Corpus(corpus.name, drop_duplicates(corpus.train), drop_duplicates(corpus.held_out))
        return corpus

    @property
    def gone(self) -> list[str]:
        """The sources that no longer exist."""
        return [source for source in self.sources if source not in BUILTIN_NAMES and not os.path.exists(source)]

    def as_table(self, folder: Path) -> dict[str, Value]:
        """The table for the run at ``folder``.

        Paths become absolute, so that the run can be resumed from any directory. The table also has the place of the
        run folder, so that data that is moved together with it can be found. DataError if TOML cannot hold a path.
        """
        return {
            "sources": [s if s in BUILTIN_NAMES else _absolute(s) for s in self.sources],
            "format": self.format,
            "separator": self.separator,
            "held_out": self.held_out,
            "drop_duplicates": self.drop_duplicates,
            "run_folder": printable(os.path.realpath(folder)),
        }

    @classmethod
    def from_table(cls, table: Mapping[str, Value], folder: Path) -> DataConfig | None:
        """Reads the table, and finds the present paths of the sources for the run at ``folder``.

        None if a run does not name its data, like an imported one. ConfigError if the table is malformed.
        """
        sources = table.get("sources")
        if sources is None:
            return None
        if not isinstance(sources, list):
            sources = str(sources).split("\n")  # the form of the first version
        was = str(table.get("run_folder", ""))
        values = {**table, "sources": [_present_path(source, folder, was) for source in sources]}
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{folder / 'config.toml'}: data: {error}") from None


def _absolute(source: str) -> str:
    path = os.path.realpath(source)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"{source}: its path is not UTF-8, and config.toml cannot keep it; rename it") from None
    return path


def _present_path(source: str, folder: Path, was: str) -> str:
    """The present path of a source of the run at ``folder``; unchanged if it cannot be found.

    Tries the path itself, then the path relative to the folder, then its old place relative to the folder when that was
    at ``was``, then the folder itself.
    """
    if source in BUILTIN_NAMES:
        return source
    places = [Path(source), folder / source, folder / Path(source).name]
    if was and os.path.isabs(source):
        places.insert(2, Path(os.path.normpath(Path(os.path.realpath(folder)) / os.path.relpath(source, was))))
    return str(next((place for place in places if os.path.exists(place)), source))
