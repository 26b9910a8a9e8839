"""Text with everything that splits words in an unusual way."""

from __future__ import annotations

import random

_SENTENCE = "the shrew is a small animal with a long nose and eats all day because otherwise it would starve"
_ENGLISH = _SENTENCE.split()
_CONTRACTIONS = [
    "I'll",
    "he'd",
    "they're",
    "we've",
    "it's",
    "can't",
    "I'm",
    "HE'LL",
    "IT'S",
    "'LL",
    "'ll",
    "''s",
    " 's",
]
_SCRIPTS = {
    "cjk": "我喜欢小动物。鼩鼱很小，但是很聪明！東京特許許可局ありがとうカタカナ한국어문장",
    "arabic": "الزبابة حيوان صغير جدا ٠١٢٣٤٥٦٧٨٩ ،؛؟",
    "devanagari": "छछूंदर एक छोटा जानवर है ०१२३४५६७८९ क्षत्रिय",
    "cyrillic": "Землеройка — маленький зверёк, очень быстрый",
    "greek": "Η μυγαλή είναι μικρή",
    "thai": "หนูผีเป็นสัตว์ตัวเล็ก",
}
_EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "😀", "❤️", "🐁", "1️⃣"]
_COMBINING = ["e\u0301", "a\u0308\u0304", "n\u0303o", "Z\u0351\u036b\u0343a\u0328l\u034ago", "\u0301", " \u0301x"]
_CONTROL = ["\x00", "\x01", "\x1b[0m", "\x1c", "\x1d", "\x1f", "\x7f", "\u0080", "\u200b", "\u200d", "\ufeff", "\ufffd"]
_SPACE = [
    "\t",
    "\n",
    "\r\n",
    "\v",
    "\f",
    "\u0085",
    "\u00a0",
    "\u1680",
    "\u2003",
    "\u2028",
    "\u2029",
    "\u202f",
    "\u3000",
]
_NUMBERS = ["²", "Ⅷ", "½", "①", "٣٤", "१२", "𝟘𝟙", "3.14159", "1,000,000", "0x1F", "㉈", "𒐀", "x²+y₂"]
_SIGNS = ["...", "!!!", "$5", "(a)", "--", "#tag", "@me", "<|end|>", "~", "€10", "«", "…", "''", '"', "\\n"]


def _piece(rng: random.Random) -> str:
    script = rng.choice(list(_SCRIPTS.values()))
    start = rng.randrange(len(script))
    fragments = [
        script[start : start + rng.randint(1, 12)],
        rng.choice(_CONTRACTIONS),
        rng.choice(_EMOJI),
        rng.choice(_COMBINING),
        rng.choice(_CONTROL),
        rng.choice(_SPACE) * rng.randint(1, 3),
        rng.choice(_NUMBERS),
        rng.choice(_SIGNS),
        chr(rng.choice([rng.randrange(0x20, 0x3000), rng.randrange(0x3000, 0xD800), rng.randrange(0xE000, 0x110000)])),
        rng.choice(" \n") * rng.choice([1, 2, 3, 40, 200]),
        rng.choice("aA.0 é") * rng.choice([2, 5, 100, 400]),
    ]
    weights = [8, 4, 3, 3, 2, 3, 4, 4, 3, 1, 0.3]
    return rng.choices(fragments, weights)[0]


def mixed_text(size: int, seed: int = 7) -> str:
    """At least ``size`` bytes, two thirds of the words English."""
    rng, parts, total = random.Random(seed), [], 0
    while total < size:
        word = rng.choice(_ENGLISH) if rng.random() < 0.66 else _piece(rng)
        if rng.random() < 0.1:
            word = word.title()
        parts.append(word + rng.choice([" ", " ", " ", " ", ", ", ". ", "\n", ""]))
        total += len(parts[-1].encode())
    return "".join(parts)
