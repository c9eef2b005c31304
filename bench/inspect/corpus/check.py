"""Holds the generator against python-stdnum and phonenumbers, which share no code with it. Needs the virtual environment of `run`."""
import importlib, random, sys

import national, other

ORACLE = {
    "at.svnr": "at.vnr", "at.tax": "at.tin", "be.nrn": "be.ssn", "bg.egn": "bg.egn", "bg.pnf": "bg.pnf", "hr.oib": "hr.oib",
    "cy.tic": "cy.vat", "cz.rc": "cz.rc", "cz.rc9": "cz.rc", "sk.rc": "sk.rc", "dk.cpr": "dk.cpr", "ee.ik": "ee.ik", "lt.ak": "lt.asmens",
    "fi.hetu": "fi.hetu", "fr.nir": "fr.nir", "fr.spi": "fr.nif", "de.idnr": "de.idnr", "gr.afm": "gr.vat", "gr.amka": "gr.amka",
    "ie.ppsn": "ie.pps", "it.cf": "it.codicefiscale", "lv.pk": "lv.pvn", "nl.bsn": "nl.bsn", "pl.pesel": "pl.pesel", "pl.nip": "pl.nip",
    "pt.nif": "pt.nif", "pt.cc": "pt.cc", "ro.cnp": "ro.cnp", "se.pnr": "se.personnummer", "si.emso": "si.emso", "si.tax": "si.ddv",
    "es.dni": "es.dni", "es.nie": "es.nie", "no.fnr": "no.fodselsnummer", "is.kt": "is_.kennitala", "li.peid": "li.peid",
    "ch.ahv": "ch.ssn", "gb.nhs": "gb.nhs", "gb.utr": "gb.utr",
    "iban": "iban", "card": "luhn", "imei": "imei", "iccid": "luhn", "imsi": "imsi", "mac": "mac", "bic": "bic",
}
COUNT = 1000


def valid(oracle, kind, number, options):
    number = number.replace(" ", "").replace("-", "") if kind in ("card", "iccid") else number
    try:
        return oracle.validate(number, **options) is not None
    except ValueError:
        return False


r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 99)
bad = 0
draws = {k: v[1] for k, v in national.KINDS.items()} | {k: (lambda r, f=f: f(r)[1]) for k, f in other.CHECKED.items()}
for kind, draw in draws.items():
    if kind not in ORACLE:
        print(f"{kind:14} no oracle: {draw(r)}")
        continue
    oracle = importlib.import_module("stdnum." + ORACLE[kind])
    numbers = [draw(r) for _ in range(COUNT)]
    options = {"iban": {"check_country": False}, "mac": {"validate_manufacturer": False}}.get(kind, {})
    if kind == "se.pnr":  # coordination numbers are not known to the oracle
        numbers = [n for n in numbers if n.replace("-", "")[-6] < "4"]
    wrong = [n for n in numbers if not valid(oracle, kind, n, options)]
    bad += len(wrong)
    print(f"{kind:14} {len(numbers) - len(wrong)} of {len(numbers)} valid to stdnum.{ORACLE[kind]}", wrong[:3])

# What python-stdnum lacks but has the parts of.
from stdnum import luhn, verhoeff
wrong = [n for n in (national.lu_matricule(r).replace(" ", "") for _ in range(COUNT)) if not luhn.is_valid(n[:12]) or not verhoeff.is_valid(n[:11] + n[12])]
bad += len(wrong)
print(f"lu.matricule   {COUNT - len(wrong)} of {COUNT} valid to stdnum.luhn and stdnum.verhoeff", wrong[:3])

import phonenumbers
for form in ("e164", "national"):
    wrong = []
    for _ in range(5000):
        country, text = other.phone(r, form)
        parsed = phonenumbers.parse(text, country)
        if not phonenumbers.is_valid_number(parsed):
            wrong.append((country, text))
    bad += len(wrong)
    print(f"phone {form}: {5000 - len(wrong)} of 5000 valid to phonenumbers", wrong[:8])
sys.exit(1 if bad else 0)
