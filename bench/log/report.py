#!/usr/bin/env python3
"""`report.py RUNS.jsonl`: medians over the rounds, and ratios to the bare program.

A paired ratio is the median, over the rounds, of one figure by the other's of the same round; in brackets the least and the most."""

import json
import statistics
import sys


def paired(rows, kind, to, group):
    of = lambda k: {r["round"]: r["recs_s"] for r in rows if r["kind"] == k and r.get("group") == group}
    mine, theirs = of(kind), of(to)
    ratios = [mine[n] / theirs[n] for n in mine if n in theirs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""


def lasting(rows):
    if rows:
        print("\n| what | seconds | records/s | until all is published | p50 us | p99 us | p99.9 us | most us | refused | CPU us each |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind in sorted({r["kind"] for r in rows}):
        of = lambda key: [r[key] for r in rows if r["kind"] == kind]
        whole = f"{statistics.median(of('whole_s')):,.0f} ({min(of('whole_s')):,}-{max(of('whole_s')):,})"
        times = " | ".join(f"{statistics.median(of(k)):,.0f}" for k in ("p50_us", "p99_us", "p999_us", "max_us", "refused"))
        print(f"| {kind} | {of('seconds')[0]} | {statistics.median(of('recs_s')):,.0f} | {whole} | {times} | {statistics.median(of('cpu_us')):.1f} |")
    print()


def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    short = min((r["seconds"] for r in rows if "seconds" in r), default=0)
    long = [r for r in rows if r.get("seconds", short) > short]
    rows = [r for r in rows if r not in long]
    middle = lambda rs, key: statistics.median(r[key] for r in rs)
    print("| group | what | records/s | by bare | entries a flush | p50 us | p99 us | p99.9 us | left to publish |")
    print("|---:|---|---:|---|---:|---:|---:|---:|---:|")
    for group in sorted({r["group"] for r in rows if r["kind"] == "bare"}):
        for kind in ["bare", "frames", "plain", "sealed", "full"]:
            rs = [r for r in rows if r["kind"] == kind and r.get("group") == group]
            if not rs:
                continue
            ratio = "" if kind == "bare" else paired(rows, kind, "bare", group)
            mean = f"{middle(rs, 'mean_group'):.0f}" if kind != "bare" else str(group)
            left = f"{middle(rs, 'unpublished'):,.0f}" if kind in ("plain", "sealed", "full") else ""
            times = " | ".join(f"{middle(rs, k):,.0f}" for k in ("p50_us", "p99_us", "p999_us"))
            print(f"| {group} | {kind} | {middle(rs, 'recs_s'):,.0f} | {ratio} | {mean} | {times} | {left} |")
    made = [r["nanos"] for r in rows if r["kind"] == "make"]
    if made:
        print(f"\nTo make and seal one entry: {statistics.median(made):,.0f} ns on one core.")
    print(f"64 callers with 60 us of work, recorded by unrecorded: {paired(rows, 'callers', 'unrecorded', 64)}.")
    lasting(long)
    loads = [r["load"] for r in rows + long]
    print(f"Load average before the runs: median {statistics.median(loads):.1f}, most {max(loads):.1f}.")


main()
