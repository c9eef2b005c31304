"""Makes text, a dump, random bytes and gzip, plants ten canaries in each, and measures sweep and grep in turns."""
import gzip, hashlib, os, random, resource, statistics, subprocess, sys

sweep, folder, megabytes, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(7)
values = [v for line in subprocess.run([sweep], capture_output=True, text=True, check=True).stdout.splitlines() for v in line.split("\t")]
patterns = os.path.join(folder, "patterns")
with open(patterns, "w") as f:
    f.write("\n".join(values) + "\n")
words = [w for w in "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over man me even most made after also did many before must through back years where much your way well down should because each just those people how too little state good very make world still own see men work long get here between both life being under never day same another know while last might us great old year off come since against go came right used take three".split()]
names = ["anna", "marta", "jonas", "li", "mehdi", "sofia", "pieter"]


def log_line():
    return f'2026-11-{rng.randrange(1, 29):02} {rng.randrange(24):02}:{rng.randrange(60):02}:07 INFO {" ".join(rng.choices(words, k=12))} user={rng.choice(names)}{rng.randrange(10**6)} id={rng.getrandbits(64):x} "GET /v1/item/{rng.randrange(10**9)}?q=caf%C3%A9 HTTP/1.1" 200\n'


def dump_line():
    return "\t".join([str(rng.randrange(10**7)), hashlib.md5(str(rng.random()).encode()).hexdigest(), f"{rng.choice(names)}{rng.randrange(10**5)}@mail.example", f"+49{rng.randrange(10**10):010}", "\\\\x" + rng.randbytes(40).hex(), '{"t": "\\\\u00e9", "n": %d}' % rng.randrange(10**12), "2026-11-02 10:00:00"]) + "\n"


def write(name, block, opened=open):
    path = os.path.join(folder, name)
    whole = block()
    planted = 0
    with opened(path, "wb") as f:
        for n in range(max(1, megabytes * (1 << 20) // len(whole))):
            f.write(whole)
            if n % max(1, megabytes * (1 << 20) // len(whole) // 10) == 0 and planted < 10:
                f.write(b" " + values[planted * 7].encode() + b"\n")
                planted += 1
    return path, planted


def lines(make):
    return lambda: "".join(make() for _ in range(60000)).encode()


def packed(path, mode):
    return gzip.open(path, mode, compresslevel=6)


stores = [("text (logs)", *write("text.log", lines(log_line))), ("pg_dump, plain", *write("dump.sql", lines(dump_line))),
          ("random bytes", *write("random.bin", lambda: rng.randbytes(8 << 20))), ("logs in gzip, as unpacked", *write("text.log.gz", lines(log_line), packed))]


def cpu(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout.decode(errors="replace")


print("| store | sweep, MB/s of processor time | grep -F -f | grep -F -i -f | cat | found of planted |")
print("|---|---:|---:|---:|---:|---|")
for name, path, planted in stores:
    unpacked = os.path.getsize(path)
    if path.endswith(".gz"):
        with gzip.open(path) as f:
            unpacked = sum(len(b) for b in iter(lambda: f.read(1 << 20), b""))
    read = {"sweep": [sweep, path], "grep": ["grep", "-a", "-c", "-F", "-f", patterns, path], "case": ["grep", "-a", "-c", "-i", "-F", "-f", patterns, path], "cat": ["cat", path]}
    if path.endswith(".gz"):
        read = {key: command if key == "sweep" else ["sh", "-c", f"zcat {path} | " + " ".join(command[:-1])] for key, command in read.items()}
    rates = {key: [] for key in read}
    found = 0
    cpu(["cat", path])
    for _ in range(rounds):
        for key, command in read.items():
            if key == "cat":
                command = ["sh", "-c", f"{'zcat' if path.endswith('.gz') else 'cat'} {path} >/dev/null"]
            seconds, out = cpu(command)
            rates[key].append(unpacked / 1e6 / seconds)
            if key == "sweep":
                found = int(out.split()[2])
    row = {key: f"{statistics.median(r):,.0f} ({min(r):,.0f}-{max(r):,.0f})" for key, r in rates.items()}
    print(f"| {name} | {row['sweep']} | {row['grep']} | {row['case']} | {row['cat']} | {found} of {planted} |", flush=True)
with open("/proc/loadavg") as f:
    print("load:", f.read().strip())
