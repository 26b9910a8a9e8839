"""The story generator: the same stories everywhere, varied, and a held-out set that shares no long phrase."""

from __future__ import annotations

import hashlib
import re

import pytest

from shrew.corpus import stories as module
from shrew.corpus.stories import generate_stories, hand_written_stories, skeleton, variety

#: Made with
#: PYTHONPATH=src python -c "import hashlib; from shrew.corpus.stories import generate_stories as g;
#: print(hashlib.sha256('\n'.join(g(1000)).encode()).hexdigest())"
DIGEST = "36bfd379aeceacefff97003b2ab70dd2b6c9c82eeceb109f9318b83f75c71384"

MARKS = ("and", "but", "so")


@pytest.fixture(scope="module")
def train() -> list[str]:
    return generate_stories(3000)


@pytest.fixture(scope="module")
def held_out() -> list[str]:
    return generate_stories(300, split="held-out")


def grams(stories: list[str], n: int) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for story in stories:
        tokens = skeleton(story)
        found.update(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    return found


def test_stories_are_the_same_everywhere(train: list[str]) -> None:
    assert hashlib.sha256("\n".join(train[:1000]).encode()).hexdigest() == DIGEST


def test_a_shorter_result_begins_a_longer_one(train: list[str], held_out: list[str]) -> None:
    assert generate_stories(50) == train[:50]
    assert generate_stories(50, split="held-out") == held_out[:50]


def test_seeds_give_other_stories(train: list[str]) -> None:
    assert not set(generate_stories(200, seed=1)) & set(train)


def test_no_story_comes_twice(train: list[str], held_out: list[str]) -> None:
    assert len(set(train + held_out)) == len(train) + len(held_out)


def test_no_held_out_story_shares_12_skeleton_tokens(train: list[str], held_out: list[str]) -> None:
    assert not grams(train, 12) & grams(held_out, 12)
    assert grams(train, 8) & grams(held_out, 8), "the check would see shared phrases"


def test_nor_with_a_train_story_of_another_seed(held_out: list[str]) -> None:
    other = [story for seed in (1, -5, 2**70) for story in generate_stories(300, seed=seed)]
    assert variety(other, held_out)["held_out_sharing_12gram"] == 0


def test_nor_with_hand_written_stories(held_out: list[str]) -> None:
    assert not grams(hand_written_stories(), 12) & grams(held_out, 12)


def test_variety(train: list[str], held_out: list[str]) -> None:
    found = variety(train, held_out)
    assert found["train_stories"] == 3000
    assert found["held_out_stories"] == 300
    assert found["held_out_sharing_12gram"] == 0
    assert found["longest_shared_ngram"] < 12
    assert found["distinct_skeletons"] > 2990
    assert found["distinct_openings"] >= 150
    assert found["distinct_words"] > 1300
    assert found["trigrams_per_1000_words"] > 300


def test_variety_finds_what_is_shared() -> None:
    story = generate_stories(1)[0]
    found = variety([story], [story])
    assert found["held_out_sharing_12gram"] == 1
    assert found["longest_shared_ngram"] == len(skeleton(story))
    assert variety([], [])["longest_shared_ngram"] == 0


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_form(split: module.Split) -> None:
    for story in generate_stories(1000, seed=3, split=split):
        assert story.isascii()
        assert 50 <= len(story.split()) <= 130
        assert 5 <= len(re.findall(r"[.!?]\"?(?= [\"A-Z]|$)", story)) <= 11
        assert story[-1] in '.!?"'
        assert story.count('"') % 2 == 0
        assert not re.search(r"[{}~>\n]|  | [,.!?]", story), story
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour\b)[^aeiou]", story), story
        assert not re.search(r"[.!?] [a-z]", story), story


def test_skeleton_hides_what_fills_slots() -> None:
    tokens = skeleton('"Ben, look!" cried Zoe. She saw an orange toy car in the park, and it was her own.')
    cried = ["``", "<slot>", ",", "look", "!", "''", "cried", "<slot>", "."]
    saw = ["<he>", "saw", "a", "<slot>", "<slot>", "<slot>", ",", "and", "it", "was", "<his>", "own", "."]
    assert tokens == cried + saw


def test_skeleton_does_not_depend_on_the_fillers() -> None:
    """The skeleton of a story is its sentences' skeletons in a row: the split rests on this."""
    for number in range(3000):
        random = module._Random(17, number)
        plot = random.pick(module._plots())
        path = module._path(plot, random.pick(("train", "held-out")), random)
        story = module._tell(path, module._cast(plot, path, random))
        assert skeleton(story) == [token for unit in path for token in unit.tokens], story


def test_units_are_short_and_joins_can_be_seen() -> None:
    """Any 12 tokens contain a whole join: enough tokens before and after it to determine its side.

    Also: continuations within a sentence are marked as such, and every unit is used in some story.
    """
    faults = []
    for plot in module._plots():
        before: dict[int, list[module._Unit]] = {}
        for unit in plot.units:
            for nexts in (group for groups in unit.follow.values() for group in groups):
                for after in nexts:
                    before.setdefault(id(after), []).append(unit)
        for unit in plot.units:
            where = f"{plot.name}: {unit.text}"
            nexts = [after for groups in unit.follow.values() for group in groups for after in group]
            tail = max((len(module._tail(u.tokens)) for u in before.get(id(unit), ())), default=0)
            head = max((len(module._head(v.tokens)) for v in nexts), default=0)
            # The longest run without a whole join: one token less than a tail, the unit, one token less than a head.
            run = max(tail - 1, 0) + len(unit.tokens) + max(head - 1, 0)
            if run >= module.WINDOW:
                faults.append(f"{run - module.WINDOW + 1} tokens too long: {where}")
            goes_on = unit.text[-1] == "," or unit.text[-2:] in (',"', '!"', '?"')
            if goes_on != bool(unit.more) or any(after.joined != bool(unit.more) for after in nexts):
                faults.append(f"wrong join inside a sentence: {where}")
            if unit.text[-1] == "," and any(after.tokens[0] not in MARKS for after in nexts):
                faults.append(f"a join that cannot be seen: {where}")
            if re.search(rf"(, ({'|'.join(MARKS)})|[.!?]) ", unit.text):
                faults.append(f"seems to hold a join: {where}")
            if not nexts and not unit.ends:
                faults.append(f"never used: {where}")
    assert not faults


def test_most_sentences_are_in_both_splits() -> None:
    used: dict[str, set[tuple[str, str]]] = {}
    for split in ("train", "held-out"):
        for plot in module._plots():
            waiting = [unit for unit in plot.beats[0] if unit.follow[split]]
            seen: set[int] = set()
            while waiting:
                unit = waiting.pop()
                if id(unit) not in seen:
                    seen.add(id(unit))
                    used.setdefault(split, set()).add((plot.name, unit.text))
                    waiting += [after for group in unit.follow[split] for after in group]
    written = {(plot.name, unit.text) for plot in module._plots() for unit in plot.units}
    assert len(used["train"]) > 0.95 * len(written)
    assert len(used["train"] & used["held-out"]) > 0.95 * len(used["held-out"])
    assert len(used["held-out"]) > 0.75 * len(written)


@pytest.mark.parametrize("count", [-1, 100_001])
def test_count_is_bounded(count: int) -> None:
    with pytest.raises(ValueError, match="count must be in"):
        generate_stories(count)


def test_split_is_checked() -> None:
    with pytest.raises(ValueError, match="split must be"):
        generate_stories(1, split="test")  # type: ignore[arg-type]


def test_no_stories() -> None:
    assert generate_stories(0) == []


def test_hand_written_stories() -> None:
    written = hand_written_stories()
    assert len(written) >= 60
    assert len(set(written)) == len(written)
    for story in written:
        assert story.isascii()
        assert 60 <= len(story.split()) <= 140
        assert story.count('"') % 2 == 0
        assert skeleton(story)
