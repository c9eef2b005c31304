"""A person's history, as day-map.md describes it; run it with `verify.py --history FILE --site-vkey FILE`."""
import datetime, hmac, struct
from standards import cbor, checkpoint, done, included, need, root_of, sha, short, unbase

def history(h, vkey):
    origin, size, root = checkpoint(h["checkpoint"], vkey)
    need(h["format"] == "clover subject history v1", "history: another format")
    maps, known, carried = {}, {}, {}
    for name in {"anchor", "interim"} & set(h):
        leaf, maps[name] = unbase(h[name]["leaf"]), cbor(unbase(h[name]["leaf"])[32:])
        form = b"CLVS\1\3\0\0" + short(origin) + h[name]["index"].to_bytes(8, "big")
        right = leaf[:24] == form and maps[name][1] == (name == "anchor")
        need(right and included(leaf, h[name], root, size), f"history: {name}")
    records = [record for record, in struct.iter_unpack("52s", unbase(h.get("calendar", "")))]
    counts = maps.get("anchor") or maps["interim"]
    need((root_of(records), len(records)) == (counts[6], counts[7]), "history: calendar")
    for day, map_root, tags, _ in map(struct.Struct(">I32sQQ").unpack, records):
        need(not known or day == max(known) + 1, "history: the calendar has a gap")
        known[day] = map_root, tags + 2
    if newest := maps.get("interim"):
        need(not known or newest[0] > max(known), "history: interim")
        known[newest[0]] = newest[2], newest[3] + 2
    zero = datetime.date(1970, 1, 1)
    start, end = ((datetime.date.fromisoformat(h[name]) - zero).days for name in ("from", "to"))
    dates = [str(zero + datetime.timedelta(day)) for day in range(start, end + 1)]
    need(dates and [d["day"] for d in h["days"]] == dates, "history: days are missing")
    for day, d in enumerate(h["days"], start):
        context = h["log_set"].encode() + struct.pack(">BI", 0, day)
        tag = hmac.digest(bytes.fromhex(h["tag_key"]), context, "sha256")[:16]
        if present := d.get("present"):
            pairs = [pair for pair, in struct.iter_unpack("16s", unbase(present["list"]))]
            leaf = tag + struct.pack(">I", len(pairs)) + sha(*pairs)
            holds = pairs == sorted(set(pairs)) != [] and included(leaf, present, *known[day])
            carried |= {pair: (day, tag) for pair in pairs}
        elif absent := d.get("absent"):
            low, high = (unbase(absent[side]["leaf"]) for side in ("low", "high"))
            proven = all(included(unbase(side["leaf"]), side, *known[day]) for side in absent.values())
            neighbours = absent["low"]["index"] + 1 == absent["high"]["index"]
            holds = set(absent) == {"low", "high"} and proven and neighbours and low[:16] < tag < high[:16]
        else:
            holds = d.get("outside") is True and records and day < min(known)
        need(holds, f"history: {d['day']}")
    inputs = {line[0]: line[2:] for line in (newest or maps["anchor"])[5]}
    pairs = [short(e["origin"]) + e["index"].to_bytes(8, "big") for e in h["entries"]]
    need(pairs == sorted(carried), "history: the entries are not those of the lists")
    for pair, e in zip(pairs, h["entries"]):
        leaf, (to, log_root), (day, tag) = unbase(e["leaf"]), inputs[e["origin"]], carried[pair]
        right = leaf[:5] == b"CLV1\1" and leaf[8:24] == pair and int.from_bytes(leaf[24:32], "big") // 86400 == day
        named = leaf[156] == 2 or tag in [leaf[n:n + 16] for n in range(160, 160 + 16 * leaf[157], 16)]
        need(included(leaf, e, log_root, to) and right and named, f"history: entry {e['index']}")
    done(f"history: {len(dates)} days, {len(pairs)} entries")
