"""llama2.c's tokenizers against a plain Python rendering of its published algorithm."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shrew.doors.llama2c import read_tokenizer
from shrew.engine.tokenizer import TokenizerView
from shrew.errors import TokenizerError
from shrew.tokenizer import Tokenizer

FILES = {"tok512.bin": 512, "tok4096.bin": 4096}


class Llama2c:
    """Greedy merging by score, looking up strings in the vocabulary as the file has them."""

    def __init__(self, data: bytes) -> None:
        self.ids: dict[bytes, int] = {}
        self.pieces: list[bytes] = []
        self.scores: list[float] = []
        offset = 4
        while offset < len(data):
            score, length = struct.unpack_from("<fi", data, offset)
            self.pieces.append(data[offset + 8 : offset + 8 + length])
            self.scores.append(score)
            self.ids[self.pieces[-1]] = len(self.pieces) - 1
            offset += 8 + length

    def encode(self, text: str) -> list[int]:
        tokens = [self.ids[b" "]] if text else []
        for character in text:
            data = character.encode()
            tokens += [self.ids[data]] if data in self.ids else [3 + byte for byte in data]
        while True:
            best_score, best = -1e10, None
            for i in range(len(tokens) - 1):
                merged = self.ids.get(self.pieces[tokens[i]] + self.pieces[tokens[i + 1]])
                if merged is not None and self.scores[merged] > best_score:
                    best_score, best = self.scores[merged], (i, merged)
            if best is None:
                return tokens
            tokens[best[0] : best[0] + 2] = [best[1]]


@pytest.fixture(scope="module", params=FILES)
def both(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Tokenizer, Llama2c]:
    path = shared_data / request.param
    return read_tokenizer(path, vocab=FILES[request.param]), Llama2c(path.read_bytes())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.text(" the.and"))
def test_any_text_is_cut_as_by_llama2c(both: tuple[Tokenizer, Llama2c], text: str) -> None:
    ours, theirs = both
    ids = ours.encode(text)
    assert ids.tolist() == theirs.encode(text)
    assert ours.decode_bytes(ids) == text.encode()


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧‍👦 said 'hé'!", "\n\n a  b\t", "“Hi,” ünïcödé ☃", "<s>", "<0x41>", "</s>\n<s>\n"]
)
def test_special_text_is_cut_as_by_llama2c(both: tuple[Tokenizer, Llama2c], text: str) -> None:
    assert both[0].encode(text).tolist() == both[1].encode(text)
    assert not {0, 1, 2} & set(both[0].encode(text).tolist())


def test_stories_are_cut_as_by_llama2c(both: tuple[Tokenizer, Llama2c], shared_data: Path) -> None:
    ours, theirs = both
    view = TokenizerView(ours.section())
    for line in (shared_data / "tinystories.txt").read_text(encoding="utf-8").splitlines()[:300]:
        ids = ours.encode(line).tolist()
        assert ids == theirs.encode(line)
        assert ids == view.encode(line.encode(), scratch=False).tolist()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("tok512.bin", "Once upon a time", [403, 407, 261, 378]),
        ("tok512.bin", "", []),
        ("tok4096.bin", "Once upon a time, there was", [403, 407, 261, 378, 4016, 383, 286]),
        ("tok4096.bin", "é🐁", [3994, 4069, 3 + 0xF0, 3 + 0x9F, 3 + 0x90, 3 + 0x81]),
    ],
)
def test_golden_encodings(shared_data: Path, name: str, text: str, expected: list[int]) -> None:
    assert read_tokenizer(shared_data / name, vocab=FILES[name]).encode(text).tolist() == expected


def test_bytes_that_are_not_text_come_back(both: tuple[Tokenizer, Llama2c]) -> None:
    for data in (b"\xff\xfe", b"a\xe2\x82", b"\x00a\x00", b" ", b"  x", bytes(range(256))):
        assert both[0].decode_bytes(both[0].encode(data)) == data


def test_decoding_takes_the_space_away_only_where_a_text_begins(both: tuple[Tokenizer, Llama2c]) -> None:
    ours = both[0]
    ids = ours.encode("the end").tolist()
    assert ours.decode([1, *ids, 1, *ids]) == "the endthe end"
    assert ours.decode(ids + ids) == "the end the end"
    assert ours.decode([]) == ours.decode([1]) == ""


def tokenizer_bin(tokens: list[tuple[float, bytes]]) -> bytes:
    first = [(0.0, b"<unk>"), (0.0, b"<s>"), (0.0, b"</s>"), *((0.0, b"<0x%02X>" % byte) for byte in range(256))]
    return struct.pack("<I", 99) + b"".join(struct.pack("<fi", s, len(p)) + p for s, p in [*first, *tokens])


def test_scores_decide_and_the_leftmost_of_equals_comes_first(tmp_path: Path) -> None:
    letters = [(-9.0, b" "), (-9.0, b"a"), (-9.0, b"b")]
    tokens = [*letters, (-1.0, b"ab"), (-1.0, b"ba"), (-0.5, b"bab"), (-1.0, b"aab")]
    (tmp_path / "t.bin").write_bytes(tokenizer_bin(tokens))
    ours = read_tokenizer(tmp_path / "t.bin", vocab=259 + len(tokens))
    assert ours.ranks is not None
    theirs = Llama2c((tmp_path / "t.bin").read_bytes())
    view = TokenizerView(ours.section())
    for number in range(1, 2**11):
        text = bin(number)[3:].replace("0", "a").replace("1", "b")
        expected = theirs.encode(text)
        assert ours.encode(text).tolist() == expected
        repeated = text * (1 + 60 // (len(text) or 60))
        assert view.encode(repeated.encode()).tolist() == view.encode(repeated.encode(), scratch=False).tolist()


GOOD = tokenizer_bin([(-1.0, b" "), (-2.0, b"a")])


@pytest.mark.parametrize(
    ("data", "vocab", "reason"),
    [
        (b"", 261, "cut short at token 0"),
        (GOOD[:3], 261, "cut short at token 0"),
        (GOOD[:-1], 261, "cut short at token 260"),
        (GOOD[:-5], 261, "cut short at token 260"),
        (GOOD, 262, "cut short at token 261"),
        (GOOD, 260, "9 bytes are left over"),
        (GOOD, 100, "259 or more"),
        (GOOD.replace(b"<0x41>", b"<0x14>"), 261, "token 68 is not byte 65"),
        (GOOD[:8] + struct.pack("<i", -1) + GOOD[12:], 261, "token 0 has -1 bytes"),
        (GOOD[:8] + struct.pack("<i", 2**31 - 1) + GOOD[12:], 261, "token 0 has 2147483647 bytes"),
        (GOOD[:4] + struct.pack("<f", float("nan")) + GOOD[8:], 261, "score of token 0"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, data: bytes, vocab: int, reason: str) -> None:
    (tmp_path / "t.bin").write_bytes(data)
    with pytest.raises(TokenizerError, match=reason) as error:
        read_tokenizer(tmp_path / "t.bin", vocab=vocab)
    assert "t.bin" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"none\.bin"):
        read_tokenizer(tmp_path / "none.bin", vocab=512)
