"""The Python Penn Treebank tokeniser: written cases, properties, and equality with Java."""

import json
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import ptb_tokenizer
from training.metrics.ptb_tokenizer import (
    java_available,
    tokenize_captions,
    tokenize_references,
)

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
CORPORA = {
    "coco-val2017": ("captions_val2017.json",),
    "flickr8k": (
        "flickr8k/annotations/captions_train.json",
        "flickr8k/annotations/captions_val.json",
    ),
    "coco-small": (
        "coco-small/annotations/captions_train.json",
        "coco-small/annotations/captions_val.json",
    ),
    "coco-mini": (
        "coco-mini/annotations/captions_train2017.json",
        "coco-mini/annotations/captions_val2017.json",
    ),
}
needs_java = pytest.mark.skipif(
    not java_available(), reason="no java: Debian's package `default-jre-headless`"
)

# Written from the official tokeniser's output; `test_cases_agree_with_java` holds them to it.
CASES = {
    # sentences as they come
    "A dog runs.": "a dog runs",
    "A BLACK Dog": "a black dog",
    "  two   spaces\tand a tab  ": "two spaces and a tab",
    "A man, a plan; a canal: Panama!": "a man a plan a canal panama",
    "Really?": "really",
    "Really?! Yes!!": "really ?! yes !!",
    "toilet,wash basin": "toilet wash basin",
    "on the ground.A man": "on the ground.a man",
    "a dog in the snow .": "a dog in the snow",
    "in front of a.": "in front of a.",
    "well... yes… no": "well yes no",
    "A dog - a cat -- a bird — end": "a dog a cat a bird end",
    # clitics and words with apostrophes
    "The man's dog": "the man 's dog",
    "The dogs' bowl": "the dogs bowl",
    "It's a dog; they're cats": "it 's a dog they 're cats",
    "I'll, we've, I'd, I'm": "i 'll we 've i 'd i 'm",
    "don't can't won't isn't": "do n't ca n't wo n't is n't",
    "DON'T": "do n't",
    "don’t it’s": "do n't it 's",
    "cannot gonna wanna gotta": "can not gon na wan na got ta",
    "'tis, 'twas": "'t is 't was",
    "rock 'n' roll, get 'em": "rock 'n' roll get 'em",
    "five o'clock": "five o'clock",
    "O'Brien eats hors d'oeuvres": "o'brien eats hors d'oeuvres",
    "a tug-o'war": "a tug-o'war",
    "y'all, ma'am": "y' all ma'am",
    "the '90s, the 1990's": "the '90s the 1990 's",
    "near a 'no peddling' sign": "near a no peddling sign",
    "soft\u00adly": "softly",
    # quotes and brackets
    'a "stop" sign': "a stop sign",
    "“stop” ‘go’ «là»": "stop go là",
    "``stop''": "stop",
    "a man (left) [sic] {x}": "a man -lrb- left -rrb- -lsb- sic -rsb- -lcb- x -rcb-",
    "smile :) ;-(": "smile :-rrb- ;--lrb-",
    # numbers, money, measures
    "1,000 or 2.5 or .5": "1,000 or 2.5 or .5",
    "at 10:30am": "at 10:30 am",
    "at 5pm, 5 p.m.": "at 5pm 5 p.m.",
    "1/2 and 1 1/2": "1/2 and 1\u00a01/2",
    "½ a pizza, 2½ pizzas": "1/2 a pizza 2 1/2 pizzas",
    "the 1950s, 12th and 3rd": "the 1950s 12th and 3rd",
    "$5.00, £5, €5, 5¢, 50%": "$ 5.00 # 5 $ 5 5 cents 50 %",
    "US$5 #41": "us$ 5 # 41",
    "on 10-29-2011 and 1/2/2010": "on 10-29-2011 and 1/2/2010",
    "call (555) 123-4567": "call -lrb-555-rrb-\u00a0123-4567",
    "-5 +5 5° 4x4": "-5 +5 5 ° 4x4",
    # abbreviations
    "Mr. and Mrs. Smith on Main St.": "mr. and mrs. smith on main st.",
    "the corner of 12th Ave. and Elm": "the corner of 12th ave. and elm",
    "in the U.S. and a T.V. set": "in the u.s. and a t.v. set",
    "U.S.-born e.g. etc.": "u.s.-born e.g. etc.",
    "No. 5, no.": "no. 5 no",
    "the letter K. The end": "the letter k the end",
    "J. Smith, Ph.D.": "j. smith ph.d.",
    "Jan.x St.Ives": "jan. x st.ives",
    "a tree., a bush": "a tree. a bush",
    # compounds and symbols
    "a black-and-white t-shirt": "a black-and-white t-shirt",
    "a 12-year-old": "a 12-year-old",
    "and/or w/o a mirror/cabinet": "and/or w/o a mirror/cabinet",
    "elephant/": "elephant /",
    "AT&T and at&t, R&B": "at&t and at & t r&b",
    "salt & pepper, salt &amp; pepper": "salt & pepper salt & pepper",
    "a<b>c, &lt;3": "a <b> c < 3",
    "C++ and c#": "c++ and c#",
    "a * b = c": "a * b = c",
    "snow_white ___ *** @home #fun": "snow_white ___ *** @home #fun",
    # addresses
    "see http://www.example.com/a?b=c.": "see http://www.example.com/a?b=c",
    "www.foo.com, google.com.": "www.foo.com google.com",
    "foo@bar.com": "foo@bar.com",
    "photo1.jpg, 5.jpg": "photo1.jpg 5.jpg",
    # beyond ASCII
    "A café in Zürich": "a café in zürich",
    "cafe\u0301": "cafe\u0301",
    "日本 語 привет": "日本 語 привет",
    "a dog 😀 here❤️": "a dog here ❤",
    "nbsp\u00a0here\u200bthere\ufeff": "nbsp here there",
    "İstanbul": "i̇stanbul",
    "m²³ CO₂": "m ²³ co ₂",
    "¡hola! ¿qué?": "¡ hola ¿ qué",
    # corners that each needed a rule
    "a \u00a0foo.com www.a-b.org/x_y": "a foo.com www.a-b.org/x_y",
    "foo.com/bar, foo.net/a-b": "foo.com/bar foo.net/a-b",
    "a &mdash; b &gt; c &nbsp; d": "a b > c d",
    "&quot;hi&quot; caf&eacute; &#39;": "hi caf&eacute; &#39;",
    "the d's, ’dd": "the d 's 'd d",
    "M'sila N'Djamena": "m'sila n'djamena",
    "Xi'an Hawai'i Ho'ohu": "xi'an hawai'i ho'ohu",
    "c'mon li'l nor'easter cap’n": "c'mon li'l nor'easter cap’n",
    "AT&T.: AB&CD": "at&t. ab&cd",
    "ol' somethin' j'ai": "ol' somethin' j' ai",
    "n't 's": "n't 's",
    "don'té": "do n'té",
    "’“x": "'`` x",
    "'n'x": "'n' x",
    "in '68": "in '68",
    "10/29-11": "10/29-11",
    "pro- and anti-war, mid- and": "pro- and anti-war mid and",
    "^_^ (^_^) x_x": "^_^ -lrb-^_^-rrb- x_x",
    "----- --5 ...5 a---b": "----- 5 5 a b",
    "Inc.@a.b": "inc.@a.b",
    "in Washington D.C.": "in washington d.c.",
    "x-a.m.5 non-U.S.": "x-a.m. 5 non-u.s.",
    "Fig. 3a, art. 5, art. x": "fig. 3a art. 5 art x",
    "the letter J. <b> end": "the letter j <b> end",
    "the letter J. <b>end": "the letter j. <b> end",
    "@1 #1 @@ ## >> <<": "@ 1 # 1 @@ ## >> <<",
    # nothing left
    "": "",
    " ": "",
    "...": "",
    "😀": "",
}


def tokenize(caption: str) -> str:
    # Not as the last line: some rules ask for a character after the token, if only the line's end.
    return tokenize_captions({0: [caption, ""]})[0][0]


@pytest.mark.parametrize(("caption", "tokens"), CASES.items())
def test_case(caption: str, tokens: str) -> None:
    assert tokenize(caption) == tokens


def test_the_end_of_the_last_line_may_matter() -> None:
    """As Java has it."""
    assert tokenize_captions({0: ["K. The"]}) == {0: ["k. the"]}
    assert tokenize_captions({0: ["K. The", ""]}) == {0: ["k the", ""]}


def test_mapping_keeps_keys_counts_and_order() -> None:
    captions = {7: ["A dog.", ""], "x": [], 3: ("A cat!",)}
    assert tokenize_captions(captions) == {7: ["a dog", ""], "x": [], 3: ["a cat"]}
    assert list(tokenize_captions(captions)) == [7, "x", 3]
    assert tokenize_captions({}) == {}


@pytest.mark.parametrize("breaker", ["\n", "\r", "\r\n", "\v", "\f", "\u2028", "\u2029"])
def test_a_line_break_does_not_shift_later_captions(breaker: str) -> None:
    captions = {1: [f"a dog{breaker}runs", f"{breaker}a cat{breaker}"], 2: ["a bird"]}
    assert tokenize_captions(captions) == {1: ["a dog runs", "a cat"], 2: ["a bird"]}


def test_the_next_caption_decides_about_a_single_letters_full_stop() -> None:
    assert tokenize_captions({1: ["It reads K.", "A dog"]})[1][0] == "it reads k"
    assert tokenize_captions({1: ["It reads K.", "a dog"]})[1][0] == "it reads k."


def test_prefer_python_names_the_tokenizer() -> None:
    assert tokenize_references({1: ["A dog."]}, "python") == ({1: ["a dog"]}, "ptb-python")


def test_unknown_preference_is_refused() -> None:
    with pytest.raises(ValueError, match="prefer"):
        tokenize_references({1: ["A dog."]}, "fast")  # type: ignore[arg-type]


def test_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptb_tokenizer.shutil, "which", lambda _: None)
    assert not java_available()
    assert tokenize_references({1: ["A dog."]})[1] == "ptb-python"
    with pytest.raises(FileNotFoundError, match="java"):
        tokenize_references({1: ["A dog."]}, "java")


def test_broken_java(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho no such class >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setattr(ptb_tokenizer.shutil, "which", lambda _: str(java))
    monkeypatch.setattr(ptb_tokenizer, "_jar", lambda: tmp_path / "x.jar")
    assert tokenize_references({1: ["A dog."]}) == ({1: ["a dog"]}, "ptb-python")
    assert "status 3" in caplog.text
    with pytest.raises(RuntimeError, match="no such class"):
        tokenize_references({1: ["A dog."]}, "java")


# ---- properties ---------------------------------------------------------------------------------

CAPTION_LIKE = st.lists(
    st.sampled_from(
        "a dog The man man's U.S. Mr. St. K. I don't 'tis 5 12th 1,000 1/2 10:30 $5 50% t-shirt"
        " and/or AT&T &amp; <b> (x) [ ] { } \" ' `` '' “ ” ’ ‘ . .. ... , ; : ! ? - -- — / \\"
        " @x #y x@y.com www.a.com http://b.c/d :) é 日本 😀 _ * ~ + = < >".split()
    ),
    max_size=12,
).flatmap(lambda words: st.sampled_from([" ".join(words), "".join(words)]))


@settings(deadline=None)  # a busy machine is no failure
@given(st.text() | st.text(st.characters()) | CAPTION_LIKE)
def test_never_raises_and_gives_clean_tokens(caption: str) -> None:
    tokens = tokenize(caption)
    assert tokens == tokens.lower()
    assert tokens == " ".join(tokens.split(" ")).strip(" ")
    assert "  " not in tokens
    assert not ptb_tokenizer._PUNCTUATION & set(tokens.split(" "))
    assert not set(tokens) & set("\n\r\t")


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.characters(codec="ascii", categories=("L", "N", "Zs")), max_size=60))
def test_letters_digits_and_spaces_are_kept_and_tokenising_again_changes_nothing(
    caption: str,
) -> None:
    once = tokenize(caption)
    assert tokenize(once) == once
    assert once.replace(" ", "").replace("\u00a0", "") == caption.replace(" ", "").lower()


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(CAPTION_LIKE, max_size=6))
def test_captions_together_differ_from_alone_only_in_a_final_full_stop(
    captions: list[str],
) -> None:
    # As in `tokenize`: what ends the last line may matter ("K. The").
    together = tokenize_captions({0: [*captions, ""]})[0][:-1]
    assert len(together) == len(captions)
    for caption, tokens in zip(captions, together, strict=True):
        assert tokens.rstrip(".") == tokenize(caption).rstrip(".")


@pytest.mark.parametrize("piece", ["a.", "a-", "a,", "a@", "<a ", "'", "1,", "http://", "(", "-_"])
def test_long_nonsense_takes_no_time_to_speak_of(piece: str) -> None:
    start = time.monotonic()
    tokenize(piece * 1000)
    assert time.monotonic() - start < 5


# ---- against the official tokeniser -------------------------------------------------------------


def official(captions: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
    """What pycocoevalcap itself makes of the captions."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    records = {i: [{"caption": c} for c in group] for i, group in captions.items()}
    return PTBTokenizer().tokenize(records)


def assert_equal(captions: Mapping[int, Sequence[str]]) -> None:
    expected, found = official(captions), tokenize_captions(captions)
    assert expected.keys() == found.keys()
    different = [
        (caption, theirs, ours)
        for i, group in captions.items()
        for caption, theirs, ours in zip(group, expected[i], found[i], strict=True)
        if theirs != ours
    ]
    assert not different, f"{len(different)} captions differ: {different[:5]}"


@needs_java
@pytest.mark.parametrize("corpus", CORPORA)
def test_equal_to_java_on_every_caption_of(corpus: str) -> None:
    captions: dict[int, list[str]] = defaultdict(list)
    for number, name in enumerate(CORPORA[corpus]):
        path = SHARED / name
        if not path.is_file():
            pytest.skip("no ../shared/data")
        for annotation in json.loads(path.read_text())["annotations"]:
            captions[int(annotation["image_id"]) * 10 + number].append(annotation["caption"])
    assert sum(map(len, captions.values())) > 500
    assert_equal(captions)


@needs_java
def test_cases_agree_with_java() -> None:
    # An empty line after each, as a case's result must not depend on the next case.
    captions = {i: [case, ""] for i, case in enumerate(CASES)}
    found = official(captions)
    assert {case: found[i][0] for i, case in enumerate(CASES)} == CASES


@needs_java
def test_equal_to_java_on_made_up_captions() -> None:
    pieces = [
        *"aAbBdDkKtTsS0159",
        *"....,,::;;!?''\"\"`-----_//\\&@#$%*+=~^|<>()[]{}",
        *"’‘“”«»–—…½é日°²™€£¢\u00a0",
        *[" "] * 60,
        *"the The dog it I O US U.S. Mr. St. Jan. no. No etc. e.g a.m. p.m 's n't 'll".split(),
        *"'re 'em don't cannot gonna 'tis '90s o'clock d'x y'all 1,000 1/2 10:30 12th".split(),
        *"555 (555) http:// www. .com x@y .jpg <b> </p> AT&T C++ :) ;-)".split(),
        *"&amp; &lt; &gt; &quot; &apos; &nbsp; &mdash; &eacute;".split(),
    ]
    draw = random.Random(7)
    captions = ["".join(draw.choices(pieces, k=draw.randint(1, 25))) for _ in range(6000)]
    assert_equal({0: captions})


@needs_java
def test_our_way_to_java_gives_what_pycocoevalcap_gives() -> None:
    captions = {2: ["A dog's “bone”.", "", "½ a K."], 1: ["A cat 😀"], 3: ["\ud800 lone", "a\rb"]}
    tokens, name = tokenize_references(captions, "java")
    assert name == "ptb-java"
    assert tokens == tokenize_captions(captions)
    del captions[3]  # what pycocoevalcap's wrapper cannot take
    assert {i: tokens[i] for i in captions} == official(captions)
    assert tokenize_references(captions, "auto")[1] == "ptb-java"
