"""An image's memory answers what it recognises, refuses what is like nothing that it knows, and leaves the rest to the
model.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from engine.models import BYTES
from hypothesis import given
from hypothesis import strategies as st
from memory_images import ANSWERS, FOLDED, MODEL, REFUSAL_TEXT, knowing, remembering

from shrew.engine import Model
from shrew.engine.session import Progress, Session
from shrew.engine.tokenizer import question_features
from shrew.errors import ContextFullError
from shrew.image import Commands
from shrew.memory import Memory, read_memory

SILENT = "'-_"


def hashed(text: str) -> int:
    """FNV-1a of the UTF-8, its upper bits mixed into the lower ones."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value ^ value >> 15


def features(question: str) -> list[int]:
    """As docs/FORMAT.md, section 10, defines them."""
    words = [
        "".join(c for c in word if c not in SILENT) for word in re.findall(r"[A-Za-z0-9'_\-\x80-\U0010ffff]+", question)
    ]
    found = []
    for word in filter(None, words):
        found.append(hashed("w" + word))
        framed = f"<{word}>"
        for length in (3, 4):
            found += [hashed(framed[i : i + length]) for i in range(len(framed) - length + 1)]
    return found


@pytest.mark.parametrize(
    "question",
    ["what's the wi-fi?", "a", "", "é à-la ça", "'- -' x_y 3.3", "now!it", "--", "größe 40°", "a-b-c-d", "'ab' cd-"],
)
def test_features_are_those_of_the_format(question: str) -> None:
    assert question_features(question.encode()).tolist() == features(question)


@given(st.text("ab'-_ é?🐁9", max_size=24))
def test_features_of_any_text(question: str) -> None:
    assert question_features(question.encode()).tolist() == features(question)


@given(st.binary(max_size=40))
def test_bytes_that_are_not_utf8_have_features_too(text: bytes) -> None:
    assert len(question_features(text)) <= 4 * len(text) + 4


def asked(question: str, model: Model = MODEL, **options: object) -> tuple[str, Progress]:
    steps = list(model.session().generate(question, max_tokens=30, **options))
    return "".join(step.text for step in steps), steps[-1]


@pytest.mark.parametrize("question", ANSWERS)
def test_what_it_knows_it_answers(question: str) -> None:
    text, last = asked(question)
    expected = ANSWERS[question]
    assert text == (REFUSAL_TEXT if expected is None else expected)
    assert last.finish == ("refused" if expected is None else "end")
    assert last.from_memory
    assert last.confidence == pytest.approx(1, abs=0.01)
    assert last.prompt_tokens == 0
    assert last.tokens == (0 if expected is None else len(BYTES.encode(expected)))


def test_it_is_asked_in_the_form_of_prompts() -> None:
    assert asked("\ufeff TURN\xa0on  the lamp!!\n") == asked("turn on the lamp")


def test_what_is_like_nothing_is_refused_and_what_is_in_between_the_model_answers() -> None:
    strict = Model.from_bytes(remembering(knowing(accept=1.0, refuse=1.0)))
    text, last = asked("turn on a lamp", strict)
    assert (text, last.finish, last.from_memory) == (REFUSAL_TEXT, "refused", True)
    assert 0 < last.confidence < 1
    lenient = Model.from_bytes(remembering(knowing(accept=0.3, refuse=0.0)))
    assert asked("turn on a lamp", lenient)[0] == "Do: led on"
    between = Model.from_bytes(remembering(knowing(accept=1.0, refuse=0.0)))
    assert not asked("turn on a lamp", between)[1].from_memory
    assert asked("turn on a lamp", between)[1].prompt_tokens > 0


def test_an_answer_must_be_clear_of_the_next_one() -> None:
    unsure = Model.from_bytes(remembering(knowing(clear=1.0, refuse=0.0)))
    assert not asked("turn on the lamp", unsure)[1].from_memory
    two_of_one = {"turn on the lamp": "Do: led on", "turn on the lamp please": "Do: led on", "xyz": "No."}
    sure = Model.from_bytes(remembering(knowing(two_of_one, clear=0.3)))
    assert asked("turn on the lamp", sure)[0] == "Do: led on"


def test_a_question_without_words_is_refused() -> None:
    for question in ("", " ?! ", "-"):
        text, last = asked(question)
        assert (text, last.finish, last.confidence) == (REFUSAL_TEXT, "refused", 0.0)


def test_raw_text_and_follow_ups_go_to_the_model() -> None:
    assert not asked("turn on the lamp", raw=True)[1].from_memory
    session = MODEL.session()
    session.feed([5, 6])
    assert not list(session.generate("turn on the lamp", keep=True, max_tokens=2))[-1].from_memory


def test_a_conversation_goes_on_as_if_the_model_had_said_it() -> None:
    session = MODEL.session()
    assert list(session.generate("Turn on the lamp!"))[-1].from_memory
    assert session.position == 0
    after = list(session.generate("more", keep=True, max_tokens=5))[-1]
    by_hand = MODEL.session()
    by_hand.feed([0, *BYTES.encode("turn on the lamp"), 2, *BYTES.encode("Do: led on"), 1])
    expected = list(by_hand.generate("more", keep=True, max_tokens=5))[-1]
    assert after.digest == expected.digest
    assert session.position == by_hand.position


def test_feeding_tokens_forgets_it() -> None:
    session = MODEL.session()
    list(session.generate("turn on the lamp"))
    fed = session.feed([7, 8])
    assert session.position == 2
    assert np.array_equal(fed, MODEL.session().feed([7, 8]))


def test_limits_and_stop_strings_apply_to_it() -> None:
    text, last = asked("what is the flash size", stop=[" of"])
    assert (text, last.finish) == ("16 MB", "stop")
    steps = list(MODEL.session().generate("what is the flash size", max_tokens=5))
    assert ("".join(step.text for step in steps), steps[-1].finish) == ("16 MB", "length")
    short = Model.from_bytes(remembering(context=30))
    text, last = asked("what is the flash size", short)
    assert (text, last.finish) == ("16 MB o", "context")


def test_its_digest_is_that_of_its_tokens() -> None:
    said = asked("how are you")[1]
    session = MODEL.session()
    ids = BYTES.encode("Großartig! 🐁").tolist()
    assert said.tokens == len(ids)
    assert said.digest == zlib.crc32(np.array(ids, "<u2").tobytes())
    assert session.position == 0


def test_commands_come_whole_and_only_those_of_the_grammar() -> None:
    model = Model.from_bytes(remembering(commands=Commands.of(["led (on|off)"], 1.0)))
    steps = list(model.session().generate("turn on the lamp"))
    assert [step.text for step in steps if step.text] == ["Do: led on"]
    assert (steps[-1].finish, steps[-1].command) == ("end", "led on")
    assert asked("what is the flash size", model)[0] == ANSWERS["what is the flash size"]
    lacking = Model.from_bytes(remembering(commands=Commands.of(["led off"], 0.0)))
    text, last = asked("turn on the lamp", lacking)
    assert (text, last.finish) == (REFUSAL_TEXT, "refused")


@pytest.mark.parametrize(("buckets", "dim", "bits"), [(16, 16, 4), (16, 16, 8), (1024, 64, 4), (64, 256, 8)])
def test_a_section_is_read_back(buckets: int, dim: int, bits: int) -> None:
    memory = knowing(buckets=buckets, dim=dim, bits=bits, clear=0.125)
    read = read_memory(memory.section)
    assert read.section == memory.section
    assert np.array_equal(read.table, memory.table)
    assert np.array_equal(read.answer_of, memory.answer_of)
    assert read.answers == memory.answers
    model = Model.from_bytes(remembering(memory))
    for question, answer in ANSWERS.items():
        assert asked(question, model)[0] == (answer or REFUSAL_TEXT)


def nearest(memory: Memory, question: str) -> tuple[int, float]:
    """The nearest key's answer and its cosine, in doubles."""
    picked = question_features(question.encode()) & (len(memory.table) - 1)
    total = memory.table[picked].sum(axis=0, dtype=np.int64).astype(float)
    cosines = memory.keys @ total * (memory.key_scale / np.linalg.norm(total))
    best = int(np.argmax(cosines))
    return int(memory.answer_of[best]), float(cosines[best])


def test_nearness_is_the_cosine() -> None:
    memory = knowing(accept=0.0, refuse=0.0)
    model = Model.from_bytes(remembering(memory))
    for question in ("turn on", "flash", "how is the lamp", "what cup", "on on on on on", "größe"):
        answer, cosine = nearest(memory, question)
        text, last = asked(question, model)
        assert last.confidence == pytest.approx(max(cosine, 0), abs=0.004)
        if cosine > 0 and answer >= 0:
            assert BYTES.decode(memory.answers[answer]).startswith(text[:30])


def test_another_tokenizer_may_have_no_form() -> None:
    plain = replace(FOLDED, prompt_form=None)
    model = Model.from_bytes(remembering(tokenizer=plain))
    assert asked("turn on the lamp", model)[0] == "Do: led on"
    assert asked("TURN ON THE LAMP", model)[0] != "Do: led on"


def test_the_context_ends_an_answer_where_it_ends_the_model_s() -> None:
    frame_and_prompt = 2 + len("what is the flash size")
    for context in (frame_and_prompt, frame_and_prompt + 3):
        remembered, written = (
            asked(question, Model.from_bytes(remembering(context=context)), raw=raw)[1]
            for question, raw in (("what is the flash size", False), ("x" * (frame_and_prompt - 1), True))
        )
        assert (remembered.finish, remembered.tokens) == ("context", context - frame_and_prompt + 1)
        assert written.tokens <= remembered.tokens


def test_a_command_that_was_forgotten_is_not_told() -> None:
    model = Model.from_bytes(remembering(commands=Commands.of(["led (on|off)"], 0.0)))
    for forget in (lambda s: s.feed(range(65, 95)), lambda s: s.reset(), too_long):
        session = model.session()
        assert list(session.generate("turn on the lamp"))[-1].command == "led on"
        assert session._command() == "led on"
        forget(session)
        assert session._command() is None


def too_long(session: Session) -> None:
    with pytest.raises(ContextFullError):
        list(session.generate("x" * 300))


def test_a_refused_command_from_memory_names_none() -> None:
    lacking = Model.from_bytes(remembering(commands=Commands.of(["led off"], 0.0)))
    assert asked("turn on the lamp", lacking)[1].command is None


def test_feeding_what_does_not_fit_forgets_nothing() -> None:
    session = MODEL.session()
    list(session.generate("turn on the lamp"))
    with pytest.raises(ContextFullError):
        session.feed([7] * 100)
    again = MODEL.session()
    list(again.generate("turn on the lamp"))
    more = [list(s.generate("more", keep=True, max_tokens=5))[-1].digest for s in (session, again)]
    assert more[0] == more[1]


def test_a_prompt_without_anything_left_is_refused_even_without_a_frame() -> None:
    bare = replace(FOLDED, prompt_prefix=(), prompt_suffix=())
    model = Model.from_bytes(remembering(tokenizer=bare))
    text, last = asked(" ?! ", model)
    assert (text, last.finish) == (REFUSAL_TEXT, "refused")
    assert asked("turn on the lamp", model)[0] == "Do: led on"
