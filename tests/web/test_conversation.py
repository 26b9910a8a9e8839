"""Questions, answers, and everything that can go wrong in between."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web.conftest import DONE, HOST, PHONE, Scripted, both_sizes, open_panel, until


@both_sizes
def test_an_answer_streams_and_ends_with_its_facts(page: Any, server: Scripted, expect: Any) -> None:
    identity = server.ask(page, "How do I open the gate?")
    assert server.heard == [{"type": "generate", "id": identity, "prompt": "How do I open the gate?"}]
    answer = page.locator(".answer")
    expect(answer).to_contain_text("Reading the question")
    server.say(type="queued", id=identity, ahead=2)
    expect(answer).to_contain_text("2 questions are before yours")
    server.say(type="token", id=identity, text="Press the <b>green</b> ")
    expect(answer.locator(".text")).to_have_text("Press the <b>green</b> ")
    server.say(type="token", id=identity, text="button\nté")
    server.say(type="done", id=identity, **DONE)
    assert answer.locator(".text").text_content() == "Press the <b>green</b> button\nté"
    facts = "24 tokens at 41 tok/s", "question of 9 at 183 tok/s", "seed 20261121", "digest 3f2a1b9c"
    expect(answer.get_by_role("listitem")).to_have_text(facts)
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


@both_sizes
@pytest.mark.parametrize("way", ["button", "escape"])
def test_stopping(page: Any, server: Scripted, expect: Any, way: str) -> None:
    identity = server.ask(page, "Tell me a story")
    server.say(type="token", id=identity, text="Once")
    if way == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    expect(page.locator("#hint")).to_have_text("Stopping…")
    assert server.heard[-1] == {"type": "cancel", "id": identity}
    server.say(type="done", id=identity, **{**DONE, "reason": "cancelled"})
    expect(page.locator(".facts")).to_contain_text("stopped")
    expect(page.locator(".text")).to_have_text("Once")


def test_one_answer_at_a_time(page: Any, server: Scripted, expect: Any) -> None:
    server.ask(page, "first")
    page.get_by_label("Your question").fill("second")
    page.keyboard.press("Enter")
    expect(page.locator("#hint")).to_contain_text("One answer at a time")
    assert len(server.heard) == 1
    expect(page.get_by_label("Your question")).to_have_value("second")


def test_repeating_takes_the_seed_and_compares_digests(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "one", "Once")
    page.get_by_role("button", name="Repeat").click()
    expect(page.locator("article")).to_have_count(2)
    assert server.heard[-1]["seed"] == DONE["seed"]
    server.say(type="done", id=server.heard[-1]["id"], **DONE)
    expect(page.locator(".facts").last).to_contain_text("digest 3f2a1b9c, as before")


def test_what_comes_from_memory_says_so(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "flash size", "16 MB.", from_memory=True, confidence=0.873, prompt_tokens=0)
    facts = page.locator(".facts")
    expect(facts.last).to_contain_text("from memory, 87 % sure")
    expect(facts.last).not_to_contain_text("tok/s")
    server.answer(page, "who won", "No idea.", from_memory=True, confidence=0.09, reason="refused")
    expect(facts.last).to_contain_text("nothing near it is known: 9 %")


@both_sizes
def test_commands_are_cards(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "turn on the light", "Do: light on", command="light on", confidence=0.973)
    card = page.locator(".command")
    expect(card).to_contain_text("light on")
    expect(card).to_contain_text("97 % sure")
    expect(page.locator(".text")).to_be_hidden()
    server.answer(page, "purple", "I am not sure.", command="blink", confidence=0.41, reason="refused")
    expect(page.locator(".text").last).to_have_text("I am not sure.")
    expect(card.last).to_contain_text("Not done")
    expect(card.last).to_contain_text("41 % sure")


def test_examples_and_facts_of_a_model_without_a_conversation(page: Any, server: Scripted, expect: Any) -> None:
    welcome = page.locator("#welcome")
    for fact in ("220,800", "206,304", "256", "passed", "Knows the gate"):
        expect(welcome).to_contain_text(fact)
    page.get_by_role("button", name="Turn on the light").click()
    expect(welcome).to_be_hidden()
    assert server.heard[0]["prompt"] == "Turn on the light"


def test_a_failed_selftest_is_said_where_answers_are_asked_for(page: Any, server: Scripted, expect: Any) -> None:
    server.info["model"]["selftest"] = "failed"
    server.say(**server.info)
    expect(page.locator("#welcome")).to_contain_text("Do not rely on its answers")


def test_without_a_model(page: Any, server: Scripted, expect: Any) -> None:
    server.info["model"] = None
    server.say(**server.info)
    expect(page.get_by_role("heading", name="No model yet")).to_be_visible()
    identity = server.ask(page, "hello?")
    server.say(type="error", id=identity, code="no_model", message="there is no model")
    expect(page.locator(".failure")).to_contain_text("Load or upload one")


CODES = [
    *("json", "message", "value", "id", "prompt", "size", "frame", "busy", "token", "origin", "not_found", "method"),
    *("length", "in_use", "name", "image", "no_model", "timeout", "engine", "of_the_future"),
]


def test_every_error_says_what_to_do_and_what_was_wrong(open_page: Any, server: Scripted, expect: Any) -> None:
    page = open_page(server=server, size=PHONE)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    for code in CODES:
        identity = server.ask(page, f"question of {code}")
        server.say(type="error", id=identity, code=code, message=f"the line of <i>{code}</i>")
        failure = page.locator(".failure").last
        expect(failure).to_contain_text(f"the line of <i>{code}</i>")
        help_text = failure.locator(".help").text_content()
        assert len(help_text) > 15
        assert (help_text == "That did not work.") == (code == "of_the_future")
    page.get_by_role("button", name="Try again").last.click()
    expect(page.locator("article")).to_have_count(len(CODES) + 1)


def test_questions_that_cannot_be_asked_stay_in_the_box(page: Any, server: Scripted, expect: Any) -> None:
    box = page.get_by_label("Your question")
    box.fill("  ")
    box.press("Enter")
    expect(page.locator("#hint")).to_have_text("Write a question first.")
    box.fill("é" * 1500)
    box.press("Enter")
    expect(page.locator("#hint")).to_contain_text("3,000 bytes; this model takes 2,048")
    assert not server.heard
    box.fill("two")
    box.press("Shift+Enter")
    assert box.input_value() == "two\n"


@both_sizes
def test_a_lost_connection_comes_back_by_itself(page: Any, server: Scripted, expect: Any) -> None:
    identity = server.ask(page, "hello?")
    server.say(type="token", id=identity, text="Half of an")
    server.up = False
    server.socket.close()
    expect(page.locator("#state")).to_have_text("reconnecting")
    expect(page.locator("#trouble")).to_contain_text("No connection to shrew.test. Trying again")
    expect(page.locator(".answer")).to_contain_text("Half of an")
    expect(page.locator(".failure")).to_contain_text("The connection ended before the answer did.")
    page.get_by_label("Your question").fill("later")
    page.keyboard.press("Enter")
    expect(page.locator("#hint")).to_contain_text("Your question stays here")
    server.up = True
    expect(page.locator("#state")).to_have_text("connected")
    expect(page.locator("#trouble")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("article")).to_have_count(2)
    assert server.heard[-1]["prompt"] == "hello?"


def test_attempts_come_less_and_less_often_and_at_once_when_asked(open_page: Any, expect: Any) -> None:
    server = Scripted(up=False)
    page = open_page("about:blank", server=server)
    page.clock.install()
    page.goto(HOST)
    delays = []
    for _ in range(7):
        expect(page.locator("#trouble")).to_be_visible()
        text = page.locator("#trouble-text").text_content()
        seconds = re.search(r"in (\d+) seconds", text)
        delays.append(int(seconds[1]) if seconds else 1)
        page.clock.fast_forward(20_000)
        page.wait_for_timeout(60)
    assert delays[0] == 1
    assert 10 <= delays[-1] <= 19
    server.up = True
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#state")).to_have_text("connected")


def test_silence_is_asked_about_and_then_given_up(open_page: Any, server: Scripted, expect: Any) -> None:
    page = open_page("about:blank", server=server)
    page.clock.install()
    page.goto(HOST)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    for asked in (2, 3):
        page.clock.run_for(21_000)
        until(page, lambda asked=asked: server.asked_for_info == asked)
    assert server.connections == 1
    server.socket.on_message(lambda _: None)  # it is there and says nothing more
    page.clock.run_for(31_000)
    until(page, lambda: server.connections == 2)


def test_copying_where_the_clipboard_is_missing_as_on_a_device(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "one", "Once upon a time")
    assert page.evaluate("navigator.clipboard === undefined")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_label("Your question").focus()
    page.keyboard.press("ControlOrMeta+v")
    expect(page.get_by_label("Your question")).to_have_value("Once upon a time")


def test_copying_a_command(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "light", "Do: light on", command="light on", confidence=0.97)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_label("Your question").focus()
    page.keyboard.press("ControlOrMeta+v")
    expect(page.get_by_label("Your question")).to_have_value("light on")


def test_reading_further_up_is_not_disturbed(page: Any, server: Scripted, expect: Any) -> None:
    server.answer(page, "one", "line\n" * 60)
    identity = server.ask(page, "two")
    server.say(type="token", id=identity, text="more\n" * 40)
    end = "e => Math.round(e.scrollHeight - e.scrollTop - e.clientHeight)"
    expect(page.locator(".text").last).to_contain_text("more")
    assert page.locator("#talk").evaluate(end) < 2
    page.locator("#talk").evaluate("e => e.scrollTop = 0")
    server.say(type="token", id=identity, text="end")
    expect(page.locator(".text").last).to_contain_text("end")
    assert page.locator("#talk").evaluate("e => e.scrollTop") == 0


def test_light_and_dark(open_page: Any, server: Scripted, expect: Any) -> None:
    page = open_page(server=server, size=PHONE, color_scheme="dark")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch to light").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    page.get_by_role("button", name="Switch to dark").wait_for()
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Switch to dark").click()
    assert page.evaluate(ground) == dark


@both_sizes
def test_nothing_is_wider_than_the_screen(page: Any, server: Scripted) -> None:
    server.answer(page, "w" * 300, "W" * 500)
    server.answer(page, "do", "Do: x", command="light_" * 30, confidence=1)
    open_panel(page)
    outside = "() => [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert page.evaluate(outside + ".map(e => e.id || e.className)") == []
