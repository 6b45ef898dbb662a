"""Independent verifiers of SEV-SNP, Nitro and TPM Evidence in folders, on `cryptography` and
tpm2-tools alone. Each raises for what it refuses, and takes the time as seconds since 1970.

They read what the vendors' specifications say and share nothing with Ratel: AMD publications 56860
and 57230, the AWS Nitro Enclaves User Guide, TPM 2.0 part 2.
"""

import datetime
import hashlib
import json
import subprocess
import warnings

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# AMD's ARK for Milan has serial number 0.
warnings.filterwarnings("ignore", message="Parsed a serial number")


class Refused(Exception):
    pass


def require(holds, why):
    if not holds:
        raise Refused(why)


def load(raw):
    read = x509.load_pem_x509_certificate if raw.startswith(b"-----") \
        else x509.load_der_x509_certificate
    return read(raw)


def spki(certificate):
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def current(certificate, at, what):
    now = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    require(certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc,
            f"{what} is not valid now")


def chain(certificates, at):
    """Leaf first; each is issued by the next, the last by itself."""
    for certificate, issuer in zip(certificates, certificates[1:] + certificates[-1:]):
        certificate.verify_directly_issued_by(issuer)
        current(certificate, at, certificate.subject.rfc4514_string())
    for authority in certificates[1:]:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        require(basic.ca, "an issuer that is no authority")


def der_integer(certificate, identifier):
    value = extension(certificate, identifier)
    require(value is not None and value[0] == 2, f"no {identifier}")
    return int.from_bytes(value[2:], "big")


def extension(certificate, identifier):
    for item in certificate.extensions:
        if item.oid.dotted_string == identifier:
            return item.value.value
    return None


def little(raw, begin, size):
    return int.from_bytes(raw[begin:begin + size], "little")


def snp(folder, at, roots):
    report = (folder / "report.bin").read_bytes()
    loaded = (folder / "vlek.der").exists()
    name = "vlek.der" if loaded else "vcek.der"
    key, issuer, root = (load((folder / n).read_bytes())
                         for n in (name, "asvk.der" if loaded else "ask.der", "ark.der"))
    require(spki(root) in roots, "the ARK is none of AMD's")
    chain([key, issuer, root], at)
    crl = folder / "crl.der"
    if crl.exists():
        revoked = x509.load_der_x509_crl(crl.read_bytes())
        require(revoked.is_signature_valid(root.public_key()), "the list is not the ARK's")
        require(revoked.issuer == root.subject, "the list is another's")
        now = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        require(revoked.last_update_utc <= now <= revoked.next_update_utc, "the list is old")
        entry = revoked.get_revoked_certificate_by_serial_number(issuer.serial_number)
        require(entry is None, "the issuer is revoked")
    require(len(report) == 1184 and 2 <= little(report, 0, 4) <= 5, "no such report")
    require(little(report, 0x34, 4) == 1, "another signature algorithm")
    r, s = little(report, 0x2A0, 72), little(report, 0x2A0 + 72, 72)
    key.public_key().verify(
        utils.encode_dss_signature(r, s), report[:0x2A0], ec.ECDSA(hashes.SHA384()))
    require(little(report, 8, 8) >> 19 & 1 == 0, "the policy allows debugging")
    tcb = report[0x180:0x188]
    base = "1.3.6.1.4.1.3704.1.3."
    is_turin = extension(key, base + "9") is not None
    places = {1: 1, 2: 2, 3: 3, 8: 7, 9: 0} if is_turin else {1: 0, 2: 1, 3: 6, 8: 7}
    for arc, place in places.items():
        require(der_integer(key, base + str(arc)) == tcb[place], "the key is of another TCB")
    if not loaded:
        identity = extension(key, "1.3.6.1.4.1.3704.1.4")
        chip = report[0x1A0:0x1E0]
        require(identity and chip.startswith(identity[-8:] if is_turin else identity[-64:]),
                "the key is of another chip")


def nitro(folder, at, roots):
    document = cbor2.loads((folder / "attestation-document.cbor").read_bytes())
    protected, _, payload, signature = getattr(document, "value", document)
    require(cbor2.loads(protected) == {1: -35}, "not ES384")
    fields = cbor2.loads(payload)
    leaf = load(fields["certificate"])
    bundle = [load(raw) for raw in fields["cabundle"]]
    require(spki(bundle[0]) in roots, "the root is not AWS's")
    chain([leaf, *reversed(bundle)], at)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    require(len(signature) == 96, "a signature of another length")
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    leaf.public_key().verify(
        utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))
    require(fields["digest"] == "SHA384", "another digest")
    require(any(any(fields["pcrs"][index]) for index in range(3)), "a debug enclave")


def tpm(folder, at, roots):
    """The quote by tpm2_checkquote; its registers, and what Azure binds it to, by hand."""
    claims = json.loads((folder / "vector.json").read_text())["claims"]
    algorithm = claims.get("hash_alg", "sha256")
    command = ["tpm2_checkquote", "-u", folder / "ak.pub.pem", "-m", folder / "quote.msg",
               "-s", folder / "quote.sig", "-g", algorithm, "-q", claims["extra_data"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    require(done.returncode == 0, done.stderr.strip()[-200:])
    values = folder / "pcrs.json"
    if values.exists():
        quoted = hashlib.new(algorithm, registers(json.loads(values.read_text()), claims))
        # The digest is what a TPMS_ATTEST of a quote ends with.
        require((folder / "quote.msg").read_bytes().endswith(quoted.digest()), "other registers")
    runtime = folder / "runtime-data.json"
    if not runtime.exists():
        return
    if (folder / "quote.bin").exists():
        # A TD's report_data: behind 48 bytes of header, at 520 of the body.
        bound = (folder / "quote.bin").read_bytes()[568:600]
    else:
        snp(folder, at, roots)
        bound = (folder / "report.bin").read_bytes()[0x50:0x70]
    require(hashlib.sha256(runtime.read_bytes()).digest() == bound,
            "the runtime data are not bound")


def registers(values, claims):
    """The values that were quoted, one behind the other."""
    chosen = claims["pcr_select"]
    return b"".join(
        bytes.fromhex(values["pcrs"][str(number)])
        for selected in (chosen if isinstance(chosen, list) else [chosen])
        for number in selected["pcrs"])
