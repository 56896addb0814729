"""From decoded text to a sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decoding.phrasing import sentence


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a dog runs on the grass", "A dog runs on the grass."),
        ("  two cats \n sleeping  ", "Two cats sleeping."),
        ("a picture of a dog", "A dog."),
        ("An image of a dog.", "A dog."),
        ("a photo of a photo of a dog", "A dog."),
        ("this is a picture of two men", "Two men."),
        ("it's an image of a bus", "A bus."),
        ("there is a picture of a bus", "A bus."),
        ("picture of a bus", "A bus."),
        ("The image shows a dog on a sofa.", "A dog on a sofa."),
        ("In this image, we can see a tree", "A tree."),
        ("In the image there is a tree", "There is a tree."),
        ("there is a dog on the bed", "There is a dog on the bed."),
        ("arafed man in a hat", "Man in a hat."),
        ("arafed image of a man", "A man."),
        ("there is an arafed man", "There is a man."),
        ("arafed image of a dog and a araffed cat", "A dog and a cat."),
        # These say something about the picture.
        ("a black and white photo of a dog", "A black and white photo of a dog."),
        ("a painting of a picture of a dog", "A painting of a picture of a dog."),
        ("a picture frame on a wall", "A picture frame on a wall."),
        ("a man takes a picture of a dog", "A man takes a picture of a dog."),
        ("pictures of dogs", "Pictures of dogs."),
        ("picture of", "Picture of."),
        # Word pieces and blanks.
        ("a man ' s t - shirt", "A man's t-shirt."),
        ("a man 's hat , red", "A man's hat, red."),
        ("it is n't here ( or there )", "It isn't here (or there)."),
        ("what is there ?", "What is there?"),
        ('"a dog"', '"a dog".'),
        ('a dog."', 'A dog."'),
        ("a dog ,", "A dog."),
        ("a caf\ufffd", "A caf."),
        (", \x00a dog", "A dog."),
        ("É bonita", "É bonita."),
        ("una niña…", "Una niña…"),
        ("", ""),
        (" . ,", ""),
    ],
)
def test_sentences(raw: str, expected: str) -> None:
    assert sentence(raw) == expected


def wordings() -> list[tuple[str, str]]:
    """Return the cases of `wordings.txt`: what a decoder wrote, what people read."""
    lines = Path(__file__).with_name("wordings.txt").read_text(encoding="utf-8").splitlines()
    cases = [line.rstrip().split(" => ") for line in lines if "=>" in line and line[0] != "#"]
    return [(raw, f"{raw[0].upper()}{raw[1:]}." if read == "=" else read) for raw, read in cases]


@pytest.mark.parametrize(("raw", "expected"), wordings())
def test_wording_never_changes_the_meaning(raw: str, expected: str) -> None:
    assert sentence(raw) == expected


def test_there_are_two_hundred_wordings() -> None:
    cases = [raw for raw, _ in wordings()]
    assert len(set(cases)) == len(cases) >= 200


def test_a_text_cut_off_ends_with_its_last_sentence() -> None:
    text = "A dog runs. It is 3.5 years old. The"
    assert sentence(text, complete=False) == "A dog runs. It is 3.5 years old."
    assert sentence(text) == "A dog runs. It is 3.5 years old. The."
    assert sentence("a dog runs over", complete=False) == "A dog runs over."


@given(st.text(max_size=60), st.booleans())
def test_any_text_gives_a_tidy_line(text: str, complete: bool) -> None:
    found = sentence(text, complete)
    assert found == found.strip()
    assert "\n" not in found
    if found:
        assert any(character.isalnum() for character in found)
        assert found[-1] in ".!?…\"'”’)"
