"""What the fuzzers start from: small inputs of every option, and the models that two of them talk to."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from engine.models import BYTES, random_parameters, scripted_model, tiny_config
from memory_images import knowing, remembering

from shrew.engine.tensor import TYPES
from shrew.image import Commands, WeightType, build_image
from shrew.tokenizer import PromptForm, Tokenizer, train_bpe, train_character

UNICODE = train_bpe(["Größe über Straße", "it's 12 o'clock"] * 3, vocab=270, unicode=True)
ASCII = train_bpe(["the shrew is the smallest shrew of them all"] * 2, vocab=280, unicode=False)
LETTERS = train_character(["abcdefgh ijkl", "mnöü"], specials=("<|end|>", "<|unknown|>"), unknown="<|unknown|>")
STRICT_LETTERS = train_character(["abc déf"])
MERGED = (b" ", b"a", b"b", b"\xc3\xa9", b"ab", b" a", b" ab", b"aa", b"aaaa", b"bab", b"baba")  # from 258 on
#: Equal priorities, and merges that make a pair which comes before the one that was merged.
SENTENCES = Tokenizer(
    kind="sentencepiece",
    pieces=(b"", b"", *(bytes([byte]) for byte in range(256)), *MERGED),
    specials={"<s>": 0, "</s>": 1},
    merges=(
        *((259, 260, 262), (258, 259, 263), (258, 262, 264), (263, 260, 264)),
        *((259, 259, 265), (265, 265, 266), (260, 262, 267), (267, 259, 268)),
    ),
    ranks=(3, 2, 4, 4, 5, 0, 1, 0),
    byte_ids=tuple(range(2, 258)),
    bos=0,
    eos=1,
    prompt_prefix=(0,),
    space_prefix=True,
)
TOKENIZERS = (UNICODE, ASCII, LETTERS, STRICT_LETTERS, SENTENCES)

#: Tokens of the scripted model by the bytes they stand for: begin, end, and lengths around every limit of the engine.
#: Their bytes come from the fuzzer's input.
PIECE_LENGTHS = (0, 0, *[1] * 12, *[2] * 8, *[3] * 6, *[4] * 4, 5, 8, 16, 62, 63, 64, 65, 255, 255)
SCRIPT_LENGTH = 32


def images() -> Iterator[bytes]:
    """Every weight type with every tokenizer, and every norm, position, MLP, bias and head at least once."""
    small = {"dim": 20, "layers": 1, "ffn": 12, "context": 24}
    shapes: tuple[dict[str, object], ...] = (
        {},
        {"norm": "layer", "position": "learned", "mlp": "gelu", "bias_qkv": True, "bias_out": True, "bias_mlp": True},
        {"heads": 2, "kv_heads": 1, "mlp": "relu", "tied_head": False, "embed_norm": True},
        {"norm": "rms-plain", "final_norm": False, "layers": 2, "bias_mlp": True},
    )
    metadata = [("name", "seed"), ("stop", "x"), ("stop", "no")]
    for i, (type_, tokenizer) in enumerate(product(TYPES, TOKENIZERS)):
        for shape in shapes if tokenizer is LETTERS else (shapes[i % len(shapes)],):
            config = tiny_config(**{**small, **shape, "vocab": tokenizer.vocab})
            weight = WeightType(type_, 32)
            yield build_image(config, random_parameters(config), tokenizer, types=weight, metadata=metadata)
    for tokenizer, patterns in ((BYTES, ["led (on|off)", "beep <1-12>"]), (LETTERS, ["a(b|c)d", "no"])):
        config = tiny_config(**{**small, "vocab": tokenizer.vocab})
        commands = Commands.of(patterns, 0.25)
        yield build_image(config, random_parameters(config), tokenizer, metadata=metadata, commands=commands)
    for tokenizer in (BYTES, UNICODE):
        config = tiny_config(**{**small, "vocab": tokenizer.vocab})
        formed = replace(tokenizer, prompt_form=PromptForm.for_prompts(["größe"]))
        yield build_image(config, random_parameters(config), formed, metadata=metadata)
    yield remembering()
    yield remembering(knowing(buckets=16, bits=8, accept=1.0, refuse=0.0), commands=Commands.of(["led (on|off)"], 0.5))
    for context, tokenizer in ((1, LETTERS), (2, BYTES)):
        config = tiny_config(**{**small, "context": context, "vocab": tokenizer.vocab})
        yield build_image(config, random_parameters(config), tokenizer)


def small_unicode_table() -> bytes:
    """Section 7 (docs/FORMAT.md): 40 runs of 64 code points, their classes in turn, and one of all others."""
    runs = b"".join(bytes([0x80 | 31 << 2 | i % 4, 1]) for i in range(40))
    left = 0x110000 - 40 * 64 - 1
    last = bytes([0x80 | (left & 31) << 2, 0x80 | left >> 5 & 127, 0x80 | left >> 12 & 127, left >> 19])
    return struct.pack("<HHIHIH", 15, 41, 0, 0, 32 * 64, 64) + runs + last


def tokenizers() -> Iterator[bytes]:
    texts = (
        "",
        "the shrew isn't  the\n smallest",
        "abcab é" * 12,
        "a\ud800é🐁 ² 12 " * 3,
        "a" * 61,
        "aab" * 30,
        "babab" * 20,
    )
    for tokenizer, text in product(TOKENIZERS, texts):
        section, table = tokenizer.section(), tokenizer.unicode_section()
        for unicode in (table, small_unicode_table()) if table else (b"",):
            sizes = struct.pack("<II", len(section), len(unicode))
            yield sizes + section + unicode + text.encode("utf-8", "surrogatepass")


def stops() -> Iterator[bytes]:
    said = bytes([12, *range(2, 12), 14, 1]) + b"Hello wor\xc3\xa9END and so on \xf0\x9f\x98\x80\xff\xe2\x82"
    for options, most, block in ((0, 0, 0), (4, 0, 1), (1, 5, 16), (7, 0, 64)):
        yield bytes([options, most, block]) + b"END" + said + bytes([0x82, 3, 0, 0x81, 5, 0, 2]) + b"wor"


def samplings() -> Iterator[bytes]:
    sampling = (bytes(5), b"\x32\x5f\x05\x37\x08", b"\x64\x64\x00\x32\x00")
    for model, options, way in product(range(5), sampling, range(4)):
        yield bytes([model, 1]) + options + bytes([3, 1, 2, 3, 0, way]) + bytes(range(256)) * 2


def messages() -> Iterator[bytes]:
    """Some of each kind that a device reads; the first byte says which, and how long a prompt may be."""
    options = {"temperature": 0.7, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}
    ask = {"type": "generate", "id": 7, "prompt": 'größe \n"\\ 😀', "seed": 2**53 - 1, "raw": True, **options}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "€"}]
    turns = [{"role": "system", "content": "x"}, {"role": "user", "content": parts}]
    chat = {"messages": turns, "stop": ["\n", "End"], "stream": True, "stream_options": {"include_usage": True}}
    chat |= {"model": "gate", "n": 1, "tools": [], "functions": [], "max_completion_tokens": 9, "seed": 1, **options}
    deep = {"a": [[{"b": [None, True, False, -0.5e-3, 12345678901234567890, "😀"]}]], "": {}}
    for ascii_only in (False, True):
        for first, value in ((0, deep), (1, chat), (5, ask), (5, {"type": "cancel", "id": 7}), (5, {"type": "info"})):
            yield bytes([first | 16]) + json.dumps(value, ensure_ascii=ascii_only).encode()
    yield bytes([1]) + json.dumps({"messages": [{"role": "user", "content": "hi"}], "stop": "."}).encode()
    yield bytes([2 | 16]) + json.dumps({**options, "max_tokens": 64}).encode()
    yield bytes([2]) + json.dumps({"ssid": "home", "password": "12345678"}).encode()
    for headers in (b"http://192.168.4.1:80\0192.168.4.1", b"http://[::1]\0[::1]:80", b"bearer token\0token"):
        yield bytes([3 | 16]) + headers
    for line in (b"ask how?", b"load gate", b"set top_p 0.5", b'wifi join "my home" 12345678', b"bench 9", b"help set"):
        yield bytes([4]) + line


def write_seeds(folder: Path) -> None:
    """One folder of seeds for each harness, and beside them the models that the harnesses read."""
    inputs = {"image": images(), "tokenizer": tokenizers(), "stops": stops(), "sampler": samplings()}
    inputs["protocol"] = messages()
    for harness, seeds in inputs.items():
        corpus = folder / "seeds" / harness
        corpus.mkdir(parents=True, exist_ok=True)
        for i, seed in enumerate(seeds):
            (corpus / f"{i:03}").write_bytes(seed)
    pieces = tuple(b"\x80" * length for length in PIECE_LENGTHS)
    scripted = Tokenizer(kind="sentencepiece", pieces=pieces, bos=0, eos=1, prompt_prefix=(0,), space_prefix=True)
    models = {"scripted": scripted_model([1] * SCRIPT_LENGTH, tokenizer=scripted, metadata=[("stop", "END")])}
    for vocab in (1, 2, 7, 32, 257):
        silent = Tokenizer(kind="sentencepiece", pieces=(b"",) * vocab)
        models[f"sampler-{vocab}"] = scripted_model([0] * 8, tokenizer=silent)
    for name, model in models.items():
        (folder / f"{name}.bin").write_bytes(bytes(model.image()))
