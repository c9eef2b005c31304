"""Everything that is no national identifier: each function takes a `random.Random` and returns (country or "", text)."""
import base64, json, unicodedata, uuid

from national import born, digits, luhn

# Structure of the account part, by the SWIFT IBAN registry: n digits, a letters, c either.
IBAN = {
    "AT": "n16", "BE": "n12", "BG": "a4 n6 c8", "HR": "n17", "CY": "n8 c16", "CZ": "n20", "DK": "n14", "EE": "n16", "FI": "n14",
    "FR": "n10 c11 n2", "DE": "n18", "GR": "n7 c16", "HU": "n24", "IE": "a4 n14", "IS": "n22", "IT": "a1 n10 c12", "LI": "n5 c12",
    "LT": "n16", "LU": "n3 c13", "LV": "a4 c13", "MT": "a4 n5 c18", "NL": "a4 n10", "NO": "n11", "PL": "n24", "PT": "n21",
    "RO": "a4 c16", "SE": "n20", "SI": "n15", "SK": "n20", "ES": "n20", "CH": "n5 c12", "GB": "a4 n14",
}
# Calling code, prefix at home, shapes of mobile and fixed numbers as written at home; X is any digit.
PHONES = {
    "AT": ("43", "0", ("664 XXX XX XX", "699 1XXX XX XX", "1 58XX XX X")), "BE": ("32", "0", ("47X XX XX XX", "48[4-9] XX XX XX", "2 5XX XX XX")),
    "BG": ("359", "0", ("88X XXX XXX", "89[3-9] XXX XXX", "2 9[3-8]X XXXX")), "HR": ("385", "0", ("91 [2-9]XX XXXX", "98 [2-9]XX XXX", "1 4[5-9]X XXXX")),
    "CY": ("357", "", ("99 XXXXXX", "96 XXXXXX", "22 [2-8]XXXXX")), "CZ": ("420", "", ("60[1-8] XXX XXX", "77[2-9] XXX XXX", "22[1-7] XXX XXX")),
    "DK": ("45", "", ("22 [2-9]X XX XX", "31 [2-9]X XX XX", "33 [1-9]X XX XX")), "EE": ("372", "", ("5[1-8]XX XXXX", "6[0-7]X XXXX")),
    "FI": ("358", "0", ("40 XXX XXXX", "50 XXX XXXX", "9 [2-8]XX XXXX")), "FR": ("33", "0", ("6 1X XX XX XX", "7 [5-8]X XX XX XX", "1 4X XX XX XX")),
    "DE": ("49", "0", ("151 XXXXXXXX", "176 XXXXXXXX", "30 [2-9]XXXXXXX", "89 [2-9]XXXXXX")), "GR": ("30", "", ("69[3-9] XXX XXXX", "210 [2-9]XX XXXX")),
    "HU": ("36", "06", ("20 [2-9]XX XXXX", "30 [2-9]XX XXXX", "70 [2-9]XX XXXX", "1 [2-4]XX XXXX")), "IE": ("353", "0", ("8[5-7] [1-9]XX XXXX", "1 [46]XX XXXX")),
    "IS": ("354", "", ("69X XXXX", "55[0-9] XXXX")), "IT": ("39", "", ("3[2-4][0-9] XXX XXXX", "06 [4-8]XXX XXXX", "02 [4-8]XXX XXXX")),
    "LI": ("423", "", ("78X XX XX", "23[2-9] XX XX")), "LT": ("370", "0", ("6[0-9]X XXXXX", "5 2[0-7]X XXXX")), "LU": ("352", "", ("6[269]1 XXX XXX", "2[67] XX XX XX")),
    "LV": ("371", "", ("29 XXX XXX", "67 [0-8]XX XXX")), "MT": ("356", "", ("79XX XXXX", "99XX XXXX", "21[2-7]X XXXX")),
    "NL": ("31", "0", ("6 [1-5]XXXXXXX", "20 [2-7]XX XXXX", "10 [2-7]XX XXXX")), "NO": ("47", "", ("41X XX XXX", "92X XX XXX", "2[2-4] XX XX XX")),
    "PL": ("48", "", ("60X XXX XXX", "50X XXX XXX", "22 [2-8]XX XX XX")), "PT": ("351", "", ("91X XXX XXX", "96X XXX XXX", "21[0-8] XXX XXX")),
    "RO": ("40", "0", ("72[1-9] XXX XXX", "74[0-9] XXX XXX", "21 [2-6]XX XXXX")), "SE": ("46", "0", ("70-XXX XX XX", "73-XXX XX XX", "8-5[0-9]X XXX XX")),
    "SK": ("421", "0", ("90[5-8] XXX XXX", "948 XXX XXX", "2/5[0-9]XX XXXX")), "SI": ("386", "0", ("41 [2-7]XX XXX", "31 [2-7]XX XXX", "1 [2-5]XX XX XX")),
    "ES": ("34", "", ("6[0-9]X XXX XXX", "91[0-9] XXX XXX")), "CH": ("41", "0", ("79 [2-8]XX XX XX", "78 [6-9]XX XX XX", "44 [2-8]XX XX XX")),
    "GB": ("44", "0", ("7[458]11 XXXXXX", "77[0-9]X XXXXXX", "20 7[0-9]XX XXXX", "161 [2-9]XX XXXX")),
}
COUNTRIES = tuple(PHONES)
GIVEN = ("Anna Jonas Marta Luca Sofia Pieter Ingrid Mikko Aoife Zoltán Eszter Ana João Beatriz Søren Åsa Björn Jürgen Müjde Chloé François Łukasz Agnieszka "
         "Jiří Tereza Željko Ivana Kristína Māris Līga Jüri Tõnu Rūta Giorgos Eleni Dimitar Elena Andrei Ioana Sigríður Þór Niamh Maria Hans Lena Noor Sem").split()
SURNAME = ("Müller Schmidt Rossi Bianchi García Fernández Silva Costa Dubois Lefèvre Janssens Peeters de Vries Jansen Hansen Nielsen Andersson Virtanen Korhonen "
           "Nowak Kowalska Novák Horváth Nagy Kovács Popescu Ionescu Dimitrov Papadopoulos Georgiou Novak Horvat Bērziņš Kazlauskas Tamm Borg O'Brien Murphy Smith "
           "Jónsdóttir Frick Keller Zammit Olsen Berg").replace("de Vries", "De_Vries").split()
STREETS = ("Hauptstraße {}|Rue de la Paix {}|Via Garibaldi {}|Calle Mayor {}|ul. Długa {}|Storgatan {}|Vesterbrogade {}|Mannerheimintie {}|Damstraat {}|High Street {}|"
           "Rua Augusta {}|Váci utca {}|Strada Lungă {}|Vodičkova {}|Ilica {}|Bahnhofstrasse {}|Karl Johans gate {}|Laugavegur {}").split("|")
CITIES = "Wien Brüssel Sofia Zagreb Praha København Tallinn Helsinki Paris Berlin Αθήνα Budapest Dublin Roma Rīga Vilnius Amsterdam Oslo Kraków Lisboa București Stockholm Ljubljana Madrid Bern London".split()
POSTCODES = {"AT": "1XX0", "BE": "1XX0", "DK": "2XX0", "NO": "0XXX", "CH": "8XXX", "DE": "1XXXX", "FR": "75XXX", "ES": "28XXX", "IT": "00XXX", "FI": "00XX0", "SE": "1XX XX", "PL": "0X-XXX",
             "PT": "1XXX-XXX", "CZ": "1XX 00", "SK": "8XX 0X", "GR": "1XX XX", "NL": "1XXX LL", "GB": "LLX XLL", "IE": "D0X LXX0", "LV": "LV-1XXX", "LT": "LT-0XXXX", "HU": "1XXX", "RO": "0XXXXX", "EE": "1XXXX"}
# Reserved names (RFC 2606), mostly under suffixes that a list of public suffixes knows.
MAILERS = "mail.example.org|posta.example.net|firma.example.com|orange.example.com|uni.ac.example.org|o2-poczta.example.net|sub.dept.example.org|example.com|mejl.example.org|correo.example.net|x1.example.com|hotmail.example".split("|")


def shaped(r, shape):
    """Fills X with digits, L with letters, [a-b] with one of the range."""
    out, i = [], 0
    while i < len(shape):
        c = shape[i]
        if c == "[":
            end = shape.index("]", i)
            body = shape[i + 1:end]
            out.append(str(r.randint(int(body[0]), int(body[2]))) if "-" in body else r.choice(body))
            i = end
        else:
            out.append(r.choice("0123456789") if c == "X" else r.choice("ABCDEFGHJKLMNPRSTUVWXYZ") if c == "L" else c)
        i += 1
    return "".join(out)


def name(r):
    return "", f"{r.choice(GIVEN)} {r.choice(SURNAME)}".replace("_", " ")


def address(r):
    return "", r.choice(STREETS).format(r.randint(1, 199)) + f", {r.choice(CITIES)}"


def plain(text):
    text = text.lower().replace("ø", "o").replace("ł", "l").replace("þ", "th").replace("ß", "ss")
    return "".join(c for c in unicodedata.normalize("NFKD", text) if c.isascii() and c.isalnum())


def email(r):
    given, surname = r.choice(GIVEN), r.choice(SURNAME)
    kind = r.random()
    if kind < 0.05:
        return "", f"{given.lower()}.{surname.lower().replace('_', '')}@{r.choice(('bücher.example.org', 'почта.example.com', 'παράδειγμα.example.net', 'señal.example'))}"
    if kind < 0.10:
        return "", f"{plain(given)}@xn--{digits(r, 4)}bcher-kva.example.org"
    local = r.choice(("{g}.{s}", "{g}_{s}{d}", "{g}{d}", "{s}.{g}+news", "{g}-{s}", "{i}{s}", "{g}.{s}{d}", "o'{s}")).format(
        g=plain(given) or "ann", s=plain(surname) or "lee", d=r.randint(1, 99), i=(plain(given) or "a")[0])
    return "", f"{local}@{r.choice(MAILERS)}"


def phone(r, form=None, country=None):
    country = country or r.choice(COUNTRIES)
    code, trunk, shapes = PHONES[country]
    home = shaped(r, r.choice(shapes))
    bare = "".join(c for c in home if c.isdigit())
    form = form or r.choice(("e164", "e164", "spaced", "zeros", "national", "national", "joined"))
    if form == "e164":
        return country, f"+{code}{bare}"
    if form == "spaced":
        return country, f"+{code} " + r.choice((home, home.replace(" ", "-"), f"({trunk}){home}" if trunk == "0" else home)).replace("/", " ")
    if form == "zeros":
        return country, f"00{code}{r.choice((bare, ' ' + home.replace('/', ' ')))}"
    return country, trunk + (bare if form == "joined" else home)


def phone_international(r):
    return phone(r, r.choice(("e164", "e164", "spaced", "zeros")))


def phone_national(r):
    return phone(r, r.choice(("national", "joined")))


def ipv4(r):
    return "", f"{r.choice((2, 5, 31, 46, 62, 77, 80, 91, 109, 145, 176, 188, 193, 212, 217))}.{r.randrange(256)}.{r.randrange(256)}.{r.randint(1, 254)}"


def ipv6(r):
    groups = [f"{r.choice(('2a02', '2001', '2a00', '2003'))}", f"{r.randint(0x100, 0xffff):x}"] + [f"{r.randrange(0x10000):x}" for _ in range(6)]
    kind = r.random()
    if kind < 0.4:
        return "", ":".join(groups)
    if kind < 0.8:
        return "", ":".join(groups[:r.randint(3, 4)]) + "::" + ":".join(groups[-r.randint(1, 2):])
    return "", ":".join(g.zfill(4) for g in groups).upper()


def mac(r):
    h = f"{r.getrandbits(48) & ~(1 << 40):012x}"
    pairs = [h[i:i + 2] for i in range(0, 12, 2)]
    return "", r.choice((":".join(pairs), ":".join(pairs).upper(), "-".join(pairs).upper(), ":".join(pairs)))


def imei(r):
    n = r.choice(("35", "86", "01", "99")) + digits(r, 12)
    return "", n + luhn(n)


def imsi(r):
    return "", r.choice(("26201", "23410", "20801", "22210", "21407", "26002", "24001", "20404", "23201")) + digits(r, 10)


def iccid(r):
    n = "89" + r.choice(("49", "44", "33", "39", "34", "48", "46", "31", "43")) + digits(r, r.choice((14, 15)))
    return "", n + luhn(n)


def ad_id(r):
    u = str(uuid.UUID(int=r.getrandbits(128), version=4))
    return "", u.upper() if r.random() < 0.4 else u


def android_id(r):
    return "", f"{r.getrandbits(64):016x}"


def iban(r, country=None):
    country = country or r.choice(tuple(IBAN))
    kinds = {"n": "0123456789", "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "c": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    if r.random() < 0.9:  # where letters may stand, digits mostly do
        kinds["c"] = kinds["n"]
    body = "".join("".join(r.choices(kinds[p[0]], k=int(p[1:]))) for p in IBAN[country].split())
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    text = f"{country}{check:02}{body}"
    kind = r.random()
    if kind < 0.35:
        return country, " ".join(text[i:i + 4] for i in range(0, len(text), 4))
    return country, text.lower() if kind < 0.4 else text


def card(r):
    lead, length = r.choice((("4", 16), ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("36", 14), ("6011", 16), ("3528", 16), ("5018", 16), ("6759", 16), ("4", 19)))
    n = lead + digits(r, length - len(lead) - 1)
    n += luhn(n)
    if length == 16 and r.random() < 0.4:
        return "", r.choice((" ", "-")).join(n[i:i + 4] for i in range(0, 16, 4))
    if length == 15 and r.random() < 0.4:
        return "", f"{n[:4]} {n[4:10]} {n[10:]}"
    return "", n


def bic(r):
    country = r.choice(COUNTRIES)
    return country, "".join(r.choices("ABCDEFGHKLMNPRSTUVWX", k=4)) + country + r.choice(("2A", "PP", "M1", "HH", "22", "33")) + r.choice(("", "", "XXX", digits(r, 3)))


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(r):
    head = {"alg": r.choice(("RS256", "ES256", "HS256", "EdDSA")), "typ": "JWT"} | ({"kid": f"{r.getrandbits(32):08x}"} if r.random() < 0.5 else {})
    body = {"sub": str(r.getrandbits(62)), "iat": 1_780_000_000 + r.randrange(10**7), "scope": "read"}
    return "", ".".join((url64(json.dumps(head, separators=(",", ":")).encode()), url64(json.dumps(body).encode()), url64(r.randbytes(r.choice((32, 64))))))


def token(r):
    """A session or bearer token: no form of its own."""
    return "", r.choice((lambda: url64(r.randbytes(32)), lambda: r.randbytes(20).hex(), lambda: base64.b64encode(r.randbytes(24)).decode(), lambda: r.randbytes(32).hex()))()


def api_key(r):
    """Keys that are told by their prefix (the forms are public: gitleaks lists them)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    prefix, n, alphabet = r.choice((("AKIA", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), ("ghp_", 36, letters), ("sk_live_", 24, letters), ("xoxb-", 0, ""), ("glpat-", 20, letters), ("AIza", 35, letters), ("npm_", 36, letters)))
    if prefix == "xoxb-":
        return "", f"xoxb-{digits(r, 12)}-{digits(r, 12)}-{''.join(r.choices(letters, k=24))}"
    return "", prefix + "".join(r.choices(alphabet, k=n))


def password(r):
    return "", "".join(r.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789!#$%&*+-", k=r.randint(9, 18)))


def birth(r):
    day = born(r)
    return "", r.choice((f"{day:%Y-%m-%d}", f"{day:%Y-%m-%d}", f"{day:%d.%m.%Y}", f"{day:%d/%m/%Y}", f"{day:%Y%m%d}", f"{day:%Y-%m-%d}T00:00:00Z"))


def postcode(r):
    country = r.choice(tuple(POSTCODES))
    return country, shaped(r, POSTCODES[country])


def latitude(r):
    return "", f"{r.uniform(36, 69):.{r.choice((5, 6, 7))}f}"


def longitude(r):
    return "", f"{r.uniform(-9, 28):.{r.choice((5, 6, 7))}f}"


def gps(r):
    return "", latitude(r)[1] + r.choice((",", ", ")) + longitude(r)[1]


CHECKED = {"iban": iban, "card": card, "imei": imei, "iccid": iccid, "imsi": imsi, "mac": mac, "bic": bic}
