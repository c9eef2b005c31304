"""Makes the corpus: `make.py FOLDER --set a|b|c --seed N [--user MB] [--clean MB] [--csv MB]`.

FOLDER gets `user.ndjson`, `clean.ndjson`, `table-NNN.csv`, and `labels.tsv` with a line for each labelled span:
file, first byte, byte after the last, kind, country, context. The same arguments make the same bytes.
"""
import argparse, os, random

import noise, set_a, set_b, set_c, shapes
from tree import Label, Writer


def events(path, megabytes, make):
    writer, limit = Writer(), int(megabytes * 1e6)
    while len(writer.out) < limit:
        writer.line(make())
    with open(path, "wb") as f:
        f.write(writer.out)
    return writer.labels


def tables(folder, r, which, columns, megabytes):
    total, number = 0, 0
    while total < megabytes * 1e6:
        writer, delimiter = Writer(), r.choice((b",", b",", b";", b"\t"))
        for row in shapes.table(r, which, columns, 100):
            for i, cell in enumerate(row):
                writer.out += delimiter if i else b""
                text = cell.text if isinstance(cell, Label) else cell
                quoted = delimiter.decode() in text or '"' in text or r.random() < 0.1
                writer.out += b'"' if quoted else b""
                if isinstance(cell, Label):
                    writer.mark(cell, text.encode())
                else:
                    writer.out += text.encode()
                writer.out += b'"' if quoted else b""
            writer.out += b"\r\n" if number % 2 else b"\n"
        name = f"table-{number:03}.csv"
        with open(os.path.join(folder, name), "wb") as f:
            f.write(writer.out)
        total, number = total + len(writer.out), number + 1
        yield name, writer.labels


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--set", choices="abc", required=True)
    p.add_argument("--seed", type=int, required=True)
    for name, default in (("user", 40), ("clean", 10), ("csv", 4)):
        p.add_argument(f"--{name}", type=float, default=default)
    args = p.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    for old in os.listdir(args.folder):
        if old.startswith("table-"):
            os.remove(os.path.join(args.folder, old))
    # A stream of its own for each file, so that one's size does not change another.
    user, clean, csv = (random.Random(f"{args.set}{args.seed}{part}") for part in ("user", "clean", "csv"))
    chosen = {"a": set_a, "b": set_b, "c": set_c}[args.set]
    names = {"a": ("event", "details"), "b": ("type", "ctx"), "c": ("kind", "extra")}[args.set]
    makes, weights = zip(*chosen.SHAPES)
    labels = {"user.ndjson": events(os.path.join(args.folder, "user.ndjson"), args.user, lambda: user.choices(makes, weights)[0](user))}
    events(os.path.join(args.folder, "clean.ndjson"), args.clean, lambda: noise.clean(clean, chosen.NOISE, *names))
    labels |= dict(tables(args.folder, csv, args.set, chosen.COLUMNS, args.csv))
    with open(os.path.join(args.folder, "labels.tsv"), "w", encoding="utf-8") as f:
        for name, spans in labels.items():
            for span in spans:
                f.write("\t".join((name, *map(str, span))) + "\n")
    print(f"set {args.set}, seed {args.seed}: {sum(map(len, labels.values()))} labels in {args.folder}")


main()
