#!/usr/bin/env python3
"""Verifies a site's logs, or a person's history, from files alone. Written from the pages beside it; Python 3.11, no packages.

    verify.py SITE_DIR --site-vkey FILE [--policy FILE]    SITE_DIR holds `site/` and the folder of each enrolled log
    verify.py --history FILE --site-vkey FILE [--policy FILE]

Checked, for every log: the checkpoint's signature, the root computed from the entry bundles, every hash tile and pack that is
there (ledger-tree.md). The site log: strict leaves, enrolments, rounds against the other logs' roots, day maps and calendar
built again (site-log.md, day-map.md). Entries: header, facts, flow ids, streams, tag lists (entry.md). Key releases against
entries (key-releases.md). With --policy: the quorum's cosignatures (witness.md); of a mirror's folder, on `signed/<hex>`.
Not checked: rulebooks, whether decisions were right, activations, overrides, samples, details. That is the auditor's work.
One line per check: `ok ..` or `FOUND: ..`. Exit status 0 without findings, 1 with, 2 if a file cannot be read.
"""
import argparse, base64, collections, datetime, functools, hashlib, hmac, json, pathlib, re, struct, sys

FOUND, SEEN = [], [0]
need = lambda holds, text: holds or (FOUND.append(text), print("FOUND:", text))
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
unbase = functools.partial(base64.b64decode, validate=True)
day_of = lambda time: time // 86400
short = lambda origin: sha(origin.encode())[:8]
EDGES = (bytes(16), b"\xff" * 16)  # the tags of the sentinels

def done(text):  # says that a check is over, and whether it found something
    print("ok    " + text if len(FOUND) == SEEN[0] else f"      {text}: {len(FOUND) - SEEN[0]} findings")
    SEEN[0] = len(FOUND)

# Entries of a gateway (entry.md).
Entry = collections.namedtuple("Entry", "magic version kind direction decision log index time flow rulebook purpose place "
    "destination classes treatments reason findings subjects bytes rows detail actor mode count zero tags lane open lease outcome zeros")
def gateway(log, flows, days, now):
    streams = {}
    for i, leaf in enumerate(log.entries):
        e = Entry(*struct.unpack(">4sBBBB8sQQ16s32sH2s2sBBHHIQI32s16sBBH64s8sQQB7s", leaf[:256]))
        refusal, facts, tags = e.kind == 2, leaf[256:], [e.tags[n:n + 16] for n in range(0, 16 * e.count, 16)]
        used, later = (0, 16 * e.count, 32, 0)[e.mode & 3], e.kind in (7, 8)
        if e.mode == 2:
            data = (log.folder / "tags" / e.tags[:32].hex()).read_bytes()
            tags = [data[n:n + 16] for n in range(0, len(data), 16)]
            need(len(tags) > 4 and len(data) % 16 == 0 and root_of(tags) == e.tags[:32], f"{log.name}: entry {i}: its tag list")
        rules = {
            "form": (e.magic, e.version, e.zero, e.zeros) == (b"CLV1", 1, 0, bytes(7)) and 1 <= e.kind <= 8 and (i or e.kind == 4),
            "direction or decision": e.direction <= 2 and e.decision == (2 if refusal else 1),
            "codes": 1 <= e.purpose <= 11 and e.reason <= 12 and (e.reason > 0) == refusal and e.classes < 8 and e.treatments < 64,
            "countries": all(c.isalpha() and c.isupper() for c in (e.place, e.destination)),
            "values of a refusal": not refusal or e.classes == e.treatments == e.bytes == 0,
            "tags": e.mode <= 3 and e.tags[used:] == bytes(64 - used) and tags == sorted(set(tags)) and e.subjects == len(tags)
                and (1 <= e.count <= 4 if e.mode == 1 else e.count == 0) and not set(EDGES) & set(tags),
            "fields of a stream": (later or e.open == 0) and (e.kind in (6, 7) or e.lease == 0) and (e.outcome in (1, 2, 3)) == (e.kind == 8),
            "length of the facts": len(facts) <= 4096 and (refusal or (e.kind in (1, 3, 6)) == bool(facts)),
            "flow id used twice": later or e.flow not in flows,
        }
        if facts:
            facts = cbor(facts)
            rules["facts"] = (facts[0], facts[1][1], facts[2], facts[3]) == (1, e.actor, e.time, e.purpose)
        if later:
            first, budget, lease = streams.pop(e.open, (b"", 0, 0))
            rules["not like its open"] = all(leaf[a:b] == first[a:b] for a, b in ((6, 7), (32, 88), (92, 96), (140, 232)))
            rules["budget or lease"] = e.bytes <= budget if e.kind == 8 else e.bytes >= budget and e.lease >= lease >= e.time
        if e.kind in (6, 7):
            rules["lease"] = e.lease <= e.time + 3600
            streams[e.open if later else i] = (first if later else leaf, e.bytes, e.lease)
        for name, holds in rules.items():
            need(holds, f"{log.name}: entry {i}: {name}")
        if not later:
            flows[e.flow] = e
        days[day_of(e.time)] += [(log.origin, i, tag) for tag in tags if tag not in EDGES] or [(log.origin, i, None)]
    for i, (_, _, lease) in streams.items():
        need(lease + 60 >= now, f"{log.name}: stream {i} was never closed")
    done(f"{log.name}: headers, facts, flow ids, streams, tag lists")

# Key releases (key-releases.md).
def releases(log, flows, now):
    seen = {}
    for i, leaf in enumerate(log.entries):
        flow, e, time = leaf[32:48], flows.get(leaf[32:48]), log.times[i]
        need(len(leaf) == 160 and leaf[:6] == b"CLVK\1\1" and leaf[82:84] + leaf[152:] == bytes(10), f"{log.name}: release {i}: form")
        need(flow not in seen, f"{log.name}: release {i}: a second one for its flow")
        seen[flow] = need(e or time > now - 60, f"{log.name}: release {i}: no entry says for what")
        if e:
            same = struct.pack(">BB32sHHI64s", e.mode, e.count, e.rulebook, e.purpose, 0, e.subjects, e.tags)
            need(e.kind in (1, 2, 6) and leaf[6:8] + leaf[48:152] == same, f"{log.name}: release {i}: not like its entry")
            need(abs(e.time - time) <= 60 or (e.kind, e.reason) == (2, 12), f"{log.name}: release {i}: 60 s from its entry")
    for flow, e in flows.items():
        need(flow in seen or e.kind not in (1, 2, 6) or e.mode not in (1, 2) or e.time > now - 60, f"{log.name}: none for entry {e.index}")
    done(f"{log.name}: each release has its entry, each entry that names people its release")

# The site log (site-log.md), day maps and calendar (day-map.md).
KEYS = {1: 1, 2: 1, 3: 8, 4: 1, 5: 1, 6: 3}  # keys of a body, by kind
def day_map(pairs):  # pairs of tag and (gateway's 8 bytes, index)
    lists = {tag: [] for tag in EDGES}
    for tag, pair in sorted(set(pairs)):
        lists.setdefault(tag, []).append(pair)
    return root_of([tag + struct.pack(">I", len(l)) + sha(*l) for tag, l in sorted(lists.items())]), len(lists) - 2, len(set(pairs))
def site(base, vkey):
    log, logs, roles, counted, bodies = Log(base / "site", vkey), {}, {}, {}, []
    for i, leaf in enumerate(log.entries):
        where, kind, body, time = f"site: entry {i}", leaf[5], cbor(leaf[32:]), log.times[i]
        need(leaf[:5] + leaf[6:8] == b"CLVS\1\0\0" and list(body) == list(range(KEYS.get(kind, 0))), f"{where}: form")
        need(i or kind == 2, f"{where}: the first is no enrolment")
        bodies.append((i, kind, body))
        if kind == 2:
            for origin, key, role, prefix in body[0]:
                need(roles.setdefault(origin, (key, role, prefix)) == (key, role, prefix), f"{where}: {origin} changed")
                if origin not in logs:
                    need(role in (1, 2) and re.fullmatch(r"(?!site(/|$))[\w-][\w.-]*(/[\w-][\w.-]*){0,3}", prefix, re.A), f"{where}: role or prefix")
                    logs[origin] = Log(base / prefix, key)
            enrolled = [line[0] for line in body[0]]
            need(enrolled == sorted(set(enrolled)), f"{where}: order")
        if kind == 1:
            need([line[0] for line in body[0]] == enrolled, f"{where}: the round is not of the enrolled logs")
            for origin, size, root in body[0]:
                before, since = counted.get(origin, (0, 0))
                need(before <= size < len(logs[origin].roots) and logs[origin].roots[size] == root, f"{where}: size or root of {origin}")
                need(all(since - 300 <= t <= time + 300 for t in logs[origin].times[before:size]), f"{where}: times of {origin}")
                counted[origin] = (size, time)
    gaps = sum(b - a > 10 for a, b in zip(log.times, log.times[1:]))
    done(f"site: leaves, enrolments, rounds ({gaps} gaps of more than 10 s)")
    flows, days, now, calendar = {}, collections.defaultdict(list), max(log.times), []
    for origin in (o for o in logs if roles[o][1] == 1):
        gateway(logs[origin], flows, days, now)
    for origin in (o for o in logs if roles[o][1] == 2):
        releases(logs[origin], flows, now)
    for i, kind, body in bodies:
        enrolled = [line[0] for line in body[0] if line[2] == 1] if kind == 2 else enrolled
        if kind == 3:
            inputs, of_day = {line[0]: line[1:] for line in body[5]}, days[body[0]]
            inside = [p for p in of_day if inputs[p[0]][0] <= p[1] < inputs[p[0]][1]]
            need([line[0] for line in body[5]] == enrolled, f"site: entry {i}: inputs")
            need(all(a <= b and logs[o].roots[b] == root for o, (a, b, root) in inputs.items()), f"site: entry {i}: roots of the inputs")
            need(inside == [p for p in of_day if body[1] or p[1] < inputs[p[0]][1]], f"site: entry {i}: entries of the day left out")
            made = day_map([(tag, short(o) + index.to_bytes(8, "big")) for o, index, tag in inside if tag])
            need(made == (body[2], body[3], body[4]), f"site: entry {i}: the day map built again is another")
            if body[1]:
                need(body[0] == (min(days) + len(calendar)), f"site: entry {i}: the calendar has a gap")
                calendar.append(struct.pack(">I32sQQ", body[0], *made))
            need((root_of(calendar), len(calendar)) == (body[6], body[7]), f"site: entry {i}: calendar")
    done(f"day maps: {sum(kind == 3 for _, kind, _ in bodies)} built again, {len(calendar)} of them final")
    return log

# A person's history (day-map.md).
def history(h, vkey):
    origin, size, root = checkpoint(h["checkpoint"], vkey)
    maps, known, days = {}, {}, {}
    for name in (n for n in ("anchor", "interim") if n in h):
        leaf = unbase(h[name]["leaf"])
        need(included(leaf, h[name], root, size) and leaf[:8] == b"CLVS\1\3\0\0", f"history: {name}")
        maps[name] = cbor(leaf[32:])
        need(maps[name][1] == (name == "anchor"), f"history: {name}: final or not")
    records = [r for r in struct.iter_unpack("52s", unbase(h.get("calendar", "")))]
    records = [r for (r,) in records]
    newest = maps.get("anchor") or maps["interim"]
    need((root_of(records), len(records)) == (newest[6], newest[7]), "history: calendar")
    for n, record in enumerate(records):
        day, root_, tags, _ = struct.unpack(">I32sQQ", record)
        need(day == int.from_bytes(records[0][:4], "big") + n, "history: the calendar has a gap")
        known[day] = (root_, tags + 2)
    if "interim" in maps:
        m = maps["interim"]
        need(m[0] not in known, "history: interim")
        known[m[0]] = (m[2], m[3] + 2)
    first = datetime.date(1970, 1, 1)
    start, end = ((datetime.date.fromisoformat(h[k]) - first).days for k in ("from", "to"))
    need([d["day"] for d in h["days"]] == [str(first + datetime.timedelta(n)) for n in range(start, end + 1)], "history: days")
    for day, d in zip(range(start, end + 1), h["days"]):
        tag = hmac.digest(bytes.fromhex(h["tag_key"]), h["log_set"].encode() + struct.pack(">BI", 0, day), "sha256")[:16]
        if "present" in d:
            pairs = unbase(d["present"]["list"])
            leaf = tag + struct.pack(">I", len(pairs) // 16) + sha(pairs)
            need(pairs and included(leaf, d["present"], *known[day]), f"history: {d['day']}: present")
            days |= {pairs[n:n + 16]: (day, tag) for n in range(0, len(pairs), 16)}
        elif "absent" in d:
            low, high = d["absent"]["low"], d["absent"]["high"]
            a, b = unbase(low["leaf"]), unbase(high["leaf"])
            need(low["index"] + 1 == high["index"] and a[:16] < tag < b[:16] and included(a, low, *known[day])
                and included(b, high, *known[day]), f"history: {d['day']}: absent")
        else:
            need(d.get("outside") is True and records and day < min(known), f"history: {d['day']} is not covered")
    inputs = {line[0]: line[2:] for line in (maps.get("interim") or maps["anchor"])[5]}
    named = [short(e["origin"]) + e["index"].to_bytes(8, "big") for e in h["entries"]]
    need(named == sorted(days), "history: the entries are not those that the lists name")
    for pair, e in zip(named, h["entries"]):
        leaf, (to, root) = unbase(e["leaf"]), inputs[e["origin"]]
        need(included(leaf, e, root, to) and leaf[8:24] == pair, f"history: entry {e['index']}: proof")
        day, tag = days[pair]
        need(day_of(int.from_bytes(leaf[24:32], "big")) == day, f"history: entry {e['index']}: another day")
        need(leaf[156] == 2 or tag in [leaf[n:n + 16] for n in range(160, 160 + 16 * leaf[157], 16)], f"history: entry {e['index']}: another's")
    done(f"history: {len(h['days'])} days, {len(named)} entries")

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", nargs="?", type=pathlib.Path)
    for name in ("--history", "--policy"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--site-vkey", type=pathlib.Path, required=True)
    args = parser.parse_args()
    vkey = args.site_vkey.read_text()
    if args.history:
        h = json.loads(args.history.read_text())
        history(h, vkey)
        note = h["checkpoint"]
    else:
        log = site(args.site, vkey)
        held = args.site / "signed" / sha(log.origin.encode()).hex()
        note = (held if held.exists() else args.site / "site/checkpoint").read_text()
        origin, size, root = checkpoint(note, vkey)
        need(log.roots[size] == root, "signed checkpoint: another root")
    if args.policy:
        quorum(args.policy.read_text(), note, vkey)
        done("policy")
try:
    main()
except OSError as error:
    print(error); sys.exit(2)
sys.exit(1 if FOUND else 0)
