"""Settings, stored models, uploads, the token and Wi-Fi."""

from __future__ import annotations

import json
from typing import Any

import pytest
from web.conftest import HOST, Scripted, both_sizes, open_panel, until


class Tokens:
    """HTTP that wants the token `right`, then answers with ``status`` and ``body``."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.bodies: list[bytes] = []

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if headers.get("authorization") != "Bearer right":
            return 401, {"error": {"code": "token", "message": "wrong token"}}
        self.bodies.append(body)
        if path == "/api/settings" and body == b"{}":
            return 200, {}
        return self.status, self.body


@pytest.fixture
def http(server: Scripted) -> Tokens:
    server.http = Tokens()
    return server.http


def give_token(page: Any, token: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Go on").click()


def image(size: int = 200_000) -> dict[str, Any]:
    return {"name": "my helper.bin", "mimeType": "application/octet-stream", "buffer": b"SHRW".ljust(size, b"\0")}


@both_sizes
def test_only_what_was_changed_is_sent(page: Any, server: Scripted, expect: Any) -> None:
    panel = open_panel(page)
    expect(panel.get_by_label("Temperature")).to_have_value("0.8")
    panel.get_by_label("Temperature").fill("0.3")
    panel.get_by_label("Top-p").press("ArrowRight")
    panel.get_by_label("Most tokens").fill("64")
    panel.get_by_label("Seed").press_sequentially("9007199254740991")
    panel.get_by_text("More", exact=True).click()
    panel.get_by_label("Top-k").fill("40")
    panel.get_by_label("Continue my text").check()
    page.reload()
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    identity = server.ask(page, "Once")
    assert server.heard[-1] == {
        "type": "generate",
        "id": identity,
        "prompt": "Once",
        "temperature": 0.3,
        "top_p": 0.95,
        "max_tokens": 64,
        "seed": 9007199254740991,
        "top_k": 40,
        "raw": True,
    }
    panel = open_panel(page)
    panel.get_by_role("button", name="Use the defaults").click()
    expect(panel.get_by_label("Temperature")).to_have_value("0.8")
    expect(panel.get_by_label("Seed")).to_have_value("")
    expect(panel.get_by_role("button", name="Use the defaults")).to_be_hidden()


def test_a_value_out_of_range_is_named_and_not_taken(page: Any, server: Scripted, expect: Any) -> None:
    panel = open_panel(page)
    panel.get_by_label("Most tokens").fill("99999")
    expect(page.locator("#settings-problem")).to_contain_text("Most tokens: whole numbers from 1 to 65,535")
    expect(panel.get_by_label("Most tokens")).to_have_attribute("aria-invalid", "true")
    panel.get_by_label("Most tokens").fill("9")
    expect(panel.get_by_label("Most tokens")).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#settings-problem")).to_be_empty()


def test_defaults_follow_the_server(page: Any, server: Scripted, expect: Any) -> None:
    panel = open_panel(page)
    server.info["defaults"]["temperature"] = 0.2
    server.say(**server.info)
    expect(panel.get_by_label("Temperature")).to_have_value("0.2")
    expect(page.locator("output[for=temperature]")).to_have_text("0.20 (default)")


def test_own_settings_become_the_defaults(page: Any, server: Scripted, http: Tokens, expect: Any) -> None:
    panel = open_panel(page)
    panel.get_by_label("Temperature").fill("0.3")
    panel.get_by_label("Seed").fill("7")
    panel.get_by_role("button", name="Make these the defaults").click()
    give_token(page, "right")
    expect(panel.get_by_role("button", name="Make these the defaults")).to_be_hidden()
    assert [json.loads(body) for body in http.bodies] == [{"temperature": 0.3}]
    expect(panel.get_by_label("Seed")).to_have_value("7")


@both_sizes
def test_the_token_is_asked_for_until_it_is_right_and_then_kept(
    page: Any, server: Scripted, http: Tokens, expect: Any
) -> None:
    open_panel(page).get_by_role("button", name="Load stories260K").click()
    give_token(page, "wrong")
    expect(page.get_by_role("dialog")).to_contain_text("That is not the token")
    give_token(page, " right ")
    expect(page.get_by_role("dialog")).to_be_hidden()
    load = ("POST", "/api/models/stories260K/load")
    # The dialog closes before the request leaves: a reload in between would cancel the request.
    until(page, lambda: server.called == [load] * 2)
    page.reload()
    open_panel(page).get_by_role("button", name="Load stories260K").click()
    until(page, lambda: server.called == [load] * 3)
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Forget the token").click()
    page.get_by_role("button", name="Load stories260K").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#models-problem")).to_be_empty()


def test_a_token_in_the_address_is_taken_from_it(open_page: Any, server: Scripted, http: Tokens) -> None:
    page = open_page(f"{HOST}/#token=right", server=server)
    open_panel(page).get_by_role("button", name="Load stories260K").click()
    until(page, lambda: server.called == [("POST", "/api/models/stories260K/load")])
    assert page.url == f"{HOST}/"


def test_deleting_asks_first(page: Any, server: Scripted, http: Tokens, expect: Any) -> None:
    page.evaluate("localStorage.setItem('shrew.token', '\"right\"')")
    panel = open_panel(page)
    expect(panel.get_by_role("button", name="Delete gate")).to_be_hidden()
    panel.get_by_role("button", name="Delete stories260K").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert server.called == []
    panel.get_by_role("button", name="Delete stories260K").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    until(page, lambda: server.called == [("DELETE", "/api/models/stories260K")])
    server.info["models"].pop()
    server.say(**server.info)
    expect(panel.get_by_role("button", name="Delete stories260K")).to_have_count(0)


def test_what_lies_on_a_card_is_not_deleted_here(page: Any, server: Scripted, expect: Any) -> None:
    panel = open_panel(page)
    server.info["models"].append({"name": "tales", "bytes": 312448, "place": "sd", "active": False})
    server.say(**server.info)
    expect(panel.get_by_role("button", name="Load tales")).to_be_visible()
    expect(panel.get_by_role("button", name="Delete tales")).to_be_hidden()


def test_an_upload_is_cancelled_at_any_moment(page: Any, server: Scripted, http: Tokens, expect: Any) -> None:
    """Also while the token is being checked: then no part of the file is sent."""
    page.evaluate("localStorage.setItem('shrew.token', '\"right\"')")
    page.evaluate(
        """() => {
          const { send } = XMLHttpRequest.prototype;
          XMLHttpRequest.prototype.send = function (body) {
            XMLHttpRequest.prototype.send = send;
            send.call(this, body);
            document.getElementById("upload-cancel").click();
          };
        }"""
    )
    panel = open_panel(page)
    panel.get_by_label("Upload a model").set_input_files(image())
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(panel.get_by_label("Store it as")).to_be_hidden()
    panel.get_by_role("button", name="Load stories260K").click()
    until(page, lambda: server.called[-1] == ("POST", "/api/models/stories260K/load"))
    assert ("PUT", "/api/models/my-helper") not in server.called
    expect(page.locator("#models-problem")).to_be_empty()


@both_sizes
def test_uploading(page: Any, server: Scripted, http: Tokens, expect: Any) -> None:
    panel = open_panel(page)
    panel.get_by_label("Upload a model").set_input_files(image())
    expect(panel.get_by_label("Store it as")).to_have_value("my-helper")
    panel.get_by_role("button", name="Upload", exact=True).click()
    give_token(page, "right")
    expect(panel.get_by_label("Store it as")).to_be_hidden()
    assert server.called[-3:] == [
        ("PUT", "/api/settings"),
        ("PUT", "/api/models/my-helper"),
        ("POST", "/api/models/my-helper/load"),
    ]
    assert http.bodies[1] == image()["buffer"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ({"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": b"JFIF1234"}, "cat.jpg is no model image"),
        (image(1_100_000), "has 1.05 MB; at most 1.00 MB fit here"),
    ],
)
def test_files_that_cannot_be_models_are_not_sent(
    page: Any, server: Scripted, expect: Any, file: Any, says: str
) -> None:
    open_panel(page).get_by_label("Upload a model").set_input_files(file)
    expect(page.locator("#models-problem")).to_contain_text(says)
    assert server.called == []


@both_sizes
def test_an_upload_that_is_refused_says_why_and_can_be_tried_again(
    page: Any, server: Scripted, http: Tokens, expect: Any
) -> None:
    page.evaluate("localStorage.setItem('shrew.token', '\"right\"')")
    http.status, http.body = 422, {"error": {"code": "image", "message": "the checksum does not match"}}
    panel = open_panel(page)
    panel.get_by_label("Upload a model").set_input_files(image())
    panel.get_by_role("button", name="Upload", exact=True).click()
    problem = page.locator("#models-problem")
    expect(problem).to_contain_text("not a model that this engine can use")
    expect(problem).to_contain_text("the checksum does not match")
    expect(panel.get_by_label("Store it as")).to_be_visible()
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_label("Store it as")).to_be_hidden()


def test_wifi_is_there_only_where_the_device_has_it(page: Any, server: Scripted, http: Tokens, expect: Any) -> None:
    page.evaluate("localStorage.setItem('shrew.token', '\"right\"')")
    panel = open_panel(page)
    expect(panel.get_by_role("heading", name="Wi-Fi")).to_be_hidden()
    server.info["wifi"] = {"mode": "ap", "ssid": "shrew-4f21", "address": "192.168.4.1"}
    server.say(**server.info)
    expect(page.locator("#wifi-facts")).to_contain_text("192.168.4.1")
    panel.get_by_label("Network").fill("Home")
    panel.get_by_label("Password").fill("correct horse")
    panel.get_by_role("button", name="Join").click()
    expect(page.locator("#wifi-problem")).to_contain_text("joins Home")
    assert json.loads(http.bodies[-1]) == {"ssid": "Home", "password": "correct horse"}
    expect(panel.get_by_label("Password")).to_have_value("")
