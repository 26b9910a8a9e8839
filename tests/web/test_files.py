"""The page as files: small, few, and nothing from elsewhere."""

from __future__ import annotations

import gzip
import re

from web.conftest import WEB

FILES = sorted(WEB.iterdir())


def test_the_page_fits_a_chip() -> None:
    assert {file.name for file in FILES} == {"index.html", "chat.css", "chat.js", "connection.js", "panel.js"}
    assert sum(len(gzip.compress(file.read_bytes(), 9)) for file in FILES) < 20 * 1024


def test_nothing_comes_from_elsewhere_or_breaks_the_policy() -> None:
    html = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert re.findall(r"<script[^>]*>(.)", html, re.S) == ["<"]
    for file in FILES:
        code = re.sub(r"^\s*(?://|\*|/\*).*$", "", file.read_text(), flags=re.M)
        addresses = set(re.findall(r"(?:https?:)?//\w[\w.]*\w", code))
        assert addresses <= {"http://www.w3.org", "http://shrew.local"}, file.name


def test_text_of_models_and_servers_never_becomes_markup() -> None:
    for file in FILES:
        if file.suffix == ".js":
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", file.read_text()
            )
