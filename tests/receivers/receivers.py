"""Mail servers (aiosmtpd) and a webhook receiver over TLS on loopback, for tests/it/notify.rs. Never shipped.

python3 receivers.py <certificate> <key> <secret>
Prints `{"smtps": port, "starttls": port, "hook": port, "told": port}` once all listen, and ends when its standard input
does. `told` answers with what has arrived: `{"mails": [...], "events": [...]}`. A mail server takes mail after a sign-in
alone; an event whose signature does not hold is answered 400 and not kept.
"""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

CERTIFICATE, KEY, SECRET = sys.argv[1:4]
mails, events = [], []


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


class Mails:
    async def handle_DATA(self, _server, _session, envelope):
        text = envelope.content.decode("ascii")
        mails.append({"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text})
        return "250 taken"


def signed_in(_server, _session, _envelope, _mechanism, login):
    return AuthResult(success=(login.login, login.password) == (b"clover", b"a password of the test"))


class Ready(Controller):
    """A controller at any free port."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def smtp(**how):
    server = Ready(Mails(), hostname="127.0.0.1", port=0, authenticator=signed_in, auth_required=True, **how)
    server.start()
    return server


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = f'{self.headers["webhook-id"]}.{self.headers["webhook-timestamp"]}.'.encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        holds = hmac.compare_digest(wanted, self.headers["webhook-signature"])
        if holds:
            events.append({"type": self.headers["content-type"], "event": json.loads(body)})
        self.send_response(204 if holds else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


class Told(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"mails": mails, "events": events}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def web(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = tls().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


wrapped = smtp(ssl_context=tls(), auth_require_tls=False)
upgraded = smtp(tls_context=tls(), require_starttls=True)
print(json.dumps({
    "smtps": wrapped.port,
    "starttls": upgraded.port,
    "hook": web(Hook),
    "told": web(Told),
}), flush=True)
sys.stdin.read()
