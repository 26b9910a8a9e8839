"""Documents, of which a corpus consists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "answer", "command"]

#: A command is an ordinary response that begins with these characters.
COMMAND_PREFIX: Final = "Do: "


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to learn: a text, or a prompt with its response.

    The model reads the prompt and learns the response. A text has no prompt and is learnt as a whole. The response of a
    command is the literal text to generate, such as ``Do: led red``.
    """

    prompt: str
    response: str
    kind: Kind
    held_out: bool = False
    """Never trained on, kept to measure the model with."""
    source: str = ""
    """The file from which it was read."""
    line: int = 0
    """The line of that file where it begins, counted from 1."""
    negatives: tuple[str, ...] = ()
    """Responses that are easily confused with the right one."""
    follow_ups: tuple[tuple[str, str], ...] = ()
    """Further prompts of the same conversation, each with its response."""

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """Every prompt with its response; the prompt of a text is empty."""
        return ((self.prompt, self.response), *self.follow_ups)

    @property
    def subject(self) -> str:
        """What must not be trained on if this document is held out: its prompt, or the whole text."""
        return self.prompt or self.response

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.source}:{self.line}"


def text_document(text: str, *, held_out: bool = False, source: str = "", line: int = 0) -> Document:
    """A document that is learnt as a whole."""
    return Document("", text, "text", held_out, source, line)


def response_document(
    prompt: str,
    response: str,
    *,
    held_out: bool = False,
    source: str = "",
    line: int = 0,
    negatives: tuple[str, ...] = (),
    follow_ups: tuple[tuple[str, str], ...] = (),
) -> Document:
    """A prompt with its response, which is a command if it begins with :data:`COMMAND_PREFIX`."""
    kind: Kind = "command" if response.startswith(COMMAND_PREFIX) else "answer"
    return Document(prompt, response, kind, held_out, source, line, negatives, follow_ups)


def commands_of(documents: Iterable[Document]) -> list[str]:
    """The distinct commands in the documents, without their prefix, in alphabetical order."""
    responses = {response for d in documents if d.kind != "text" for _, response in d.turns}
    return sorted(r.removeprefix(COMMAND_PREFIX) for r in responses if r.startswith(COMMAND_PREFIX))
