"""Set B: kept apart. Nobody who makes a scanner reads this file, `words_b.txt`, or what the harness missed in it."""
from noise import *
from shapes import *

LATITUDE, LONGITUDE = ('Lat', 'geoLat', 'latitudeDeg'), ('Lng', 'geoLng', 'longitudeDeg')
COLUMNS = ("seq", "changedOn", "weight")
# {w} is the word beside, {x} the identifier.
SENTENCES = {
    "de": ("Bitte {w} {x} im Konto hinterlegen", "({w} {x}) stimmt nicht mehr; ich zog um"), "nl": ("Graag {w} {x} verwijderen aub", "klant belde over [{w}: {x}]"),
    "bg": ("Клиентът посочи {w} {x} по телефона", "({w} {x})"), "hr": ("Korisnik navodi {w}={x} u prijavi", "prijava ({w}: {x}) odbijena"), "el": ("Παρακαλώ αλλάξτε ({w} {x}) στον λογαριασμό", "ο πελάτης έδωσε {w} {x}"),
    "cs": ("Prosím opravte {w} {x} v profilu", "zákazník uvedl ({w}: {x})"), "da": ("Kunden oplyser {w} {x} i chatten", "slet venligst ({w}: {x})"), "sv": ("Kunden uppger {w} {x} i chatten", "radera ({w}: {x}) tack"),
    "et": ("Klient teatas {w} {x} vestluses", "kustutage ({w}: {x})"), "lt": ("Klientas nurodė {w} {x} pokalbyje", "ištrinkite ({w}: {x})"), "lv": ("Klients norādīja {w} {x} sarunā", "dzēst ({w}: {x})"),
    "fi": ("Asiakas ilmoitti: {w} {x} chatissa", "poistakaa ({w}: {x})"), "fr": ("Le client indique {w} {x} dans le chat", "supprimez ({w}: {x}) svp"), "hu": ("Az ügyfél ezt adta meg: {w} {x}", "törölni ({w}: {x})"),
    "en": ("Customer quoted {w} {x} over chat", "pls delete ({w}: {x}) from file"), "it": ("Il cliente riporta {w} {x} nella chat", "cancellare ({w}: {x})"), "pl": ("Klient podał {w} {x} na czacie", "usunąć ({w}: {x})"),
    "pt": ("O cliente indicou {w} {x} no chat", "apagar ({w}: {x})"), "ro": ("Clientul a indicat {w} {x} pe chat", "ștergeți ({w}: {x})"), "es": ("El cliente indica {w} {x} en el chat", "borrar ({w}: {x})"), "is": ("Viðskiptavinur gaf upp {w} {x} í spjalli", "eyða ({w}: {x})"),
}
NOISE = (
    ("correlationId", ulid), ("eventTimeMicros", lambda r: (BASE + r.randrange(10**7)) * 10**6 + r.randrange(10**6)), ("sequence", lambda r: r.randrange(10**12)), ("deliveryNote", lambda r: f"80{digits(r, 6)}"),
    ("parcel", lambda r: f"JJD{digits(r, 18)}"), ("gtin", lambda r: ean(r, 14)), ("containerNo", lambda r: f"MSKU{digits(r, 7)}"), ("histogram", lambda r: [r.randrange(10**5) for _ in range(8)]),
    ("_id", lambda r: {"$oid": hexes(r, 24)}), ("crc32", lambda r: hexes(r, 8)), ("kernel", lambda r: f"5.10.0-{r.randrange(40)}-amd64"), ("image", lambda r: f"app/{r.choice(WORD)}:1.{r.randrange(40)}.{r.randrange(9)}@sha256:{hexes(r, 64)}"),
    ("uptime", lambda r: f"{r.randrange(99)} days, {r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}"), ("fingerprint", lambda r: f"SHA256:{base64.b64encode(r.randbytes(32)).decode()[:-1]}"), ("window", lambda r: "08:00-16:30"),
    ("@timestamp", lambda r: f"{when(r):%Y-%m-%dT%H:%M:%S}.{digits(r, 6)}+00:00"), ("lsn", lambda r: f"{hexes(r, 2).upper()}/{hexes(r, 8).upper()}"), ("txid", lambda r: r.randrange(10**8, 10**9)), ("epoch", lambda r: float(f"{BASE + r.randrange(10**7)}.{digits(r, 6)}")),
    ("articleNo", lambda r: f"{r.randrange(10**3):03}.{digits(r, 3)}.{digits(r, 2)}"), ("basketId", lambda r: digits(r, 11)), ("ticketNo", lambda r: f"#{digits(r, 7)}"), ("po_number", lambda r: f"45{digits(r, 8)}"), ("batchNo", lambda r: f"L{digits(r, 9)}"),
    ("mediaId", lambda r: str(snowflake(r))), ("actorId", snowflake), ("sessionCount", lambda r: r.randrange(10**4)), ("phoneVerified", lambda r: True), ("mailQueueLength", lambda r: r.randrange(10**5)), ("passwordChangedAt", lambda r: f"{when(r):%Y-%m-%d %H:%M:%S}"),
    ("bytesOut", lambda r: str(r.randrange(10**r.randint(4, 11)))), ("p99", lambda r: r.random() * 1000), ("matrix", lambda r: [[round(r.uniform(-1, 1), 6) for _ in range(3)] for _ in range(2)]), ("checksum", lambda r: base64.b64encode(r.randbytes(16)).decode()),
    ("uri", lambda r: f"/v3/orders/{digits(r, 10)}/lines/{r.randrange(99)}?page={r.randrange(999)}&ts={BASE + r.randrange(10**7)}"), ("gitRef", lambda r: f"refs/heads/main@{hexes(r, 7)}"), ("note", lambda r: f"moved {r.randrange(10**7)} of {r.randrange(10**8)} blocks, eta {r.randrange(60)}:{r.randrange(60):02}"),
    ("quota", lambda r: {"used": r.randrange(10**10), "limit": 10**10}), ("weight", lambda r: f"{r.randrange(99)},{digits(r, 3)} kg"), ("total", lambda r: f"{r.randrange(1, 99)} {digits(r, 3)} {digits(r, 3)},{digits(r, 2)}"), ("module", lambda r: r.choice(WORD)), ("accountingPeriod", lambda r: f"2026{r.randint(1, 12):02}"),
    ("frame", lambda r: f"{r.randrange(10**5)}/{r.randrange(10**5)}"), ("gitDescribe", lambda r: f"v2.{r.randrange(30)}.{r.randrange(9)}-{r.randrange(200)}-g{hexes(r, 7)}"), ("lotSerial", lambda r: f"{digits(r, 4)}-{digits(r, 4)}-{digits(r, 4)}"), ("agent", lambda r: r.choice(AGENTS).replace("126.0.6478.127", "127.0.6533.72")),
    ("cvssVector", lambda r: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), ("buildUuid", lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)).upper()),
)


def b_cdc(r):
    kinds = [r.choice(NATIONAL), "email", r.choice(("phone", "iban", "birth")), "name"]
    return {"op": "u", "source": {"db": "crm", "lsn": r.randrange(10**11)}, "before": some(r, "b", kinds), "after": some(r, "b", kinds), "ts_us": 1780000000000000 + r.randrange(10**12)} | fields(r, NOISE, 8)


def b_attributes(r):
    rows = [dict(zip(("name", "value"), keyed(r, "b", kind, "sibling"))) for kind in (r.choice(NATIONAL), r.choice(NATIONAL), "email", "phone")]
    return {"type": "form.submitted", "attributes": rows} | fields(r, NOISE, 9)


def b_graph(r):
    nodes = [{"node": some(r, "b", ["name", "email", r.choice(NATIONAL)]) | fields(r, NOISE, 3)} for _ in range(2)]
    return {"data": {"viewer": {"people": {"edges": nodes, "totalCount": r.randrange(10**5)}}}} | fields(r, NOISE, 4)


def b_prefixed(r):
    prefix = r.choice(("customer_", "applicant.", "x-", "holder:"))
    return {"type": "case.opened", **{prefix + k: v for k, v in some(r, "b", ["phone", "iban", r.choice(NATIONAL), r.choice(NATIONAL)]).items()}} | generic(r, r.choice(("identityNumber", "tin", "gov_id")), "nationality") | fields(r, NOISE, 9)


def b_chat(r):
    said = []
    for kind in (r.choice(NATIONAL), r.choice(("email", "phone", "iban", "card", "birth") + NATIONAL), r.choice(NATIONAL)):
        said.append({"from": r.choice(("agent", "customer")), "at": f"{when(r):%H:%M}", "text": Text(*sentence(r, "b", SENTENCES, kind))})
    return {"type": "chat.closed", "transcript": said} | fields(r, NOISE, 8)


def b_logfmt(r):
    kind = r.choice(NATIONAL)
    label = draw(r, kind, "logfmt")
    return {"level": "INFO", "msg": Text(f"user saved {r.choice(KEYS['b'][kind])}=", label, " addr=", draw(r, ip(r), "logfmt"), f" took={r.randrange(999)}ms uid={r.randrange(10**9)}")} | some(r, "b", ["token"]) | fields(r, NOISE, 10)


def b_device(r):
    device = {"hardware": some(r, "b", r.sample(DEVICE, 3)), "locale": "pl-PL"}
    return {"type": "app.opened", "client": [device]} | some(r, "b", [ip(r), "gps"]) | place(r, LATITUDE, LONGITUDE) | fields(r, NOISE, 9)


def b_parent(r):
    kind, second = r.choice(NATIONAL), r.choice(NATIONAL)
    return {"type": "check", "subject": {r.choice(KEYS["b"][kind]): {"raw": draw(r, kind, "nested"), "source": "ocr"}, r.choice(KEYS["b"][second]): [{"current": draw(r, second, "nested")}]}} | some(r, "b", ["birth", "postcode", "address"]) | fields(r, NOISE, 9)


def b_list(r):
    kind = r.choice(NATIONAL)
    return {"type": "bulk", r.choice(KEYS["b"][kind]): [draw(r, kind, "array", r.random() < 0.3) for _ in range(r.randint(3, 5))], "mails": [draw(r, "email", "array")]} | some(r, "b", ["card", "bic"]) | fields(r, NOISE, 9)


def b_columns(r):
    kinds = [r.choice(NATIONAL), "email", r.choice(NATIONAL)]
    return {"type": "table", "columns": [r.choice(KEYS["b"][k]) for k in kinds] + ["n"], "rows": [[draw(r, k, "columns") for k in kinds] + [r.randrange(10**8)] for _ in range(2)]} | fields(r, NOISE, 8)


def b_inner(r):
    return {"type": "message", "Records": [{"body": Inner({"user": some(r, "b", [r.choice(NATIONAL), "email", "iban"], "jsonstring")} | fields(r, NOISE, 3))}]} | fields(r, NOISE, 8)


def b_secrets(r):
    return {"type": "proxy", "env": [Text("AUTH=", draw(r, "apikey", "header")), Text("authorization: bearer ", draw(r, r.choice(("jwt", "token")), "header"))], "settings": some(r, "b", ["apikey", "password", "jwt", "token"])} | fields(r, NOISE, 8)


def b_bare(r):
    return {"type": "search", "term": draw(r, r.choice(SELF_EVIDENT), "bare"), "tags": ["x", draw(r, r.choice(SELF_EVIDENT), "bare")], "byUser": {draw(r, r.choice(("email", "iban", "phone")), "askey"): {"hits": r.randrange(99)}}} | fields(r, NOISE, 10)


def b_evasion(r):
    kind = r.choice(("email", "iban", "card", "phone") + NATIONAL)
    label = draw(r, kind, "evasion")
    return {"type": "upload", "meta": {r.choice(KEYS["b"][kind]): evade(r, label)}} | fields(r, NOISE, 12)


SHAPES = ((b_cdc, 5), (b_attributes, 3), (b_graph, 4), (b_prefixed, 4), (b_chat, 4), (b_logfmt, 2), (b_device, 4), (b_parent, 3), (b_list, 3), (b_columns, 1), (b_inner, 1), (b_secrets, 2), (b_bare, 2), (b_evasion, 1))
