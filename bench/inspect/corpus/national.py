"""National identifiers of 32 countries, drawn valid.

Written from the official descriptions: the European Commission's "TIN Algorithms - Public - Functional Specification", the
OECD's pages on tax numbers, and the authority named at each function. `check.py` holds them against python-stdnum.
Each function takes a `random.Random` and returns one spelling; what has several spellings draws one.
"""
import datetime

FIRST, LAST = datetime.date(1940, 1, 1).toordinal(), datetime.date(2011, 12, 31).toordinal()
NEW = datetime.date(2000, 1, 1).toordinal()


def born(r, first=FIRST, last=LAST):
    return datetime.date.fromordinal(r.randint(first, last))


def digits(r, n):
    return f"{r.randrange(10**n):0{n}d}"


def weighed(text, weights):
    return sum(int(c) * w for c, w in zip(text, weights))


def luhn(text):
    """The digit that makes `text` and it pass ISO/IEC 7812-1, annex B."""
    total = 0
    for i, c in enumerate(reversed(text)):
        d = int(c) * (2 if i % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return str(-total % 10)


def mod11_10(text):
    """ISO/IEC 7064, MOD 11,10."""
    p = 10
    for c in text:
        p = (p + int(c)) % 10 or 10
        p = p * 2 % 11
    return str((11 - p) % 10)


def until(draw):
    """Draws until there is a number: some bodies have no check digit."""
    while True:
        number = draw()
        if number:
            return number


def at_svnr(r):  # Dachverband der Sozialversicherungsträger
    def draw():
        serial, day = f"{r.randint(100, 999)}", f"{born(r):%d%m%y}"
        c = (weighed(serial, (3, 7, 9)) + weighed(day, (5, 8, 4, 2, 1, 6))) % 11
        return c < 10 and f"{serial}{c}{day}"
    n = until(draw)
    return f"{n[:4]} {n[4:]}" if r.random() < 0.3 else n


def at_tax(r):  # EC 3.1
    n = r.choice("03 04 06 07 08 09 12 15 16 18 22 23 29 33 38 41 46 51 52 53 54 57 59 61 65 67 68 69 71 72 81 82 83 90 91 93 97 98".split()) + digits(r, 6)
    total = sum(int("0246813579"[int(c)]) if i % 2 else int(c) for i, c in enumerate(n))
    n += str(-total % 10)
    return f"{n[:2]}-{n[2:5]}/{n[5:]}" if r.random() < 0.5 else n


def be_nrn(r):  # EC 3.2
    day = born(r)
    month = day.month + r.choice((0, 0, 0, 20, 40))
    n = f"{day:%y}{month:02}{day:%d}{r.randint(1, 997):03}"
    c = f"{97 - int(('2' if day.year >= 2000 else '') + n) % 97:02}"
    return f"{n[:2]}.{n[2:4]}.{n[4:6]}-{n[6:]}.{c}" if r.random() < 0.4 else n + c


def bg_egn(r):  # EC 3.3
    day = born(r)
    n = f"{day:%y}{day.month + (40 if day.year >= 2000 else 0):02}{day:%d}{digits(r, 3)}"
    return n + str(weighed(n, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10)


def bg_pnf(r):
    n = digits(r, 9)
    return n + str(weighed(n, (21, 19, 17, 13, 11, 9, 7, 3, 1)) % 10)


def hr_oib(r):  # EC 3.4
    n = digits(r, 10)
    return n + mod11_10(n)


def cy_tic(r):  # EC 3.5
    n = "00" + digits(r, 6)
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
    return n + chr(65 + (sum(odd[int(c)] for c in n[::2]) + sum(map(int, n[1::2]))) % 26)


def cz_rc(r):  # EC 3.6
    def draw():
        day = born(r, datetime.date(1954, 1, 1).toordinal())
        month = day.month + r.choice((0, 50)) + (20 if day.year >= 2004 and r.random() < 0.1 else 0)
        n = f"{day:%y}{month:02}{day:%d}{digits(r, 3)}"
        c = int(n) % 11
        return c < 10 and f"{n}{c}"
    n = until(draw)
    return f"{n[:6]}/{n[6:]}" if r.random() < 0.6 else n


def cz_rc_old(r):  # before 1954: no check digit
    day = born(r, last=datetime.date(1953, 12, 31).toordinal())
    return f"{day:%y}{day.month + r.choice((0, 50)):02}{day:%d}/{r.randint(1, 999):03}"


def dk_cpr(r):  # CPR-kontoret; since 2007 without a sure check digit
    day = born(r)
    while True:
        n = f"{day:%d%m%y}{r.choice('0123' if day.year < 2000 else '4567')}{digits(r, 3)}"
        if day.year < 2000 and weighed(n, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11:
            continue
        if day.year >= 2000 and (n[6] == "4" and day.year > 2036):
            continue
        return f"{n[:6]}-{n[6:]}" if r.random() < 0.6 else n


def ee_ik(r):  # EC 3.8, 3.17
    day = born(r)
    n = f"{r.choice('34' if day.year < 2000 else '56')}{day:%y%m%d}{digits(r, 3)}"
    c = weighed(n, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if c == 10:
        c = weighed(n, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return f"{n}{c}"


lt_ak = ee_ik


def fi_hetu(r):  # DVV; the newer separators are of 2023
    day = born(r)
    n, serial = f"{day:%d%m%y}", f"{r.randint(2, 899):03}"
    sep = r.choice("---YXWVU" if day.year < 2000 else "AAABCDEF")
    return n + sep + serial + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(n + serial) % 31]


def fr_nir(r):  # INSEE
    department = r.choice([f"{d:02}" for d in range(1, 96) if d != 20] + ["2A", "2B"])
    n = f"{r.choice('12')}{born(r):%y%m}{department}{r.randint(1, 590):03}{r.randint(1, 999):03}"
    key = f"{97 - int(n.replace('2A', '19').replace('2B', '18')) % 97:02}"
    if r.random() < 0.4:
        return f"{n[0]} {n[1:3]} {n[3:5]} {n[5:7]} {n[7:10]} {n[10:]} {key}"
    return n + key


def fr_spi(r):  # EC 3.10
    n = r.choice("0123") + digits(r, 9)
    n += f"{int(n) % 511:03}"
    return f"{n[:2]} {n[2:4]} {n[4:7]} {n[7:10]} {n[10:]}" if r.random() < 0.4 else n


def de_idnr(r):  # BZSt, EC 3.11: of the first ten digits one occurs twice, one not at all
    while True:
        n = r.sample("0123456789", 10)
        i, j = r.sample(range(10), 2)
        n[i] = n[j]
        if n[0] != "0":
            n = "".join(n)
            n += mod11_10(n)
            return f"{n[:2]} {n[2:5]} {n[5:8]} {n[8:]}" if r.random() < 0.4 else n


def de_rvnr(r):  # Deutsche Rentenversicherung, VKVV section 2
    n = f"{r.choice((2, 4, 8, 10, 12, 13, 17, 19, 24, 28, 42, 50, 53, 65, 66)):02}{born(r):%d%m%y}"
    letter, serial = r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), f"{r.randint(0, 99):02}"
    whole = f"{n}{ord(letter) - 64:02}{serial}"
    c = sum(sum(map(int, str(int(d) * w))) for d, w in zip(whole, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1))) % 10
    n = f"{n}{letter}{serial}{c}"
    return f"{n[:2]} {n[2:8]} {n[8]} {n[9:]}" if r.random() < 0.4 else n


def gr_afm(r):  # EC 3.12
    n = r.choice("0123456789")[:1] + digits(r, 7)
    return n + str(weighed(n, (256, 128, 64, 32, 16, 8, 4, 2)) % 11 % 10)


def gr_amka(r):
    n = f"{born(r):%d%m%y}{digits(r, 4)}"
    return n + luhn(n)


def hu_tax(r):  # EC 3.13
    def draw():
        days = (born(r) - datetime.date(1867, 1, 1)).days
        n = f"8{days:05}{digits(r, 3)}"
        c = weighed(n, range(1, 10)) % 11
        return c < 10 and f"{n}{c}"
    return until(draw)


def hu_personal(r):  # law XX of 1996
    def draw():
        day = born(r)
        n = f"{r.choice('12' if day.year < 2000 else '34')}{day:%y%m%d}{digits(r, 3)}"
        c = weighed(n, range(10, 0, -1) if day.year > 1996 else range(1, 11)) % 11
        return c < 10 and f"{n}{c}"
    n = until(draw)
    return f"{n[0]}-{n[1:7]}-{n[7:]}" if r.random() < 0.4 else n


def hu_taj(r):
    n = digits(r, 8)
    n += str(weighed(n, (3, 7, 3, 7, 3, 7, 3, 7)) % 10)
    return r.choice((n, f"{n[:3]} {n[3:6]} {n[6:]}", f"{n[:3]}-{n[3:6]}-{n[6:]}"))


def ie_ppsn(r):  # EC 3.14
    n, second = digits(r, 7), r.choice(("", "", "A", "H"))
    total = weighed(n, range(8, 1, -1)) + 9 * (ord(second) - 64 if second else 0)
    return n + "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] + second


IT_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)))
IT_TOWNS = "H501 F205 L219 F839 D612 A944 G273 D969 L736 A662 C351 F257 G224 L424 Z404 Z129 B354 E506".split()


def it_cf(r):  # EC 3.15, decree of 23 December 1976
    day, consonants = born(r), "BCDFGLMNPRSTVZ"
    n = "".join(r.choices(consonants, k=6)) + f"{day:%y}{'ABCDEHLMPRST'[day.month - 1]}{day.day + r.choice((0, 40)):02}"
    n += r.choice(IT_TOWNS)
    if r.random() < 0.05:  # omocodia
        n = n[:14] + "LMNPQRSTUV"[int(n[14])] + n[15:]
    total = sum(IT_ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(n))
    n += chr(65 + total % 26)
    return n.lower() if r.random() < 0.05 else n


def lv_pk(r):  # EC 3.16
    day = born(r)
    n = f"{day:%d%m%y}{1 if day.year < 2000 else 2}{digits(r, 3)}"
    n += str((1 + weighed(n, (10, 5, 8, 4, 2, 1, 6, 3, 7, 9))) % 11 % 10)
    return f"{n[:6]}-{n[6:]}" if r.random() < 0.7 else n


def lv_pk_new(r):  # since 2017: no date, no known check digit
    return f"32{digits(r, 4)}-{digits(r, 5)}"



def verhoeff(text):
    """The check digit of Verhoeff's dihedral scheme: computed in the group D5, not from a table."""
    def times(a, b):
        flip_a, turn_a, flip_b, turn_b = a // 5, a % 5, b // 5, b % 5
        turn = (turn_a - turn_b if flip_a else turn_a + turn_b) % 5
        return (flip_a ^ flip_b) * 5 + turn
    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    c = 0
    for i, d in enumerate(reversed(text), 1):
        d = int(d)
        for _ in range(i % 8):
            d = step[d]
        c = times(c, d)
    return str(c if c >= 5 else -c % 5)


def lu_matricule(r):  # EC 3.18: both digits are over the first eleven
    n = f"{born(r):%Y%m%d}{digits(r, 3)}"
    n += luhn(n) + verhoeff(n)
    return f"{n[:4]} {n[4:6]} {n[6:8]} {n[8:]}" if r.random() < 0.3 else n


def mt_id(r):
    return f"{digits(r, 5)}{born(r):%y}{r.choice('MGAPLHBZ')}"


def nl_bsn(r):  # RvIG
    def draw():
        n = digits(r, 8)
        c = weighed(n, range(9, 1, -1)) % 11
        return c < 10 and n[0] != "0" and f"{n}{c}"
    n = until(draw)
    return f"{n[:4]}.{n[4:6]}.{n[6:]}" if r.random() < 0.1 else n


def pl_pesel(r):
    day = born(r)
    n = f"{day:%y}{day.month + (20 if day.year >= 2000 else 0):02}{day:%d}{digits(r, 4)}"
    return n + str(-weighed(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def pl_nip(r):
    def draw():
        n = f"{r.randint(101, 999)}{digits(r, 6)}"
        c = weighed(n, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11
        return c < 10 and "0" not in n[:3] and f"{n}{c}"
    n = until(draw)
    return f"{n[:3]}-{n[3:6]}-{n[6:8]}-{n[8:]}" if r.random() < 0.4 else n


def pt_nif(r):
    n = r.choice("123") + digits(r, 7)
    c = weighed(n, range(9, 1, -1)) % 11
    n += str(0 if c < 2 else 11 - c)
    return f"{n[:3]} {n[3:6]} {n[6:]}" if r.random() < 0.2 else n


def pt_cc(r):
    def draw():
        n = f"{digits(r, 8)}{r.randrange(10)}" + "".join(r.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=2))
        total = 0
        for i, c in enumerate(reversed(n)):
            v = int(c, 36) * (2 if i % 2 == 0 else 1)
            total += v - 9 if i % 2 == 0 and v > 9 else v
        return not n[9:].isdigit() and n + str(-total % 10)
    n = until(draw)
    return f"{n[:8]} {n[8]} {n[9:]}" if r.random() < 0.5 else n


def ro_cnp(r):
    day = born(r)
    n = f"{r.choice('12' if day.year < 2000 else '56')}{day:%y%m%d}{r.choice([*range(1, 47), 51, 52]):02}{r.randint(1, 999):03}"
    c = weighed(n, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return n + str(1 if c == 10 else c)


def se_pnr(r):  # Skatteverket; coordination numbers have 60 more on the day
    day = born(r)
    n = f"{day:%y%m}{day.day + r.choice((0, 0, 0, 60)):02}{r.randint(1, 999):03}"
    n += luhn(n)
    return r.choice(("", f"{day:%Y}"[:2])) + n[:6] + r.choice(("-", "-", "")) + n[6:]


def si_emso(r):
    def draw():
        day = born(r)
        n = f"{day:%d%m}{day.year % 1000:03}50{digits(r, 3)}"
        c = 11 - weighed(n, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return c != 10 and f"{n}{c % 11}"
    return until(draw)


def si_tax(r):
    def draw():
        n = f"{r.randint(1000000, 9999999)}"
        c = 11 - weighed(n, range(8, 1, -1)) % 11
        return c != 11 and f"{n}{c % 10}"
    return until(draw)


ES_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def es_dni(r):
    n = digits(r, 8)
    return n + r.choice(("", "", "", "-")) + ES_LETTERS[int(n) % 23]


def es_nie(r):
    lead, n = r.randrange(3), digits(r, 7)
    sep = r.choice(("", "", "", "-"))
    return "XYZ"[lead] + sep + n + sep + ES_LETTERS[int(f"{lead}{n}") % 23]


def no_fnr(r):  # Skatteetaten; D-numbers have 40 more on the day
    def draw():
        day = born(r)
        serial = r.randint(0, 499) if day.year < 2000 else r.randint(500, 999)
        n = f"{day.day + r.choice((0, 0, 0, 40)):02}{day:%m%y}{serial:03}"
        k1 = -weighed(n, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
        k2 = -weighed(f"{n}{k1}", (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11 if k1 < 10 else 10
        return k2 < 10 and f"{n}{k1}{k2}"
    n = until(draw)
    return f"{n[:6]} {n[6:]}" if r.random() < 0.3 else n


def is_kt(r):  # Þjóðskrá, OECD
    def draw():
        day = born(r)
        n = f"{day:%d%m%y}{r.randint(20, 99)}"
        c = -weighed(n, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return c < 10 and f"{n}{c}{9 if day.year < 2000 else 0}"
    n = until(draw)
    return f"{n[:6]}-{n[6:]}" if r.random() < 0.5 else n


def li_peid(r):
    return f"{r.randint(100000, 99999999):012}" if r.random() < 0.5 else f"{r.randint(100000, 99999999)}"


def ch_ahv(r):  # ZAS/CdC: EAN-13
    n = "756" + digits(r, 9)
    n += str(-weighed(n, (1, 3) * 6) % 10)
    return f"{n[:3]}.{n[3:7]}.{n[7:11]}.{n[11:]}" if r.random() < 0.6 else n


def gb_nino(r):  # HMRC
    while True:
        prefix = r.choice("ABCEGHJKLMNOPRSTWXYZ") + r.choice("ABCEGHJKLMNPRSTWXYZ")
        if prefix not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"):
            n = digits(r, 6)
            return r.choice((f"{prefix}{n}{{}}", f"{prefix} {n[:2]} {n[2:4]} {n[4:]} {{}}")).format(r.choice("ABCD"))


def gb_nhs(r):  # NHS data dictionary
    def draw():
        n = r.choice("4679") + digits(r, 8)
        c = -weighed(n, range(10, 1, -1)) % 11
        return c < 10 and f"{n}{c}"
    n = until(draw)
    return r.choice((n, f"{n[:3]} {n[3:6]} {n[6:]}", f"{n[:3]}-{n[3:6]}-{n[6:]}"))


def gb_utr(r):  # OECD
    n = digits(r, 9)
    return "21987654321"[weighed(n, (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11] + n


# kind: (country, draws, has a check digit)
KINDS = {
    "at.svnr": ("AT", at_svnr, 1), "at.tax": ("AT", at_tax, 1), "be.nrn": ("BE", be_nrn, 1), "bg.egn": ("BG", bg_egn, 1),
    "bg.pnf": ("BG", bg_pnf, 1), "hr.oib": ("HR", hr_oib, 1), "cy.tic": ("CY", cy_tic, 1), "cz.rc": ("CZ", cz_rc, 1),
    "cz.rc9": ("CZ", cz_rc_old, 0), "sk.rc": ("SK", cz_rc, 1), "dk.cpr": ("DK", dk_cpr, 0), "ee.ik": ("EE", ee_ik, 1),
    "lt.ak": ("LT", lt_ak, 1), "fi.hetu": ("FI", fi_hetu, 1), "fr.nir": ("FR", fr_nir, 1), "fr.spi": ("FR", fr_spi, 1),
    "de.idnr": ("DE", de_idnr, 1), "de.rvnr": ("DE", de_rvnr, 1), "gr.afm": ("GR", gr_afm, 1), "gr.amka": ("GR", gr_amka, 1),
    "hu.tax": ("HU", hu_tax, 1), "hu.personal": ("HU", hu_personal, 1), "hu.taj": ("HU", hu_taj, 1), "ie.ppsn": ("IE", ie_ppsn, 1),
    "it.cf": ("IT", it_cf, 1), "lv.pk": ("LV", lv_pk, 1), "lv.pk32": ("LV", lv_pk_new, 0), "lu.matricule": ("LU", lu_matricule, 1),
    "mt.id": ("MT", mt_id, 0), "nl.bsn": ("NL", nl_bsn, 1), "pl.pesel": ("PL", pl_pesel, 1), "pl.nip": ("PL", pl_nip, 1),
    "pt.nif": ("PT", pt_nif, 1), "pt.cc": ("PT", pt_cc, 1), "ro.cnp": ("RO", ro_cnp, 1), "se.pnr": ("SE", se_pnr, 1),
    "si.emso": ("SI", si_emso, 1), "si.tax": ("SI", si_tax, 1), "es.dni": ("ES", es_dni, 1), "es.nie": ("ES", es_nie, 1),
    "no.fnr": ("NO", no_fnr, 1), "is.kt": ("IS", is_kt, 1), "li.peid": ("LI", li_peid, 0), "ch.ahv": ("CH", ch_ahv, 1),
    "gb.nino": ("GB", gb_nino, 0), "gb.nhs": ("GB", gb_nhs, 1), "gb.utr": ("GB", gb_utr, 1),
}
