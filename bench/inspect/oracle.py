#!/usr/bin/env python3
"""Compares our validators of national identifiers with python-stdnum, and with second readings of the official
descriptions where python-stdnum has none. All numbers are drawn at random: nobody's, or by chance anybody's.

    pip install python-stdnum
    cargo build --release -p clover-inspect --example validate
    bench/inspect/oracle.py target/release/examples/validate [--draws 2000] [--golden FILE]

Prints a line for each rule and ends with status 1 if any differs. With `--golden` it writes a table of values with
what each must be, for the tests of the crate.
"""

import argparse
import random
import subprocess
import sys
from importlib import import_module
from itertools import product

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Verhoeff's table and permutation as he printed them.
D = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
     [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
     [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
     [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
P = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
     [8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
     [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8]]


def verhoeff(text):
    check = 0
    for place, digit in enumerate(reversed(text)):
        check = D[check][P[place % 8][int(digit)]]
    return check == 0


def luhn(text):
    odd = [int(d) for d in text[-1::-2]]
    even = [sum(divmod(2 * int(d), 10)) for d in text[-2::-2]]
    return (sum(odd) + sum(even)) % 10 == 0


def dot(text, weights):
    return sum(int(d) * w for d, w in zip(text, weights))


def hu_personal(text):
    late = text[0] in "3478" or text[1:3] in ("97", "98", "99")
    return dot(text, range(10, 0, -1) if late else range(1, 11)) % 11 == int(text[10])


def nino(text):
    return (text[0] not in "DFIQUV" and text[1] not in "DFIOQUV" and text[:2] not in
            ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") and text[8] in "ABCD")


def rvnr(text):
    digits = text[:8] + f"{ord(text[8]) - 64:02}" + text[9:11]
    return sum(sum(divmod(int(d) * w, 10)) for d, w in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1))) % 10 == int(text[11])


def perso(text):
    value = lambda c: int(c) if c.isdigit() else ord(c) - 55
    return sum(value(c) * (7, 3, 1)[i % 3] for i, c in enumerate(text[:9])) % 10 == int(text[9])


SECOND = {
    "is.kennitala": lambda t: dot(t, (3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0,
    "hu.adoazonosito": lambda t: dot(t, range(1, 10)) % 11 == int(t[9]),
    "hu.taj": lambda t: dot(t, (3, 7) * 4) % 10 == int(t[8]) and int(t) > 0,
    "hu.szemelyi-szam": hu_personal,
    "lu.matricule": lambda t: luhn(t[:12]) and verhoeff(t[:11] + t[12]),
    "mt.id-card": lambda t: t[7] in "MGAPLHBZ",
    "gb.nino": nino,
    "fr.spi": lambda t: int(t[:10]) % 511 == int(t[10:]),
    "de.rvnr": rvnr,
    "de.personalausweis": perso,
    "bg.lnch": lambda t: dot(t, (21, 19, 17, 13, 11, 9, 7, 3, 1)) % 10 == int(t[9]),
    "pt.niss": lambda t: 9 - dot(t, (29, 23, 19, 17, 13, 11, 7, 5, 3, 2)) % 10 == int(t[10]),
    "si.emso": lambda t: dot(t, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0,
    "cy.tic": lambda t: LETTERS[(sum((1, 0, 5, 7, 9, 13, 15, 17, 19, 21)[int(d)] for d in t[:8:2])
                                 + sum(int(d) for d in t[1:8:2])) % 26] == t[8],
}

STDNUM = {
    "at.svnr": "at.vnr", "at.abgabenkontonummer": "at.tin", "be.nrn": "be.nn", "bg.egn": "bg.egn", "hr.oib": "hr.oib",
    "cz.rodne-cislo": "cz.rc", "sk.rodne-cislo": "sk.rc", "dk.cpr": "dk.cpr", "ee.isikukood": "ee.ik",
    "lt.asmens-kodas": "lt.asmens", "lv.personas-kods": "lv.pvn", "fi.hetu": "fi.hetu", "fr.nir": "fr.nir",
    "de.steuer-id": "de.idnr", "gr.afm": "gr.vat", "gr.amka": "gr.amka", "ie.ppsn": "ie.pps",
    "it.codice-fiscale": "it.codicefiscale", "nl.bsn": "nl.bsn", "pl.pesel": "pl.pesel", "pl.nip": "pl.nip",
    "pt.nif": "pt.nif", "pt.cartao-de-cidadao": "pt.cc", "ro.cnp": "ro.cnp", "se.personnummer": "se.personnummer",
    "si.davcna": "si.ddv", "es.dni": "es.dni", "es.nie": "es.nie", "no.fodselsnummer": "no.fodselsnummer",
    "ch.ahv": "ch.ssn", "gb.nhs": "gb.nhs", "gb.utr": "gb.utr",
}


class Draw:
    """Random bodies of identifiers; what checks them is tried in full."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def n(self, count):
        return "".join(self.r.choice(DIGITS) for _ in range(count))

    def day(self, year_from=1930, year_to=2015):
        return self.r.randint(year_from, year_to), self.r.randint(1, 12), self.r.randint(1, 28)

    def ddmmyy(self, **span):
        y, m, d = self.day(**span)
        return f"{d:02}{m:02}{y % 100:02}"

    def yymmdd(self, month=0, **span):
        y, m, d = self.day(**span)
        return f"{y % 100:02}{m + month:02}{d:02}"

    def body(self, rule):
        """The part without its check, and the alphabets of the checks with their places (None: at the end)."""
        r = self.r
        match rule:
            case "at.svnr":
                return r.choice("123456789") + self.n(2) + "?" + self.ddmmyy()
            case "at.abgabenkontonummer" | "gr.afm" | "hu.taj" | "pt.nif":
                return r.choice("123456789") + self.n(7) + "?"
            case "nl.bsn":
                return r.choice("123456789") + self.n(7) + "?"
            case "be.nrn":
                return self.yymmdd(year_from=1940, year_to=1999) + f"{r.randint(1, 997):03}" + "??"
            case "bg.egn":
                y, m, d = self.day()
                return f"{y % 100:02}{m + (40 if y >= 2000 else 0):02}{d:02}" + self.n(3) + "?"
            case "bg.lnch" | "pl.nip" | "gb.nhs":
                return r.choice("123456789") + self.n(8) + "?"
            case "gb.utr":
                return "?" + self.n(9)
            case "hr.oib":
                return self.n(10) + "?"
            case "cz.rodne-cislo" | "sk.rodne-cislo":
                return self.yymmdd(month=r.choice((0, 50)), year_from=1955, year_to=2015) + self.n(3) + "?"
            case "dk.cpr":
                return self.ddmmyy(year_from=1937, year_to=1999) + r.choice("0123") + self.n(2) + "?"
            case "ee.isikukood" | "lt.asmens-kodas":
                y, m, d = self.day()
                return r.choice("34" if y < 2000 else "56") + f"{y % 100:02}{m:02}{d:02}" + self.n(3) + "?"
            case "lv.personas-kods":
                y, m, d = self.day()
                return f"{d:02}{m:02}{y % 100:02}{'1' if y < 2000 else '2'}" + self.n(3) + "?"
            case "fi.hetu":
                y, m, d = self.day()
                return f"{d:02}{m:02}{y % 100:02}{'-' if y < 2000 else 'A'}{r.randint(2, 899):03}" + "*"
            case "fr.nir":
                y, m, _ = self.day()
                place = r.choice([f"{r.randint(1, 95):02}", "2A", "2B"])
                place = "75" if place == "20" else place
                return r.choice("12") + f"{y % 100:02}{m:02}{place}{r.randint(1, 899):03}{r.randint(1, 999):03}" + "??"
            case "fr.spi":
                return r.choice("0123") + self.n(9) + "???"
            case "de.steuer-id":
                ten = r.sample(DIGITS, 9)
                ten.insert(r.randint(0, 9), r.choice(ten))
                ten = "".join(ten)
                return ("1" + ten[1:] if ten[0] == "0" else ten) + "?"
            case "de.rvnr":
                return f"{r.randint(2, 89):02}{self.ddmmyy()}{r.choice(LETTERS)}{self.n(2)}?"
            case "de.personalausweis":
                return r.choice("LMNPRTVWXY") + "".join(r.choice("CFGHJKLMNPRTVWXYZ0123456789") for _ in range(8)) + "?"
            case "gr.amka":
                return self.ddmmyy(year_from=1930, year_to=1999) + self.n(4) + "?"
            case "hu.adoazonosito":
                return "8" + self.n(8) + "?"
            case "hu.szemelyi-szam":
                y, m, d = self.day()
                return r.choice("12" if y < 2000 else "34") + f"{y % 100:02}{m:02}{d:02}" + self.n(3) + "?"
            case "ie.ppsn":
                return self.n(7) + "*" + r.choice(("", "A", "B", "W"))
            case "it.codice-fiscale":
                name = "".join(r.choice("BCDFGLMNPRST") for _ in range(6))
                y, _, d = self.day()
                day = d + r.choice((0, 40))
                return f"{name}{y % 100:02}{r.choice('ABCDEHLMPRST')}{day:02}{r.choice('ABCDEFGHIL')}{r.randint(1, 999):03}*"
            case "lu.matricule":
                y, m, d = self.day()
                return f"{y}{m:02}{d:02}{self.n(3)}??"
            case "mt.id-card":
                return f"{r.randint(1, 9999999):07}*"
            case "cy.tic":
                return "0" + self.n(7) + "*"
            case "pl.pesel":
                y, m, d = self.day()
                return f"{y % 100:02}{m + (20 if y >= 2000 else 0):02}{d:02}" + self.n(4) + "?"
            case "pt.cartao-de-cidadao":
                return self.n(9) + r.choice(LETTERS) + r.choice(LETTERS + DIGITS) + "?"
            case "pt.niss":
                return r.choice("12") + self.n(9) + "?"
            case "ro.cnp":
                y, m, d = self.day()
                return f"{r.choice('12' if y < 2000 else '56')}{y % 100:02}{m:02}{d:02}{r.randint(1, 46):02}{r.randint(1, 999):03}?"
            case "se.personnummer":
                return self.yymmdd(year_from=1930, year_to=2005) + "-" + f"{r.randint(1, 999):03}" + "?"
            case "si.emso":
                y, m, d = self.day()
                return f"{d:02}{m:02}{y % 1000:03}5{r.randint(0, 9)}{self.n(3)}?"
            case "si.davcna":
                return r.choice("123456789") + self.n(6) + "?"
            case "es.dni":
                return self.n(8) + "*"
            case "es.nie":
                return r.choice("XYZ") + self.n(7) + "*"
            case "no.fodselsnummer":
                return self.ddmmyy(year_from=1940, year_to=1999) + f"{r.randint(0, 499):03}" + "??"
            case "is.kennitala":
                y, m, d = self.day()
                return f"{d:02}{m:02}{y % 100:02}{r.randint(20, 99)}?" + ("9" if y < 2000 else "0")
            case "ch.ahv":
                return "756" + self.n(9) + "?"
            case "gb.nino":
                return r.choice(LETTERS) + r.choice(LETTERS) + self.n(6) + r.choice("ABCDEF")
        raise ValueError(rule)

    def candidates(self, rule):
        """All values that the body's checks leave open, or a few dozen of very many."""
        body = self.body(rule)
        choices = [DIGITS if c == "?" else DIGITS + LETTERS if c == "*" and rule == "fi.hetu" else LETTERS if c == "*" else c
                   for c in body]
        every = ["".join(t) for t in product(*choices)]
        return every if len(every) <= 120 else self.r.sample(every, 60) + [right(rule, every)]


def right(rule, every):
    return next((t for t in every if theirs(rule, t)), every[0])


def theirs(rule, text):
    if rule in SECOND:
        return SECOND[rule](text)
    module = import_module("stdnum." + STDNUM[rule])
    try:
        if rule == "dk.cpr":  # their module has the check digit apart
            module.validate(text)
            return module.checksum(module.compact(text)) == 0
        if rule == "at.abgabenkontonummer":  # theirs also asks whether the tax office exists today
            return module.calc_check_digit(text) == text[-1]
        return bool(module.is_valid(text))
    except Exception:
        return False


def ours(program, pairs):
    lines = "".join(f"{rule}\t{text}\n" for rule, text in pairs)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.split()
    return [a == "1" for a in answer]


def near_miss(draw, text, rule):
    """The value with one digit changed, so that its check digit is wrong."""
    places = [i for i, c in enumerate(text) if c.isdigit()]
    for _ in range(200):
        i = draw.r.choice(places)
        other = text[:i] + draw.r.choice([d for d in DIGITS if d != text[i]]) + text[i + 1:]
        if not theirs(rule, other):
            return other
    return None


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("program")
    args.add_argument("--draws", type=int, default=500)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--golden")
    args = args.parse_args()
    draw = Draw(args.seed)
    wrong, golden = 0, []
    for rule in sorted(set(STDNUM) | set(SECOND)):
        pairs = [(rule, text) for _ in range(args.draws) for text in draw.candidates(rule)]
        answers = ours(args.program, pairs)
        expected = [theirs(*pair) for pair in pairs]
        differs = [(t, e) for (_, t), e, a in zip(pairs, expected, answers) if e != a]
        by = "second reading" if rule in SECOND else "stdnum." + STDNUM[rule]
        print(f"{'ok   ' if not differs else 'WRONG'} {rule:24} {by:26} {len(pairs):7} values, {sum(expected):6} valid,"
              f" {len(differs)} differ {differs[:3] if differs else ''}")
        wrong += bool(differs)
        valid = [t for (_, t), e in zip(pairs, expected) if e]
        for text in valid[:3]:
            golden.append((rule, "valid", text))
            other = near_miss(draw, text, rule)
            if other:
                golden.append((rule, "near-miss", other))
        if valid:
            golden.append((rule, "invalid", valid[0][:-2]))
            golden.append((rule, "invalid", valid[0] + "77"))
    if args.golden:
        with open(args.golden, "w", encoding="utf-8") as file:
            file.write("# rule, what the value is, value. Written by bench/inspect/oracle.py; all drawn at random.\n")
            file.writelines("\t".join(line) + "\n" for line in golden)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
