"""Short children's stories made from hand-written sentences, with a meaningful held-out set.

A story follows one of about twenty plots.  A plot is a sequence of beats; a beat is a list of alternative
sentences (``data/stories.toml``) with slots for names, things, places and so on, filled once per story.
Sentences are split into *units*: a whole sentence, or a part that ends at a comma or a quotation.

How the held-out set is separated.  A story uses only joins of its own split: whether unit ``v`` may follow unit ``u``
depends on a hash of the end of ``u`` (its last word, or the last two if the last fills a slot, and the closing
punctuation) and of the first word of ``v``, all taken from the skeleton.  A third of the joins belong to "held-out",
the others to "train".  Slots cannot change a hash, as every filler has the same skeleton.  Units are at most 10 tokens
long, fewer if their neighbours need more tokens to be distinguished (the tests check it).  Thus any 12 consecutive
tokens of a story contain at least one join with all the tokens that decide its side, and the tokens alone show where
the joins are.  So no 12-gram of skeleton tokens is in both splits, although most sentences are.

The random numbers are splitmix64: the same arguments give the same stories everywhere.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal, TypeVar

Split = Literal["train", "held-out"]
_T = TypeVar("_T")

MAX_STORIES = 100_000
WORDS = (50, 130)
SENTENCES = (5, 11)
WINDOW = 12
END_MARK = "<|endoftext|>"

_SALT = "shrew-stories-246"
_HELD_OUT_ONE_IN = 3
_MASK = (1 << 64) - 1
_SLOT = "<slot>"
_OPEN, _CLOSE = "``", "''"
_CLASSES = {
    "he": "<he>", "she": "<he>", "him": "<his>", "his": "<his>", "her": "<his>",
    "himself": "<self>", "herself": "<self>", "an": "a",
}  # fmt: skip
_PRONOUNS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself")}
_TOKEN = re.compile(r"[a-z]+(?:-[a-z]+)*|'s\b|\"|[^\sa-z]")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])", re.IGNORECASE)
_FIELD = re.compile(r"\{(\w+)\}")
_SENTENCE_END = re.compile(r"[.!?]\"?(?= [\"A-Z]|$)")


class _Random:
    """splitmix64: 64-bit integers from a 64-bit state."""

    def __init__(self, *keys: int) -> None:
        """Mix the integers of ``keys`` into a state."""
        self._state = 0
        for key in keys:
            self._state = (self._state ^ (key & _MASK)) & _MASK
            self._state = self.next()

    def next(self) -> int:
        """Return the next integer in [0, 2**64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n: int) -> int:
        """Return an integer in [0, n), n >= 1."""
        return (self.next() * n) >> 64

    def pick(self, items: Sequence[_T]) -> _T:
        """Return one of ``items``, which must not be empty."""
        return items[self.below(len(items))]


@dataclass(eq=False)
class _Unit:
    """One alternative in a plot: a sentence, or a part of one."""

    text: str  # with {slots}; no leading "~", no ">list"
    beat: int
    joined: bool  # continues within a sentence
    tokens: tuple[str, ...]
    more: list[_Unit] = field(default_factory=list)  # the ">list" alternatives
    follow: dict[str, list[list[_Unit]]] = field(default_factory=dict)  # split -> one list per next beat
    ends: bool = False  # may be the last one


@dataclass(frozen=True)
class _Plot:
    name: str
    fills: Mapping[str, str]
    beats: tuple[tuple[_Unit, ...], ...]  # the first-level alternatives
    units: tuple[_Unit, ...]  # all of them


def _data(name: str) -> str:
    return files("shrew.corpus").joinpath("data", name).read_text(encoding="utf-8")


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(_data("stories.toml"))


@cache
def _fill(name: str) -> tuple[str, ...]:
    """Return the entries of ``[fill]`` list ``name``, as written."""
    text: str = _tables()["fill"][name]
    return tuple(entry.strip() for line in text.splitlines() for entry in line.split("|") if entry.strip())


@cache
def _names(group: str) -> tuple[str, ...]:
    return tuple(str(_tables()["names"][group]).split())


@cache
def _lexicon() -> dict[str, list[tuple[str, ...]]]:
    """Return every slot filler as a tuple of tokens, longest first, by its first token."""
    fillers = {"girl", "boy"}
    for group in _tables()["names"]:
        fillers.update(_names(group))
    for name in _tables()["fill"]:
        for entry in _fill(name):
            fillers.update([entry.split(":")[0]] if name == "adult" else entry.split(":"))
    found: dict[str, list[tuple[str, ...]]] = {}
    for words in sorted({tuple(_TOKEN.findall(filler.lower())) for filler in fillers}):
        found.setdefault(words[0], []).append(words)
    for entries in found.values():
        entries.sort(key=len, reverse=True)
    return found


def _tokens(story: str) -> list[str]:
    """Return the lower-cased words and punctuation; quotation marks become `` and ''."""
    text = story.lower()
    found = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == '"':
            after = text[match.end() : match.end() + 1]
            token = _CLOSE if not after or after.isspace() else _OPEN
        found.append(token)
    return found


def skeleton(story: str) -> list[str]:
    """Return the story with its slot fillers replaced by placeholders.

    The result lists the story's words and punctuation marks in lower case.  Every slot filler (a name, thing,
    colour, place with its preposition ..., of one or more words) has become ``<slot>``, he/she ``<he>``,
    him/his/her ``<his>``, himself/herself ``<self>``, "an" ``a``; an opening quotation mark is given as
    two backquotes and a closing one as two apostrophes.  A word that can fill a slot is replaced wherever it stands.
    """
    words = _tokens(story)
    lexicon = _lexicon()
    found = []
    at = 0
    while at < len(words):
        for entry in lexicon.get(words[at], ()):
            if len(entry) == 1 or tuple(words[at : at + len(entry)]) == entry:
                found.append(_SLOT)
                at += len(entry)
                break
        else:
            found.append(_CLASSES.get(words[at], words[at]))
            at += 1
    return found


def _tail(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(tokens[-3:] if tokens[-1] == _CLOSE or tokens[-2] == _SLOT else tokens[-2:])


def _head(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(tokens[:2] if tokens[0] == _OPEN else tokens[:1])


@cache
def _side(tail: tuple[str, ...], head: tuple[str, ...]) -> Split:
    """Return the split to which a join belongs."""
    key = " ".join((_SALT, *tail, "|", *head)).encode()
    return "held-out" if zlib.crc32(key) % _HELD_OUT_ONE_IN == 0 else "train"


def _sample_fill(fills: Mapping[str, str]) -> dict[str, str]:
    """Return arbitrary fillers with which a template gives its skeleton."""
    place, at = _fill("place")[0].split(":")
    plain = {slot: _fill(name)[0] for slot, name in fills.items()}
    he = _PRONOUNS["he"]
    pronouns = {f"{who}{p}": word for who in ("", "f", "a") for p, word in zip(_PRONOUNS["he"], he, strict=True)}
    return plain | pronouns | {
        "n": _names("boy")[0], "f": _names("girl")[0], "a": "Mom", "k": "boy", "fk": "girl", "p": place, "at": at,
        "t": _fill("trait")[0], "c": _fill("colour")[0], "w": _fill("weather")[0], "home": _fill("home")[0],
        "z": _fill("animal")[0], "spot": _fill("spot")[0], "spot2": _fill("spot")[1],
        "scare": _fill("scare")[0].split(":")[0], "real": _fill("scare")[0].split(":")[1],
    }  # fmt: skip


def _parse(text: str, beat: int, lists: Mapping[str, str], sample: Mapping[str, str], out: list[_Unit]) -> list[_Unit]:
    """Return the units of the alternatives in ``text``; add them, and the lists that continue them, to ``out``."""
    units = []
    for line in filter(None, map(str.strip, text.splitlines())):
        words, _, more = line.partition(" >")
        shown = words.removeprefix("~")
        unit = _Unit(shown, beat, words.startswith("~"), tuple(skeleton(_FIELD.sub(lambda m: sample[m[1]], shown))))
        if more:
            unit.more = _parse(lists[more], beat, lists, sample, out)
        units.append(unit)
        out.append(unit)
    return units


def _link(beats: Sequence[Sequence[_Unit]], optional: Sequence[bool], units: Sequence[_Unit]) -> None:
    """Join the units of a plot for both splits, without joins that lead to dead ends."""

    def usable(unit: _Unit, nexts: Sequence[_Unit], split: Split) -> list[_Unit]:
        tail = _tail(unit.tokens)
        alive = [v for v in nexts if v.ends or v.follow[split]]
        return [v for v in alive if _side(tail, _head(v.tokens)) == split]

    # Backwards, so that dead ends are known: later beats first, and within a beat _parse lists continuations first.
    for unit in sorted(units, key=lambda u: -u.beat):
        groups: list[Sequence[_Unit]] = []
        if unit.more:
            groups.append(unit.more)
        else:
            later = unit.beat + 1
            while later < len(beats):
                groups.append(beats[later])
                if not optional[later]:
                    break
                later += 1
            else:
                unit.ends = True
        for split in ("train", "held-out"):
            unit.follow[split] = [g for g in (usable(unit, nexts, split) for nexts in groups) if g]


@cache
def _plots() -> tuple[_Plot, ...]:
    """Return all plots with their joins."""
    shared: dict[str, str] = _tables()["shared"]
    plots = []
    for name, table in sorted(_tables()["plots"].items()):
        lists = {**shared, "open": shared["open_any"], "openday": shared["open_any"] + shared["open_day"]}
        lists.update({key: text for key, text in table.items() if isinstance(text, str)})
        fills: dict[str, str] = table.get("fills", {})
        sample = {"o": _fill("keepsake")[0]} | _sample_fill(fills)
        wanted = str(table["beats"]).split()
        units: list[_Unit] = []
        beats = [_parse(lists[beat.rstrip("?")], i, lists, sample, units) for i, beat in enumerate(wanted)]
        _link(beats, [beat.endswith("?") for beat in wanted], units)
        plots.append(_Plot(name, {"o": "keepsake"} | fills, tuple(map(tuple, beats)), tuple(units)))
    return tuple(plots)


def _cast(plot: _Plot, path: Sequence[_Unit], random: _Random) -> dict[str, str]:
    """Return fillers for every slot of a story: who, what and where.

    If "he" or "she" could refer to the friend or the adult, that character gets the other pronoun.
    """
    unlike = set()
    for before, unit in pairwise(path):
        if re.search(r"\{(he|him|his|himself)\}", unit.text) and "{n}" not in unit.text:
            unlike.update(re.findall(r"\{([fa])\}", before.text + unit.text))

    def other(items: Sequence[str], *taken: str) -> str:
        while True:
            item = random.pick(items)
            if item not in taken:
                return item

    slots: dict[str, str] = {}
    animals = random.below(2) == 1
    girl = False
    for name_slot, kind_slot, prefix in (("n", "k", ""), ("f", "fk", "f")):
        girl = not girl if name_slot in unlike else random.below(2) == 1
        names = _names(("animal_" if animals else "") + ("girl" if girl else "boy"))
        slots[name_slot] = other(names, *slots.values())
        human = "girl" if girl else "boy"
        slots[kind_slot] = other(_fill("kind"), *slots.values()) if animals else human
        for pronoun, word in zip(_PRONOUNS["he"], _PRONOUNS["she" if girl else "he"], strict=True):
            slots[prefix + pronoun] = word
    adults = [adult for adult in _fill("adult") if "a" not in unlike or not adult.endswith(f":{slots['he']}")]
    slots["a"], pronoun = random.pick(adults).split(":")
    slots.update({f"a{p}": w for p, w in zip(_PRONOUNS["he"], _PRONOUNS[pronoun], strict=True)})
    slots["p"], slots["at"] = random.pick(_fill("place")).split(":")
    slots["t"], slots["home"] = random.pick(_fill("trait")), random.pick(_fill("home"))
    slots["c"], slots["w"] = random.pick(_fill("colour")), random.pick(_fill("weather"))
    slots["spot"] = random.pick(_fill("spot"))
    slots["scare"], slots["real"] = random.pick(_fill("scare")).split(":")
    slots["spot2"] = other(_fill("spot"), slots["spot"])
    slots["z"] = other(_fill("animal"), *(z for z in _fill("animal") if slots["k"] in z or slots["fk"] in z))
    for slot, name in plot.fills.items():
        slots[slot] = other(_fill(name), slots["c"])
    return slots


def _path(plot: _Plot, split: Split, random: _Random) -> list[_Unit]:
    """Return a walk through the plot from its first beat to its end."""
    starts = [unit for unit in plot.beats[0] if unit.follow[split]]
    unit = random.pick(starts)
    path = [unit]
    while unit.follow[split]:
        groups = unit.follow[split]
        if unit.ends and random.below(3) == 0:
            break
        group = groups[0]
        for later in groups[1:]:  # leave out an optional beat one time in three
            if random.below(3):
                break
            group = later
        unit = random.pick(group)
        path.append(unit)
    return path


def _tell(path: Sequence[_Unit], slots: Mapping[str, str]) -> str:
    """Return the text of a story."""
    parts = []
    for unit in path:
        text = _FIELD.sub(lambda m: slots[m[1]], unit.text)
        if not unit.joined:
            first = 1 if text[0] == '"' else 0
            text = text[:first] + text[first].upper() + text[first + 1 :]
        parts.append(text)
    return _ARTICLE.sub(r"\1n ", " ".join(parts))


def _attempts(seed: int, split: Split) -> Iterator[str]:
    """Yield stories endlessly, some of them more than once."""
    plots = _plots()
    number = 0
    while True:
        random = _Random(seed, ("train", "held-out").index(split), number)
        number += 1
        plot = random.pick(plots)
        path = _path(plot, split, random)
        if len({unit.text for unit in path}) < len(path):
            continue
        story = _tell(path, _cast(plot, path, random))
        words = len(story.split())
        sentences = len(_SENTENCE_END.findall(story))
        if WORDS[0] <= words <= WORDS[1] and SENTENCES[0] <= sentences <= SENTENCES[1]:
            yield story


def generate_stories(count: int, *, seed: int = 0, split: Split = "train") -> list[str]:
    """Return ``count`` different stories.

    Each has 50 to 130 words in 5 to 11 sentences, ASCII, on one line.  The result depends on the arguments only, not
    on the platform or the Python version; with the same seed and split a shorter result is the beginning of a longer
    one.  No held-out story, of any seed, shares 12 successive skeleton tokens with a train story, of any seed.

    Raises:
        ValueError: if ``count`` is not in [0, 100000] or ``split`` is neither "train" nor "held-out".
    """
    if not 0 <= count <= MAX_STORIES:
        raise ValueError(f"count must be in [0, {MAX_STORIES}], got {count}")
    if split not in ("train", "held-out"):
        raise ValueError(f'split must be "train" or "held-out", got {split!r}')
    stories: dict[str, None] = {}
    attempts = _attempts(seed, split)
    while len(stories) < count:
        stories.setdefault(next(attempts))
    return list(stories)


def hand_written_stories() -> list[str]:
    """Return the stories written by hand (``data/stories.txt``), each a string of one or more lines."""
    parts = _data("stories.txt").split(END_MARK)
    return [part.strip() for part in parts if part.strip()]


def _coded(stories: Sequence[str], codes: dict[str, str]) -> list[str]:
    """Return each story's skeleton as a string with one character per token."""
    return ["".join(codes.setdefault(t, chr(0x100 + len(codes))) for t in skeleton(story)) for story in stories]


def _sharing(train: Sequence[str], held_out: Sequence[str], n: int) -> list[int]:
    """Return the indices of the held-out texts that share ``n`` successive characters with a training text."""
    owners: dict[str, list[int]] = {}
    for index, text in enumerate(held_out):
        for gram in {text[i : i + n] for i in range(len(text) - n + 1)}:
            owners.setdefault(gram, []).append(index)
    hit: set[int] = set()
    for text in train:
        for i in range(len(text) - n + 1):
            hit.update(owners.pop(text[i : i + n], ()))
    return sorted(hit)


def variety(train: Sequence[str], held_out: Sequence[str]) -> dict[str, int | float]:
    """Measure the variety of stories and the distance of held-out stories from the others.

    Returns:
        ``train_stories``, ``held_out_stories``: their numbers.
        ``words_per_story``: mean over the training stories.
        ``distinct_words``, ``distinct_trigrams``: of the training stories' words and punctuation, lower-cased.
        ``trigrams_per_1000_words``: distinct trigrams per 1000 words of text.
        ``distinct_openings``: different skeletons of the first eight tokens of a training story.
        ``distinct_skeletons``: different skeletons of whole training stories.
        ``longest_shared_ngram``: tokens in the longest skeleton n-gram found in both sets.
        ``held_out_sharing_12gram``: held-out stories that share a 12-gram of their skeleton with training.
    """
    tokens = [_tokens(story) for story in train]
    words = sum(len(story.split()) for story in train)
    trigrams = {(t[i], t[i + 1], t[i + 2]) for t in tokens for i in range(len(t) - 2)}
    codes: dict[str, str] = {}
    coded, coded_held = _coded(train, codes), _coded(held_out, codes)
    low, high = 0, max(map(len, coded_held), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if _sharing(coded, coded_held, middle):
            low = middle
        else:
            high = middle - 1
    return {
        "train_stories": len(train),
        "held_out_stories": len(held_out),
        "words_per_story": words / len(train) if train else 0.0,
        "distinct_words": len({token for t in tokens for token in t}),
        "distinct_trigrams": len(trigrams),
        "trigrams_per_1000_words": 1000 * len(trigrams) / words if words else 0.0,
        "distinct_openings": len({text[:8] for text in coded}),
        "distinct_skeletons": len(set(coded)),
        "longest_shared_ngram": low,
        "held_out_sharing_12gram": len(_sharing(coded, coded_held, WINDOW)),
    }
