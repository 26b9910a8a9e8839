"""Character tokenizers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew.errors import TokenizerError
from shrew.tokenizer import train_bpe, train_character, train_for_corpus


def test_names_give_27_tokens() -> None:
    names = train_character(["emma", "olivia", "bcdfghjknpqrstuwxyz"])
    assert names.vocab == 27
    assert names.pieces[:26] == tuple(bytes([letter]) for letter in b"abcdefghijklmnopqrstuvwxyz")
    assert names.bos == names.eos == 26
    assert names.prompt_prefix == (26,)
    assert names.encode("emma").tolist() == [4, 12, 12, 0]
    assert names.decode([26, 4, 12, 12, 0, 26]) == "emma"


def test_other_characters_are_refused_and_named() -> None:
    names = train_character(["abc"])
    with pytest.raises(TokenizerError, match="no token for 'é'"):
        names.encode("abécb")
    with pytest.raises(TokenizerError, match="no token for"):
        names.encode(b"ab\xff")


def test_other_characters_can_be_unknown() -> None:
    names = train_character(["abc"], specials=("<|end|>", "<|unknown|>"), unknown="<|unknown|>")
    assert names.encode("aé\xffb").tolist() == [0, 4, 4, 1]
    assert names.encode(b"\xff\xc3").tolist() == [4, 4]
    assert names.decode([0, 4, 1]) == "ab"


@given(st.text())
def test_its_own_text_comes_back(text: str) -> None:
    tokenizer = train_character([text])
    assert tokenizer.vocab == len(set(text)) + 1
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.binary())
def test_its_own_bytes_come_back(data: bytes) -> None:
    tokenizer = train_character([data])
    assert tokenizer.decode_bytes(tokenizer.encode(data)) == data


def test_nothing_makes_no_tokenizer() -> None:
    with pytest.raises(TokenizerError, match="no text"):
        train_character([], specials=(), bos=None, eos=None, prompt_prefix=())


class Exchange:
    turns = (("How big?", "Tiny."), ("Really?", "Yes."))


def test_a_corpus_is_learnt_from_by_its_turns() -> None:
    texts = ["How big?", "Tiny.", "Really?", "Yes."]
    documents = [Exchange()]
    as_typed = train_for_corpus(documents, kind="bpe", vocab=300, prompts="exact")
    assert as_typed == train_bpe(texts, vocab=300, unicode=False)
    assert train_for_corpus(documents, kind="character", vocab=300, prompts="exact") == train_character(texts)
    folded = train_for_corpus(documents, kind="character", vocab=300)
    assert folded.pieces == train_character(["how big", "Tiny.", "really", "Yes."]).pieces


def test_only_a_corpus_beyond_ascii_needs_unicode_tables() -> None:
    class Abroad:
        turns = (("Wie groß?", "Klein."),)

    assert train_for_corpus([Exchange()], kind="bpe", vocab=300).unicode_section() is None
    assert train_for_corpus([Exchange(), Abroad()], kind="bpe", vocab=300).unicode_section() is not None
