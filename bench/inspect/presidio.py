"""Presidio on the same lines: presidio.py CORPUS HITS SPEED [EVENTS] [CLEAN].

Every generic and European pattern recognizer that the package has, a blank spaCy pipeline (so no names), whole lines, hits from a
score of 0.4. URLs and crypto addresses are left out: the corpus labels none. Writes what it found, for the harness to judge, and its speed.
"""
import json, os, sys, time

import presidio_analyzer.predefined_recognizers as predefined
import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

# The list of public suffixes that the package ships, instead of an attempt to fetch a newer one.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
SCORE = 0.4
GENERIC = ("CreditCard", "Date", "Email", "Iban", "Ip", "Mac", "Phone")
COUNTRIES = ("De", "Es", "It", "Pl", "Se", "Fi", "Uk", "Nhs")
KINDS = {
    "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "PHONE_NUMBER": "phone", "MAC_ADDRESS": "mac", "DATE_TIME": "birth",
    "DE_TAX_ID": "de.idnr", "DE_SOCIAL_SECURITY": "de.rvnr", "DE_PLZ": "postcode", "UK_POSTCODE": "postcode", "ES_NIF": "es.dni", "ES_NIE": "es.nie", "IT_FISCAL_CODE": "it.cf", "PL_PESEL": "pl.pesel",
    "SE_PERSONNUMMER": "se.pnr", "FI_PERSONAL_IDENTITY_CODE": "fi.hetu", "UK_NHS": "gb.nhs", "UK_NINO": "gb.nino",
}


class Blank(SpacyNlpEngine):
    def __init__(self):
        super().__init__()
        self.nlp = {"en": spacy.blank("en")}

    def load(self):
        pass


def analyzer():
    registry = RecognizerRegistry(supported_languages=["en"])
    names = [n for n in dir(predefined) if n.endswith("Recognizer")]
    chosen = [n for n in names if n.removesuffix("Recognizer") in GENERIC or n.startswith(COUNTRIES) and not n.startswith("Spacy")]
    for name in chosen:
        recognizer = getattr(predefined, name)
        registry.add_recognizer(recognizer(supported_language="en"))
    return AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"]), len(chosen)


def main():
    corpus, hits, speed = sys.argv[1:4]
    limits = {"user.ndjson": int(sys.argv[4]) if len(sys.argv) > 4 else 1500, "clean.ndjson": int(sys.argv[5]) if len(sys.argv) > 5 else 300}
    engine, count = analyzer()
    rows = []
    with open(hits, "w", encoding="utf-8") as out:
        for name, limit in limits.items():
            with open(os.path.join(corpus, name), "rb") as f:
                lines = [f.readline() for _ in range(limit)]
            found, at = 0, 0
            cpu = wall = 0.0
            for line in lines:
                text = line.decode()
                before, wall_before = time.thread_time(), time.perf_counter()
                results = engine.analyze(text=text, language="en", score_threshold=SCORE)
                cpu, wall = cpu + time.thread_time() - before, wall + time.perf_counter() - wall_before
                for r in results:
                    start = at + len(text[:r.start].encode())
                    end = start + len(text[r.start:r.end].encode())
                    kind = KINDS.get(r.entity_type, r.entity_type)
                    if r.entity_type == "IP_ADDRESS":
                        kind = "ipv6" if ":" in text[r.start:r.end] else "ipv4"
                    out.write(f"{name}\t{start}\t{end}\t{kind}\n")
                    found += 1
                at += len(line)
            out.write(f"{name}\t0\t{at}\t-\n")
            rows.append({"set": {"user.ndjson": "events of users", "clean.ndjson": "clean events"}[name], "engine": f"presidio, {count} recognizers, {limit:,} lines", "bytes": at, "hits": found,
                         "cpu_mb_s": at / 1e6 / cpu, "wall_mb_s": at / 1e6 / wall})
            print(rows[-1])
    with open(speed, "w") as f:
        json.dump({"rows": rows}, f, indent=1)


main()
