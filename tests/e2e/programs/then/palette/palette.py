"""A class that loads its data once per container, and whose method is an endpoint."""

import json
import os

import modal
from fastapi import HTTPException

FILE = os.path.join(os.path.dirname(__file__), "colours.json")
stub = modal.Stub("palette", mounts=[modal.Mount("/data", local_file=FILE)])


def parts(colour):
    if len(colour) != 6:
        raise HTTPException(400, "write a colour as rrggbb")
    return [int(colour[start : start + 2], 16) for start in (0, 2, 4)]


class Palette:
    def __enter__(self):
        with open("/data/colours.json") as file:
            self.colours = {name: parts(code[1:]) for name, code in json.load(file).items()}
        self.asked = 0

    def distance(self, name, wanted):
        return sum((a - b) ** 2 for a, b in zip(self.colours[name], wanted))

    @stub.webhook(concurrency_limit=1)
    def nearest(self, colour: str):
        self.asked += 1
        wanted = parts(colour)
        return {
            "nearest": min(self.colours, key=lambda name: self.distance(name, wanted)),
            "asked": self.asked,
        }

    def __exit__(self, *error):
        print(f"asked {self.asked} times")


if __name__ == "__main__":
    stub.serve()
