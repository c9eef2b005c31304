#!/usr/bin/env python3
"""Verifies a site's logs, or a person's history, from files alone. Written from the pages beside it; needs Python 3.11.

    verify.py SITE_DIR --site-vkey FILE [--policy FILE]    SITE_DIR holds `site/` and the folder of each enrolled log
    verify.py --history FILE --site-vkey FILE [--policy FILE]

Our own formats stand here, what C2SP and the RFCs say in standards.py, histories in history.py, requests in acts.py. Checked:
- every log: signature of the checkpoint, its root against the entries, every hash tile that is there (ledger-tree.md);
- the site log: leaves, enrolments, rounds, day maps and calendar built again (site-log.md, day-map.md);
- entries: header, facts, flow ids, streams, tag lists (entry.md), key releases against entries (key-releases.md);
- with --policy: the quorum's cosignatures (witness.md), on `signed/<hex>` if the folder is a mirror's.
Not checked: whether decisions were right, rulebooks, overrides, samples, details. The auditor (clover-audit) does that.
One line per check, `ok ..`, or `FOUND: ..` per finding. Status 0 without findings, 1 with, 2 if a file cannot be read.
"""
import sys
sys.dont_write_bytecode = True
import argparse, collections, pathlib, re, struct
import acts, history
from standards import FOUND, Log, cbor, checkpoint, done, need, quorum, root_of, sha, short

EDGES = (bytes(16), b"\xff" * 16)  # the tags of a day map's sentinels

# Entries of a gateway (entry.md).
LAYOUT = struct.Struct(">4sBBBB8sQQ16s32sH2s2sBBHHIQI32s16sBBH64s8sQQB7s")
Entry = collections.namedtuple("Entry", """magic version kind direction decision log index time flow rulebook purpose
    place destination classes treatments reason findings subjects bytes rows detail actor mode count zero tags lane open
    lease outcome zeros""")

def tags_of(log, e):
    if e.mode != 2:
        return [e.tags[n:n + 16] for n in range(0, 16 * e.count, 16)]
    path = log.folder / "tags" / e.tags[:32].hex()
    data = path.read_bytes() if path.exists() else b""
    tags = [data[n:n + 16] for n in range(0, len(data), 16)]
    whole = len(tags) > 4 and len(data) % 16 == 0 and root_of(tags) == e.tags[:32]
    need(whole, f"{log.name}: entry {e.index}: its tag list")
    return tags

def gateway(log, flows, days, now):
    streams = {}
    for i, leaf in enumerate(log.entries):
        e, facts = Entry(*LAYOUT.unpack(leaf[:256])), leaf[256:]
        refusal, later, tags = e.kind == 2, e.kind in (7, 8), tags_of(log, e)
        used = {1: 16 * e.count, 2: 32}.get(e.mode, 0)
        rules = {
            "form": (e.magic, e.version, e.zero, e.zeros) == (b"CLV1", 1, 0, bytes(7)),
            "kind": 1 <= e.kind <= 14 and (e.kind not in (11, 12) or (e.mode, e.count, e.bytes) == (1, 1, 0)) and (e.kind != 14 or e.direction == 2) and (i > 0 or e.kind == 4),
            "direction or decision": e.direction <= 2 and e.decision == (2 if refusal else 1),
            "codes": 1 <= e.purpose <= 11 and e.reason <= 18 and (e.reason > 0) == refusal,
            "bits": e.classes < 8 and e.treatments < 64 and not (refusal and (e.classes or e.treatments or e.bytes)),
            "countries": all(c.isalpha() and c.isupper() for c in (e.place, e.destination)) and (e.kind != 13 or e.place == e.destination and not e.mode + e.treatments),
            "tags": tags == sorted(set(tags)) and e.subjects == len(tags) and not set(EDGES) & set(tags),
            "tag block": e.mode <= 3 and e.tags[used:] == bytes(64 - used)
                and e.count in (range(1, 5) if e.mode == 1 else [0]),
            "stream fields": (later or e.open == 0) and (e.kind in (6, 7) or e.lease == 0)
                and (e.outcome in (1, 2, 3) if e.kind == 8 else e.outcome == 0),
            "length of facts": len(facts) <= 4096 and (refusal or (e.kind in (1, 3, 6, 9, 10, 13, 14)) == bool(facts)),
            "flow id used twice": later or e.flow not in flows}
        if facts and e.kind < 9:
            f = cbor(facts)
            rules["facts"] = (f[0], f[1][1], f[2], f[3]) == (1, e.actor, e.time, e.purpose)
        if later:
            first, budget, lease = streams.pop(e.open, (b"", 0, 0))
            repeated = ((6, 7), (32, 88), (92, 96), (140, 232))
            rules["not like its open"] = all(leaf[a:b] == first[a:b] for a, b in repeated)
            rules["budget"] = e.bytes <= budget if e.kind == 8 else e.bytes >= budget and e.lease >= lease >= e.time
        else:
            flows[e.flow] = first = leaf
        if e.kind in (6, 7):
            rules["lease"] = e.lease <= e.time + 3600
            streams[e.open if later else i] = first, e.bytes, e.lease
        for name in (name for name, holds in rules.items() if not holds):
            need(False, f"{log.name}: entry {i}: {name}")
        days[e.time // 86400] += [(log.origin, i, tag) for tag in tags if tag not in EDGES] or [(log.origin, i, None)]
    need(all(lease + 60 >= now for _, _, lease in streams.values()), f"{log.name}: a stream was never closed")
    done(f"{log.name}: headers, facts, flow ids, streams, tag lists")

# Key releases (key-releases.md). What is younger than 60 s may lack its counterpart.
def releases(log, flows, now):
    seen = set()
    for i, (leaf, time) in enumerate(zip(log.entries, log.times)):
        where, flow = f"{log.name}: release {i}", leaf[32:48]
        need(len(leaf) == 160 and leaf[:6] == b"CLVK\1\1" and leaf[82:84] + leaf[152:] == bytes(10), f"{where}: form")
        need(flow not in seen, f"{where}: a second one for its flow")
        seen.add(flow)
        if need(flow in flows or time >= now - 60, f"{where}: no entry says for what") and flow in flows:
            e = Entry(*LAYOUT.unpack(flows[flow][:256]))
            same = struct.pack(">BB32sHHI64s", e.mode, e.count, e.rulebook, e.purpose, 0, e.subjects, e.tags)
            need(e.kind in (1, 2, 6) and leaf[6:8] + leaf[48:152] == same, f"{where}: not like its entry")
            need(abs(e.time - time) <= 60 or (e.kind, e.reason) == (2, 12), f"{where}: too far from its entry")
    for e in (Entry(*LAYOUT.unpack(leaf[:256])) for flow, leaf in flows.items() if flow not in seen):
        without = e.kind not in (1, 2, 6) or e.mode not in (1, 2)
        need(without or e.time >= now - 60, f"{log.name}: no release for entry {e.index}")
    done(f"{log.name}: each release has its entry, and each entry that names people its release")

# The site log (site-log.md).
KEYS = {1: 1, 2: 1, 3: 8, 4: 1, 5: 1, 6: 3, 7: 3, 9: 12}  # keys of a body, by kind

def site(base, vkey):
    log, logs, roles, counted, enrolled, bodies, ended = Log(base / "site", vkey), {}, {}, {}, [], [], {}
    for i, (leaf, time) in enumerate(zip(log.entries, log.times)):
        where, kind, body = f"site: entry {i}", leaf[5], cbor(leaf[32:])
        need(leaf[:5] + leaf[6:8] == b"CLVS\1\0\0" and list(body) == list(range(KEYS.get(kind, 0))), f"{where}: form")
        need(i > 0 or kind == 2, f"{where}: the first is no enrolment")
        bodies.append((where, kind, body))
        if kind == 2:
            before, enrolled = enrolled, [line[0] for line in body[0]]
            need(enrolled == sorted(set(enrolled)), f"{where}: order")
            kept = set(before) <= set(enrolled) and not ended.keys() & enrolled
            need(kept, f"{where}: a log is left out that is not retired, or there that is")
            for origin, key, role, prefix in body[0]:
                same = roles.setdefault(origin, (key, role, prefix)) == (key, role, prefix)
                need(same, f"{where}: `{origin}` changed")
                if origin not in logs:
                    named = re.fullmatch(r"(?!site(/|$))[\w-][\w.-]*(/[\w-][\w.-]*){0,3}", prefix, re.ASCII)
                    if not named or role not in (1, 2):
                        raise ValueError(f"{where}: role or prefix of `{origin}`")
                    logs[origin] = Log(base / prefix, key)
        if kind in (1, 7):
            lines = body[0] if kind == 1 else [list(body.values())]
            fits = lines[0][0] in enrolled if kind == 7 else [line[0] for line in lines] == enrolled
            need(fits, f"{where}: not of the enrolled logs")
            for origin, size, root in lines:
                before, since = counted.get(origin, (0, 0))
                need(before <= size and logs[origin].roots.get(size) == root, f"{where}: size or root of `{origin}`")
                near = all(since - 300 <= t <= time + 300 for t in logs[origin].times[before:size])
                need(near, f"{where}: times of `{origin}`")
                counted[origin] = size, time
            if kind == 7:
                ended[body[0]], enrolled = body[1], [origin for origin in enrolled if origin != body[0]]
    need(all(len(logs[origin].entries) == size for origin, size in ended.items()), "site: a retired log has grown")
    gaps = sum(after - before > 10 for before, after in zip(log.times, log.times[1:]))
    done(f"site: leaves, enrolments, rounds ({gaps} gaps of more than 10 s)")
    acts.check(bodies)
    flows, days = {}, collections.defaultdict(list)
    for origin in (origin for origin in logs if roles[origin][1] == 1):
        gateway(logs[origin], flows, days, max(log.times))
    for origin in (origin for origin in logs if roles[origin][1] == 2):
        releases(logs[origin], flows, max(log.times))
    day_maps(bodies, logs, days)
    return log

# Day maps and calendar (day-map.md).
def day_map(pairs):  # of tag and pair: root, number of tags, number of pairs
    lists = {tag: [] for tag in EDGES}
    for tag, pair in sorted(set(pairs)):
        lists.setdefault(tag, []).append(pair)
    leaves = [tag + struct.pack(">I", len(found)) + sha(*found) for tag, found in sorted(lists.items())]
    return root_of(leaves), len(lists) - 2, len(set(pairs))

def day_maps(bodies, logs, days):
    calendar, enrolled = [], set()
    for where, kind, body in bodies:
        if kind == 2:
            enrolled |= {line[0] for line in body[0] if line[2] == 1}
        if kind == 3:
            day, final, inputs = body[0], body[1], {line[0]: line[1:] for line in body[5]}
            need([line[0] for line in body[5]] == sorted(enrolled), f"{where}: inputs")
            rooted = all(a <= b and logs[origin].roots.get(b) == root for origin, (a, b, root) in inputs.items())
            need(rooted, f"{where}: ranges or roots of the inputs")
            wanted = [p for p in days[day] if p[0] in inputs and (final or p[1] < inputs[p[0]][1])]
            need(all(inputs[o][0] <= i < inputs[o][1] for o, i, _ in wanted), f"{where}: entries of the day left out")
            made = day_map([(tag, short(o) + i.to_bytes(8, "big")) for o, i, tag in wanted if tag])
            need(made == (body[2], body[3], body[4]), f"{where}: the day map that was built again is another")
            if final:
                need(day == min(d for d in days if days[d]) + len(calendar), f"{where}: the calendar has a gap")
                calendar.append(struct.pack(">I32sQQ", day, *made))
            need((root_of(calendar), len(calendar)) == (body[6], body[7]), f"{where}: calendar")
    done(f"day maps: {sum(kind == 3 for _, kind, _ in bodies)} built again, {len(calendar)} of them final")

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", nargs="?", type=pathlib.Path)
    parser.add_argument("--history", type=pathlib.Path)
    parser.add_argument("--policy", type=pathlib.Path)
    parser.add_argument("--site-vkey", type=pathlib.Path, required=True)
    args = parser.parse_args()
    vkey = args.site_vkey.read_text()
    if args.history:
        told = cbor(args.history.read_bytes())
        note = told[5]
        history.history(told, vkey)
    else:
        log = site(args.site, vkey)
        witnessed = args.site / "signed" / sha(log.origin.encode()).hex()
        note = (witnessed if witnessed.exists() else args.site / "site/checkpoint").read_text()
        _, size, root = checkpoint(note, vkey)
        need(log.roots.get(size) == root, "site: the cosigned checkpoint has another root")
    if args.policy:
        quorum(args.policy.read_text(), note, vkey)
        done("cosignatures of the quorum")

if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(print(error, file=sys.stderr) or 2)
    except Exception as error:  # whatever a malformed file leads to is a finding
        need(False, f"malformed: {error if type(error) is ValueError else type(error).__name__}")
    sys.exit(1 if FOUND else 0)
