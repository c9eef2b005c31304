"""Set C: held out, written after sets A and B were used, from what feeds look like and not from any rule."""
from noise import *
from shapes import *

LATITUDE, LONGITUDE = ("latitude_deg", "position_lat", "geo.lat"), ("longitude_deg", "position_lng", "geo.lng")
COLUMNS = ("row_id", "updated", "quantity")
# {w} is the word beside, {x} the identifier.
SENTENCES = {
    "de": ("Hallo zusammen, unter {w} {x} bin ich bei Ihnen geführt.", "{w}: {x} (siehe Anhang)", "Bitte tragen Sie als {w} {x} ein!"), "nl": ("Ik ben bekend onder {w} {x}.", "Graag {w} wijzigen naar {x}, dank u"),
    "bg": ("Здравейте, {w} {x}, изпратих документите.", "Въведете {w}: {x}."), "hr": ("Poštovani, {w}: {x}, hvala.", "Unesite {w} {x} u obrazac."), "el": ("Καλησπέρα, {w} {x}, παρακαλώ ελέγξτε.", "Δηλώνω {w}: {x}"),
    "cs": ("Prosím doplňte {w} {x} do smlouvy.", "{w}: {x}, s pozdravem"), "da": ("Kan I rette {w} til {x}?", "{w}: {x}, mvh"), "sv": ("Kan ni ändra {w} till {x}?", "{w}: {x}, mvh"),
    "et": ("Palun lisage {w} {x}.", "Tere! {w}: {x}, aitäh"), "lt": ("Prašau įrašyti {w} {x}.", "Sveiki, {w}: {x}"), "lv": ("Lūdzu ierakstiet {w} {x}.", "Labdien, {w}: {x}"),
    "fi": ("Voitteko korjata: {w} {x}?", "{w}: {x}, terveisin"), "fr": ("Bonjour, voici {w} : {x}, cordialement", "Dossier au {w} {x} à vérifier."), "hu": ("Kérem javítsák: {w} {x}.", "{w}: {x}, üdvözlettel"),
    "en": ("Hi team, the {w} on file should be {x}", "Customer gave {w}: {x} over the phone", "pls fix ({w} {x}) asap"), "it": ("Buongiorno, {w} {x}, cordiali saluti.", "Inserire {w}: {x}"),
    "pl": ("Proszę wpisać {w} {x} w umowie.", "{w}: {x}, pozdrawiam"), "pt": ("Bom dia, {w}: {x}, cumprimentos", "Favor corrigir {w} para {x}."), "ro": ("Vă rog să treceți {w} {x} pe factură.", "{w}: {x}, cu stimă"),
    "es": ("Buenos días, {w}: {x}, un saludo", "Corregir {w} por {x}, por favor."), "is": ("Góðan dag, {w} {x}.", "{w}: {x}, kveðja"),
}
NOISE = (
    ("eventId", lambda r: str(uuid.UUID(int=(BASE * 1000 + r.randrange(10**10)) << 80 | 7 << 76 | r.getrandbits(12) << 64 | 2 << 62 | r.getrandbits(62)))), ("seq", lambda r: r.randrange(10**r.randint(4, 12))), ("timestamp", lambda r: f"{when(r):%Y-%m-%dT%H:%M:%S}+02:00"),
    ("ingestedAt", lambda r: f"{when(r):%Y-%m-%d %H:%M:%S}.{digits(r, 6)} UTC"), ("epochMicros", lambda r: (BASE + r.randrange(10**7)) * 10**6 + r.randrange(10**6)), ("shipmentNo", lambda r: f"SHP{digits(r, 10)}"),
    ("parcel", lambda r: "JJD" + digits(r, 18)), ("ticketRef", lambda r: f"{r.choice(('INC', 'CHG', 'REQ'))}{digits(r, 7)}"), ("poNumber", lambda r: "45" + digits(r, 8)), ("gtin", lambda r: ean(r, 13)), ("upc", lambda r: ean(r, 12)),
    ("batch", lambda r: f"L{digits(r, 5)}-{digits(r, 3)}/{r.randint(20, 29)}"), ("hash", lambda r: "sha256:" + hexes(r, 64)), ("md5", lambda r: hexes(r, 32)), ("traceparent", lambda r: f"00-{hexes(r, 32)}-{hexes(r, 16)}-01"),
    ("ulid", ulid), ("imageTag", lambda r: f"registry.example/{r.choice(WORD)}:{r.randint(1, 9)}.{r.randint(0, 20)}.{r.randint(0, 99)}-{hexes(r, 7)}"), ("semver", lambda r: f"v{r.randint(0, 12)}.{r.randint(0, 40)}.{r.randint(0, 9)}-rc.{r.randint(1, 5)}"),
    ("firmware", lambda r: f"{r.randint(1, 20)}.{r.randint(0, 9)}.{r.randint(0, 300)}.{r.randint(0, 9999)}"), ("frameTimes", lambda r: [round(r.uniform(3, 40), 4) for _ in range(r.randint(4, 10))]), ("histogram", lambda r: [r.randrange(10**r.randint(1, 6)) for _ in range(8)]),
    ("bbox", lambda r: [r.randrange(4000) for _ in range(4)]), ("matrix", lambda r: [[round(r.gauss(0, 1), 5) for _ in range(3)] for _ in range(2)]), ("unitPrice", lambda r: f"{r.randrange(1, 9999)},{digits(r, 2)} EUR"),
    ("total", lambda r: f"€ {r.randrange(1, 99)}.{digits(r, 3)},{digits(r, 2)}"), ("weightKg", lambda r: round(r.uniform(0.1, 900), 3)), ("dims", lambda r: f"{r.randint(1, 200)} x {r.randint(1, 200)} x {r.randint(1, 200)} cm"),
    ("flight", lambda r: f"LH{r.randint(100, 9999)}"), ("licenseKey", lambda r: "-".join("".join(r.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=4)) for _ in range(3))), ("articleNo", lambda r: f"{digits(r, 3)}.{digits(r, 3)}.{digits(r, 2)}"),
    ("dinNumber", lambda r: f"DIN EN ISO {r.randint(1000, 99999)}:20{r.randint(10, 25)}"), ("range", lambda r: f"{(a := r.randrange(10**6))}-{a + r.randrange(10**4)}/{a + 10**6}"), ("window", lambda r: f"{when(r):%Y%m%d}/{when(r):%Y%m%d}"),
    ("objectKey", lambda r: f"prod/{when(r):%Y/%m/%d}/part-{digits(r, 5)}-{uuid.UUID(int=r.getrandbits(128), version=4)}.parquet"), ("thumb", lambda r: f"https://img.example/t/{hexes(r, 2)}/{hexes(r, 24)}_{r.choice((320, 640, 1280))}.webp?v={BASE + r.randrange(10**7)}"),
    ("clickUrl", lambda r: f"https://shop.example/p/{r.choice(WORD)}-{digits(r, 8)}?utm_source=news&utm_id={digits(r, 9)}"), ("agent", lambda r: r.choice(AGENTS)), ("logLine", lambda r: f"[{when(r):%d/%b/%Y:%H:%M:%S} +0000] worker-{r.randint(1, 99)} took {r.randrange(10**5)}us, {r.randrange(10**7)} bytes, offset {r.randrange(10**9)}"),
    ("stack", lambda r: f"at {r.choice(WORD)}.rs:{r.randrange(2000)}:{r.randrange(90)} (0x{hexes(r, 12)})"), ("pid", lambda r: r.randrange(1, 4194304)), ("listenAddr", lambda r: f"0.0.0.0:{r.randint(1024, 65535)}"), ("nextPage", lambda r: base64.urlsafe_b64encode(r.randbytes(33)).decode()),
    ("tweetId", lambda r: str(snowflake(r))), ("parentId", snowflake), ("ratio", lambda r: r.random()), ("flags", lambda r: f"0b{r.getrandbits(12):012b}"), ("colorRgb", lambda r: f"rgb({r.randrange(256)}, {r.randrange(256)}, {r.randrange(256)})"), ("enabled", lambda r: r.random() < 0.5),
    ("locale", lambda r: r.choice(("de-AT", "fr-BE", "pl-PL", "en-IE"))), ("queue", lambda r: f"{r.choice(WORD)}.{r.choice(WORD)}.v{r.randint(1, 4)}"), ("podName", lambda r: f"{r.choice(WORD)}-{hexes(r, 10)}-{''.join(r.choices('bcdfghjklmnpqrstvwxz2456789', k=5))}"),
    ("invoiceRef", lambda r: f"RE-20{r.randint(20, 26)}-{digits(r, 6)}"), ("accountRef", lambda r: f"{digits(r, 4)} {digits(r, 4)}"), ("caseNo", lambda r: f"{r.randint(1, 30)} C {r.randint(1, 999)}/{r.randint(20, 26)}"), ("serial", lambda r: f"SN{digits(r, 4)}-{digits(r, 4)}-{digits(r, 4)}"), ("meterReading", lambda r: digits(r, 8)),
    ("quarter", lambda r: f"Q{r.randint(1, 4)}/20{r.randint(10, 26)}"), ("period", lambda r: f"{when(r):%d.%m.%Y} - {when(r):%d.%m.%Y}"), ("emailCount", lambda r: r.randrange(10**4)), ("phoneModel", lambda r: f"SM-G{digits(r, 3)}B"), ("cardBrand", lambda r: r.choice(("visa", "mastercard"))), ("ibanChecked", lambda r: r.random() < 0.5),
)


def c_envelope(r):
    """A change event: what a row was before, and what it is now."""
    kinds = ("name", "email", r.choice(NATIONAL), r.choice(("phone", "iban", "birth", "address")))
    return {"op": "u", "source": fields(r, NOISE, 4), "before": some(r, "c", kinds), "after": some(r, "c", kinds)} | fields(r, NOISE, 5)


def c_patient(r):
    """Identifiers as health records list them: a system, and a value beside it."""
    kinds = r.sample(NATIONAL, 2)
    listed = [{"system": r.choice(KEYS["c"][kind]), "value": draw(r, kind, "sibling"), "use": "official"} for kind in kinds]
    return {"resource": "Patient", "identifier": listed, "telecom": [some(r, "c", ["phone"]), some(r, "c", ["email"])]} | some(r, "c", ["birth"]) | fields(r, NOISE, 8)


def c_order(r):
    buyer = some(r, "c", ["name", "email", "phone", "address", "postcode"])
    return {"orderPlaced": True, "buyer": buyer, "payment": some(r, "c", [r.choice(("card", "iban")), "bic"]), "lines": [fields(r, NOISE, 3) for _ in range(2)]} | some(r, "c", [r.choice(NATIONAL)])


def c_device(r):
    return {"telemetry": fields(r, NOISE, 7), "client": some(r, "c", [ip(r)] + r.sample(DEVICE, 3))} | place(r, LATITUDE, LONGITUDE) | fields(r, NOISE, 4)


def c_grid(r):
    """A result of a query: names of columns once, then rows."""
    kinds = r.sample(NATIONAL, 3) + ["email"]
    return {"resultSet": {"columns": [r.choice(KEYS["c"][k]) for k in kinds], "rows": [[draw(r, k, "columns") for k in kinds] for _ in range(3)]}} | fields(r, NOISE, 7)


def c_chat(r):
    parts = []
    for kind in (r.choice(NATIONAL), r.choice(("email", "phone", "iban", "card", "birth") + NATIONAL), r.choice(("phone", "email", "iban"))):
        parts += sentence(r, "c", SENTENCES, kind) + ["\n" if r.random() < 0.3 else " "]
    return {"channel": r.choice(WORD), "utterance": Text(*parts)} | fields(r, NOISE, 8)


def c_deep(r):
    """The telling name is two levels up."""
    kind = r.choice(NATIONAL)
    return {"claims": {r.choice(KEYS["c"][kind]): {"value": draw(r, kind, "nested"), "verified": True, "source": r.choice(WORD)}}, "household": {"ids": {r.choice(KEYS["c"][kind]): [draw(r, kind, "array") for _ in range(3)]}}} | fields(r, NOISE, 9)


def c_dotted(r):
    kind = r.choice(NATIONAL)
    flat = {f"{prefix}.{k}": v for prefix in ("applicant", "guarantor") for k, v in some(r, "c", ["name", "phone", kind]).items()}
    return flat | generic(r, r.choice(("identityNumber", "taxpayerNumber", "socialSecurityNumber")), "nationality") | fields(r, NOISE, 8)


def c_log(r):
    headers = {"authorization": Text("Bearer ", draw(r, r.choice(("jwt", "token")), "header")), "x-forwarded-for": draw(r, ip(r), "header"), "set-cookie": Text("sid=", draw(r, "token", "header"), "; Path=/; HttpOnly; SameSite=Lax")}
    line = Text("level=warn client=", draw(r, "ipv4", "logfmt"), " user=", draw(r, "email", "logfmt"), f" dur={r.randrange(10**4)}ms")
    return {"request": {"headers": headers, "line": line}, "env": some(r, "c", ["apikey", "password", "jwt"])} | fields(r, NOISE, 7)


def c_inner(r):
    return {"topic": r.choice(WORD), "message": Inner(some(r, "c", [r.choice(NATIONAL), "iban", "email"], "jsonstring") | fields(r, NOISE, 5))} | fields(r, NOISE, 6)


def c_bare(r):
    answers = [draw(r, r.choice(SELF_EVIDENT), "bare") for _ in range(3)]
    return {"survey": r.choice(WORD), "answers": answers, "byContact": {draw(r, r.choice(("email", "iban", "phone")), "askey"): r.randrange(99)}} | fields(r, NOISE, 9)


def c_link(r):
    email = draw(r, "email", "url")
    email.text = email.text.replace("@", "%40").replace("+", "%2B")
    return {"referrer": Text("https://app.example/invite/", email, "/accept?ref=42"), "deeplink": Text("app://call?number=", draw(r, "phone", "url"), "&src=", r.choice(WORD))} | fields(r, NOISE, 9)


def c_evasion(r):
    label = keyed(r, "c", r.choice(("email", "iban", "card", "phone") + NATIONAL), "evasion")
    label[1].number = False
    return {"blob": {label[0]: evade(r, label[1])}} | fields(r, NOISE, 10)


SHAPES = ((c_envelope, 5), (c_patient, 3), (c_order, 4), (c_device, 4), (c_grid, 3), (c_chat, 4), (c_deep, 3), (c_dotted, 3), (c_log, 2), (c_inner, 1), (c_bare, 2), (c_link, 1), (c_evasion, 1))
