"""Makes the short codes."""

import hashlib

ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


def code_of(url: str, length: int = 6) -> str:
    number = int.from_bytes(hashlib.sha256(url.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)
