"""The memory of a run: learnt from its questions and answers, kept beside its weights."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from shrew.corpus import Corpus, Document, other_questions
from shrew.errors import RunError
from shrew.memory import (
    Calibration,
    Memory,
    MemoryOptions,
    add_entries,
    fit_memory,
    learn,
    pairs_of,
    read_memory,
    to_memory,
)
from shrew.tokenizer import Tokenizer

if TYPE_CHECKING:
    from shrew.run.folder import Run

#: What an image says to questions that it does not know, unless its corpus has an answer for them.
DEFAULT_REFUSAL: Final = "I don't know that."

#: A text that answers at least this many questions, this share of all, and this many times more than the average answer
#: does, is the corpus's own refusal. A greeting in dozens of phrasings is none.
REFUSAL_COUNT, REFUSAL_SHARE, REFUSAL_RATIO = 100, 0.05, 10


@dataclass(frozen=True)
class RunMemory:
    """A memory with what must be known about it beside its section."""

    memory: Memory
    refusal: str
    """What the image says to what the memory refuses."""
    calibration: Calibration


def refusal_of(documents: Iterable[Document]) -> str | None:
    """The answer that a corpus gives to questions outside its knowledge: a text that very many questions share."""
    counts = Counter(document.response for document in documents if document.kind == "answer")
    if not counts:
        return None
    answer, count = counts.most_common(1)[0]
    total = counts.total()
    least = max(REFUSAL_COUNT, REFUSAL_SHARE * total, REFUSAL_RATIO * total / len(counts))
    return answer if count >= least else None


def learn_memory(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    budget: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> RunMemory | None:
    """Learns the memory of a corpus; None if it has no questions.

    ``budget``: most bytes of the section (None: a table of 131 KB). ConfigError if it is too small, DataError for the
    corpus.
    """
    pairs, held_out = pairs_of(corpus.train, tokenizer), pairs_of(corpus.held_out, tokenizer)
    if not pairs:
        return None
    own = refusal_of(corpus.train)
    options = MemoryOptions(seed=seed)
    if budget is not None:
        answers = [tokenizer.encode(text).tolist() for text in dict.fromkeys(a for _, a in pairs if a != own)]
        options = fit_memory(budget, answers, options)
    others = [tokenizer.written(question) for kind in other_questions().values() for question in kind]
    learnt = learn(pairs, refusal=own, others=others, held_out=held_out, options=options, progress=progress)
    memory = to_memory(learnt, tokenizer.encode)
    return RunMemory(memory, DEFAULT_REFUSAL if own is None else own, learnt.calibration)


def corrected_memory(learnt: RunMemory, questions: Iterable[Document], tokenizer: Tokenizer) -> RunMemory:
    """The memory with these questions, which lead to their right answers. DataError."""
    pairs = [(d.prompt, None if d.response == learnt.refusal else d.response) for d in questions]
    return replace(learnt, memory=add_entries(learnt.memory, pairs, tokenizer, tokenizer.encode))


def save_memory(run: Run, learnt: RunMemory) -> None:
    """Writes ``memory.bin``, section 10 of an image, and ``memory.json``. RunError."""
    run.replace(run.memory_path, learnt.memory.section)
    about = {"refusal": learnt.refusal, "tokenizer": _tokenizer_of(run), "calibration": asdict(learnt.calibration)}
    run.replace(run.memory_path.with_suffix(".json"), json.dumps(about, indent=1).encode() + b"\n")


def load_memory(run: Run) -> RunMemory | None:
    """The run's memory, or None. RunError if its files are malformed. The engine checks the section in an image."""
    try:
        section = run.memory_path.read_bytes()
        about = json.loads(run.memory_path.with_suffix(".json").read_bytes())
        if about["tokenizer"] != _tokenizer_of(run):
            raise ValueError
        return RunMemory(read_memory(section), str(about["refusal"]), Calibration(**about["calibration"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        reason = error.strerror if isinstance(error, OSError) else "malformed, or of another tokenizer"
        raise RunError(f"{run.memory_path}: {reason}; give --memory SIZE to learn it again, or off") from None


def _tokenizer_of(run: Run) -> str:
    """The CRC-32 of ``tokenizer.json``, whose tokens the answers of the memory are."""
    return f"{zlib.crc32(run.tokenizer_path.read_bytes()):08x}"
