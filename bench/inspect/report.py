"""Tables of what `inspect-bench` and `presidio.py` wrote: report.py FOLDER."""
import json, os, sys

folder = sys.argv[1]
GOALS = {"phone": 0.98, "email": 0.99, "ipv4": 0.99, "ipv6": 0.99, "iban": 0.99, "card": 0.99, "jwt": 0.99, "token": 0.99}
# What Presidio has a pattern for.
SHARED = ("email", "card", "iban", "phone", "ipv4", "ipv6", "mac", "birth", "de.idnr", "de.rvnr", "es.dni", "es.nie", "it.cf", "pl.pesel", "se.pnr", "fi.hetu", "gb.nhs", "gb.nino")
NO_CHECK = ("cz.rc9", "dk.cpr", "lv.pk32", "mt.id", "li.peid", "gb.nino")


def load(name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path) as f:
        return json.load(f)


def share(v):
    return "" if v is None else f"{v:.4f}".rstrip("0").rstrip(".") if v < 1 else "1"


def goal(kind):
    return GOALS.get(kind) or (0.999 if "." in kind and kind not in NO_CHECK else None)


def quality(which):
    reports = {}
    for name in (f"quality-{which}.json", f"presidio-{which}.json"):
        reports |= load(name) or {}
    if not reports:
        return
    declared = reports.pop("declared", {})
    print(f"\n### Quality, set {which.upper()}\n")
    print("| engine | recall without names and addresses | of the right kind | of the kinds that Presidio has | precision | false hits per MB of clean events |")
    print("|---|---:|---:|---:|---:|---:|")
    for engine, r in reports.items():
        total = r["recall_without_names_and_addresses"]
        all_kinds = [r["kinds"][k]["all"] for k in SHARED if k in r["kinds"] and r["kinds"][k]["all"]["labels"]]
        shared = sum(k["labels"] * k["recall"] for k in all_kinds) / max(1, sum(k["labels"] for k in all_kinds))
        print(f"| {engine} | {share(total['recall'])} ({total['labels']:,} labels) | {share(total['strict'])} | {share(shared)} | {share(r['precision'])} | {r['clean_false_hits_per_mb']:,.1f} |")
    engines = list(reports)
    print("\nRecall by context, without names and addresses:\n")
    print("| context | labels | " + " | ".join(engines) + " |\n|---|---:|" + "---:|" * len(engines))
    contexts = sorted(reports[engines[0]]["contexts"], key=lambda c: (c.startswith("evasion"), c))
    for context in contexts:
        row = [share(reports[e]["contexts"].get(context, {}).get("recall")) for e in engines]
        print(f"| {context} | {reports[engines[0]]['contexts'][context]['labels']:,} | " + " | ".join(row) + " |")
    print("\nRecall by kind: first with a key, a head or an array's name that tells it (in brackets also of the right kind), then in all contexts but evasions and mistyped ones:\n")
    print("| kind | labels with a key | goal | " + " | ".join(engines) + " |\n|---|---:|---:|" + "---:|" * len(engines))
    missed = []
    for kind, counts in reports[engines[0]]["kinds"].items():
        row = []
        for engine in engines:
            k = reports[engine]["kinds"].get(kind)
            row.append("" if not k else f"{share(k['keyed']['recall'])} ({share(k['keyed']['strict'])}), {share(k['all']['recall'])}")
        keyed = counts["keyed"] if counts["keyed"]["labels"] else counts["all"]
        if goal(kind) and (keyed["recall"] or 0) < goal(kind):
            missed.append(f"{kind} {share(keyed['recall'])}")
        print(f"| {kind} | {counts['keyed']['labels']:,} | {goal(kind) or ''} | " + " | ".join(row) + " |")
    kinds = [k for k in reports[engines[0]]["kinds"] if goal(k)]
    print(f"\n{engines[0]}: {len(kinds) - len(missed)} of {len(kinds)} kinds meet their goal" + (f"; below it: {', '.join(missed)}." if missed else "."))
    short = [f"{k} {share(v['recall'])} of {v['labels']:,}" for k, v in declared.items() if v["recall"] < 0.999]
    print(f"\nWhere the schema declares the kind (`scan_in`): {sum(v['labels'] for v in declared.values()):,} values, mistyped ones {share(declared.get('mistyped', {}).get('recall'))}; below 0.999: {', '.join(short) or 'none'}.")
    print("\nFalse hits: " + "; ".join(f"{e}: " + (", ".join(f"{k} {n}" for k, n in sorted(reports[e]["false_hits"].items(), key=lambda x: -x[1])[:12]) or "none") for e in engines if not e.startswith("presidio")) + ".")


def speed():
    report = load("speed.json")
    if not report:
        return
    print("\n### Speed\n")
    print(f"One thread, the same chunks, {report['rounds']} rounds in turns; load average {report['load_before']} before, {report['load_after']} after.\n")
    print("| data | engine | MB/s of processor time (least to most) | MB/s of wall time | hits | ours by it |\n|---|---|---:|---:|---:|---:|")
    ours = {}
    for row in report["rows"]:
        cpu, wall = row["cpu_mb_s"], row["wall_mb_s"]
        ours.setdefault(row["set"], cpu["median"])
        print(f"| {row['set']} | {row['engine']} | {cpu['median']:,.0f} ({cpu['least']:,.0f} to {cpu['most']:,.0f}) | {wall['median']:,.0f} | {row['hits']:,} | {ours[row['set']] / cpu['median']:,.1f} |")
    for which in "abc":
        peer = load(f"presidio-speed-{which}.json")
        if peer and which == report.get("which", "a"):
            for row in peer["rows"]:
                print(f"| {row['set']} | {row['engine']} | {row['cpu_mb_s']:.4f} | {row['wall_mb_s']:.4f} | {row['hits']:,} | {ours.get(row['set'], 0) / row['cpu_mb_s']:,.0f} |")


speed()
quality("a")
quality("b")
quality("c")
