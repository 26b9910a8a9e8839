"""Answers that are commands: only those of the grammar, whole, with a confidence, refused when unsure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, says, scripted_model, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from shrew.engine import Model
from shrew.image import Commands, build_image, writer
from shrew.tokenizer import train_character

LAMP = ["led (on|off)", "led brightness <0-100>", "beep"]

#: Of the token that a scripted model means, and of any other.
SURE = math.exp(10) / (math.exp(10) + BYTES.vocab - 1)
ODD = 1 / (math.exp(10) + BYTES.vocab - 1)


def run(model: Model, **options):
    steps = list(model.session(draft=options.pop("draft", 0)).generate("", **options))
    return "".join(step.text for step in steps), steps


def lamp(answer: bytes, threshold: float = 0.5, patterns=LAMP, **options) -> Model:
    return says(answer, commands=Commands.of(patterns, threshold), **options)


def test_a_command_comes_whole_with_its_confidence() -> None:
    text, steps = run(lamp(b"Do: led off"))
    last = steps[-1]
    assert [step.text for step in steps if step.text] == ["Do: led off"] == [last.text]
    assert (text, last.finish, last.command) == ("Do: led off", "end", "led off")
    assert last.confidence == pytest.approx(SURE ** len("Do: led off|"), rel=1e-5)
    assert last.tokens == len("Do: led off")


def test_what_is_no_command_becomes_the_likeliest_that_is() -> None:
    text, steps = run(lamp(b"Do: led onward!", threshold=0.0))
    assert (text, steps[-1].finish, steps[-1].command) == ("Do: led on", "end", "led on")
    assert steps[-1].confidence == pytest.approx(SURE ** len("Do: led on") * ODD, rel=1e-4)  # it had to end there


def test_an_unsure_command_is_refused() -> None:
    text, steps = run(lamp(b"Do: led onward!", metadata=[("refusal", "Nicht so schnell.")]))
    assert (text, steps[-1].finish, steps[-1].command) == ("Nicht so schnell.", "refused", "led on")
    assert 0 < steps[-1].confidence < 0.5
    assert run(lamp(b"Do: led onward!"))[0] == ""  # the image has nothing to say to it


@pytest.mark.parametrize(
    ("refusal", "said"),
    [("x" * 256, "x" * 256), ("x" * 257, "x" * 256), ("x" * 255 + "ä", "x" * 255 + "\N{REPLACEMENT CHARACTER}")],
    ids=["256", "257", "cut in a character"],
)
def test_a_refusal_is_said_as_far_as_a_command_would_be(
    refusal: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_COMMAND_BYTES", 300)  # an image that Shrew would not write
    assert run(lamp(b"Do: led onward!", metadata=[("refusal", refusal)]))[0] == said


def test_the_threshold_is_the_images() -> None:
    sure = SURE ** len("Do: led on|")
    assert run(lamp(b"Do: led on", threshold=sure * 0.999))[1][-1].finish == "end"
    assert run(lamp(b"Do: led on", threshold=sure * 1.001))[1][-1].finish == "refused"


@pytest.mark.parametrize(
    "answer", [b"Does it?", b"Do", b"Do:", b"Do it.", b"do: led on", b"So Do: led blue", b"D", b""]
)
def test_other_answers_stay_as_they_are(answer: bytes) -> None:
    text, steps = run(lamp(answer))
    assert (text, steps[-1].finish) == (answer.decode(), "end")
    assert steps[-1].command is None
    assert steps[-1].confidence == 0


def test_without_a_grammar_and_in_raw_text_anything_goes() -> None:
    assert run(says(b"Do: explode"))[0] == "Do: explode"
    model = lamp(b"Do: explode", prompt=1)
    assert run(model, raw=True)[0] == "Do: explode"


def test_a_command_cut_short_commands_nothing() -> None:
    for tokens in range(4, len("Do: led off")):
        text, steps = run(lamp(b"Do: led off"), max_tokens=tokens)
        assert (text, steps[-1].finish, steps[-1].command) == ("", "length", None)
    text, steps = run(says(b"Do: led off", end=False, context=12, commands=Commands.of(LAMP)))
    assert (text, steps[-1].finish, steps[-1].command) == ("", "context", None)


def test_stop_strings_do_not_cut_commands() -> None:
    assert run(lamp(b"Do: led off"), stop=["led"])[0] == "Do: led off"
    assert run(lamp(b"Do not led"), stop=["led"])[0] == "Do not "


def test_a_vocabulary_that_cannot_write_the_command_refuses() -> None:
    letters = train_character(["Do: ledonf"])
    script = letters.encode("Do: led on").tolist()
    model = scripted_model(script, tokenizer=letters, commands=Commands.of(["led ÿ"], 0.0))
    steps = list(model.session().generate(""))
    assert steps[-1].finish == "refused"
    assert steps[-1].confidence == 0
    assert steps[-1].command == "led "


def test_the_longest_command_passes_and_no_longer_one_can_be_made() -> None:
    longest = "a" * 256
    text, steps = run(lamp(b"Do: " + longest.encode(), 0.0, [longest]))
    assert text == f"Do: {longest}"
    assert steps[-1].command == longest


@given(
    answer=st.text("ledonfbhrigts 0123456789é", max_size=20),
    patterns=st.lists(st.text("ledonf é", min_size=1, max_size=8), min_size=1, max_size=4),
)
@settings(max_examples=60)
def test_nothing_but_commands_comes_out(answer: str, patterns: list[str]) -> None:
    grammar = Commands.of(patterns, 0.0)
    text, steps = run(says(f"Do: {answer}".encode(), commands=grammar, context=60))
    assert steps[-1].command in grammar
    assert steps[-1].command in patterns
    assert text == f"Do: {steps[-1].command}"
    if answer in patterns:
        assert steps[-1].command == answer


def sampled_model(threshold: float) -> Model:
    letters = train_character(["Do: abc"])
    config = tiny_config(vocab=letters.vocab, context=40)
    grammar = Commands.of(["a(b|c)[a]", "<3-3>", "c"], threshold)
    return Model.from_bytes(build_image(config, random_parameters(config), letters, commands=grammar))


def test_sampled_answers_agree_with_the_rules_in_python() -> None:
    """The same draws, the same logits, and the grammar's rules written once more, by sets of strings."""
    model, words = sampled_model(0.0), {"ab", "ac", "aba", "aca", "3", "c"}
    texts = [model.token_bytes(token).decode() for token in range(model.vocab)]
    end, commands = model.tokenizer_fields()["eos"], 0

    def allowed(text: str) -> bool:
        return not text.startswith("Do: ") or any(f"Do: {word}".startswith(text) for word in words)

    session = model.session()
    for seed in range(30_000):
        steps, spoken, confidence = [], "", 1.0
        for step in session.generate("", temperature=50.0, seed=seed, max_tokens=12):
            steps.append(step)
            if step.text and not step.confidence:
                break
        if not steps[-1].confidence:
            continue
        commands += 1
        twin, fields = model.session(), model.tokenizer_fields()
        logits = twin.feed([*fields["prompt_prefix"], *fields["prompt_suffix"]]).astype(np.float64)
        for step in steps[1:]:
            inside = spoken.startswith("Do: ")
            choice = step.token if step.token is not None else end
            probabilities = np.exp(logits - logits.max())
            confidence *= probabilities[choice] / probabilities.sum()
            if inside:
                able = [
                    token
                    for token, text in enumerate(texts)
                    if (token == end and spoken[4:] in words) or (text and token != end and allowed(spoken + text))
                ]
                assert choice == max(able, key=lambda token: logits[token])
            assert allowed(spoken)
            if choice == end:
                break
            spoken += texts[choice]
            logits = twin.feed([choice]).astype(np.float64)
        if steps[-1].finish == "end":
            assert steps[-1].command in words
        assert steps[-1].confidence == pytest.approx(confidence, rel=1e-4)
    assert commands > 0


@pytest.mark.parametrize("draft", [1, 4, 8])
def test_drafts_change_nothing(draft: int) -> None:
    for answer in (b"Do: led onward", b"Do: led off", b"led led led led led led"):
        model = lamp(answer, 0.0)
        plain, drafted = run(model)[1][-1], run(model, draft=draft)[1][-1]
        assert (plain.digest, plain.command, plain.confidence) == (drafted.digest, drafted.command, drafted.confidence)
