"""Attestation Results of other Verifiers in files, made here with Python's cryptography: every
algorithm, JSON and CBOR, key sets with parts, certificates and PEM, and policies read from YAML.

usage: results.py RATEL
"""

import base64
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

NOW = int(time.time())
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
OFF = {f"RATEL_{name}": "off" for name in ("PCS", "KDS", "RIM", "OCSP", "COLLATERAL_CACHE")}
NUMBERS = {"ES256": -7, "ES384": -35, "PS256": -37, "PS384": -38, "PS512": -39,
           "RS256": -257, "RS384": -258, "RS512": -259}


def url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(key, algorithm, data):
    digest = HASHES[algorithm[2:]]
    if algorithm.startswith("ES"):
        size = key.curve.key_size // 8
        numbers = utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return b"".join(number.to_bytes(size, "big") for number in numbers)
    scheme = padding.PKCS1v15() if algorithm.startswith("RS") else padding.PSS(
        padding.MGF1(digest), digest.digest_size)
    return key.sign(data, scheme, digest)


def jwt(key, algorithm, claims, **header):
    head = {"alg": algorithm, "typ": "JWT", "kid": "a"} | header
    data = url(json.dumps(head).encode()) + "." + url(json.dumps(claims).encode())
    return data + "." + url(sign(key, algorithm, data.encode()))


def cbor(value):
    """As much of RFC 8949 as tokens need."""

    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        size = 0 if number < 256 else 1 if number < 65536 else 2
        return bytes([major << 5 | 24 + size]) + number.to_bytes(1 << size, "big")

    if isinstance(value, bool):
        return bytes([0xF5 if value else 0xF4])
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


def cwt(key, algorithm, claims, tag=b"\xd8\x3d"):
    protected = cbor({1: NUMBERS[algorithm], 4: b"a"})
    data = cbor(["Signature1", protected, b"", cbor(claims)])
    message = cbor([protected, {}, cbor(claims), sign(key, algorithm, data)])
    return tag + b"\xd2" + message


def key_set(key, **more):
    public = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        parts = {"kty": "RSA", "n": public.n, "e": public.e}
    else:
        parts = {"kty": "EC", "crv": f"P-{key.curve.key_size}", "x": public.x, "y": public.y}
    size = getattr(key, "curve", key).key_size // 8
    for name in ("n", "x", "y", "e"):
        if name in parts:
            length = 3 if name == "e" else size
            parts[name] = url(parts[name].to_bytes(length, "big"))
    # Keys of other kinds stand in every set.
    strange = {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "z"}
    return json.dumps({"keys": [strange, parts | {"kid": "a"} | more]}).encode()


def certificate_set(key):
    """As Azure's: no key, but a certificate with one."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "verifier")])
    day = datetime.datetime(2026, 1, 1)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    built = built.public_key(key.public_key()).not_valid_before(day)
    built = built.not_valid_after(day + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    der = built.public_bytes(serialization.Encoding.DER)
    return json.dumps({"keys": [
        {"kty": "RSA", "kid": "a", "x5c": [base64.b64encode(der).decode()]}]}).encode()


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


CLAIMS = {"iss": "https://sharedeus.eus.attest.azure.net", "iat": NOW - 5, "exp": NOW + 60,
          "x-ms-isolation-tee": {"x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-is-debuggable":
                                 False, "x-ms-sevsnpvm-guestsvn": 7},
          "x-ms-runtime": {"client-payload": {"nonce": base64.b64encode(b"\1\2\3").decode()}}}
EAR = {1: "https://veraison", 6: NOW - 5, 10: b"\1\2\3", 265: "tag:ietf.org,2026:rats/ear#04",
       266: {"cpu0": {1000: 2, "x": [1, -2]}}}
POLICY = """
version: 1
peers:
  - name: elsewhere
    tier: none
    require: {result: 1}
    result:
      keys: [keys]
      issuer: [%s]
      audience: any
      max_age: 300s
      claims:
        %s
"""
AZURE = POLICY % ('"https://sharedeus.eus.attest.azure.net"', """x-ms-isolation-tee:
          x-ms-attestation-type: [sevsnpvm, tdxvm]
          x-ms-sevsnpvm-is-debuggable: [false]
          x-ms-sevsnpvm-guestsvn: [7]""")
VERAISON = POLICY % ('"https://veraison"', 'submods: {cpu0: {"1000": [2]}}')


def cases():
    """What, token, keys, policy, more words; then status and code."""
    one, two = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 3072)
    small, large = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    fitting = {"ES256": small, "ES384": large}
    good = (0, None)
    for name in NUMBERS:
        key = fitting.get(name, one)
        text = jwt(key, name, CLAIMS).encode()
        yield f"JWT {name}", text, key_set(key), AZURE, ["--nonce", "010203"], good
        yield f"JWT {name}, PEM", text, pem(key), AZURE, ["--any-nonce"], good
        yield f"CWT {name}", cwt(key, name, EAR), key_set(key), VERAISON, ["--nonce",
                                                                         "010203"], good
        other = {one: two, small: ec.generate_private_key(ec.SECP256R1()),
                 large: ec.generate_private_key(ec.SECP384R1())}[key]
        yield (f"{name} by another key", text, key_set(other), AZURE, ["--any-nonce"],
               (1, "result.signature.invalid"))
    text = jwt(one, "RS256", CLAIMS).encode()
    yield "a set of certificates", text, certificate_set(one), AZURE, ["--any-nonce"], good
    yield ("a key for another algorithm", text, key_set(one, alg="PS256"), AZURE, ["--any-nonce"],
           (1, "result.key.unknown"))
    yield "an empty set", text, b'{"keys":[]}', AZURE, ["--any-nonce"], (78, None)
    # The classic: a keyed hash whose key is the public key.
    forged = url(b'{"alg":"HS256","kid":"a"}') + "." + url(json.dumps(CLAIMS).encode()) + ".AAAA"
    yield "HS256", forged.encode(), pem(one), AZURE, ["--any-nonce"], (1, "result.algorithm")
    bare = forged.replace(url(b'{"alg":"HS256","kid":"a"}'), url(b'{"alg":"none"}'))
    yield "none", bare[:-4].encode(), pem(one), AZURE, ["--any-nonce"], (1, "result.algorithm")
    debug = CLAIMS | {"x-ms-isolation-tee": CLAIMS["x-ms-isolation-tee"] | {
        "x-ms-sevsnpvm-is-debuggable": True}}
    yield ("debuggable", jwt(one, "RS256", debug).encode(), key_set(one), AZURE, ["--any-nonce"],
           (1, "result.claim"))
    yield "another nonce", text, key_set(one), AZURE, ["--nonce", "0102"], (
        1, "evidence.nonce.mismatch")
    yield ("no tag of CWT", cwt(small, "ES256", EAR, b""), key_set(small), VERAISON,
           ["--any-nonce"], good)
    only = ["--authenticity-only", "--root", "KEYS"]
    yield "authenticity", text, key_set(one), None, only, good
    yield "authenticity, expired", text, key_set(one), None, only + ["--at", str(NOW + 61)], (
        1, "result.expired")
    yield "authenticity, no keys", text, key_set(one), None, only[:1], (1, "result.key.unknown")
    yield ("a session", text, key_set(one), AZURE.replace("tier: none", "tier: session"),
           ["--any-nonce"], (78, None))
    yield ("no claims", text, key_set(one), AZURE[:AZURE.index("claims:")] + "claims: {}\n",
           ["--any-nonce"], (78, None))


def main():
    ratel, failed, passed = sys.argv[1], 0, 0
    with tempfile.TemporaryDirectory(prefix="ratel-") as path:
        folder = pathlib.Path(path)
        for what, token, keys, policy, words, wanted in cases():
            (folder / "token").write_bytes(token)
            (folder / "keys").write_bytes(keys)
            command = [ratel, "verify", folder / "token", "--json"]
            command += [folder / "keys" if word == "KEYS" else word for word in words]
            if policy:
                (folder / "policy.yaml").write_text(policy)
                command += ["--policy", folder / "policy.yaml"]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=60, env=os.environ | OFF)
            found = done.returncode, json.loads(done.stdout).get("code") if done.stdout else None
            passed, failed = passed + (found == wanted), failed + (found != wanted)
            if found != wanted:
                print(f"FAILED {what}: {found}, expected {wanted}: {done.stderr}{done.stdout}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
