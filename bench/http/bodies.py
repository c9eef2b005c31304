"""The three bodies, the same bytes on every run. Synthetic data only."""

import json
import random
from pathlib import Path

RESTRICTED = ("email", "phone", "iban")
RECORDS = {"user": 1, "list": 64, "bulk": 1024}
PATHS = {"user": "/user.json", "list": "/list.json", "bulk": "/bulk.ndjson"}
WORDS = 'lorem ipsum dolor sit amet consectetur "adipiscing" elit sed do eiusmod\ttempor '


def text(record):
    return json.dumps(record, separators=(",", ":"))


def record(number, size, dice):
    """One record of exactly `size` bytes, filled up with prose that contains escapes."""
    r = {
        "id": number,
        "uuid": f"{dice.getrandbits(128):032x}",
        "name": f"User Example {number:05}",
        "email": f"user{number:05}@example.com",
        "phone": f"+4930{dice.randrange(10**8):08}",
        "iban": f"DE{dice.randrange(10**20):020}",
        "created_at": "2024-05-06T07:08:09Z",
        "active": True,
        "score": round(dice.random() * 100, 3),
        "address": {
            "street": f"Musterstrasse {dice.randrange(200)}",
            "zip": f"{dice.randrange(10**5):05}",
            "city": "Berlin",
            "country": "DE",
        },
        "roles": ["reader", "writer", "auditor"],
        "tags": [f"a{dice.randrange(99):02}" for _ in range(6)],
        "prefs": {"lang": "de", "tz": "Europe/Berlin", "news": False, "theme": "dark"},
        "notes": "",
    }
    letters = 0
    while len(text(r)) < size:
        r["notes"] += WORDS[letters % len(WORDS)]
        letters += 1
    if len(text(r)) > size:
        r["notes"] = r["notes"][:-1]
    while len(text(r)) < size:
        r["notes"] += "x"
    return text(r)


def write(folder):
    """1 KiB: an object. 64 KiB: an array of 64. 1 MiB: 1024 lines."""
    dice = random.Random(7)
    records = {
        "user": record(1, 1024, dice),
        "list": "[" + ",".join(record(n, 1023, dice) for n in range(64)) + "]",
        "bulk": "".join(record(n, 1023, dice) + "\n" for n in range(1024)),
    }
    for name, path in PATHS.items():
        Path(folder, path[1:]).write_text(records[name])


def parse(name, body):
    """The records of a body."""
    if name == "bulk":
        return [json.loads(line) for line in body.splitlines()]
    value = json.loads(body)
    return value if name == "list" else [value]
