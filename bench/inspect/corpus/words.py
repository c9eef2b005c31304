"""What identifiers are called: key names, and the words that stand beside them in a sentence.

`words_a.txt` and `words_b.txt` have a line for each kind: kind | key names | words of a sentence. The sets share no key and no word.
Set A may be looked at while a scanner is made, set B may not.
"""
import os

KEYS, WORDS = {"a": {}, "b": {}}, {"a": {}, "b": {}}
for which in "ab":
    with open(os.path.join(os.path.dirname(__file__), f"words_{which}.txt"), encoding="utf-8") as f:
        for line in f:
            kind, keys, words = line.strip().split("|")
            KEYS[which][kind], WORDS[which][kind] = keys.split(","), words.split(",")
for named in (KEYS, WORDS):
    # A word may name several kinds in one set, but never stand in both.
    shared = {x for v in named["a"].values() for x in v} & {x for v in named["b"].values() for x in v}
    assert not shared, shared

LANGUAGE = {"AT": "de", "DE": "de", "CH": "de", "LI": "de", "BE": "nl", "NL": "nl", "BG": "bg", "HR": "hr", "SI": "hr", "CY": "el", "GR": "el", "CZ": "cs", "SK": "cs", "DK": "da",
            "NO": "da", "SE": "sv", "EE": "et", "LT": "lt", "LV": "lv", "FI": "fi", "FR": "fr", "LU": "fr", "HU": "hu", "IE": "en", "GB": "en", "MT": "en", "IT": "it", "PL": "pl", "PT": "pt",
            "RO": "ro", "ES": "es", "IS": "is", "": "en"}
