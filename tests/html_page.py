"""Read a page as a browser does, and ask what a reader would."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags with attributes in order; complains of tags left open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


def assert_it_needs_nothing_else(text):
    page = Page(text)
    assert not page.all("script", "link", "iframe", "object", "embed", "form", "base")
    assert not re.search(r"@import|url\(", text)
    assert not [k for _, attrs in page.tags for k in attrs if k.startswith("on")]
    for picture in page.all("img"):
        kind, _, content = picture["src"].partition(";base64,")
        assert kind in ("data:image/png", "data:image/jpeg")
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            image.load()
    policy = next(m for m in page.all("meta") if "http-equiv" in m)
    assert policy["content"].startswith("default-src 'none'")


def assert_everybody_can_read_it(text):
    """Language, one title, headings in order, described pictures, captioned tables."""
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert any("width=device-width" in m.get("content", "") for m in page.all("meta"))
    first = page.tags[[tag for tag, _ in page.tags].index("body") + 1]
    assert first == ("a", {"class": "skip", "href": "#main"})
    assert len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert max(np.diff(levels)) <= 1
    assert all(len(picture["alt"]) > 20 for picture in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in cell for cell in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    labels = {section["aria-labelledby"] for section in page.all("section")}
    assert links | labels <= set(ids)
    for region in page.all("div"):
        if "scroll" in region.get("class", "").split():
            assert region["tabindex"] == "0"
            assert region["aria-label"]
