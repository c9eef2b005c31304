"""Parts of shapes that both sets use."""
import national, other
from noise import WORD, when
from tree import NATIONAL, SELF_EVIDENT, Inner, Label, Text, draw, evade, keyed, sentence
from words import KEYS, WORDS

DEVICE = ("imei", "imsi", "iccid", "adid", "androidid", "mac")


def some(r, which, kinds, context="keyed"):
    return dict(keyed(r, which, kind, context) for kind in kinds)


def ip(r):
    return r.choice(("ipv4", "ipv4", "ipv6"))


def place(r, latitudes, longitudes):
    i = r.randrange(3)
    latitude, longitude = other.latitude(r)[1], other.longitude(r)[1]
    return {latitudes[i]: Label("gps", "", latitude, "keyed", r.random() < 0.8), longitudes[i]: Label("gps", "", longitude, "keyed", r.random() < 0.8)}


def generic(r, key, beside):
    """A key that says "an identifier of the state" and a country beside it."""
    label = draw(r, r.choice(NATIONAL), "generic")
    return {beside: label.country, key: label}


def table(r, which, columns, rows):
    """A head and rows for CSV: cells are strings or labels."""
    kinds = r.sample(("name", "email", "phone", "iban", "birth", "postcode", "card", "ipv4"), 3) + r.sample(NATIONAL, 4)
    first, second, third = columns
    yield [first] + [r.choice(KEYS[which][k]) for k in kinds] + [second, third]
    for _ in range(rows):
        yield [str(r.randrange(10**9))] + [draw(r, k, "csv") for k in kinds] + [f"{when(r):%Y-%m-%d %H:%M:%S}", str(r.randrange(10**6))]
