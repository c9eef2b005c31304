"""JSON with labels: writes a tree and remembers where in the bytes each labelled value stands."""
import base64, gzip, json
from json.encoder import encode_basestring, encode_basestring_ascii

import national, other
from words import KEYS, LANGUAGE, WORDS

OTHER = {
    "email": other.email, "ipv4": other.ipv4, "ipv6": other.ipv6, "mac": other.mac, "imei": other.imei, "imsi": other.imsi, "iccid": other.iccid,
    "adid": other.ad_id, "androidid": other.android_id, "iban": other.iban, "card": other.card, "bic": other.bic, "jwt": other.jwt, "token": other.token,
    "apikey": other.api_key, "password": other.password, "birth": other.birth, "postcode": other.postcode, "gps": other.gps, "name": other.name, "address": other.address,
}
NATIONAL = tuple(national.KINDS)
# What is told by its form alone, so that it may stand under any key.
SELF_EVIDENT = ("email", "phone", "ipv4", "ipv6", "mac", "iban", "card", "jwt", "apikey", "it.cf", "fi.hetu", "ch.ahv")


class Label:
    """A value that is to be found."""
    __slots__ = ("kind", "country", "text", "context", "number")

    def __init__(self, kind, country, text, context, number=False):
        self.kind, self.country, self.text, self.context, self.number = kind, country, text, context, number


class Text:
    """A string with labels in it."""
    __slots__ = ("parts",)

    def __init__(self, *parts):
        self.parts = parts


class Inner:
    """JSON inside a JSON string."""
    __slots__ = ("tree",)

    def __init__(self, tree):
        self.tree = tree


def draw(r, kind, context, number=False):
    if kind in national.KINDS:
        country, make, _ = national.KINDS[kind]
        text = make(r)
    elif kind == "phone":
        country, text = other.phone_international(r) if context in ("bare", "askey", "url") else other.phone(r)
    else:
        country, text = OTHER[kind](r)
    if number and text.isdigit() and text[0] != "0" and len(text) <= 16:
        return Label(kind, country, text, context, True)
    return Label(kind, country, text, context)


def mistyped(r, kind):
    """One digit is another than it should be."""
    label = draw(r, kind, "mistyped")
    places = [i for i, c in enumerate(label.text) if c.isdigit()]
    at = r.choice(places[-4:])
    label.text = label.text[:at] + str((int(label.text[at]) + r.randint(1, 9)) % 10) + label.text[at + 1:]
    return label


def keyed(r, which, kind, context="keyed"):
    """A telling key and its value."""
    if context == "keyed" and kind in national.KINDS and r.random() < 0.02:
        return r.choice(KEYS[which][kind]), mistyped(r, kind)
    return r.choice(KEYS[which][kind]), draw(r, kind, context, r.random() < 0.3 and kind not in ("postcode", "birth", "token", "password", "phone"))


def sentence(r, which, sentences, kind):
    label = draw(r, kind, "text")
    before, after = r.choice(sentences[LANGUAGE[label.country]]).replace("{w}", r.choice(WORDS[which][kind])).split("{x}")
    return [before, label, after]


def evade(r, label):
    """One of the spellings that hide a value; what is labelled is the whole spelling."""
    text, how = label.text, r.choice(("percent", "base64", "hex", "entity", "escape", "fullwidth", "zerowidth", "arabic", "gzip64"))
    data = text.encode()
    if how == "percent":
        text = "".join(f"%{b:02X}" for b in data) if r.random() < 0.5 else "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
        how = how if "%" in text else "plain"
    elif how == "base64":
        text = base64.b64encode(data).decode()
    elif how == "hex":
        text = data.hex()
    elif how == "entity":
        text = "".join(f"&#{ord(c)};" if r.random() < 0.5 else f"&#x{ord(c):x};" for c in text)
    elif how == "fullwidth":
        text = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    elif how == "zerowidth":
        text = "\u200b".join(text)
    elif how == "arabic":
        text = "".join(chr(0x660 + int(c)) if c in "0123456789" else c for c in text)
    elif how == "gzip64":
        text = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
    label.text, label.context = text, f"evasion:{how}"
    return label


class Writer:
    """Appends lines; `labels` holds (start, end, kind, country, context) in bytes of the whole."""

    def __init__(self):
        self.out, self.labels = bytearray(), []

    def line(self, tree):
        self.value(tree)
        self.out += b"\n"

    def mark(self, label, data):
        start = len(self.out)
        self.out += data
        self.labels.append((start, len(self.out), label.kind, label.country, label.context))

    def string(self, label):
        """The label's text as it stands between the quotes."""
        if label.context == "evasion:escape":
            return "".join(f"\\u{ord(c):04x}" for c in label.text).encode()
        # One in thirty writers escapes whatever is not ASCII.
        encode = encode_basestring_ascii if len(self.labels) % 30 == 0 else encode_basestring
        return encode(label.text)[1:-1].encode()

    def value(self, v):
        out = self.out
        if isinstance(v, Label):
            if v.number:
                self.mark(v, v.text.encode())
            else:
                out += b'"'
                self.mark(v, self.string(v))
                out += b'"'
        elif isinstance(v, dict):
            sep = b"{"
            for key, item in v.items():
                out += sep
                if isinstance(key, Label):
                    out += b'"'
                    self.mark(key, self.string(key))
                    out += b'":'
                else:
                    out += f"{encode_basestring(key)}:".encode()
                self.value(item)
                sep = b","
            out += b"}" if v else b"{}"
        elif isinstance(v, (list, tuple)):
            out += b"["
            for i, item in enumerate(v):
                if i:
                    out += b","
                self.value(item)
            out += b"]"
        elif isinstance(v, Text):
            out += b'"'
            for part in v.parts:
                if isinstance(part, Label):
                    self.mark(part, self.string(part))
                else:
                    out += encode_basestring(part)[1:-1].encode()
            out += b'"'
        elif isinstance(v, Inner):
            self.inner(v.tree)
        else:
            out += json.dumps(v, ensure_ascii=False).encode()

    def inner(self, tree):
        inner = Writer()
        inner.value(tree)
        self.out += b'"'
        at = 0
        for start, end, kind, country, context in inner.labels:
            self.out += encode_basestring(inner.out[at:start].decode())[1:-1].encode()
            self.mark(Label(kind, country, "", context), encode_basestring(inner.out[start:end].decode())[1:-1].encode())
            at = end
        self.out += encode_basestring(inner.out[at:].decode())[1:-1].encode() + b'"'
