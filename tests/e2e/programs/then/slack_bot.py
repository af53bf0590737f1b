"""Answers slash commands of a chat, after a look at the signature that came with them."""

import hashlib
import hmac
import os
from urllib.parse import parse_qs

import modal
from fastapi import HTTPException, Request

stub = modal.Stub(secrets=[modal.Secret({"BOT_NAME": "nobody", "BOT_ROOM": "general"})])


def check(request: Request, body: bytes):
    stamp = request.headers.get("x-slack-request-timestamp", "")
    key = os.environ["SLACK_SIGNING_SECRET"].encode()
    expected = "v0=" + hmac.new(key, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-slack-signature", "")):
        raise HTTPException(401, "bad signature")


@stub.webhook(
    method="POST",
    secret=modal.Secret({"SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99yyyzzz85a5"}),
    secrets=[modal.Secret({"BOT_NAME": "parrot"})],
)
async def command(request: Request):
    body = await request.body()
    check(request, body)
    form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
    print(f"{form['user_name']} says {form['text']}")
    return {
        "response_type": "in_channel",
        "username": os.environ["BOT_NAME"],
        "channel": os.environ["BOT_ROOM"],
        "text": f"{form['text']}, {form['user_name']}!",
    }


if __name__ == "__main__":
    stub.deploy("slack-bot")
