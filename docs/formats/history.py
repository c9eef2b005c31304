"""A person's history, as day-map.md describes it; run it with `verify.py --history FILE --site-vkey FILE`."""
import datetime, hmac, struct
from standards import cbor, checkpoint, done, included, need, root_of, sha, short

def chunks(length, data):
    return [chunk for chunk, in struct.iter_unpack(f"{length}s", data)]

def history(h, vkey):
    origin, size, root = checkpoint(h[5], vkey)
    need(h[0] == "clover subject history v1" and set(h) <= set(range(11)), "history: another format")
    maps, known, carried = {}, {}, {}
    for key, name in ((6, "anchor"), (8, "interim")):
        if key in h:
            index, leaf, proof = h[key]
            maps[name] = cbor(leaf[32:])
            form = b"CLVS\1\3\0\0" + short(origin) + index.to_bytes(8, "big")
            right = leaf[:24] == form and maps[name][1] == (name == "anchor")
            need(right and included({index: leaf}, proof, root, size), f"history: {name}")
    anchor, newest = maps.get("anchor"), maps.get("interim")
    records = chunks(52, h.get(7, b""))
    counts = anchor or newest
    need((root_of(records), len(records), 7 in h) == (counts[6], counts[7], 6 in h), "history: calendar")
    for day, map_root, tags, _ in map(struct.Struct(">I32sQQ").unpack, records):
        need(not known or day == max(known) + 1, "history: the calendar has a gap")
        known[day] = map_root, tags + 2
    need(not anchor or known[max(known)] == (anchor[2], anchor[3] + 2), "history: the calendar ends with another day")
    if newest:
        need(not known or newest[0] > max(known), "history: interim")
        same = newest[7] <= len(records) and root_of(records[:newest[7]]) == newest[6]
        need(same, "history: calendar of the interim entry")
        known[newest[0]] = newest[2], newest[3] + 2
    start, end = h[3], h[4]
    need(0 <= end - start < 3660 and len(h[9]) == end - start + 1, "history: days are missing")
    for day, d in enumerate(h[9], start):
        tag = hmac.digest(h[2], h[1].encode() + struct.pack(">BI", 0, day), "sha256")[:16]
        if len(d) == 3:
            index, pairs, proof = d[0], chunks(16, d[1]), d[2]
            leaf = tag + struct.pack(">I", len(pairs)) + sha(*pairs)
            holds = pairs == sorted(set(pairs)) != [] and included({index: leaf}, proof, *known[day])
            carried |= {pair: (day, tag) for pair in pairs}
        elif d:
            index, low, high, proof = d
            proven = included({index: low, index + 1: high}, proof, *known[day])
            holds = proven and len(low) == len(high) == 52 and low[:16] < tag < high[:16]
        else:
            holds = records and day < min(known)
        need(holds, f"history: {datetime.date(1970, 1, 1) + datetime.timedelta(day)}")
    inputs = {line[0]: line[2:] for line in (newest or anchor)[5]}
    logs = [short(log[0]) for log in h[10]]
    need(logs == sorted({pair[:8] for pair in carried}), "history: the logs are not those of the lists")
    for (name, leaves, proof), log in zip(h[10], logs):
        pairs, (to, log_root) = sorted(pair for pair in carried if pair[:8] == log), inputs[name]
        placed = {int.from_bytes(pair[8:], "big"): leaf for pair, leaf in zip(pairs, leaves)}
        proven = len(leaves) == len(pairs) and included(placed, proof, log_root, to)
        need(proven, f"history: the entries of `{name}`")
        for pair, leaf in zip(pairs, leaves):
            day, tag = carried[pair]
            index, time = (int.from_bytes(part, "big") for part in (pair[8:], leaf[24:32]))
            right = leaf[:5] == b"CLV1\1" and leaf[8:24] == pair and time // 86400 == day
            inline = chunks(16, leaf[160:160 + 16 * leaf[157]]) if leaf[156] == 1 else []
            need(right and (leaf[156] == 2 or tag in inline), f"history: entry {index} of `{name}`")
    done(f"history: {len(h[9])} days, {len(carried)} entries")
