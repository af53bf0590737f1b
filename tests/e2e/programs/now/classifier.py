"""A class whose model is loaded once per container; two of its methods are endpoints."""

import math

import modal

app = modal.App("classifier")
image = modal.Image.debian_slim().pip_install("fastapi[standard]")

WORDS = {"great": 2.0, "good": 1.0, "fine": 0.5, "bad": -1.0, "awful": -2.5}


@app.cls(image=image, max_containers=1, scaledown_window=60, env={"MODEL": "words-1"})
@modal.concurrent(max_inputs=8)
class Classifier:
    scale: int = modal.parameter(default=1)
    language: str = modal.parameter(default="en")

    @modal.enter()
    def load(self):
        import os

        self.name = os.environ["MODEL"]
        self.steps = ["load"]
        self.weights = {word: weight * self.scale for word, weight in WORDS.items()}

    @modal.enter()
    async def warm_up(self):
        self.steps.append("warm up")
        self.bias = self.score("fine fine") - 1.0

    def score(self, text: str) -> float:
        return sum(self.weights.get(word, 0.0) for word in text.lower().split())

    @modal.fastapi_endpoint(method="POST")
    def classify(self, texts: list[str]):
        scores = [self.score(text) - self.bias for text in texts]
        return [
            {"text": text, "positive": round(1 / (1 + math.exp(-s)), 3)} for text, s in zip(texts, scores)
        ]

    @modal.asgi_app(label="classifier-admin")
    def admin(self):
        from fastapi import FastAPI

        web = FastAPI()

        @web.get("/status")
        def status():
            return {"model": self.name, "steps": self.steps, "language": self.language}

        return web

    @modal.exit()
    def leave(self):
        print("goodbye")
