"""A stand-in for Intel's PCS (or a PCCS) and AMD's KDS that serves collateral from a folder.

It answers the paths of the vendors with the files of that folder, byte for byte. It can be told to
be slow, to answer 429 or 500, to cut an answer short, to break a signature, or to serve another.
"""

import base64
import datetime
import http.server
import json
import pathlib
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

class Vendors:
    """One such service on a loopback port, ended with its context."""

    def __init__(self, folder, ssl=None):
        self.folder, self.fault = pathlib.Path(folder), None
        self.requests = []
        # The only reference manifest that there is, by its name.
        self.manifest = None
        # Issuers by name, for OCSP, and serial numbers that they revoked.
        self.authorities, self.revoked = {}, set()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.answer(self)

            def do_POST(self):
                self.question = self.rfile.read(int(self.headers["Content-Length"]))
                service.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if ssl:
            self.server.socket = ssl.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if ssl else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def read(self, name):
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def find(self, target):
        """Body and fields for a path of one of the vendors."""
        path, _, query = target.partition("?")
        chain = urllib.parse.quote((self.read("tcb_signing_chain.pem") or b"").decode())
        issuers = urllib.parse.quote((self.read("pck_crl_issuer_chain.pem") or b"").decode())
        if path.endswith("/certification/v4/tcb"):
            return self.read("tcb_info.json"), {"TCB-Info-Issuer-Chain": chain}
        if path.endswith("/certification/v4/qe/identity"):
            return self.read("qe_identity.json"), {"SGX-Enclave-Identity-Issuer-Chain": chain}
        if path == "/sgx/certification/v4/pckcrl":
            return self.read("pck_crl.der"), {"SGX-PCK-CRL-Issuer-Chain": issuers}
        if path == "/sgx/certification/v4/rootcacrl":
            # A PCCS gives this one in hexadecimal.
            body = self.read("root_ca_crl.der")
            return body and body.hex().encode(), {}
        if path.endswith("/cert_chain"):
            issuer = self.read("ask.der") or self.read("asvk.der")
            return pem(issuer) + pem(self.read("ark.der")), {}
        if path.endswith("/crl"):
            return self.read("crl.der"), {}
        if path.startswith("/v1/rim/"):
            manifests = sorted(self.folder.glob("*-rim.swidtag.xml"))
            name = path.rsplit("/", 1)[1]
            if not manifests or self.manifest not in (None, name):
                return None, {}
            rim = base64.b64encode(manifests[0].read_bytes()).decode()
            return json.dumps({"id": name, "rim": rim}).encode(), {}
        if path.startswith("/vcek/v1/") and "blSPL=" in query:
            return self.read("vcek.der"), {}
        return None, {}

    def status(self, question):
        """An OCSP answer by the issuer itself, good for a day."""
        asked = ocsp.load_der_ocsp_request(question)
        if asked.serial_number not in self.authorities:
            return None
        issuer, certificate = self.authorities[asked.serial_number]
        is_revoked = asked.serial_number in self.revoked
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate, issuer=issuer.certificate, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=now - datetime.timedelta(hours=1),
            next_update=now + datetime.timedelta(days=1),
            revocation_time=now if is_revoked else None, revocation_reason=None)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        return builder.sign(issuer.key, hashes.SHA384()).public_bytes(Encoding.DER)

    def answer(self, handler):
        self.requests.append(handler.path)
        if handler.command == "POST":
            body, fields = self.status(handler.question), {}
        else:
            body, fields = self.find(handler.path)
        status, cut = 200, None
        if self.fault == "slow":
            time.sleep(8)
        elif self.fault == "429":
            status, body, fields = 429, b"", {"Retry-After": "30"}
        elif self.fault == "500":
            status, body, fields = 500, b"sorry", {}
        elif self.fault == "truncated" and body:
            cut = len(body) // 2
        elif self.fault == "signature" and body:
            # Within the signature of each document: its last bytes.
            place = len(body) - 10 if body[:1] == b"{" else len(body) - 5
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        if body is None:
            status, body = 404, b""
        try:
            handler.send_response(status)
            for name, value in fields.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body if cut is None else body[:cut])
            if cut is not None:
                handler.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True


def pem(der):
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n".encode()
