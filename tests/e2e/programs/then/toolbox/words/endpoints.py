"""Counting words, and making slugs of them."""

import collections
import re
import unicodedata

from ..common import stub


@stub.webhook
def count(text: str, top: int = 3):
    words = re.findall(r"\w+", text.lower())
    return {"words": len(words), "top": dict(collections.Counter(words).most_common(top))}


@stub.webhook
def slug(text: str):
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
