"""What is one word, on both sides of a question; and the line that is shown of what was found."""

from __future__ import annotations

import pytest

from llmws.store.words import LONGEST_WORD, MOST_BYTES, MOST_WORDS, Query, excerpt, ranges, words


def finds(query: str, text: str) -> bool:
    """Whether an index of `words` answers `query` with `text`."""
    kept = words(text)
    asked = Query.of(query).words
    return bool(asked) and all(
        any(word.startswith(one.text) if one.is_beginning else word == one.text for word in kept) for one in asked
    )


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("ärger", "ÄRGER an Bord", True),
        ("arger", "Ärger", True),
        ("ärger", "A\u0308rger, written in two", True),
        ("strasse", "Straße", True),
        ("ｆｕｌｌ", "full width", True),
        ("blu", "the blue sky", True),
        ("blu sky", "the blue sky", False),
        ("sky blue", "the blue sky", True),
        ("b", "the blue sky", False),
        ("c", "written in C.", True),
        ("max_tokens", "set max_tokens=3", True),
        ("100%", "100% sure", True),
        ("_ % *", "anything", False),
        ('"quoted" OR (x', "x or quoted", True),
        ("航", "远航", True),
        ("远", "远航", True),
        ("南方", "去中国的南方看海", True),
        ("国的", "去中国的南方看海", True),
        ("南看", "去中国的南方看海", False),
        ("中国的南方", "去中国的南方看海", True),
        ("中国 看海", "去中国的南方看海", True),
        ("gpt4模型", "用GPT4模型做的", True),
        ("がく", "か\u3099くせい", True),
        ("かく", "がくせい", False),
        ("한국", "한국어를 배운다", True),
        ("𠮷野", "𠮷野家で食べる", True),
        ("привет", "Привет, мир", True),
    ],
)
def test_words_are_found(query: str, text: str, found: bool) -> None:
    assert finds(query, text) is found


def test_a_text_has_only_so_many_words_and_none_is_endless() -> None:
    assert len(words(" ".join(map(str, range(MOST_WORDS + 5))))) == MOST_WORDS
    assert words("a" * 10_000) == ["a" * LONGEST_WORD]
    hashes = words(" ".join(f"{number:064x}" for number in range(MOST_WORDS)))
    assert MOST_BYTES - LONGEST_WORD < sum(len(word.encode()) for word in hashes) <= MOST_BYTES
    assert finds("a" * 10_000, "a" * 10_000)
    assert len(Query.of("字典" * 1000 + " word" * 1000).words) < 40


def marked(text: str, query: str, length: int = 180) -> str:
    found = excerpt(text, Query.of(query), length)
    shown, end = "", 0
    for start, stop in found.ranges:
        shown += f"{found.text[end:start]}[{found.text[start:stop]}]"
        end = stop
    return shown + found.text[end:]


def test_an_excerpt_marks_what_was_asked_in_the_words_of_the_text() -> None:
    assert marked("Die Straße\n\n  ist ½ leer", "strasse leer") == "Die [Straße] ist ½ [leer]"
    assert marked("Ünder the blue, blues", "blue under") == "[Ünder] the [blue], blues"
    assert marked("Ünder the blue, blues", "blu") == "Ünder the [blu]e, [blu]es"
    assert marked("去中国的南方，又去南方", "南方") == "去中国的[南方]，又去[南方]"
    assert marked("🙂🙂 ship", "ship") == "🙂🙂 [ship]"


def test_an_excerpt_is_around_where_most_of_it_stands() -> None:
    filler = "nothing to see " * 40
    text = f"sky {filler} a sky so blue {filler}"
    found = marked(text, "sky blue")
    assert "[sky] so [blue]" in found
    assert found.startswith("…")
    assert found.endswith("…")
    assert len(found) < 220
    assert marked(filler, "absent").startswith("nothing to see")


def test_a_search_does_not_read_texts_without_end() -> None:
    begin = excerpt("early " + "x " * 100_000 + "late", Query.of("early late"))
    assert ([begin.text[a:b] for a, b in begin.ranges], begin.whole) == (["early"], False)


def test_a_stretch_of_characters_that_stand_apart_is_no_whole_find() -> None:
    together, apart = excerpt("一个中国人来了", Query.of("中国人")), excerpt("中国的外国人", Query.of("中国人"))
    assert (together.whole, apart.whole) == (True, False)
    assert [apart.text[a:b] for a, b in apart.ranges] == ["中国", "国人"]


def test_places_in_a_title_are_those_of_the_title_itself() -> None:
    assert ranges("ﬁne  Ärger", Query.of("fine arger")) == ((0, 3), (5, 10))
