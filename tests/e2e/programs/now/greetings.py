"""Endpoints made in a loop: each is a closure that is shipped by value."""

import modal

app = modal.App("greetings", image=modal.Image.debian_slim().pip_install("fastapi[standard]"))
WORDS = {"en": "Hello", "fr": "Bonjour", "pl": "Cześć"}


def declare(language: str, word: str):
    calls = []

    @app.function(name=f"greet-{language}", serialized=True, include_source=False, max_containers=1)
    @modal.fastapi_endpoint()
    def greet(name: str, shout: bool = False):
        calls.append(name)
        text = f"{word}, {name}!"
        return {"text": text.upper() if shout else text, "calls": len(calls)}

    return greet


endpoints = [declare(language, word) for language, word in WORDS.items()]
