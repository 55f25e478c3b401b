"""The look: text of others stays text, and every status has its mark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.models import QUEUE_STATUSES, SESSION_STATUSES
from clouditia_jupyter.notebook.look import STYLE, escaped, link, status

#: Statuses that are over, and need no colour.
OVER = {"stopped", "archived", "cancelled"}


@given(st.text())
def test_no_text_opens_a_tag_or_ends_an_attribute(text: str) -> None:
    for made in (escaped(text), link(text), status(text, text)):
        bare = re.sub(r'</?(span|a)( [a-z-]+="[^"<>]*")*>', "", made)
        assert not set("<>\"'") & set(bare)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "x\"onclick='y'"])
def test_only_web_pages_are_links(url: str) -> None:
    assert "<a " not in link(url)
    assert 'href="https://clouditia.com/ab/"' in link("https://clouditia.com/ab/")


@pytest.mark.parametrize("word", sorted({*SESSION_STATUSES, *QUEUE_STATUSES} - OVER))
def test_every_status_has_a_mark_of_its_own(word: str) -> None:
    assert f'[data-status="{word}"]' in STYLE
    assert word in status(word)


def test_the_style_sheet_reaches_nothing_but_our_own_elements() -> None:
    plain = re.sub(r"/\*.*?\*/", "", STYLE, flags=re.S)
    for selector in re.findall(r"([^{}]+)\{", plain):
        first = selector.strip().split("\n")[0]
        assert first.startswith((".clouditia", "@", "50%")), selector
    assert plain.count("{") == plain.count("}")
