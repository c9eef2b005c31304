"""What looks like an identifier and is none: clean events are made of it, and every event holds some. The sets have their own."""
import base64, datetime, uuid

from national import digits, luhn

BASE = 1_780_000_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORD = "checkout catalogue search feed upload render encode sync billing mailer gateway worker scheduler index cache session export import report thumbnail".split()
AGENTS = ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Safari/537.36",
          "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
          "okhttp/4.12.0", "com.example.app/34.5.3 (Linux; U; Android 14; de_DE; Pixel 8; Build/UD1A.230803.041; Cronet/TTNetVersion:f9a2d0c1 2026-04-02)")


def when(r):
    return datetime.datetime.fromtimestamp(BASE + r.randrange(10**7), datetime.timezone.utc)


def ean(r, n):
    body = digits(r, n - 1)
    total = sum(int(c) * (3 if i % 2 == 0 else 1) for i, c in enumerate(reversed(body)))
    return body + str(-total % 10)


def hexes(r, n):
    return f"{r.getrandbits(4 * n):0{n}x}"


def snowflake(r):
    return 7_000_000_000_000_000_000 + r.getrandbits(58)


def ulid(r):
    return "01" + "".join(r.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))


def fields(r, noise, n):
    return {key: make(r) for key, make in r.sample(noise, n)}


def clean(r, noise, event, inside):
    """An event with nothing personal in it."""
    tree = {event: r.choice(WORD)} | fields(r, noise, r.randint(10, 16))
    inner = fields(r, noise, r.randint(3, 6))
    tree[inside] = inner if r.random() < 0.7 else [inner, fields(r, noise, 3)]
    return tree
