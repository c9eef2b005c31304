"""Acts on requests for access, as site-log.md (kind 9) describes them."""
from standards import done, need

def check(bodies):
    last = {}  # number, state, requester and what may not change, by request
    for where, kind, body in bodies:
        if kind == 9:
            act, request, number, state, who, requester, step, *kept, times, decoy, _ = body.values()
            before = last.get(request, (-1, 1, requester, kept))
            if number == 0 and before[0] == 0:
                before = (-1, 1, requester, kept)  # asked for again before anybody acted
            need(1 <= act <= 8 and 1 <= state <= 6 and step <= 7 and number < 64 and len(request) == 16, f"{where}: act")
            # The same number again: the act before did not come about, and this one takes its place.
            follows = number in (before[0], before[0] + 1)
            need((act == 1) == (number == 0) and follows, f"{where}: not the next act of its request")
            need((requester, kept) == before[2:], f"{where}: another request than was asked")
            need((act in (6, 7)) == (not who), f"{where}: who acted")
            need(act not in (2, 3) or who[0] != requester, f"{where}: decided by the requester")
            need((times[2] < times[3]) if state == 2 else times[2:] == [0, 0], f"{where}: times it serves")
            need(not decoy or state != 1, f"{where}: decoy")
            last[request] = number, state, requester, kept
    done(f"site: {len(last)} requests for access: order, form, nobody decides their own")
