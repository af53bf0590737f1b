"""Digests of texts."""

import hashlib

from fastapi import Depends

from .common import api_key, stub


@stub.webhook(method="POST", label="toolbox-digest")
def digest(text: str, algorithm: str = "sha256", key: str = Depends(api_key)):
    return {"digest": hashlib.new(algorithm, text.encode()).hexdigest(), "for": key}
