"""Before anything is measured: does each peer answer, and answer right?"""

import http.client
import ssl

import bodies

MASKED = "***"


class Wrong(Exception):
    """A peer that answers wrong is not measured."""


def fetch(address, path, headers, tls):
    """Status, headers, body and the negotiated cipher of one request."""
    host, port = address.split(":")
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        cipher = connection.sock.cipher()[0] if tls else None
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read(), cipher
    finally:
        connection.close()


def same_but_restricted(name, got, want):
    """Restricted members are masked or gone; every other member is as it was."""
    rest = {k: v for k, v in want.items() if k not in bodies.RESTRICTED}
    left = {k: v for k, v in got.items() if k not in bodies.RESTRICTED}
    shown = [k for k in bodies.RESTRICTED if got.get(k, MASKED) != MASKED]
    if shown:
        raise Wrong(f"{name} shows {', '.join(shown)}")
    if rest != left:
        different = sorted(k for k in rest.keys() | left.keys() if rest.get(k) != left.get(k))
        raise Wrong(f"{name} changes {', '.join(different)}")


def check(name, body, status, answer, original):
    """Raises [`Wrong`] unless `answer` is what this peer must make of `original`."""
    if status != 200:
        raise Wrong(f"{name} answers {body} with {status}: {answer[:200]!r}")
    if name in ("direct", "nginx"):
        if answer != original:
            raise Wrong(f"{name} alters {body}")
        return
    got, want = bodies.parse(body, answer), bodies.parse(body, original)
    if len(got) != len(want) or len(want) != bodies.RECORDS[body]:
        raise Wrong(f"{name} answers {len(got)} records of {body}, not {bodies.RECORDS[body]}")
    for one, other in zip(got, want):
        same_but_restricted(name, one, other)
    for record in want:
        for field in bodies.RESTRICTED:
            if record[field].encode() in answer:
                raise Wrong(f"{name} lets a value of `{field}` through")
