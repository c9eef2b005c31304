"""Set A: what may be looked at while a scanner is made."""
from noise import *
from shapes import *

LATITUDE, LONGITUDE = ('lat', 'latitude', 'gps_lat'), ('lon', 'longitude', 'gps_lon')
COLUMNS = ("id", "created_at", "count")
# {w} is the word beside, {x} the identifier.
SENTENCES = {
    "de": ("Meine {w} lautet {x}, bitte ändern Sie das.", "Guten Tag, {w}: {x}. Danke!"), "nl": ("Mijn {w} is {x}, kunt u dat aanpassen?", "Dag, {w} {x} klopt niet."),
    "bg": ("Моят {w} е {x}, моля проверете.", "{w}: {x} е грешен"), "hr": ("Moj {w} je {x}, molim provjerite.", "{w} {x} nije točan."), "el": ("Το {w} μου είναι {x}.", "{w}: {x}, ευχαριστώ"),
    "cs": ("Moje {w} je {x}, děkuji.", "Dobrý den, {w} {x} nesouhlasí."), "da": ("Mit {w} er {x}, tak.", "Hej, {w}: {x} er forkert"), "sv": ("Mitt {w} är {x}, tack.", "Hej! {w} {x} stämmer inte."),
    "et": ("Minu {w} on {x}, palun kontrollige.", "{w}: {x}"), "lt": ("Mano {w} yra {x}, ačiū.", "{w}: {x} neteisingas"), "lv": ("Mans {w} ir {x}, paldies.", "{w}: {x}"),
    "fi": ("Minun {w} on {x}, kiitos.", "Hei, {w}: {x} on väärin"), "fr": ("Mon {w} est {x}, merci de corriger.", "Bonjour, {w} : {x}"), "hu": ("A {w} {x}, köszönöm.", "Üdv, {w}: {x}"),
    "en": ("My {w} is {x}, please update it.", "Hello, {w}: {x} is wrong."), "it": ("Il mio {w} è {x}, grazie.", "Salve, {w}: {x}"), "pl": ("Mój {w} to {x}, proszę o zmianę.", "Dzień dobry, {w}: {x}"),
    "pt": ("O meu {w} é {x}, obrigado.", "Olá, {w}: {x}"), "ro": ("{w} meu este {x}, mulțumesc.", "Bună ziua, {w}: {x}"), "es": ("Mi {w} es {x}, gracias.", "Hola, {w}: {x}"), "is": ("{w} mín er {x}, takk.", "Halló, {w}: {x}"),
}
NOISE = (
    ("order_id", lambda r: r.randrange(10**9, 10**10)), ("order_no", lambda r: f"ORD-2026-{digits(r, 6)}"), ("invoice", lambda r: f"INV-{digits(r, 7)}"),
    ("invoice_number", lambda r: f"0{digits(r, 7)}-{digits(r, 2)}"), ("ts", lambda r: BASE + r.randrange(10**7)), ("ts_ms", lambda r: (BASE + r.randrange(10**7)) * 1000 + r.randrange(1000)),
    ("ts_ns", lambda r: (BASE + r.randrange(10**7)) * 10**9 + r.randrange(10**9)), ("created_at", lambda r: f"{when(r):%Y-%m-%dT%H:%M:%S}.{digits(r, 3)}Z"),
    ("request_id", lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4))), ("trace_id", lambda r: hexes(r, 32)), ("span_id", lambda r: hexes(r, 16)),
    ("commit", lambda r: hexes(r, 40)), ("etag", lambda r: f'W/"{hexes(r, 10)}-{hexes(r, 4)}"'), ("version", lambda r: f"{r.randrange(40)}.{r.randrange(30)}.{r.randrange(20)}"),
    ("build", lambda r: f"{when(r):%Y%m%d}.{r.randrange(10**4)}"), ("ua", lambda r: r.choice(AGENTS)), ("user_id", snowflake), ("video_id", lambda r: str(snowflake(r))),
    ("count", lambda r: r.randrange(10**r.randint(1, 9))), ("bytes", lambda r: r.randrange(10**r.randint(3, 12))), ("price", lambda r: round(r.random() * 900, 2)),
    ("duration_ms", lambda r: r.randrange(10**6)), ("score", lambda r: r.random()), ("sku", lambda r: f"{''.join(r.choices(LETTERS, k=2))}-{digits(r, 6)}"),
    ("tracking", lambda r: "0034043" + digits(r, 13)), ("ean", lambda r: ean(r, 13)), ("sha256", lambda r: hexes(r, 64)), ("cursor", lambda r: base64.b64encode(r.randbytes(27)).decode()),
    ("url", lambda r: f"https://cdn.example/v/{snowflake(r)}/{r.randrange(720)}p.mp4?x={digits(r, 8)}&sig={hexes(r, 24)}"), ("resolution", lambda r: "1920x1080"), ("color", lambda r: f"#{hexes(r, 6)}"),
    ("port", lambda r: r.randrange(1024, 65536)), ("offset", lambda r: r.randrange(10**11)), ("shard", lambda r: f"eu-{r.randrange(9)}-{digits(r, 5)}"), ("reference", lambda r: digits(r, 10)),
    ("path", lambda r: f"/api/v2/items/{digits(r, 9)}/{r.choice(WORD)}"), ("message", lambda r: f"processed {r.randrange(10**6)} rows of {r.randrange(10**9)} in {r.randrange(10**5)} ms"),
    ("service", lambda r: r.choice(WORD)), ("isbn", lambda r: f"978-3-16-{digits(r, 6)}-{r.randrange(10)}"), ("email_verified", lambda r: r.random() < 0.5), ("card_type", lambda r: "visa"),
    ("position", lambda r: [round(r.random() * 2000, 3), round(r.random() * 1000, 3)]), ("samples", lambda r: [r.randrange(10**4) for _ in range(r.randint(3, 12))]), ("region", lambda r: f"eu-west-{r.randint(1, 3)}"),
    ("retry_after", lambda r: r.randrange(3600)), ("amount", lambda r: f"{r.randrange(1, 999)}.{digits(r, 3)},{digits(r, 2)}"), ("ip_count", lambda r: r.randrange(9)), ("token_count", lambda r: r.randrange(10**4)),
)


def a_profile(r):
    user = some(r, "a", ["name", "email", "phone", r.choice(NATIONAL), r.choice(("birth", "postcode", "address"))])
    return {"event": "profile_update", "user_id": 7 * 10**18 + r.getrandbits(58), "profile": user} | fields(r, NOISE, 9)


def a_kyc(r):
    kind = r.choice(NATIONAL)
    document = {"type": r.choice(KEYS["a"][kind]), "number": draw(r, kind, "sibling"), "checked": True}
    return {"event": "kyc", "document": document, "applicant": some(r, "a", ["name", "birth", r.choice(NATIONAL)])} | fields(r, NOISE, 9)


def a_nested(r):
    kind, second = r.choice(NATIONAL), r.choice(NATIONAL)
    return {"event": "verify", r.choice(KEYS["a"][kind]): {"value": draw(r, kind, "nested"), "verified": r.random() < 0.5},
            "owner": {"contact": some(r, "a", ["email", "phone"]), "ids": some(r, "a", [second])}} | fields(r, NOISE, 9)


def a_payment(r):
    money = some(r, "a", [r.choice(("iban", "card")), r.choice(("bic", "iban")), r.choice(NATIONAL)])
    return {"event": "payment", "amount": r.randrange(10**5) / 100, "currency": "EUR", "method": money} | fields(r, NOISE, 10)


def a_login(r):
    device = some(r, "a", r.sample(DEVICE, 2))
    return {"event": "login", "device": device} | some(r, "a", [ip(r), "token"]) | place(r, LATITUDE, LONGITUDE) | fields(r, NOISE, 10)


def a_batch(r):
    kind = r.choice(NATIONAL)
    return {"event": "import", r.choice(KEYS["a"][kind]) + r.choice(("", "s", "_list")): [draw(r, kind, "array") for _ in range(r.randint(2, 4))],
            "recipients": [draw(r, "email", "array") for _ in range(2)]} | fields(r, NOISE, 10)


def a_ticket(r):
    parts = []
    for kind in (r.choice(NATIONAL), r.choice(("email", "phone", "iban", "card", "birth") + NATIONAL)):
        parts += sentence(r, "a", SENTENCES, kind) + [" "]
    return {"event": "ticket", "subject": r.choice(WORD), "body": Text(*parts)} | fields(r, NOISE, 9)


def a_flat(r):
    kind = r.choice(NATIONAL)
    return {"event": "audit", **{f"user.{k}": v for k, v in some(r, "a", ["email", "phone", ip(r)]).items()}, **{f"kyc.{k}": v for k, v in some(r, "a", [kind]).items()}} | generic(r, r.choice(("national_id", "tax_id", "personal_id")), "country") | fields(r, NOISE, 9)


def a_advert(r):
    return {"event": "ad_view", "campaign": r.randrange(10**8)} | some(r, "a", ["adid", ip(r), r.choice(DEVICE[:3]), "gps", "postcode"]) | fields(r, NOISE, 10)


def a_inner(r):
    return {"event": "webhook", "payload": Inner(some(r, "a", [r.choice(NATIONAL), "email", "phone"], "jsonstring") | fields(r, NOISE, 4))} | fields(r, NOISE, 8)


def a_secrets(r):
    headers = {"Authorization": Text("Bearer ", draw(r, r.choice(("jwt", "token")), "header")), "Cookie": Text("theme=dark; session_id=", draw(r, "token", "header"), "; v=3"), "User-Agent": "okhttp/4.12.0"}
    return {"event": "debug", "headers": headers, "config": some(r, "a", ["apikey", "password", "jwt"])} | fields(r, NOISE, 8)


def a_url(r):
    email = draw(r, "email", "url")
    email.text = email.text.replace("@", "%40").replace("+", "%2B")
    return {"event": "page", "link": Text("https://www.example/reset?mail=", email, "&phone=", draw(r, "phone", "url"), "&lang=de"), "note": Text("ip=", draw(r, ip(r), "logfmt"), " path=/x status=200")} | fields(r, NOISE, 10)


def a_bare(r):
    return {"event": "form", "value": draw(r, r.choice(SELF_EVIDENT), "bare"), "q": draw(r, r.choice(SELF_EVIDENT), "bare"), "limits": {draw(r, r.choice(("email", "iban", "phone")), "askey"): r.randrange(9)}} | fields(r, NOISE, 10)


def a_evasion(r):
    kind = r.choice(("email", "iban", "card", "phone") + NATIONAL)
    key, label = keyed(r, "a", kind, "evasion")
    label.number = False
    half = r.choice(("iban", "card"))
    key2, split = keyed(r, "a", half, "evasion:split")
    cut = len(split.text) // 2
    parts = {f"{key2}_{i}": Label(half, split.country, text, "evasion:split") for i, text in ((1, split.text[:cut]), (2, split.text[cut:]))}
    return {"event": "import", key: evade(r, label)} | parts | fields(r, NOISE, 10)


SHAPES = ((a_profile, 5), (a_kyc, 3), (a_nested, 3), (a_payment, 4), (a_login, 4), (a_batch, 3), (a_ticket, 4), (a_flat, 3), (a_advert, 3), (a_inner, 1), (a_secrets, 2), (a_url, 1), (a_bare, 2), (a_evasion, 1))
