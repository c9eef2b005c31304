"""CPU time of process trees, the share of the machine that others use, and one run of wrk."""

import json
import os
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count()

LUA = """done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format('{"n":%d,"us":%d,"bytes":%d,"err":%d,"p50":%d,"p99":%d}', summary.requests, summary.duration,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


def tree(roots):
    """Processes and their descendants."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat[stat.rindex(")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], list(roots)
    while queue:
        at = queue.pop()
        found.append(at)
        queue += children.get(at, [])
    return found


def cpu_seconds(pids):
    """Seconds on a CPU, by thread, with the precision of the scheduler."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def resident_kib(pid):
    """The most memory that a process had."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def busy_seconds():
    """Seconds that all CPUs were busy, and seconds that the host kept from us."""
    v = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(v[:3]) + sum(v[5:8])) / TICKS, v[7] / TICKS


def wait_until_quiet(share, seconds):
    """Waits until others use at most this share of the CPUs, but never longer than `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before, at = busy_seconds()[0], time.monotonic()
        time.sleep(0.5)
        if (busy_seconds()[0] - before) / (CPUS * (time.monotonic() - at)) <= share:
            return


def prefer(pid, priority):
    """Sets the priority of a process's session too: with autogroups, `nice` alone counts only inside one."""
    autogroup = Path(f"/proc/{pid}/autogroup")
    if priority and autogroup.exists():
        autogroup.write_text(str(priority))


def wrk(url, headers, connections, seconds, script, place):
    cpu, priority = place
    command = ["nice", "-n", str(priority), "taskset", "-c", str(cpu)]
    command += ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(script), url]
    out = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=seconds + 60)
    return json.loads(out.stderr[out.stderr.index("{") :])


def one_run(url, headers, connections, seconds, script, place, proxy_pids, origin_pids):
    """One run of wrk, with the CPU time of the proxy, of the origin, of wrk and of everybody else."""
    proxy = tree(proxy_pids)
    times = lambda: (cpu_seconds(proxy), cpu_seconds(origin_pids), busy_seconds(), time.monotonic(), os.times())
    p0, o0, b0, w0, t0 = times()
    r = wrk(url, headers, connections, seconds, script, place)
    p1, o1, b1, w1, t1 = times()
    load = (t1.children_user + t1.children_system) - (t0.children_user + t0.children_system)
    wall, n = w1 - w0, max(1, r["n"])
    foreign = max(0.0, (b1[0] - b0[0]) - (p1 - p0) - (o1 - o0) - load) / (CPUS * wall)
    return {
        "connections": connections,
        "requests": r["n"],
        "rps": r["n"] / (r["us"] / 1e6),
        "p50_us": r["p50"],
        "p99_us": r["p99"],
        "errors": r["err"],
        "cpu_us": (p1 - p0) / n * 1e6,
        "proxy_load": (p1 - p0) / wall,
        "origin_us": (o1 - o0) / n * 1e6,
        "wrk_us": load / n * 1e6,
        "foreign": foreign,
        "stolen": (b1[1] - b0[1]) / (CPUS * wall),
    }
