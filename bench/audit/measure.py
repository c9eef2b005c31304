#!/usr/bin/env python3
"""`measure.py BINARIES MADE WORK ROUND`: one round of runs, in turn; a line of JSON for each.

Times of a command are those of its process and the processes it waited for. The mirror's is from its start until its status
says that every entry is held."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request

BINARIES, MADE, WORK, ROUND = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
AUDIT = BINARIES / "clover-audit"
SITE, TREE = MADE / "site", MADE / "site" / "gw"


def key(name, folder="site"):
    return str(MADE / f"{folder}.{name}.vkey")


def tell(run, wall, usage, **more):
    line = {"round": ROUND, "run": run, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "kib": usage.ru_maxrss}
    print(json.dumps({**line, "load": os.getloadavg()[0], **more}), flush=True)


def timed(command):
    """Runs a command that must end well; its output, seconds and use of the machine."""
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    text = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"{command} ended with {process.returncode}:\n{text}")
    return text, wall, usage


def number(pattern, text):
    return int(re.search(pattern, text).group(1))


def verify(run, tree, folder, *more, command="verify"):
    signers = ["--operator-vkey", key("operator", folder), "--auditor-vkey", key("auditor", folder)]
    text, wall, usage = timed([AUDIT, command, "--ledger", tree, "--log-vkey", key("ledger", folder), *signers, *more])
    found = re.search(r"(\d+) distinct|distinct +(\d+)", text)
    distinct = int(found.group(1) or found.group(2)) if found else 0
    tell(run, wall, usage, count=number(r"entries +(\d+)", text), distinct=distinct)


def day_map():
    text, wall, usage = timed([AUDIT, "map", "--mirror", SITE, "--site-vkey", key("site")])
    tell("map", wall, usage, count=number(r"(\d+) pairs", text), unit="pairs")


def hashed(count):
    """The floor of `verify`: each bundle is read and hashed once, on one core, by a program that does nothing else."""
    files = f"find {TREE}/tile/entries -type f -print0 | sort -z | xargs -0 cat | openssl dgst -sha256"
    _, wall, usage = timed(["sh", "-c", files])
    tell("read and hash", wall, usage, count=count)


class Server:
    """The same for mirror and peer."""

    def __enter__(self):
        self.process = subprocess.Popen([str(BINARIES / "examples" / "serve_tree"), str(SITE)], stdout=subprocess.PIPE)
        self.base = "http://" + self.process.stdout.readline().decode().strip()
        return self.base

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def copied(count):
    """The floor of `mirror`: the same bundles copied from the same server, unread."""
    folder = WORK / "copied"
    names = sorted(str(path.relative_to(SITE)) for path in (TREE / "tile" / "entries").rglob("*") if path.is_file())
    with Server() as base:
        lists = WORK / "curl"
        lists.write_text("".join(f'url = "{base}/{name}"\noutput = "{folder / name}"\n' for name in names))
        options = ["--silent", "--no-progress-meter", "--fail", "--create-dirs", "--parallel", "--parallel-max", "32"]
        _, wall, usage = timed(["curl", *options, "--config", lists])
    tell("copy by curl", wall, usage, count=count)
    shutil.rmtree(folder)


def mirror(count):
    folder = WORK / "mirror"
    folder.mkdir()
    timed([AUDIT, "keygen", "--kind", "mirror", "--name", "bench.test/mirror", "--out", folder / "seed"])
    with Server() as base:
        (folder / "mirror.toml").write_text(
            f'listen = "127.0.0.1:0"\nfolder = "state"\n[keys]\nmirror = {{ seed = "seed", name = "bench.test/mirror" }}\n'
            f'[[site]]\nbase = "{base}"\nsite_vkey = "{key("site")}"\n'
            f'operator_vkey = "{key("operator")}"\nauditor_vkey = "{key("auditor")}"\n'
        )
        began = time.monotonic()
        process = subprocess.Popen([str(AUDIT), "mirror", "--config", str(folder / "mirror.toml")], stdout=subprocess.PIPE)
        status = "http://" + process.stdout.readline().decode().strip().rsplit("/", 1)[1] + "/status"
        held = checked = None
        while checked is None:
            site = json.load(urllib.request.urlopen(status))["sites"][0]
            passed = time.monotonic() - began
            if held is None and any(log["held"] == count for log in site["logs"]):
                held, cpu = passed, sum(int(n) for n in pathlib.Path(f"/proc/{process.pid}/stat").read_text().split()[13:15])
            if site["checked"] == site["site"]["held"] == 4:
                checked = passed
            if passed > 3600:
                sys.exit("the mirror does not get on")
            time.sleep(0.02)
        process.terminate()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    tell("mirror", held, usage, count=count, cpu=cpu / os.sysconf("SC_CLK_TCK"), map_seconds=checked - held)
    shutil.rmtree(folder)


def main():
    count = int((TREE / "checkpoint").read_text().splitlines()[1])
    runs = [
        lambda: hashed(count),
        lambda: verify("verify", TREE, "site"),
        lambda: verify("verify --no-redecide", TREE, "site", "--no-redecide"),
        lambda: verify("replay", TREE, "site", command="replay"),
        lambda: verify("replay, all distinct", MADE / "distinct", "distinct", command="replay"),
        day_map,
        lambda: copied(count),
        lambda: mirror(count),
    ]
    # The order changes from round to round.
    for place in range(len(runs)):
        runs[(place + ROUND) % len(runs)]()


main()
