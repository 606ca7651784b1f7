"""Words of a text, as the search knows them: the same for what is kept and for what is asked, in every database.

Letters are compared without case, accents and width (`Ärger` is found by `arger`). Where a script writes no spaces
(Chinese, Japanese, and Korean with its endings) every character begins a word of two, so that 中国 is found in any text
that holds it; the last of a stretch stands alone. A question of one character finds all words that begin with it, and
so every place where it stands. No tokenizer of a database is asked: SQLite's and PostgreSQL's disagree, and neither
finds a Chinese word of two characters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# Of one text, since who pastes a data set does not look for its last rows here; PostgreSQL holds no more than 1 MiB.
MOST_WORDS, MOST_BYTES = 20_000, 1_000_000
LONGEST_WORD = 64
_MOST_ASKED = 16
# Of a shorter word almost everything would be the beginning.
_SHORTEST_BEGINNING = 2

# Kana's sounds are letters of their own, though Unicode writes them with marks.
_SOUND_MARKS = "\u3099\u309a"
_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97c\uac00-\ud7c6\uf900-\ufaff"
    "\U0001aff0-\U0001b16f\U00020000-\U0003fffd"
)
_LETTER = rf"[^\W_{_UNSPACED}]"
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|{_LETTER}+")

_EXCERPT, _BEFORE = 180, 50
# Characters in which an excerpt is looked for: a search shows fifty of them, and some texts are whole data sets.
_LOOKED_AT = 200_000


class _Folding(dict[int, str]):
    """For `str.translate`: each character as it is compared, found out when it is first met."""

    uneven: set[str]

    def __init__(self) -> None:
        self.uneven = set()

    def __missing__(self, code: int) -> str:
        folded = self[code] = _folded(chr(code))
        if len(folded) != 1:
            self.uneven.add(chr(code))
        return folded


_FOLDING = _Folding()


@dataclass(frozen=True, slots=True)
class Word:
    """A word that a text must hold, or (`is_beginning`) one that begins with it."""

    text: str
    is_beginning: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: all of `words` must be there; `stretches` are what an excerpt shows of them."""

    words: tuple[Word, ...]
    stretches: tuple[Word, ...]

    @classmethod
    def of(cls, text: str) -> Query:
        """The question that a person typed; the last word may be unfinished.

        Example:
            >>> [(word.text, word.is_beginning) for word in Query.of("GPT 中国人 mod").words]
            [('gpt', False), ('中国', False), ('国人', False), ('mod', True)]
            >>> [(word.text, word.is_beginning) for word in Query.of("船").words]
            [('船', True)]
        """
        runs = [(run.group(), run["unspaced"] is not None) for run in _RUNS.finditer(_fold(_composed(text)))]
        words: list[Word] = []
        stretches: list[Word] = []
        for number, (run, is_unspaced) in enumerate(runs[:_MOST_ASKED], start=1):
            if is_unspaced:
                pairs = [run[at : at + 2] for at in range(len(run) - 1)][:_MOST_ASKED]
                words += [Word(pair) for pair in pairs] or [Word(run, is_beginning=True)]
                stretches.append(Word(run))
            else:
                is_last = number == len(runs) and len(run) >= _SHORTEST_BEGINNING
                words.append(Word(run[:LONGEST_WORD], is_last or len(run) > LONGEST_WORD))
                stretches.append(words[-1])
        return cls(tuple(dict.fromkeys(words)), tuple(dict.fromkeys(stretches)))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line of a text around what was found; `ranges` are positions in `text`, in code points. `whole` says whether
    all that was asked stands in the text as it was typed."""

    text: str
    ranges: tuple[tuple[int, int], ...]
    whole: bool


def words(text: str) -> list[str]:
    """The different words of `text`, at most `MOST_WORDS` and in UTF-8 no more than `MOST_BYTES`.

    Example:
        >>> words("Ärger mit max_tokens, Ärger mit 模型!")
        ['arger', 'mit', 'max', 'tokens', '模型', '型']
    """
    found: dict[str, None] = {}
    size = 0
    for word in _words(_fold(_composed(text))):
        if word not in found:
            size += len(word.encode())
            if len(found) == MOST_WORDS or size > MOST_BYTES:
                break
            found[word] = None
    return list(found)


def excerpt(text: str, query: Query, length: int = _EXCERPT) -> Excerpt:
    """About `length` characters of `text`, on one line, around the first place where most of `query` stands.

    Example:
        >>> found = excerpt("The sea\\n is blue, and the SKY is bluer.", Query.of("sky blue"))
        >>> found.text, [found.text[start:end] for start, end in found.ranges]
        ('The sea is blue, and the SKY is bluer.', ['blue', 'SKY', 'blue'])
    """
    text = " ".join(_composed(text[:_LOOKED_AT]).split())
    marks, found = _places_of(text, query)
    start = _best(marks, length)
    start, end = _at_words(text, max(0, start - _BEFORE), length)
    before, after = "…" if start else "", "…" if end < len(text) else ""
    shift = len(before) - start
    ranges = tuple((a + shift, b + shift) for a, b in marks if start <= a and b <= end)
    return Excerpt(f"{before}{text[start:end]}{after}", ranges, found == len(query.stretches))


def ranges(text: str, query: Query) -> tuple[tuple[int, int], ...]:
    """Where in `text` that stands which was asked.

    Example:
        >>> ranges("Sky  blue", Query.of("blue"))
        ((5, 9),)
    """
    return tuple(_places_of(text, query)[0])


def _words(folded: str) -> Iterator[str]:
    for run in _RUNS.finditer(folded):
        if run["unspaced"] is None:
            yield run.group()[:LONGEST_WORD]
        else:
            yield from (run.group()[at : at + 2] for at in range(run.end() - run.start()))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def _folded(character: str) -> str:
    if unicodedata.combining(character):
        return character if character in _SOUND_MARKS else ""
    if not character.isalnum():
        return character
    letters = unicodedata.normalize("NFKD", character)
    plain = "".join(one for one in letters if one in _SOUND_MARKS or not unicodedata.combining(one))
    return unicodedata.normalize("NFKC", plain).casefold()


def _places_of(text: str, query: Query) -> tuple[list[tuple[int, int]], int]:
    """Where the stretches of `query` stand in `text`, in order and apart, and how many of them do."""
    folded = _fold(text)
    origin = _Origins(text)
    marks, found = [], 0
    for stretch in query.stretches:
        places = list(_places(folded, stretch))
        found += bool(places)
        if not places and len(stretch.text) > 2:
            # The pairs of it do, somewhere.
            pairs = {stretch.text[at : at + 2] for at in range(len(stretch.text) - 1)}
            places = [place for pair in pairs for place in _places(folded, Word(pair))]
        marks += [(origin.start(a), origin.end(b)) for a, b in places]
    apart: list[tuple[int, int]] = []
    for a, b in sorted(marks):
        if apart and a <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(b, apart[-1][1]))
        else:
            apart.append((a, b))
    return apart, found


def _places(folded: str, stretch: Word) -> Iterator[tuple[int, int]]:
    pattern = re.escape(stretch.text)
    if re.match(_LETTER, stretch.text):
        pattern = rf"(?<!{_LETTER}){pattern}" + ("" if stretch.is_beginning else rf"(?!{_LETTER})")
    return (place.span() for place in re.finditer(pattern, folded))


class _Origins:
    """From positions in the folded text back to those in the text, by the few characters that change their length."""

    def __init__(self, text: str) -> None:
        uneven = "" if text.isascii() else "".join(_FOLDING.uneven.intersection(text))
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._shifts = [0]
        for one in re.finditer(f"[{re.escape(uneven)}]", text) if uneven else ():
            begin, length = one.start() + self._shifts[-1], len(_FOLDING[ord(one.group())])
            self._begins.append(begin)
            self._ends.append(begin + length)
            self._shifts.append(self._shifts[-1] + length - 1)

    def start(self, position: int) -> int:
        return position - self._shift(position)

    def end(self, position: int) -> int:
        return self.start(position - 1) + 1

    def _shift(self, position: int) -> int:
        passed = bisect_right(self._ends, position)
        # Perhaps within what one character became.
        inside = position - self._begins[passed] if passed < len(self._begins) else 0
        return self._shifts[passed] + max(0, inside)


def _best(marks: list[tuple[int, int]], length: int) -> int:
    """Where the stretch of `length` begins that holds most of `marks`."""
    best, most, last = 0, 0, 0
    for first, (start, _) in enumerate(marks):
        while last < len(marks) and marks[last][1] <= start + length - _BEFORE:
            last += 1
        if last - first > most:
            best, most = start, last - first
    return best


def _at_words(text: str, start: int, length: int) -> tuple[int, int]:
    """`start` and an end, moved to where words begin and end, as far as there are spaces near."""
    start = max(0, min(start, len(text) - length))
    end = min(len(text), start + length)
    if start and (space := text.find(" ", start - 1, start + _BEFORE // 2)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", end - _BEFORE // 2, end + 1)) >= 0:
        end = space
    return start, end
