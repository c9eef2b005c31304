#!/usr/bin/env python3
"""`report.py RUNS.jsonl [FOREIGN_MAX]`: medians of each peer in each case, and Clover's ratios to the peers.

A paired ratio is the median, over the rounds, of Clover's figure by the peer's of the same round. Runs during
which others used more than FOREIGN_MAX of the CPUs are left out; where that leaves nothing, req/s are not
printed at all, and the CPU column is marked: it rises for all alike."""

import json
import statistics
import sys
from pathlib import Path

SIZES = {"user": "1 KiB", "list": "64 KiB", "bulk": "1 MiB NDJSON"}
HEAD = """| peer | req/s | p50 us | p99 us | CPU us/request | load of its CPU | runs |
|---|---:|---:|---:|---:|---:|---:|"""


def paired(rows, peer, column, limit):
    """Clover's figure by the peer's, median over the rounds in which both runs were quiet."""
    of = lambda name: {r["round"]: r[column] for r in rows if r["peer"] == name and r["foreign"] <= limit}
    ours, theirs = of("clover"), of(peer)
    ratios = [ours[k] / theirs[k] for k in ours if theirs.get(k)]
    return statistics.median(ratios) if ratios else None


def peer_row(peer, rows, limit):
    quiet = [r for r in rows if r["foreign"] <= limit]
    mid = lambda column: statistics.median(r[column] for r in quiet or rows)
    cpu = f"{mid('cpu_us'):.1f}" if peer != "direct" else "-"
    load = f"{mid('proxy_load'):.2f}" if peer != "direct" else "-"
    speed = f"{mid('rps'):.0f} | {mid('p50_us'):.0f} | {mid('p99_us'):.0f}" if quiet else "too busy | - | -"
    errors = sum(r["errors"] for r in rows)
    wrong = f", {errors} errors" if errors else ""
    return f"| {peer} | {speed} | {cpu}{'' if quiet else ' (busy)'} | {load} | {len(quiet)}/{len(rows)}{wrong} |"


def ratios(rows, limit):
    lines = []
    for peer in ("nginx", "ext_proc"):
        speed, cpu = paired(rows, peer, "rps", limit), paired(rows, peer, "cpu_us", 1)
        late = paired(rows, peer, "p50_us", limit)
        if cpu is not None:
            words = [f"req/s {speed:.2f}, p50 {late:.2f}" if speed else "req/s too busy to say", f"CPU {cpu:.2f}"]
            lines.append(f"clover / {peer}, paired: {', '.join(words)}.")
    return lines


def report(rows, limit):
    cases = list(dict.fromkeys((r["tls"], r["body"], r["connections"]) for r in rows))
    out = []
    for case in cases:
        here = [r for r in rows if (r["tls"], r["body"], r["connections"]) == case]
        s = "" if case[2] == 1 else "s"
        out += [f"\n### {SIZES[case[1]]}, {case[2]} connection{s}{', TLS' if case[0] else ''}\n", HEAD]
        for peer in dict.fromkeys(r["peer"] for r in here):
            out.append(peer_row(peer, [r for r in here if r["peer"] == peer], limit))
        out += ["", *ratios(here, limit)]
    return "\n".join(out)


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text().splitlines()
    print(report([json.loads(line) for line in lines], float(sys.argv[2]) if len(sys.argv) > 2 else 0.15))
