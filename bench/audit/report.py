#!/usr/bin/env python3
"""`report.py RUNS.jsonl`: medians over the rounds, and rates as parts of the floor's of the same round (in brackets least and most)."""

import json
import statistics
import sys

FLOORS = {"verify": "read and hash", "verify --no-redecide": "read and hash", "replay": "read and hash", "mirror": "copy by curl"}
ORDER = ["read and hash", "verify", "verify --no-redecide", "replay", "replay, all distinct", "map", "copy by curl", "mirror"]


def ratio(rows, run):
    rates = lambda name: {row["round"]: row["count"] / row["wall"] for row in rows if row["run"] == name}
    mine, floor = rates(run), rates(FLOORS.get(run, ""))
    parts = [mine[n] / floor[n] for n in mine if n in floor]
    return f"{statistics.median(parts):.2f} ({min(parts):.2f}-{max(parts):.2f})" if parts else ""


def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    print("| run | of | a second | by its floor | processor us each | most memory |")
    print("|---|---:|---:|---:|---:|---:|")
    for run in ORDER:
        of = [row for row in rows if row["run"] == run]
        middle = lambda value: statistics.median(value(row) for row in of)
        unit = of[0].get("unit", "entries")
        print(
            f"| `{run}` | {of[0]['count']:,} {unit} | {middle(lambda row: row['count'] / row['wall']):,.0f} | {ratio(rows, run)} "
            f"| {middle(lambda row: 1e6 * row['cpu'] / row['count']):.2f} | {middle(lambda row: row['kib'] / 1024):.0f} MiB |"
        )
    distinct = [row for row in rows if row["run"] == "replay, all distinct"]
    a_second = statistics.median(row["distinct"] / row["wall"] for row in distinct)
    print(f"\nDistinct decisions a second, on both cores: {a_second:,.0f}.")
    maps = statistics.median(row["map_seconds"] for row in rows if row["run"] == "mirror")
    pairs = statistics.median(row["count"] for row in rows if row["run"] == "map")
    print(f"The mirror builds that map from its entries, nothing read ahead, in {maps:.2f} s: {pairs / maps:,.0f} pairs a second.")
    loads = [row["load"] for row in rows]
    print(f"Load average at the end of the runs: median {statistics.median(loads):.1f}, most {max(loads):.1f}.")


main()
