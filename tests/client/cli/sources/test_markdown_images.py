"""Images without a text in Markdown and MDX."""

from __future__ import annotations

import pytest
from captionbox.cli.sources.html_images import PageError
from captionbox.cli.sources.markdown_images import fill_texts, missing_texts, read_markdown
from hypothesis import given
from hypothesis import strategies as st

PAGE = b"""---
title: "![](front.jpg)"
cover: <img src="front.jpg">
---
import Dog from "./![](import.jpg)"

# A dog

![](a.jpg) and ![ ](<b c.jpg> "Title") and ![named](c.jpg) ![`code`](c.jpg)
![](with(brackets).jpg 'x') \\![](escaped.jpg)

`![](code.jpg)` and ``<img src="code.jpg">``

```md
![](fenced.jpg)
```

    ![](indented.jpg)

<!-- ![](comment.jpg) -->
{/* ![](comment.jpg) */}
![][ref] ![][unknown]
<img src="d.jpg"> <img src="e.jpg" alt=""> <img src={dog} alt={name}>

[ref]: f.jpg "Title"
"""


def test_where_texts_are_missing() -> None:
    found = list(missing_texts(read_markdown(PAGE)))
    assert found == ["a.jpg", "b c.jpg", "with(brackets).jpg", "f.jpg", "", "d.jpg"]


def test_nothing_else_is_changed() -> None:
    new, count = fill_texts(read_markdown(PAGE), lambda address: address and f"[{address}] \n<x>")
    assert count == 5
    changed = PAGE.replace(b"![](a.jpg)", rb"![\[a.jpg\] \<x>](a.jpg)")
    changed = changed.replace(b"![ ](<b c", rb"![\[b c.jpg\] \<x>](<b c")
    changed = changed.replace(b"![](with", rb"![\[with(brackets).jpg\] \<x>](with")
    changed = changed.replace(b"![][ref]", rb"![\[f.jpg\] \<x>][ref]")
    changed = changed.replace(b'<img src="d', b'<img alt="[d.jpg] &lt;x&gt;" src="d')
    assert new == changed


def test_after_that_nothing_is_missing() -> None:
    new, _ = fill_texts(read_markdown(PAGE), lambda address: "A dog.")
    assert list(missing_texts(read_markdown(new))) == []


@pytest.mark.parametrize("mark", [b"---", b"+++"])
def test_front_matter_of_either_kind(mark: bytes) -> None:
    page = mark + b"\r\na: ![](a.jpg)\r\n" + mark + b"\r\n![](b.jpg)\r\n"
    assert list(missing_texts(read_markdown(page))) == ["b.jpg"]


def test_other_encodings_are_refused() -> None:
    with pytest.raises(PageError):
        read_markdown(b"caf\xe9 ![](a.jpg)")


@given(st.text(alphabet="![](a.jpg) `~-\n<img src=b>[r]:\\{}*/\r\t", max_size=80))
def test_any_page(text: str) -> None:
    page = read_markdown(text.encode())
    assert fill_texts(page, lambda _: None) == (text.encode(), 0)
    fill_texts(page, lambda _: "A dog.")
