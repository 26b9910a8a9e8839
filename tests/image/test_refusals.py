"""A bad image is refused, whatever is wrong with it, and each kind of defect has its own error."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from engine.models import BYTES, random_image
from image.sections import assemble, with_checksum
from memory_images import remembering

from shrew import errors
from shrew.engine import Model
from shrew.image import Commands, WeightType
from shrew.tokenizer import PromptForm

SMALL = {"dim": 16, "layers": 1, "ffn": 16, "context": 24}
IMAGE = random_image(types=WeightType("q8", 16), **SMALL)
Q4 = random_image(types=WeightType("q4"), **SMALL)  # 259 tokens: the last byte of a column holds one row
TERNARY = random_image(types=WeightType("ternary"), **SMALL)  # and of ternary three
#: The token embedding is 512 wide: multipliers go to 64, and follow 259 rows of values and their scales.
WIDE = random_image(types=WeightType("q8", 256), **{**SMALL, "dim": 512, "heads": 1})
WIDE_MULTIPLIERS = 259 * 512 + 259 * 4


#: Five states from byte 8 on, two bytes of padding, and six edges from byte 20 on.
COMMANDING = random_image(types=WeightType("q8", 16), commands=Commands.of(["xy(b|d)z", "e"]), **SMALL)
#: Pairs from byte 4 on: NBSP to a blank, É to é.
FORMED = random_image(
    types=WeightType("q8", 16),
    tokenizer=replace(BYTES, prompt_form=PromptForm(replacements={"\xa0": " ", "É": "é"})),
    **SMALL,
)
#: The table from byte 48 on (64 x 8 bytes), 4 keys of 16 bytes, their answers, 3 starts, and 44 ids.
REMEMBERING = remembering(dim=16, layers=1, ffn=16, context=24)
KEYS, ANSWER_OF, STARTS, IDS = 48 + 512, 48 + 512 + 64, 48 + 512 + 64 + 8, 48 + 512 + 64 + 8 + 12


def sections(image: bytes) -> list[tuple[int, bool, bytes]]:
    found = []
    for i in range(struct.unpack_from("<I", image, 16)[0]):
        kind, required, offset, size = struct.unpack_from("<IIII", image, 64 + 16 * i)
        found.append((kind, bool(required), image[offset : offset + size]))
    return found


def with_section(kind: int, change: Callable[[bytearray], object], image: bytes = IMAGE) -> bytes:
    """The image with one section's content changed, assembled again with a right checksum."""
    changed = []
    for own, required, content in sections(image):
        buffer = bytearray(content)
        if own == kind:
            change(buffer)
        changed.append((own, required, bytes(buffer)))
    return assemble(changed)


def put(offset: int, form: str, *values: float) -> Callable[[bytearray], None]:
    return lambda buffer: struct.pack_into(form, buffer, offset, *values)


def content(new: bytes) -> Callable[[bytearray], None]:
    return lambda buffer: buffer.__setitem__(slice(None), new)


def patched(offset: int, form: str, *values: int) -> bytes:
    buffer = bytearray(IMAGE)
    struct.pack_into(form, buffer, offset, *values)
    return with_checksum(bytes(buffer))


def without(kind: int) -> bytes:
    return assemble([section for section in sections(IMAGE) if section[0] != kind])


HOSTILE: dict[str, tuple[bytes, type[errors.ImageError]]] = {
    "magic": (b"GGUF" + IMAGE[4:], errors.ImageMagicError),
    "version": (patched(4, "<I", 2), errors.ImageVersionError),
    "size too small for a header": (patched(8, "<I", 40), errors.ImageSizeError),
    "size larger than the file": (patched(8, "<I", len(IMAGE) + 64), errors.ImageTruncatedError),
    "size beyond 2^31": (patched(8, "<I", 0xFFFFFFFF), errors.ImageTruncatedError),
    "bytes after the end": (IMAGE + b"\0", errors.ImageSizeError),
    "checksum": (IMAGE[:12] + bytes(4) + IMAGE[16:], errors.ImageChecksumError),
    "reserved header byte": (patched(40, "<B", 1), errors.ImageReservedError),
    "no sections": (patched(16, "<I", 0), errors.ImageSectionError),
    "too many sections": (patched(16, "<I", 33), errors.ImageSectionError),
    "2^32 sections": (patched(16, "<I", 0xFFFFFFFF), errors.ImageSectionError),
    "section outside the file": (patched(72, "<I", 0xFFFFFFC0), errors.ImageSectionError),
    "section misaligned": (patched(72, "<I", 193), errors.ImageSectionError),
    "section longer than the file": (patched(76, "<I", 0xFFFFFFFF), errors.ImageSectionError),
    "section empty": (patched(76, "<I", 0), errors.ImageSectionError),
    "section flags": (patched(68, "<I", 3), errors.ImageReservedError),
    "section twice": (patched(80, "<I", 1), errors.ImageSectionError),
    "sections swapped": (
        with_checksum(IMAGE[:64] + IMAGE[80:96] + IMAGE[64:80] + IMAGE[96:]),
        errors.ImageSectionError,
    ),
    "unknown required section": (assemble([(99, True, b"new"), *sections(IMAGE)]), errors.ImageUnknownSectionError),
    "no configuration": (without(1), errors.ImageMissingSectionError),
    "no tokenizer": (without(2), errors.ImageMissingSectionError),
    "no directory": (without(3), errors.ImageMissingSectionError),
    "no weights": (without(4), errors.ImageMissingSectionError),
    "dim 0": (with_section(1, put(0, "<I", 0)), errors.ImageConfigError),
    "dim 2^31": (with_section(1, put(0, "<I", 1 << 31)), errors.ImageConfigError),
    "heads not a multiple of kv_heads": (with_section(1, put(12, "<I", 3)), errors.ImageConfigError),
    "odd head": (with_section(1, put(16, "<I", 7)), errors.ImageConfigError),
    "context 0": (with_section(1, put(28, "<I", 0)), errors.ImageConfigError),
    "norm of no kind": (with_section(1, put(32, "<I", 3)), errors.ImageConfigError),
    "eps NaN": (with_section(1, put(48, "<f", float("nan"))), errors.ImageConfigError),
    "eps 0": (with_section(1, put(48, "<f", 0.0)), errors.ImageConfigError),
    "unknown configuration flag": (with_section(1, put(44, "<I", 64)), errors.ImageConfigError),
    "reserved configuration byte": (with_section(1, put(60, "<I", 1)), errors.ImageReservedError),
    "configuration too long": (with_section(1, lambda b: b.extend(bytes(4))), errors.ImageConfigError),
    "vocabulary of another size": (with_section(1, put(24, "<I", 258)), errors.ImageTokenizerError),
    "tokenizer cut short": (with_section(2, lambda b: b.__delitem__(slice(-4, None))), errors.ImageTokenizerError),
    "tokenizer kind": (with_section(2, put(0, "<H", 9)), errors.ImageTokenizerError),
    "more layers than tensors": (with_section(1, put(4, "<I", 2)), errors.ImageTensorError),
    "bias flagged but absent": (with_section(1, put(44, "<I", 8 | 32 | 1)), errors.ImageTensorError),
    "directory cut short": (with_section(3, lambda b: b.__delitem__(slice(-32, None))), errors.ImageTensorError),
    "directory with half an entry": (with_section(3, lambda b: b.extend(bytes(16))), errors.ImageTensorError),
    "tensor of another role": (with_section(3, put(0, "<H", 1)), errors.ImageTensorError),
    "weight type": (with_section(3, put(4, "<B", 7)), errors.ImageTypeError),
    "reserved tensor byte": (with_section(3, put(5, "<B", 1)), errors.ImageReservedError),
    "group 8": (with_section(3, put(6, "<H", 8)), errors.ImageTensorError),
    "group 24": (with_section(3, put(6, "<H", 24)), errors.ImageTensorError),
    "group 272": (with_section(3, put(6, "<H", 272)), errors.ImageTensorError),
    "rows": (with_section(3, put(8, "<I", 0x7FFFFFFF)), errors.ImageTensorError),
    "stride": (with_section(3, put(16, "<I", 32)), errors.ImageTensorError),
    "data outside": (with_section(3, put(20, "<I", 0xFFFFFFC0)), errors.ImageTensorError),
    "scales outside": (with_section(3, put(24, "<I", 0xFFFFFFC0)), errors.ImageTensorError),
    "overlapping tensors": (with_section(3, put(24, "<I", 0)), errors.ImageTensorError),
    "weights cut short": (with_section(4, lambda b: b.__delitem__(slice(-64, None))), errors.ImageTensorError),
    "weights too long": (with_section(4, lambda b: b.extend(bytes(64))), errors.ImageTensorError),
    "metadata count": (with_section(5, put(0, "<I", 0xFFFFFFFF)), errors.ImageMetadataError),
    "metadata value length": (with_section(5, put(8, "<I", 0xFFFFFFF0)), errors.ImageMetadataError),
    "metadata key length": (with_section(5, put(4, "<H", 0xFFFF)), errors.ImageMetadataError),
    "too many metadata pairs": (
        with_section(5, content(struct.pack("<I", 257) + (struct.pack("<HHI", 1, 0, 0) + b"k") * 257)),
        errors.ImageMetadataError,
    ),
    "stop string too long": (
        with_section(5, content(struct.pack("<IHHI", 1, 4, 0, 65) + b"stop" + b"x" * 65)),
        errors.ImageMetadataError,
    ),
    "end of text is a letter": (with_section(2, put(22, "<H", 70)), errors.ImageTokenizerError),
    "unknown is end of text": (with_section(2, put(26, "<H", 1)), errors.ImageTokenizerError),
    "weight of -128": (with_section(4, put(0, "<b", -128)), errors.ImageTensorError),
    "row padding": (
        with_section(4, put(7, "<B", 1), random_image(types=WeightType("q8", 16), dim=6, heads=1, layers=1)),
        errors.ImageReservedError,
    ),
    "fourth ternary digit": (with_section(4, put(0, "<B", 0x0C), TERNARY), errors.ImageTensorError),
    "a row where none is, ternary": (with_section(4, put(64 * 16, "<B", 0x40), TERNARY), errors.ImageTensorError),
    "a row where none is, q4": (with_section(4, put(129 * 16, "<B", 0x10), Q4), errors.ImageTensorError),
    "multiplier beyond its limit": (with_section(4, put(WIDE_MULTIPLIERS, "<b", -127), WIDE), errors.ImageTensorError),
    "metadata trailing bytes": (with_section(5, lambda b: b.extend(b"x")), errors.ImageMetadataError),
    "self-test without a prompt": (with_section(6, put(0, "<I", 0)), errors.ImageSelfTestError),
    "self-test longer than the context": (with_section(6, put(4, "<I", 1000)), errors.ImageSelfTestError),
    "self-test token": (with_section(6, put(16, "<H", 60000)), errors.ImageSelfTestError),
    **{
        f"commands: {name}": (with_section(8, change, COMMANDING), error)
        for name, change, error in (
            ("threshold above 1", put(0, "<f", 1.5), errors.ImageCommandsError),
            ("threshold is no number", put(0, "<f", float("nan")), errors.ImageCommandsError),
            ("threshold below 0", put(0, "<f", -0.5), errors.ImageCommandsError),
            ("no states", put(4, "<H", 0), errors.ImageCommandsError),
            ("more states than there are", put(4, "<H", 9), errors.ImageCommandsError),
            ("more edges than there are", put(6, "<H", 0x7FFF), errors.ImageCommandsError),
            ("edges beyond what an index holds", put(6, "<H", 0x8000), errors.ImageCommandsError),
            ("the first edge is not the first state's", put(8, "<H", 1), errors.ImageCommandsError),
            ("edges run backwards", put(12, "<H", 1), errors.ImageCommandsError),
            ("an edge behind the last", put(14, "<H", 60), errors.ImageCommandsError),
            ("a state without a way on", put(14, "<H", 6), errors.ImageCommandsError),
            ("padding", put(18, "<H", 1), errors.ImageReservedError),
            ("a range of bytes backwards", put(20, "<BB", 101, 100), errors.ImageCommandsError),
            ("an edge back", put(30, "<H", 1), errors.ImageCommandsError),
            ("an edge to nowhere", put(30, "<H", 99), errors.ImageCommandsError),
            ("edges out of order", put(36, "<BB", 97, 97), errors.ImageCommandsError),
            ("cut short", lambda b: b.__delitem__(slice(-1, None)), errors.ImageCommandsError),
            ("shorter than its header", content(bytes(7)), errors.ImageCommandsError),
            ("trailing bytes", lambda b: b.extend(bytes(4)), errors.ImageCommandsError),
        )
    },
    **{
        f"form of prompts: {name}": (with_section(9, change, FORMED), error)
        for name, change, error in (
            ("unknown flag", put(0, "<H", 4), errors.ImageReservedError),
            ("more pairs than there are", put(2, "<H", 3), errors.ImagePromptsError),
            ("fewer pairs than there are", put(2, "<H", 1), errors.ImagePromptsError),
            ("a pair of ASCII", put(4, "<H", 0x7F), errors.ImagePromptsError),
            ("pairs out of order", put(4, "<H", 0xC9), errors.ImagePromptsError),
            ("a surrogate becomes another", put(8, "<H", 0xD800), errors.ImagePromptsError),
            ("a character becomes a surrogate", put(10, "<H", 0xDFFF), errors.ImagePromptsError),
            ("a text grows", put(10, "<H", 0x2013), errors.ImagePromptsError),
            ("cut short", lambda b: b.__delitem__(slice(-1, None)), errors.ImagePromptsError),
            ("shorter than its header", content(bytes(3)), errors.ImagePromptsError),
            ("trailing bytes", lambda b: b.extend(bytes(4)), errors.ImagePromptsError),
        )
    },
    **{
        f"memory: {name}": (with_section(10, change, REMEMBERING), error)
        for name, change, error in (
            ("buckets no power of two", put(0, "<I", 63), errors.ImageMemoryError),
            ("few buckets", put(0, "<I", 8), errors.ImageMemoryError),
            ("2^31 buckets", put(0, "<I", 1 << 31), errors.ImageMemoryError),
            ("dim 8", put(4, "<H", 8), errors.ImageMemoryError),
            ("dim 24", put(4, "<H", 24), errors.ImageMemoryError),
            ("dim 272", put(4, "<H", 272), errors.ImageMemoryError),
            ("bits", put(6, "<H", 5), errors.ImageMemoryError),
            ("no keys", put(8, "<I", 0), errors.ImageMemoryError),
            ("2^32 keys", put(8, "<I", 0xFFFFFFFF), errors.ImageMemoryError),
            ("another number of keys", put(8, "<I", 5), errors.ImageMemoryError),
            ("no answers", put(12, "<I", 0), errors.ImageMemoryError),
            ("2^16 answers", put(12, "<I", 0x10000), errors.ImageMemoryError),
            ("more answers than ids", put(16, "<I", 2), errors.ImageMemoryError),
            ("2^32 ids", put(16, "<I", 0xFFFFFFFF), errors.ImageMemoryError),
            ("accept above 1", put(20, "<f", 1.5), errors.ImageMemoryError),
            ("accept NaN", put(20, "<f", float("nan")), errors.ImageMemoryError),
            ("refuse below 0", put(24, "<f", -0.5), errors.ImageMemoryError),
            ("refuse above accept", put(24, "<f", 0.9), errors.ImageMemoryError),
            ("clear infinite", put(28, "<f", float("inf")), errors.ImageMemoryError),
            ("key scale 0", put(32, "<f", 0.0), errors.ImageMemoryError),
            ("reserved", put(44, "<I", 1), errors.ImageReservedError),
            ("a key of no answer", put(ANSWER_OF, "<H", 4), errors.ImageMemoryError),
            ("answers that do not begin at 0", put(STARTS, "<I", 1), errors.ImageMemoryError),
            ("an empty answer", put(STARTS + 4, "<I", 0), errors.ImageMemoryError),
            ("an answer after the end", put(STARTS + 8, "<I", 99), errors.ImageMemoryError),
            ("an id of no token", put(IDS, "<H", 259), errors.ImageMemoryError),
            ("end-of-text in an answer", put(IDS, "<H", 1), errors.ImageMemoryError),
            ("cut short", lambda b: b.__delitem__(slice(-1, None)), errors.ImageMemoryError),
            ("shorter than its header", content(bytes(47)), errors.ImageMemoryError),
            ("trailing bytes", lambda b: b.extend(bytes(4)), errors.ImageMemoryError),
        )
    },
}  # fmt: skip


#: Findings of reviews and fuzzing, kept as files for good, by ``PYTHONPATH=tests python tests/image/test_refusals.py``.
FINDINGS = (
    "too many metadata pairs",
    "stop string too long",
    "end of text is a letter",
    "unknown is end of text",
    "weight of -128",
    "row padding",
)
FOLDER = Path(__file__).parents[1] / "hostile"


@pytest.mark.parametrize(("image", "error"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_images_are_refused_each_with_its_error(image: bytes, error: type[errors.ImageError]) -> None:
    with pytest.raises(errors.ImageError) as caught:
        Model.from_bytes(image)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_stay_refused(name: str) -> None:
    with pytest.raises(HOSTILE[name][1]):
        Model.open(FOLDER / f"{name.replace(' ', '-')}.bin")


def test_the_image_itself_is_fine() -> None:
    assert Model.from_bytes(IMAGE).selftest()
    assert assemble(sections(IMAGE)) == IMAGE


def test_unknown_optional_sections_are_skipped() -> None:
    extended = assemble([(99, False, b"new"), *sections(IMAGE)])
    assert Model.from_bytes(extended).selftest()


def test_any_changed_byte_is_refused() -> None:
    for i in range(len(IMAGE)):
        changed = bytearray(IMAGE)
        changed[i] ^= 1 << (i % 8)
        with pytest.raises(errors.ImageError):
            Model.from_bytes(bytes(changed))


def test_any_cut_is_refused() -> None:
    for length in range(len(IMAGE)):
        with pytest.raises(errors.ImageTruncatedError):
            Model.from_bytes(IMAGE[:length])


def test_a_wrong_digest_fails_the_selftest() -> None:
    wrong = with_section(6, put(8, "<I", 12345))
    model = Model.from_bytes(wrong)
    with pytest.raises(errors.SelfTestError):
        model.selftest()


def test_changed_weights_fail_the_selftest() -> None:
    """Damage with a matching checksum is still detected."""
    wrong = with_section(4, lambda b: b.__setitem__(slice(0, 2048), bytes(reversed(b[:2048]))))
    with pytest.raises(errors.SelfTestError):
        Model.from_bytes(wrong).selftest()


def test_each_error_has_its_status_once() -> None:
    from shrew.engine.binding import STATUS_ERRORS, ffi, lib

    assert len(set(STATUS_ERRORS.values())) == len(STATUS_ERRORS)
    for status in STATUS_ERRORS:
        assert ffi.string(lib.shrew_status_text(status)) != b"unknown status"


def test_the_checksum_is_the_crc32_of_zip() -> None:
    blank = IMAGE[:12] + bytes(4) + IMAGE[16:]
    assert struct.unpack_from("<I", IMAGE, 12)[0] == zlib.crc32(blank)


if __name__ == "__main__":
    for name in FINDINGS:
        (FOLDER / f"{name.replace(' ', '-')}.bin").write_bytes(HOSTILE[name][0])
