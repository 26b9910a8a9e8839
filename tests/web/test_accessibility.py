"""Use of the page with a keyboard, a screen reader and weak eyesight."""

from __future__ import annotations

from typing import Any

import pytest
from web.conftest import DESKTOP, DONE, PHONE, Scripted, both_sizes, open_panel

CONTROLS = {
    "button",
    "textbox",
    "slider",
    "spinbutton",
    "checkbox",
    "combobox",
    "link",
    "progressbar",
    "DisclosureTriangle",
}

#: For each visible text whose contrast with its background is too low by WCAG 2: that contrast.
FAINT = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
  const behind = (e) => {
    if (!e) return [255, 255, 255];
    const color = channels(getComputedStyle(e).backgroundColor);
    return color[3] === 0 ? behind(e.parentElement) : over(color, behind(e.parentElement));
  };
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (color) => color.map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const faint = [];
  const check = (e, what, color, below, least) => {
    const found = contrast(light(over(channels(color), below)), light(below));
    if (found < least) faint.push(`${e.id || e.className || e.tagName} ${what}: ${found.toFixed(2)}`);
  };
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(e);
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) check(e, "text", style.color, behind(e), 4.5);
    if (e.placeholder) check(e, "placeholder", getComputedStyle(e, "::placeholder").color, behind(e), 4.5);
    if (e.matches("input:not([type=range], [type=checkbox], [type=file])")) {
      check(e, "border", style.borderTopColor, behind(e.parentElement), 3);
    }
  }
  return faint;
}"""

#: Whether the focus is outlined, at the control or at the box that it fills.
SEEN = """() => {
  const style = (e) => getComputedStyle(e ?? document.body);
  const outlined = (e) => style(e).outlineStyle !== "none" || style(e).boxShadow !== "none";
  return outlined(document.activeElement) || outlined(document.activeElement.closest(".field, .button"));
}"""

#: Keeps in `heard` what a screen reader is told.
LISTEN = """() => {
  const spoken = document.querySelector("#spoken");
  window.heard = [];
  new MutationObserver(() => heard.push(spoken.textContent)).observe(spoken, { childList: true });
}"""


def tree(page: Any) -> list[tuple[str, str]]:
    """(role, name) of everything that assistive technology is told of, as Chromium computes it."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in nodes if not node["ignored"]
    ]


def fill_conversation(page: Any, server: Scripted) -> None:
    server.answer(page, "one", "Once upon a time")
    server.answer(page, "two", "Do: light on", command="light on", confidence=0.97)
    server.answer(page, "three", "I am not sure.", command="light on", confidence=0.4, reason="refused")
    identity = server.ask(page, "four")
    server.say(type="error", id=identity, code="busy", message="full")
    page.get_by_role("button", name="Try again").wait_for()


@both_sizes
def test_every_control_has_a_name_and_every_part_its_landmark(page: Any, server: Scripted) -> None:
    fill_conversation(page, server)
    before = tree(page)
    panel = open_panel(page)
    panel.get_by_text("More", exact=True).click()
    server.info["wifi"] = {"mode": "ap", "ssid": "shrew", "address": "192.168.4.1"}
    server.say(**server.info)
    panel.get_by_role("heading", name="Wi-Fi").wait_for()
    nodes = before + tree(page)
    assert [node for node in nodes if node[0] in CONTROLS and not node[1]] == []
    assert len([node for node in nodes if node[0] in CONTROLS]) > 25
    assert {"banner", "main", "complementary", "form", "region"} <= {role for role, _ in nodes}
    assert ("heading", "Shrew") in nodes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(open_page: Any, server: Scripted, scheme: str) -> None:
    page = open_page(server=server, size=DESKTOP, color_scheme=scheme)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    faint = page.evaluate(FAINT)
    fill_conversation(page, server)
    server.info["wifi"] = {"mode": "ap", "ssid": "shrew", "address": "192.168.4.1"}
    server.info["model"]["selftest"] = "failed"
    server.say(**server.info)
    panel = open_panel(page)
    panel.get_by_text("More", exact=True).click()
    panel.get_by_label("Most tokens").fill("0")
    faint += page.evaluate(FAINT)
    server.up = False
    server.socket.close()
    page.locator("#trouble").wait_for()
    panel.get_by_role("button", name="Delete stories260K").click()
    faint += page.evaluate(FAINT)
    assert faint == []


def test_focus_goes_in_reading_order_and_can_be_seen(open_page: Any, server: Scripted, expect: Any) -> None:
    page = open_page(server=server, size=DESKTOP)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert page.evaluate(SEEN), stops[-1]
    assert stops[:9] == [
        "Skip to the question",
        "theme",
        "panel-button",
        "talk",
        "How do I open the gate?",
        "Turn on the light",
        "question",
        "ask",
        "Load",
    ]
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your question")).to_be_focused()


def test_the_sheet_on_a_phone_keeps_the_focus_and_gives_it_back(page: Any, server: Scripted, expect: Any) -> None:
    button = page.get_by_role("button", name="model and settings")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('#panel')")
    page.locator("#temperature").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_focus_survives_what_goes_away(page: Any, server: Scripted, expect: Any) -> None:
    page.get_by_role("button", name="Turn on the light").press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    server.say(type="done", id=server.heard[0]["id"], **DONE)
    open_panel(page).get_by_role("button", name="Delete stories260K").focus()
    server.info["models"].pop()
    server.say(**server.info)
    expect(page.get_by_role("list", name="Stored models")).to_be_focused()


def test_answers_are_announced_once_and_whole(open_page: Any, server: Scripted) -> None:
    page = open_page(server=server, size=PHONE)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    page.evaluate(LISTEN)
    identity = server.ask(page, "How do I open the gate?")
    for piece in ["Press ", "the ", "green ", "button."]:
        server.say(type="token", id=identity, text=piece)
        page.wait_for_timeout(20)
    server.say(type="done", id=identity, **DONE)
    page.get_by_role("button", name="Repeat").wait_for()
    assert page.evaluate("heard") == ["Reading the question", "Press the green button."]
    assert page.locator("#exchanges").locator("[aria-live], [role=status]").count() == 0


def test_nothing_moves_for_those_who_asked_for_that(open_page: Any, server: Scripted) -> None:
    page = open_page(server=server, size=PHONE)
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    server.ask(page, "one")
    moving = "() => document.getAnimations().length"
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) == 1
