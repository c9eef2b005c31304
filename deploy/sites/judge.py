"""Reads what sites see of the cluster (lines `SITE JSON`, from Patroni's /cluster) and says what it amounts to.

members: a line for each site; ends with 0 if one site leads, the three others stream, and all three may confirm.
leader:  the name of the site that leads, if all who see one see the same.
"""

import json
import sys

SITES = ("dublin-1", "dublin-2", "hamar", "kouvola")


def views():
    for line in sys.stdin:
        site, _, text = line.partition(" ")
        try:
            yield site, {m["name"]: m for m in json.loads(text)["members"]}
        except (ValueError, KeyError, TypeError):
            continue


def leader_of(members):
    return [n for n, m in members.items() if m.get("role") == "leader" and m.get("state") == "running"]


def complete(members):
    others = [m for m in members.values() if m.get("role") == "quorum_standby" and m.get("state") == "streaming"]
    return set(members) == set(SITES) and len(leader_of(members)) == 1 and len(others) == 3


def main(question):
    seen = dict(views())
    if question == "leader":
        names = {name for members in seen.values() for name in leader_of(members)}
        print("\n".join(sorted(names)))
        return 0 if len(names) == 1 else 1
    # A site that is cut off goes on to tell what it saw last: most sites are believed.
    told = [leader_of(members) for members in seen.values()]
    best = max(seen.values(), key=lambda m: (told.count(leader_of(m)), len(leader_of(m))), default={})
    for site in SITES:
        m = best.get(site, {})
        answers = "answers" if site in seen else "silent"
        print(site, answers, m.get("role", "-"), m.get("state", "-"), m.get("timeline", "-"))
    return 0 if len(seen) == len(SITES) and all(map(complete, seen.values())) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
