"""How each peer is configured and started: the commands whose processes together are the peer. Every peer has its
access log on (Clover: its ledger) and is told to use one worker."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent

NGINX = """daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn; worker_rlimit_nofile 8192;
events {{ worker_connections 2048; }}
http {{
  access_log {folder}/access.log combined;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000;
  {tls}
  upstream origin {{ server {origin}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen {address} {ssl} backlog=1024;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_max_temp_file_size 0; proxy_buffers 32 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 256k;
    }}
  }}
}}
"""

ENVOY = """static_resources:
  listeners:
  - name: listener
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    per_connection_buffer_limit_bytes: 8388608
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/access.log
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: origin, timeout: 0s}}}}]}}]}}
          http_filters:
          - name: extproc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {{envoy_grpc: {{cluster_name: extproc}}, timeout: 10s}}
              message_timeout: 10s
              processing_mode: {{request_header_mode: SKIP, response_header_mode: SKIP, response_body_mode: BUFFERED, request_trailer_mode: SKIP, response_trailer_mode: SKIP}}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{tls}
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 1s
    per_connection_buffer_limit_bytes: 8388608
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_requests: 4096, max_pending_requests: 4096}}]}}
    load_assignment: {{cluster_name: origin, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {origin_port}}}}}}}}}]}}]}}
  - name: extproc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{initial_stream_window_size: 16777216, initial_connection_window_size: 67108864}}}}
    load_assignment: {{cluster_name: extproc, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {extproc_port}}}}}}}}}]}}]}}
"""

ENVOY_TLS = """      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: {{tls_minimum_protocol_version: TLSv1_3}}
            tls_certificates: [{{certificate_chain: {{filename: {cert}}}, private_key: {{filename: {key}}}}}]
"""


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def certificate(work):
    """A self-signed P-256 certificate for those peers that bring none."""
    cert, key = work / "cert.pem", work / "key.pem"
    if not cert.exists():
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)]
        subprocess.run(command, check=True, capture_output=True)
        key.chmod(0o644)
    return cert, key


def nginx(folder, address, origin, tls, work):
    ssl = ""
    if tls:
        cert, key = certificate(work)
        ssl = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    config = folder / "nginx.conf"
    text = NGINX.format(folder=folder, address=address, origin=origin, tls=ssl, ssl="ssl" if tls else "")
    config.write_text(text)
    return [["nginx", "-c", str(config)]]


def ext_proc(folder, address, origin, tls, work):
    """Envoy and its processor share the CPU that the other peers have for themselves."""
    secure = ""
    if tls:
        cert, key = certificate(work)
        secure = ENVOY_TLS.format(cert=cert, key=key)
    port = port_of(address)
    text = ENVOY.format(
        folder=folder, port=port, origin_port=port_of(origin), extproc_port=port + 500, tls=secure
    )
    config = folder / "envoy.yaml"
    config.write_text(text)
    envoy = next((work / "venv").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    processor = work / "extproc" / "release" / "extproc"
    command = [str(envoy), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [[str(processor), f"127.0.0.1:{port + 500}"], [*command, "--base-id", "0"]]


def clover(folder, address, origin, tls, work):
    """Listens with TLS on the port before the one for cleartext; see `setup-clover`."""
    port = port_of(address) - (0 if tls else 1)
    return [[str(HERE / "setup-clover"), str(folder), str(port), origin]]


START = {"nginx": nginx, "ext_proc": ext_proc, "clover": clover}


def headers(name, work):
    """What every request carries. Peers other than Clover get a token of the same length, and ignore it."""
    token = work / "clover" / "token"
    if name == "clover" or token.exists():
        value = token.read_text().strip()
    else:
        value = "x" * 400
    return {"Authorization": f"Bearer {value}", "Clover-Purpose": "interoperability"}


def path(name, body, plain_path):
    return f"/lanes/{body}" if name == "clover" else plain_path


def ready(name, folder):
    """Whether a peer that needs it has written its token."""
    return name != "clover" or (folder / "token").exists()


def environment():
    return {**os.environ, "CLOVER_LOG": "warn"}
