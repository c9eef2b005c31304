"""The peer: Python's own HTTP server over TLS, which gives the bytes of one file to whoever asks. Port, certificate, key, file."""
import http.server
import ssl
import sys

port, certificate, key, name = sys.argv[1:5]
with open(name, "rb") as file:
    BODY = file.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one write: two would wait for one another, and measure that.
    wbufsize = 1 << 16

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
