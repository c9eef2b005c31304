"""What identifiers are called: key names, and the words that stand beside them in a sentence.

`words_a.txt`, `words_b.txt` and `words_c.txt` have a line for each kind: kind | key names | words of a sentence. The sets share no key and no word: what
stands in A or B is left out of C, so that whoever wrote C need not have read B. Set A may be looked at while a scanner is made, set C may not.
"""
import os

KEYS, WORDS = ({"a": {}, "b": {}, "c": {}} for _ in range(2))
for which in "abc":
    with open(os.path.join(os.path.dirname(__file__), f"words_{which}.txt"), encoding="utf-8") as f:
        for line in f:
            kind, keys, words = line.strip().split("|")
            KEYS[which][kind], WORDS[which][kind] = keys.split(","), words.split(",")
for named in (KEYS, WORDS):
    # A word may name several kinds in one set, but never stand in both.
    shared = {x for v in named["a"].values() for x in v} & {x for v in named["b"].values() for x in v}
    assert not shared, shared
    taken = {x for which in "ab" for v in named[which].values() for x in v}
    named["c"] = {kind: [x for x in v if x not in taken] for kind, v in named["c"].items()}
    assert all(named["c"].values())

LANGUAGE = {"AT": "de", "DE": "de", "CH": "de", "LI": "de", "BE": "nl", "NL": "nl", "BG": "bg", "HR": "hr", "SI": "hr", "CY": "el", "GR": "el", "CZ": "cs", "SK": "cs", "DK": "da",
            "NO": "da", "SE": "sv", "EE": "et", "LT": "lt", "LV": "lv", "FI": "fi", "FR": "fr", "LU": "fr", "HU": "hu", "IE": "en", "GB": "en", "MT": "en", "IT": "it", "PL": "pl", "PT": "pt",
            "RO": "ro", "ES": "es", "IS": "is", "": "en"}
