"""What people type reaches the model in one form, through every way into the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.models import BYTES, random_image
from hypothesis import given
from hypothesis import strategies as st

from shrew.corpus import encode_document
from shrew.corpus.documents import response_document
from shrew.engine import Model, Sampling
from shrew.engine.tokenizer import prompt_form
from shrew.errors import EngineError, TokenizerError
from shrew.tokenizer import PromptForm, Tokenizer, train_for_corpus

FOLDED = PromptForm.for_prompts(["où est la clé à molette", "größe", "какой", "λόγος"])
PLAIN = PromptForm.for_prompts(["où"], fold_case=False, drop_marks=False)

#: What becomes of a question, whoever types it and on whatever keyboard.
TYPED = {
    "newline at the end": "what's the flash size\n",
    "carriage return": "what's the flash size\r\n",
    "blanks around": "  what's the flash size \t",
    "byte order mark": "\ufeffwhat's the flash size",
    "no-break space": "what's the\xa0flash size",
    "doubled blanks": "what's  the   flash size",
    "a tab": "what's\tthe flash size",
    "capital": "What's the flash size",
    "capitals": "WHAT'S THE FLASH SIZE",
    "typographic apostrophe": "what\u2019s the flash size",
    "full stop": "what's the flash size.",
    "question mark": "what's the flash size?",
    "marks": "what's the flash size ?!",
    "ellipsis": "what's the flash size\u2026",
    "ellipsis of dots": "what's the flash size ...",
    "soft hyphen": "what's the fl\xadash size",
    "all of it": "\ufeff WHAT\u2019S\u2009\u2009THE\tFlash  size \u2026?!\r\n",
}


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED.keys())
def test_one_question_has_one_form(typed: str) -> None:
    assert FOLDED.written(typed) == "what's the flash size"


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("“Clé”—à MOLETTE", '"clé"-à molette'),
        ("OÙ EST LA CLÉ À MOLETTE ?", "où est la clé à molette"),
        ("GRÖSSE GRÖẞE größe", "grösse gröẞe größe"),  # one letter for one letter
        ("КАКОЙ ¿", "какой"),
        ("ΛΌΓΟΣ λόγος", "λόγοσ λόγοσ"),
        ("ÇÑ", "ÇÑ"),  # not among the letters of the corpus
        ("what?? now!!! 3.14, e.g.", "what? now! 3.14, e.g"),
        ("how hot？", "how hot"),
        ("?", ""),
        ("", ""),
        (" \n ", ""),
        (".net", ".net"),
        ("😀 Hi", "😀 hi"),
        ("\0A\x1b", "\0a\x1b"),
    ],
)
def test_golden(typed: str, form: str) -> None:
    assert FOLDED.written(typed) == form


def test_a_plain_form_keeps_case_and_marks() -> None:
    assert PLAIN.written("\ufeff Où  EST\xa0“IT”…?!\n") == 'Où EST "IT".?!'


def test_bytes_that_are_not_utf8_stay() -> None:
    assert prompt_form(FOLDED.section, b" \xffA \xe2\x80 \xc3") == b"\xffa \xe2\x80 \xc3"


@given(st.binary(max_size=80) | st.text("aAéÉß.?! \t\xa0\u2019\u2026\ufeff😀", max_size=40).map(str.encode))
def test_a_form_is_never_longer_and_has_itself_as_its_form(text: bytes) -> None:
    for form in (FOLDED, PLAIN):
        once = prompt_form(form.section, text)
        assert len(once) <= len(text)
        assert prompt_form(form.section, once) == once
        assert once == once.strip(b" \t\n\v\f\r")


@given(st.text(max_size=60))
def test_valid_text_stays_valid(text: str) -> None:
    prompt_form(FOLDED.section, text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()).decode()


def test_upper_case_of_what_is_used_folds_to_it() -> None:
    text = "où est la clé à molette größe какой λόγο"
    assert FOLDED.written(text.upper().replace("SS", "ß")) == text


# ---- Through the engine ---------------------------------------------------------------------------------------------


MODEL = Model.from_bytes(random_image(tokenizer=replace(BYTES, prompt_form=FOLDED), spread=0.6))
SAMPLING = Sampling(temperature=1.0)


def answered(prompt: str, model: Model = MODEL, **options: Any) -> tuple[int, int]:
    """How long the prompt was, and a digest of the tokens that follow it."""
    last = list(model.session().generate(prompt, max_tokens=12, sampling=SAMPLING, **options))[-1]
    return last.prompt_tokens, last.digest


@pytest.mark.parametrize("typed", ["\ufeffÀ  la\xa0CLÉ ?\n", "à la clé…", "À LA CLÉ."])
def test_the_engine_puts_chat_prompts_in_the_form_of_the_image(typed: str) -> None:
    assert answered(typed) == answered("à la clé")


def test_raw_text_is_left_alone() -> None:
    assert answered(" A?\n", raw=True)[0] == len(" A?\n") + 1
    assert answered(" A?\n", raw=True) != answered("a", raw=True)


def test_a_follow_up_is_put_in_it_too() -> None:
    def both(first: str, second: str) -> int:
        session = MODEL.session()
        list(session.generate(first, max_tokens=2))
        return list(session.generate(second, max_tokens=12, sampling=SAMPLING, keep=True))[-1].digest

    assert both("a", "b c") == both("A.", "B\xa0C?")


def test_an_image_without_a_form_takes_prompts_as_they_are() -> None:
    without = Model.from_bytes(random_image())
    assert without.written(" A?\n") == " A?\n"
    assert answered(" A?\n", without)[0] == len(" A?\n") + 2


@pytest.mark.parametrize("context", [1, 2, 3, 48])
def test_the_longest_prompt_has_room(context: int) -> None:
    """Eight bytes for each token of the context, all of which the form takes away, and one more is refused."""
    model = Model.from_bytes(random_image(tokenizer=replace(BYTES, prompt_form=FOLDED), context=48))
    session = model.session(context=context, block=1)
    blanks = "\u2003" * (8 * context // 3) + " " * (8 * context % 3)
    if context > 2:
        assert list(session.generate(blanks, max_tokens=1))[-1].prompt_tokens == 2
    with pytest.raises(EngineError):
        list(session.generate(blanks + " "))


def test_the_image_tells_its_form() -> None:
    assert MODEL.written("À  la CLÉ ?") == "à la clé"


# ---- In training ----------------------------------------------------------------------------------------------------


def test_training_reads_prompts_as_the_engine_does_and_answers_as_they_are() -> None:
    tokenizer = replace(BYTES, prompt_form=FOLDED)
    encoded = encode_document(response_document("Où  EST\xa0it?", "HERE, “now”. "), tokenizer)
    assert tokenizer.decode(encoded.ids[~encoded.learn]) == "où est it"
    assert tokenizer.decode(encoded.ids[encoded.learn]) == "HERE, “now”. "
    session = MODEL.session()
    assert list(session.generate("Où  EST\xa0it?", max_tokens=1))[-1].prompt_tokens == np.count_nonzero(~encoded.learn)


def test_a_tokenizer_is_learnt_from_prompts_in_their_form() -> None:
    document = response_document("WHERE IS IT?", "There.")
    learnt = train_for_corpus([document] * 4, kind="character", vocab=0)
    assert learnt.prompt_form is not None
    assert set(b"".join(learnt.pieces).decode()) == set("where is itThere.")
    exact = train_for_corpus([document] * 4, kind="character", vocab=0, prompts="exact")
    assert exact.prompt_form is None
    assert set(b"".join(exact.pieces).decode()) == set("WHERE IS IT?There.")
    plain = train_for_corpus([document] * 4, kind="character", vocab=0, prompts="plain")
    assert plain.written("  What?\xa0") == "What?"


def test_the_file_keeps_the_form(tmp_path: Path) -> None:
    tokenizer = replace(BYTES, prompt_form=FOLDED)
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json") == tokenizer


@pytest.mark.parametrize(
    "replacements", [{"ab": "c"}, {"é": "ee"}, {"a": "b"}, {"é": "中"}, {"😀": ""}, {"é": "\0"}, {"\ud800": "a"}]
)
def test_what_cannot_be_stored_is_refused(replacements: dict[str, str]) -> None:
    with pytest.raises(TokenizerError, match="form"):
        PromptForm(replacements=replacements)
