"""One endpoint asks the others of its app, at the addresses that the running app knows."""

import json
import urllib.request

import modal

stub = modal.Stub("directory")
SERVICES = ["hours", "menu"]


@stub.webhook
def hours(day: str = "monday"):
    return "closed" if day == "sunday" else "9 to 17"


@stub.webhook
def menu(meat: bool = True):
    return ["soup", "stew" if meat else "salad"]


@stub.webhook
def front():
    answers = {}
    for name in SERVICES:
        url = modal.container_app[name].web_url
        with urllib.request.urlopen(url, timeout=30) as answer:
            answers[name] = json.load(answer)
    with urllib.request.urlopen(modal.container_app.hours.web_url + "?day=sunday", timeout=30) as answer:
        answers["sunday"] = json.load(answer)
    return answers


if __name__ == "__main__":
    stub.serve()
