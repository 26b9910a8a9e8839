"""Readers: the result of each format; malformed files are refused in one line that names the place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from shrew.corpus import Document, format_jsonl, load_corpus, parse_corpus, read_corpus, split_corpus
from shrew.errors import ConfigError, DataError

#: "".join(sorted(sorted("abcdefghij", key=lambda c: hashlib.blake2b(c.encode(), digest_size=8).digest())[:3]))
HELD_OUT_LETTERS = "efj"

GUIDE = Path(__file__).parents[2] / "docs" / "corpus.md"
LAMP = "Q: Make it red.\nQ: red lamp\nTest: red, please\nNot: Do: led blue\nNot: No.\nDo: led red\n"


def parse(text: str | bytes, **options: str) -> list[Document]:
    return parse_corpus(text.encode() if isinstance(text, str) else text, "f.txt", **options)  # type: ignore[arg-type]


def responses(text: str | bytes, **options: str) -> list[str]:
    return [document.response for document in parse(text, **options)]


class TestBlocks:
    def test_every_phrasing_shares_the_answer(self) -> None:
        negatives = ("Do: led blue", "No.")
        assert parse(LAMP) == [
            Document("Make it red.", "Do: led red", "command", False, "f.txt", 1, negatives),
            Document("red lamp", "Do: led red", "command", False, "f.txt", 2, negatives),
            Document("red, please", "Do: led red", "command", True, "f.txt", 3, negatives),
        ]

    def test_block_of_nothing_but_held_out_questions(self) -> None:
        assert parse("Test: a\nTest: b\nA: c") == [
            Document("a", "c", "answer", True, "f.txt", 1),
            Document("b", "c", "answer", True, "f.txt", 2),
        ]

    def test_questions_below_an_answer_are_follow_ups(self) -> None:
        follow_ups = (("How bright?", "Very."), ("Dim it.", "Do: led dim"))
        assert parse("Q: Lamp?\nTest: lamp\nA: Here.\nQ: How bright?\nA: Very.\nQ: Dim it.\nDo: led dim") == [
            Document("Lamp?", "Here.", "answer", False, "f.txt", 1, follow_ups=follow_ups),
            Document("lamp", "Here.", "answer", True, "f.txt", 2, follow_ups=follow_ups),
        ]

    def test_lines_without_prefix_continue_with_a_space(self) -> None:
        (document,) = parse("Q: How\n  big?\nA:\n\tvery\n small  \n")
        assert (document.prompt, document.response) == ("How big?", "very small")

    def test_prose_keeps_its_lines(self) -> None:
        assert responses("One\n two \n\n\nThree", format="blocks") == ["One\ntwo", "Three"]

    def test_comments(self) -> None:
        text = "# heading\n#\n# more\n\n# about\nQ: a\n# Q: old\nA: b\n# end\n\nProse with\n# a hash line\n"
        assert [(d.prompt, d.response) for d in parse(text)] == [("a", "b"), ("", "Prose with\n# a hash line")]

    def test_tabs_and_blanks_around(self) -> None:
        (document,) = parse("  Q:\tWhat\tis it? \t\n\t A:  A  shrew.  \n")
        assert (document.prompt, document.response) == ("What is it?", "A  shrew.")

    def test_prefix_needs_no_space_and_counts_only_at_the_start(self) -> None:
        (document,) = parse("Q:Is A: a prefix?\nA:No, A: is not one here.")
        assert (document.prompt, document.response) == ("Is A: a prefix?", "No, A: is not one here.")

    @pytest.mark.parametrize(
        "raw",
        [
            LAMP.encode().replace(b"\n", b"\r\n"),
            LAMP.encode().replace(b"\n", b"\r"),
            b"\xef\xbb\xbf" + LAMP.encode(),
            LAMP.encode().rstrip(b"\n"),
            LAMP.encode().replace(b"\n", b" \t\n"),
        ],
        ids=["crlf", "cr", "bom", "no-final-newline", "trailing-blanks"],
    )
    def test_same_documents_however_the_lines_end(self, raw: bytes) -> None:
        assert parse(raw) == parse(LAMP)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Q: a\n\nA: b", "f.txt:1: Q: without an answer"),
            ("Q: a\nA: b\nA: c", "f.txt:3: a second answer"),
            ("Q: a\nA: b\nDo: c", "f.txt:3: a second answer"),
            ("Q: a\nA: b\n\nA: c", "f.txt:4: A: without a question"),
            ("Q: a\nDo:", "f.txt:2: Do: is empty"),
            ("Q: a\nQ: \nA: b", "f.txt:2: Q: is empty"),
            ("Q: a\nA: b\nNot:", "f.txt:3: Not: is empty"),
            ("Q: a\nA: b\nQ: c", "f.txt:3: Q: without an answer"),
            ("A: b\nQ: a", "f.txt:1: A: without a question"),
            ("Q: a\nA: b\nTest: c\nA: d", "f.txt:3: a follow-up is one Q: and one answer"),
            ("Q: a\nA: b\nQ: c\nQ: d\nA: e", "f.txt:3: a follow-up is one Q: and one answer"),
            ("Q: a\nA: b\n\nNot: c", "f.txt:4: Not: without an answer"),
            ("Q: a\nA: b\n\nProse.\nQ: c\nA: d", "f.txt:4: text directly above a question"),
            ("Q: a\r\n\r\nA: b", "f.txt:1: Q: without an answer"),
        ],
    )
    def test_refused_with_file_and_line(self, text: str, message: str) -> None:
        with pytest.raises(DataError, match=f"^{re.escape(message)}.*$"):
            parse(text, format="blocks")

    def test_published_template(self, shared_data: Path) -> None:
        documents = read_corpus(shared_data / "hardwareone_format_template.txt")
        assert [document.kind for document in documents] == ["answer", "answer", "command", "command", "text"]
        assert documents[2].response == "Do: startcommand"

    def test_published_corpora(self, shared_data: Path) -> None:
        rich = read_corpus(shared_data / "hardwareone_rich_2026-03-30.txt")
        assert len(rich) == 3048
        assert sum(len(document.turns) - 1 for document in rich) == 42
        assert len(read_corpus(shared_data / "hardwareone_qa_negatives_2026-03-30.txt")) == 37


class TestText:
    def test_separator_lines(self) -> None:
        text = "<|endoftext|>\n\nOne\n\n two\n <|endoftext|> \n\n<|endoftext|>\nThree\n<|endoftext|>"
        assert [(d.response, d.line) for d in parse(text)] == [("One\n\n two", 3), ("Three", 9)]

    def test_without_separator_the_file_is_one_text(self) -> None:
        assert responses("One\n\nTwo\n", format="text") == ["One\n\nTwo"]
        assert responses("One\n\nTwo\n") == ["One\n\nTwo"]

    def test_each_line(self) -> None:
        assert [(d.response, d.line) for d in parse("Ann\n\n Bo \r\nCy", separator="newline")] == [
            ("Ann", 1),
            ("Bo", 3),
            ("Cy", 4),
        ]

    def test_own_separator(self) -> None:
        assert responses("a\n---\nb\n<|endoftext|>\n", separator="---") == ["a", "b\n<|endoftext|>"]

    def test_only_line_ends_end_lines(self) -> None:
        assert responses("a\u2028b\x0cc\nd", separator="newline") == ["a\u2028b\x0cc", "d"]

    def test_published_stories(self, shared_data: Path) -> None:
        assert len(read_corpus(shared_data / "tinystories.txt")) == 1432

    def test_published_names(self, shared_data: Path) -> None:
        names = read_corpus(shared_data / "names.txt", separator="newline")
        assert len(names) == 32033
        assert max(len(name.response) for name in names) == 15


class TestJsonLines:
    def test_rows(self) -> None:
        text = '{"text": "Hi\\nthere"}\n\n{"prompt": "a", "response": "Do: b", "held_out": true}\n'
        assert parse(text) == [
            Document("", "Hi\nthere", "text", False, "f.txt", 1),
            Document("a", "Do: b", "command", True, "f.txt", 3),
        ]

    def test_every_document_survives_writing_and_reading(self) -> None:
        documents = parse(LAMP + '\nProse of\ntwo lines.\n\nQ: Größe?\nA: 16 MB.\nQ: Dim "it".\nDo: led dim')
        rows = format_jsonl(documents)
        assert rows.splitlines()[4] == (
            '{"prompt":"Größe?","response":"16 MB.","follow_ups":[{"prompt":"Dim \\"it\\".","response":"Do: led dim"}]}'
        )
        again = parse(rows)
        assert [replace(document, line=0) for document in again] == [
            replace(document, line=0) for document in documents
        ]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ('{"text": 3}', r"Expected `str`, got `int` - at `\$\.text`"),
            ('{"text": "a"', "truncated"),
            ('{"text": "a"} b', "trailing characters"),
            ('{"text": ""}', 'needs "text", or "prompt" and "response"'),
            ('{"prompt": "a"}', 'needs "text", or "prompt" and "response"'),
            ('{"prompt": "a", "response": " "}', 'needs "text", or "prompt" and "response"'),
            ('{"text": "a", "prompt": "b", "response": "c"}', 'needs "text", or "prompt" and "response"'),
            ('{"text": "a", "heldout": true}', "unknown field `heldout`"),
            ('{"text": "a", "held_out": 1}', "Expected `bool`, got `int`"),
            ('{"text": "\\ud800."}', "truncated"),
            ('{"text": "a", "negatives": ["b"]}', "belong to a prompt"),
            ('{"prompt": "a", "response": "b", "negatives": [" "]}', 'nothing in "negatives"'),
            ('{"prompt": "a", "response": "b", "follow_ups": [{"prompt": "a"}]}', "missing required field `response`"),
            ("[1]", "Expected `object`, got `array`"),
            ("text", "malformed"),
        ],
    )
    def test_refused_with_file_and_line(self, row: str, reason: str) -> None:
        with pytest.raises(DataError, match=rf"^f\.txt:2: .*{reason}.*$"):
            parse('{"text": "fine"}\n' + row)


class TestFiles:
    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"", "f.txt: is empty"),
            (b"\xef\xbb\xbf \r\n\t", "f.txt: is empty"),
            (b"<|endoftext|>\n", "f.txt: holds no documents"),
            (b"ok\nbad \xff here", "f.txt: byte 0xff at offset 7 (line 2) is not UTF-8"),
            (b"\xef\xbb\xbfcut \xc3", "f.txt: byte 0xc3 at offset 7 (line 1) is not UTF-8"),
            ("UTF-16".encode("utf-16"), "f.txt: byte 0xff at offset 0 (line 1) is not UTF-8"),
        ],
    )
    def test_refused_bytes(self, raw: bytes, message: str) -> None:
        with pytest.raises(DataError, match=f"^{re.escape(message)}.*$"):
            parse(raw)

    def test_only_comments(self) -> None:
        with pytest.raises(DataError, match=r"^f\.txt: holds no documents, only separators or comments$"):
            parse("# nothing\n", format="blocks")

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("a.txt", "Q: a\nA: b", "answer"),
            ("a.txt", "# intro\n\nProse.\n\nTest: a\nDo: b", "text"),
            ("a.txt", "Q: a\nA: b\n<|endoftext|>\nmore", "text"),
            ("a.txt", '{ "text": "a"}', "text"),
            ("a.jsonl", '{"prompt": "a", "response": "b"}', "answer"),
            ("a.md", "He said\nQ: is not a block", "text"),
        ],
    )
    def test_auto(self, tmp_path: Path, name: str, text: str, expected: str) -> None:
        (tmp_path / name).write_text(text)
        assert read_corpus(tmp_path / name)[0].kind == expected

    def test_folder_and_several_paths(self, tmp_path: Path) -> None:
        (tmp_path / "b.txt").write_text("second")
        (tmp_path / "a.jsonl").write_text('{"text": "first"}')
        (tmp_path / "notes.log").write_bytes(b"\xff not read")
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "d.md").write_text("third")
        assert [document.response for document in read_corpus(tmp_path)] == ["first", "second", "third"]
        both = read_corpus([tmp_path / "b.txt", str(tmp_path / "a.jsonl")])
        assert [document.where for document in both] == [f"{tmp_path / 'b.txt'}:1", f"{tmp_path / 'a.jsonl'}:1"]

    def test_folder_without_corpus_files(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="file in this folder"):
            read_corpus(tmp_path)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none\.txt: No such file"):
            read_corpus(tmp_path / "none.txt")
        with pytest.raises(DataError, match=r"neither a file or folder nor a built-in corpus \(names, stories, desk\)"):
            load_corpus(tmp_path / "none.txt")


class TestHeldOut:
    def test_marks_decide_where_there_are_any(self) -> None:
        corpus = split_corpus("lamp", parse(LAMP), fraction=0.5)
        assert [document.prompt for document in corpus.train] == ["Make it red.", "red lamp"]
        assert [document.prompt for document in corpus.held_out] == ["red, please"]

    def test_question_both_held_out_and_trained_on_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"^f\.txt:4: held out, but also trained on at f\.txt:1"):
            split_corpus("leak", parse("Q: a\nA: b\n\nTest: a\nA: c"), fraction=0.0)

    def test_fraction_is_exact_and_keeps_equal_questions_together(self) -> None:
        documents = parse("".join(f"Q: q{i % 100}\nA: a{i}\n\n" for i in range(300)))
        corpus = split_corpus("many", documents, fraction=0.05)
        held = {document.prompt for document in corpus.held_out}
        assert len(held) == 5
        assert len(corpus.held_out) == 15
        assert all(document.held_out for document in corpus.held_out)
        assert held.isdisjoint(document.prompt for document in corpus.train)

    def test_choice_is_the_same_in_every_process_and_order(self) -> None:
        documents = parse("\n".join("abcdefghij"), separator="newline")
        for ordered in (documents, documents[::-1]):
            held = split_corpus("letters", ordered, fraction=0.3).held_out
            assert "".join(sorted(document.response for document in held)) == HELD_OUT_LETTERS

    def test_one_single_text_gives_its_end(self) -> None:
        corpus = split_corpus("poem", parse("\n".join(f"line {i:02}" for i in range(20))), fraction=0.1)
        assert corpus.train[0].response.endswith("line 16")
        assert [(d.response, d.line, d.held_out) for d in corpus.held_out] == [("line 17\nline 18\nline 19", 18, True)]

    def test_a_text_of_one_line_is_not_divided(self) -> None:
        assert split_corpus("line", parse("one line"), fraction=0.5).held_out == []

    def test_nothing_held_out(self) -> None:
        assert split_corpus("all", parse("a\nb", separator="newline"), fraction=0.0).held_out == []

    @pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
    def test_impossible_fraction(self, fraction: float) -> None:
        with pytest.raises(ConfigError, match=r"^held-out: "):
            split_corpus("all", parse("a"), fraction)


def test_guide() -> None:
    """Every example in docs/corpus.md gives the stated number of documents."""
    examples = re.findall(
        r"```(blocks|text|jsonl)\n(.*?)```\n\n\*(\d+) documents to train on, (\d+) held out\.\*",
        GUIDE.read_text(),
        re.S,
    )
    assert [format for format, *_ in examples] == ["blocks", "text", "jsonl"]
    for format, text, train, held_out in examples:
        assert parse(text) == parse(text, format=format)
        documents = parse(text)
        assert [d.held_out for d in documents].count(False) == int(train)
        assert [d.held_out for d in documents].count(True) == int(held_out)
