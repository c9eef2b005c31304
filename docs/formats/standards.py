"""What verify.py takes from published standards: Ed25519 (RFC 8032), deterministic CBOR (RFC 8949), Merkle trees
(RFC 6962), signed notes, checkpoints, cosignatures, policies and tiles (C2SP). Ours are only packs
(ledger-tree.md) and proofs of several leaves (day-map.md).
"""
import base64, functools, hashlib, re, struct

FOUND, SEEN = [], [0]

def need(holds, text):
    if not holds:
        FOUND.append(text)
        print("FOUND:", text)
    return holds

def done(text):  # a check is over
    print("ok   " if len(FOUND) == SEEN[0] else "     ", text)
    SEEN[0] = len(FOUND)

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def unbase(text):
    return base64.b64decode(text, validate=True)

def short(origin):  # how leaves name a log
    return sha(origin.encode())[:8]

# Ed25519: verification as in RFC 8032, 5.1.7, without the cofactor. A point is X, Y, Z, T.
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, point):
    total = (0, 1, 1, 0)
    while n:
        total, point, n = add(total, point) if n & 1 else total, add(point, point), n >> 1
    return total

def decompress(data):
    y, sign = int.from_bytes(data, "little") % 2**255, data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or y >= P or (x == 0 and sign):
        raise ValueError("a key that is no point")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P

BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

def signed(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER
    x, y, z, t = decompress(key)
    x, y, z, _ = add(times(s, BASE), times(k, (P - x, y, z, P - t)))  # s B - k A, which is R
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    return len(signature) == 64 and s < ORDER and r == (y | (x & 1) << 255).to_bytes(32, "little")

# Signed notes, checkpoints, cosignatures and policies.
def signed_by(note, vkey):
    name, ident, key = vkey.strip().split("+", 2)
    key, (text, lines) = unbase(key), note.rsplit("\n\n", 1)
    if sha(name.encode(), b"\n", key)[:4].hex() != ident or key[0] not in (1, 4) or len(key) != 33:
        raise ValueError("not a verifier key")
    for line in (line for line in lines.splitlines() if line.startswith(f"— {name} ")):
        signature, message, start = unbase(line.split(" ")[2]), (text + "\n").encode(), 4
        if key[0] == 4:  # a cosignature: 8 bytes time, then the signature
            message, start = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[4:12], "big") + message, 12
        if signature[:4].hex() == ident and signed(key[1:], message, signature[start:]):
            return True
    return False

def checkpoint(note, vkey):
    origin, size, root = note.split("\n")[:3]
    need(origin == vkey.split("+")[0] and signed_by(note, vkey), f"checkpoint of `{origin}`: not signed by its key")
    need(size == str(int(size)), f"checkpoint of `{origin}`: size")
    return origin, int(size), unbase(root)

def quorum(policy, note, site_vkey):
    lines = [line.split() for line in policy.splitlines() if line.strip() and not line.startswith("#")]
    need(["log", site_vkey.strip()] in [line[:2] for line in lines], "policy: the site log's key is another")
    met = {"none": True} | {line[1]: signed_by(note, line[2]) for line in lines if line[0] == "witness"}
    for _, name, wanted, *members in (line for line in lines if line[0] == "group"):
        met[name] = sum(met[m] for m in members) >= int({"any": 1, "all": len(members)}.get(wanted, wanted))
    wanted = next(line[1] for line in lines if line[0] == "quorum")
    need(met[wanted], "policy: the quorum has not signed this checkpoint")

# CBOR: decodes a map in deterministic form, and refuses every other form.
def item(data, at):
    major, info = data[at] >> 5, data[at] & 31
    if major == 7 and info in (20, 21):
        return info == 21, at + 1
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    n, at = int.from_bytes(data[at + 1:at + 1 + width], "big") if width else info, at + 1 + width
    if major in (1, 6, 7) or info > 27 or width and n < (24, 2**8, 2**16, 2**32)[info - 24]:
        raise ValueError("CBOR that is not deterministic")
    if major == 0:
        return n, at
    if major in (2, 3):
        return str(data[at:at + n], "utf-8") if major == 3 else data[at:at + n], at + n
    values = []
    for _ in range(n if major == 4 else 2 * n):
        value, at = item(data, at)
        values.append(value)
    if major == 4:
        return values, at
    keys = values[::2]
    if any(type(key) is not int for key in keys) or keys != sorted(set(keys)):
        raise ValueError("CBOR map whose keys do not ascend")
    return dict(zip(keys, values[1::2])), at

def cbor(data):
    value, end = item(data, 0)
    if end != len(data) or not isinstance(value, dict):
        raise ValueError("CBOR of another length, or no map")
    return value

# Merkle trees: the root at every size, and proofs of inclusion.
def leaf_hash(leaf):
    return sha(b"\0", leaf)

def node_hash(left, right):
    return sha(b"\1", left, right)

def roots(hashes):
    stack = []  # roots of the perfect subtrees, largest first
    for n in range(len(hashes) + 1):
        yield functools.reduce(lambda right, left: node_hash(left, right), stack[::-1]) if stack else sha()
        if n < len(hashes):
            node = hashes[n]
            while n & 1:
                node, n = node_hash(stack.pop(), node), n >> 1
            stack.append(node)

def root_of(leaves):
    return list(roots([leaf_hash(leaf) for leaf in leaves]))[-1]

def included(leaves, proof, root, size):  # a proof of several leaves (day-map.md), which are given by index
    hashes = [proof[n:n + 32] for n in range(0, len(proof), 32)][::-1]
    def within(lo, hi):
        if not any(lo <= index < hi for index in leaves):
            return hashes.pop()
        if hi - lo == 1:
            return leaf_hash(leaves[lo])
        middle = lo + (1 << (hi - lo - 1).bit_length() - 1)
        return node_hash(within(lo, middle), within(middle, hi))
    return leaves and max(leaves) < size and within(0, size) == root and not hashes

# The files of a log. In every kind of leaf the log stands at 8, the index at 16 and the time at 24.
def stored(folder, level):  # every tile of a level, single or packed: number, width, bytes
    for path in sorted(path for path in folder.glob(f"*/{level}/**/*") if path.is_file()):
        kind, _, name = path.relative_to(folder).as_posix().split("/", 2)
        number, _, width = name.partition(".p/")
        n, data = int(re.sub("[x/]", "", number)), path.read_bytes()
        if kind == "tile":
            yield n, int(width or 256), data
        elif kind == "pack":
            ends, tiles = (0, *struct.unpack(">256I", data[:1024])), data[1024:]
            need(list(ends) == sorted(ends) and ends[256] == len(tiles), f"{folder.name}: pack {level}/{n}: its ends")
            yield from ((256 * n + i, 256, tiles[ends[i]:ends[i + 1]]) for i in range(256))

class Log:
    def __init__(self, folder, vkey):
        self.folder, self.name, held, level = folder, folder.name, {}, 0
        self.origin, size, root = checkpoint((folder / "checkpoint").read_text(), vkey)
        for n, width, data in stored(folder, "entries"):
            for i in range(256 * n, 256 * n + width):
                end = 2 + int.from_bytes(data[:2], "big")
                need(end <= len(data), f"{self.name}: entry {i} is cut off")
                need(held.setdefault(i, data[2:end]) == data[2:end], f"{self.name}: entry {i} is stored in two forms")
                data = data[end:]
            need(not data, f"{self.name}: bundle {n}: bytes behind the last entry")
        self.entries = [held.get(i, b"") for i in range(size)]
        self.times = [int.from_bytes(leaf[24:32], "big") for leaf in self.entries]
        hashes = [leaf_hash(leaf) for leaf in self.entries]
        self.roots = dict(enumerate(roots(hashes)))
        need(self.roots[size] == root, f"{self.name}: the entries have another root than the checkpoint")
        while hashes:
            there = set()
            for n, width, data in stored(folder, str(level)):
                want = b"".join(hashes[256 * n:256 * n + width])
                need(len(data) == 32 * width and data.startswith(want), f"{self.name}: tile {level}/{n}, {width} wide")
                there.update(range(256 * n, 256 * n + width))
            need(there.issuperset(range(len(hashes))), f"{self.name}: tiles of level {level} are missing")
            hashes, level = [list(roots(hashes[i:i + 256]))[256] for i in range(0, len(hashes) - 255, 256)], level + 1
        newest = 0
        for i, (leaf, time) in enumerate(zip(self.entries, self.times)):
            newest = max(newest, time)
            need(leaf[8:24] == short(self.origin) + i.to_bytes(8, "big"), f"{self.name}: entry {i}: log or sequence")
            need(time >= newest - 300, f"{self.name}: entry {i}: its time goes back by more than 300 s")
        done(f"{self.name}: {size} entries: signature, root, tiles, order")
