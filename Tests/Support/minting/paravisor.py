"""A made-up paravisor: it puts an attestation key and a hardware report into a software TPM, as
those of Azure confidential VMs do (handle 0x81000003, NV index 0x01400001)."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import struct
import subprocess
import threading

from cryptography.hazmat.primitives.serialization import load_pem_public_key

SNP, TDX = 2, 4
REPORT_INDEX, KEY_HANDLE = "0x01400001", "0x81000003"


def url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def tools(tcti, folder, *command):
    subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, cwd=folder, timeout=60,
        env={**os.environ, "TPM2TOOLS_TCTI": tcti})


def attestation_key(tcti, folder):
    """A restricted RSA key at the paravisor's handle; answers the public half."""
    folder = pathlib.Path(folder)
    tools(tcti, folder, "tpm2_createprimary", "-C", "o", "-c", "owner.ctx")
    tools(tcti, folder, "tpm2_create", "-C", "owner.ctx", "-G", "rsa2048:rsassa-sha256:null",
          "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda",
          "-u", "ak.pub", "-r", "ak.priv")
    tools(tcti, folder, "tpm2_flushcontext", "-t")
    tools(tcti, folder, "tpm2_load", "-C", "owner.ctx", "-u", "ak.pub", "-r", "ak.priv",
          "-c", "ak.ctx")
    tools(tcti, folder, "tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", KEY_HANDLE)
    tools(tcti, folder, "tpm2_flushcontext", "-t")
    tools(tcti, folder, "tpm2_readpublic", "-c", KEY_HANDLE, "-f", "pem", "-o", "ak.pem")
    return load_pem_public_key((folder / "ak.pem").read_bytes())


def runtime_data(key):
    numbers = key.public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    return json.dumps({
        "keys": [{"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": url(b"\1\0\1"),
                  "n": url(modulus)}],
        "vm-configuration": {"secure-boot": True, "tpm-enabled": True},
        "user-data": "00" * 64}).encode()


def report(kind, hardware, runtime):
    """The index's content: `hardware` maps report_data to a report."""
    data = hashlib.sha256(runtime).digest() + bytes(32)
    body = hardware(data).ljust(1184, b"\0")
    head = b"HCLA" + struct.pack("<III", 2, 32 + 1184 + 20 + len(runtime), 2) + bytes(16)
    tail = struct.pack("<IIIII", 20 + len(runtime), 1, kind, 1, len(runtime))
    return head + body + tail + runtime


def install(tcti, folder, content, index=REPORT_INDEX):
    path = pathlib.Path(folder) / f"nv-{index}"
    # Azure's index has 2600 bytes; a software TPM's largest has 2048.
    path.write_bytes(content.ljust(2048, b"\0") if index == REPORT_INDEX else content)
    size = path.stat().st_size
    tools(tcti, folder, "tpm2_nvdefine", index, "-C", "o", "-s", size,
          "-a", "ownerread|ownerwrite|authread")
    tools(tcti, folder, "tpm2_nvwrite", index, "-C", "o", "-i", path)


class MetadataService:
    """The cloud's service on loopback; `make` maps a TDREPORT to a quote, or raises."""

    def __init__(self, make):
        service = self
        self.asked = 0
        self.answer = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                service.asked += 1
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                sent = json.loads(raw)["report"]
                status, body = service.answer or (200, None)
                if body is None:
                    quote = make(base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4)))
                    body = json.dumps({"quote": url(quote)}).encode()
                self.send_response(status if self.path == "/acc/tdquote" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
