"""Stand-ins for servers of other systems, made from their published descriptions: certificates that
carry Evidence in each dialect, endpoints, and Flashbots' message after the handshake."""

import base64
import contextlib
import gzip
import hashlib
import json
import pathlib
import re
import ssl
import struct
import subprocess
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from minting.pki import Authority, cbor, der, name, point

CMW, CCC = "1.3.6.1.5.5.7.1.35", "2.23.133.5.4.9"
GRAMINE, DSTACK = "1.2.840.113741.1337.6", "1.3.6.1.4.1.62397.1"
RUNTIME = 0x08000001
TINFOIL = "https://tinfoil.sh/"


def spki(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Leaf:
    """A self-signed certificate whose extensions are made for the key `about`, its own unless said:
    Evidence of another key is what a thief copies."""

    def __init__(self, extensions=None, about=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        about = about or self.key
        self.authority = Authority(
            name("peer.test"), key=self.key, is_authority=False,
            extensions=extensions(spki(about), about) if extensions else ())
        self.spki = spki(self.key)

    def write(self, folder):
        folder = pathlib.Path(folder)
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())
        paths = folder / f"{id(self)}.pem", folder / f"{id(self)}.key"
        paths[0].write_bytes(self.authority.pem)
        paths[1].write_bytes(key)
        return paths


# Certificates: each function gives the extensions for a key.


def claims(key):
    return cbor({"pubkey-hash": cbor([1, sha256(key)])})


def covered(key):
    """report_data of the CCC's form, and of id-pe-cmw as Ratel writes it."""
    return sha256(claims(key)) + bytes(32)


def media(kind):
    return f"application/vnd.ratel.{kind}+cbor"


def cmw_cbor(kind, evidence):
    return lambda key, _: [
        (CMW, der(4, cbor({"node": [media(kind), evidence(covered(key)), 4]})))]


def cmw_json(kind, evidence):
    def make(key, _):
        text = base64.urlsafe_b64encode(evidence(covered(key))).rstrip(b"=").decode()
        return [(CMW, der(12, json.dumps([media(kind), text, 4]).encode()))]
    return make


def ccc(quote):
    return lambda key, _: [
        (CCC, b"\xd9\xea\x60" + cbor([quote(covered(key)), claims(key)]))]


def gramine(quote):
    return lambda key, _: [(GRAMINE, quote(sha256(key) + bytes(32)))]


def dstack_data(key):
    return hashlib.sha512(b"ratls-cert:" + key).digest()


EVENTS = [("app-id", b"\x01\x02"), ("compose-hash", bytes(32)), ("system-ready", b"")]


def register(events=EVENTS):
    """RTMR3 as these events leave it."""
    value = bytes(48)
    for event, payload in events:
        text = struct.pack("<I", RUNTIME) + b":" + event.encode() + b":" + payload
        value = hashlib.sha384(value + hashlib.sha384(text).digest()).digest()
    return value


def dstack_v0(quote, events=EVENTS):
    def make(key, _):
        log = [
            struct.pack("<II", 3, RUNTIME) + scale(b"") + scale(event.encode()) + scale(payload)
            for event, payload in events]
        own = [scale(event.encode()) + scale(payload) for event, payload in events]
        data = dstack_data(key)
        return [(f"{DSTACK}.8", der(4, b"\0\0" + scale(quote(data)) + scale_list(log)
                                    + scale_list(own) + data + scale(b"{}")))]
    return make


def dstack_v1(quote, events=EVENTS):
    def make(key, _):
        data = dstack_data(key)
        log = [
            {"imr": 3, "event_type": RUNTIME, "digest": b"", "event": event,
             "event_payload": payload} for event, payload in events]
        own = [{"event": event, "payload": payload} for event, payload in events]
        value = {
            "version": 1,
            "platform": {"kind": "tdx", "data": {"quote": list(quote(data)), "event_log": log}},
            "stack": {"kind": "dstack", "data": {
                "report_data": list(data), "runtime_events": own, "config": "{}"}}}
        return [(f"{DSTACK}.8", der(4, message_pack(value)))]
    return make


def dstack_older(quote, events=EVENTS):
    def make(key, _):
        log = json.dumps([
            {"imr": 3, "event_type": RUNTIME, "digest": "", "event": event,
             "event_payload": payload.hex()} for event, payload in events]).encode()
        packed = b"ELGZv1" + gzip.compress(log)
        return [(f"{DSTACK}.1", der(4, quote(dstack_data(key)))),
                (f"{DSTACK}.2", der(4, packed))]
    return make


def scale_length(count):
    if count < 64:
        return bytes([count << 2])
    if count < 1 << 14:
        return struct.pack("<H", count << 2 | 1)
    return struct.pack("<I", count << 2 | 2)


def scale(content):
    return scale_length(len(content)) + content


def scale_list(items):
    return scale_length(len(items)) + b"".join(items)


def message_pack(value):
    """MessagePack as rmp writes it, of what attestations hold."""
    if isinstance(value, int):
        if value < 128:
            return bytes([value])
        return b"\xcc" + bytes([value]) if value < 256 else b"\xce" + struct.pack(">I", value)
    if isinstance(value, bytes):
        return b"\xc5" + struct.pack(">H", len(value)) + value
    if isinstance(value, str):
        return b"\xd9" + bytes([len(value.encode())]) + value.encode()
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(message_pack, value))
    pairs = [message_pack(key) + message_pack(item) for key, item in value.items()]
    return b"\xde" + struct.pack(">H", len(pairs)) + b"".join(pairs)


# Endpoints: each function gives `(path, query, key) -> document` for a server.


def tinfoil_v2(kind, report):
    def answer(query, key):
        body = gzip.compress(report(sha256(key) + b"\x77" * 32))
        return {"format": TINFOIL + f"predicate/{kind}-guest/v2",
                "body": base64.b64encode(body).decode()}
    return "/.well-known/tinfoil-attestation", answer


def tinfoil_v3(kind, report, collateral=(), change=None):
    def answer(query, key):
        nonce = bytes.fromhex(query["nonce"][0])
        material = json.dumps({
            "format": TINFOIL + "crypto-material/v1",
            "items": [{"id": "tls", "format": TINFOIL + "key/spki-fp-sha256/v1",
                       "data": sha256(key).hex()}]}).encode()
        devices = json.dumps(
            {"format": TINFOIL + "device-evidence/v1", "items": []}).encode()
        algorithm = TINFOIL + "report-data/v1"
        data = sha256(algorithm.encode(), nonce, sha256(material), sha256(devices)) + bytes(32)
        document = {
            "format": TINFOIL + "predicate/attestation/v3",
            "challenge": {"nonce": nonce.hex(), "report_data": data.hex(),
                          "report_data_algorithm": algorithm},
            "cpu_evidence": {
                "format": TINFOIL + f"format/{kind}/v1",
                "report_base64": base64.b64encode(report(data)).decode(),
                "endorsed": {"crypto_material_hash": sha256(material).hex(),
                             "device_evidence_hash": sha256(devices).hex()}},
            "crypto_material": base64.b64encode(material).decode(),
            "device_evidence": base64.b64encode(devices).decode(),
            "collateral": list(collateral)}
        if change:
            change(document)
        return document
    return "/.well-known/tinfoil-attestation", answer


def near(quote, binds_key=True, events=EVENTS, change=None):
    def answer(query, key):
        nonce, address = bytes.fromhex(query["nonce"][0]), bytes(range(20))
        first = sha256(address, sha256(key)) if binds_key else address + bytes(12)
        document = {
            "signing_address": "0x" + address.hex(), "signing_algo": query["signing_algo"][0],
            "request_nonce": nonce.hex(), "intel_quote": quote(first + nonce).hex(),
            "nvidia_payload": None, "info": {}, "tls_cert_fingerprint": sha256(key).hex(),
            "event_log": [
                {"imr": 3, "event_type": RUNTIME, "digest": "", "event": event,
                 "event_payload": payload.hex()} for event, payload in events]}
        if change:
            change(document)
        return {"gateway_attestation": document}
    return "/v1/attestation/report", answer


@contextlib.contextmanager
def web_server(folder, leaf, endpoint=None, alpn=None, key=None, hello=b"hello"):
    """HTTPS on loopback; `key` is what the endpoint says it is, its own unless said."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            heard.append(self.path)
            path, _, query = self.path.partition("?")
            status, body = (200, hello) if path == "/" else (404, b"{}")
            if endpoint and path == endpoint[0]:
                document = endpoint[1](urllib.parse.parse_qs(query), key or leaf.spki)
                status, body = 200, json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass  # Peers that refuse go without a word.

        def finish_request(self, request, address):
            request.settimeout(10)
            self.RequestHandlerClass(
                settings.wrap_socket(request, server_side=True), address, self)

    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings.minimum_version = ssl.TLSVersion.TLSv1_3
    settings.load_cert_chain(*leaf.write(folder))
    if alpn:
        settings.set_alpn_protocols(alpn)
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def flashbots_server(folder, leaf, port, message):
    """`message(spki, point, exporter)` is sent after each handshake, and an answer to the request
    that follows the caller's own message. OpenSSL's server tells the exporter, Python's not."""
    certificate, key = leaf.write(folder)
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate,
               "-key", key, "-tls1_3", "-alpn", "flashbots-ratls/1",
               "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"]
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)

    def send(content):
        with contextlib.suppress(OSError):
            process.stdin.write(content)
            process.stdin.flush()

    def speak():
        for line in process.stdout:
            found = re.search(rb"Keying material: ([0-9A-F]{64})", line)
            if found:
                exporter = bytes.fromhex(found.group(1).decode())
                send(message(leaf.spki, b"\4" + point(leaf.key), exporter))
            elif flashbots_message("none", b"") + b"GET / HTTP/1.1" in line:
                send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield process
    finally:
        process.terminate()
        process.wait(5)
        thread.join(5)
        process.stdin.close()
        process.stdout.close()


def flashbots_message(kind, evidence):
    body = scale(kind.encode()) + scale(evidence)
    return struct.pack(">I", len(body)) + body
