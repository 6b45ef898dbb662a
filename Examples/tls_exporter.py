"""What Python's `ssl` lacks: keying material exporters (RFC 8446 section 7.5)."""

import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import struct

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def connect(place):
    """HTTP/1.1 over TLS 1.3 to whoever is at HOST:PORT, since it is Evidence that has to decide.

    Answers it with its exporter secret and the SubjectPublicKeyInfo of its leaf certificate.
    """
    # The key log holds the traffic's keys too: so in memory that has no name, never on a disk.
    log = os.memfd_create("keylog")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = f"/proc/self/fd/{log}"
    web = http.client.HTTPConnection(place)
    web.sock = context.wrap_socket(socket.create_connection((web.host, web.port), 30))
    # A connection that closes must not be replaced by one that nobody verified.
    web.auto_open = 0
    secret = re.search(rb"^EXPORTER_SECRET \w+ (\w+)", os.pread(log, 65536, 0), re.MULTILINE)[1]
    os.close(log)
    key = x509.load_der_x509_certificate(web.sock.getpeercert(True)).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return web, bytes.fromhex(secret.decode()), spki


def export(secret, label, context):
    """32 bytes. The secret is as long as its hash: SHA-256 or SHA-384."""
    name = f"sha{8 * len(secret)}"
    empty, given = (hashlib.new(name, data).digest() for data in (b"", context))
    return expand(name, expand(name, secret, label, empty, len(secret)), b"exporter", given, 32)


def expand(name, secret, label, context, size):
    """HKDF-Expand-Label (RFC 8446 section 7.1), of one block at most."""
    info = struct.pack(">HB", size, len(label) + 6) + b"tls13 " + label
    info += bytes([len(context)]) + context + b"\1"
    return hmac.digest(secret, info, name)[:size]
