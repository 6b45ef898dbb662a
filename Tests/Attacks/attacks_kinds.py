"""Evidence of several roots of trust, of which some are left out or are another machine's."""

import hashlib
import json
import subprocess

import formulas
import platforms
from case import SECRET, extend, say
from formulas import CHALLENGE, EVIDENCE, frame
from middle import Middle
from model import BAD, Hardware
from rows import row
from test_platforms import machine, serving

REGISTERS = range(8)
SERVED = "served"


class Mixing(Middle):
    """Passes frames on, but for the Evidence: `change(items, root)` says what is in it. The root
    is that of the genuine server's connection, which is this man's own."""

    def __init__(self, identity, genuine, change, defences=formulas.ALL):
        super().__init__(identity, genuine)
        self.change, self.defences = change, defences

    def on(self, direction, kind, body, near, far):
        if direction == "out" and kind == CHALLENGE:
            self.asked = body
        if direction == "in" and kind == EVIDENCE:
            said = formulas.decode(body)
            value = formulas.base(
                self.defences, far, formulas.SERVER, self.asked, said[1], said[6], 0)
            root = formulas.quoted_root(formulas.root_of(value, said[4], said[5]), said[3])
            said[2] = self.change(said[2], root)
            return near.send(frame(EVIDENCE, formulas.encode(said)))
        super().on(direction, kind, body, near, far)


def left_out(items, root):
    return {name: item for name, item in items.items() if name != "3.0"}


class OtherTPM:
    """A TPM of the thief's, of a machine that booted well, which quotes whatever he wants."""

    def __init__(self, folder, tpm):
        self.folder, self.tcti = folder, tpm.tcti
        attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
        self.tool("createprimary", "-C", "e", "-G", "ecc256:ecdsa-sha256:null", "-g", "sha256",
                  "-a", attributes, "-c", folder / "other.ctx")
        self.tool("readpublic", "-c", folder / "other.ctx", "-f", "tpmt", "-o",
                  folder / "other.pub")
        self.public = (folder / "other.pub").read_bytes()
        self.name = "000b" + hashlib.sha256(self.public).hexdigest()

    def tool(self, name, *words):
        subprocess.run([f"tpm2_{name}", "-T", self.tcti, *map(str, words)], check=True,
                       capture_output=True)

    def in_place_of_the_servers(self, items, root):
        message, signature = self.folder / "other.msg", self.folder / "other.sig"
        self.tool("quote", "-c", self.folder / "other.ctx", "-l",
                  "sha256:" + ",".join(map(str, REGISTERS)), "-q", formulas.tpm_data(root).hex(),
                  "-m", message, "-s", signature, "-f", "tss", "-g", "sha256")
        media, _, *more = items["3.0"]
        evidence = formulas.encode({
            1: message.read_bytes(), 2: signature.read_bytes(), 3: self.public, 4: 11,
            5: {register: bytes(32) for register in REGISTERS}})
        return {**items, "3.0": [media, evidence, *more]}


@row("GPU or vTPM evidence left out or mixed")
def attack_kinds(place):
    """A trust domain whose TPM shows that it booted something else: the thief takes the TPM's
    Evidence out, or puts that of another machine's TPM there, over the same root."""
    other = Hardware()

    def against(missing, change):
        tpm = Hardware()
        server, victim = place.model(*missing, tpm=tpm, tpms=(tpm.public, other.public))
        assert victim.call(server.port)[0]
        tpm.measurement = BAD
        defences = formulas.ALL - frozenset(missing)
        # So that nothing is known of the server, and it has to show Evidence.
        victim.verifier.known.clear()
        with Mixing(place.servers, server.port, change, defences) as middle:
            victim.call(middle.port)
            return middle.heard

    def mixed(items, root):
        return {**items, "3.0": other.quote(formulas.tpm_data(root))}

    def untouched(items, root):
        return items

    for missing, change, wanted in (
        ([], left_out, b""), (["exporter", "kinds"], left_out, b""),
        (["exporter", "manifest"], left_out, b""),
        (["exporter", "manifest", "kinds"], left_out, SECRET),
        ([], mixed, b""), (["exporter"], mixed, b""), (["exporter", "signature"], mixed, b""),
        (["exporter", "manifest"], mixed, SECRET),
        (["exporter", "manifest"], untouched, b""),
    ):
        heard = against(missing, change)
        assert heard == wanted, (missing, change, heard)
    fails_against_ratel(place)


def fails_against_ratel(place):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        own, elsewhere = place.tpm(), OtherTPM(folder, place.tpm())
        arguments = [*arguments, "--tls-certificate", place.servers.certificate_file, "--tls-key",
                     place.servers.key_file]
        both = [*arguments, "--tcti", own.tcti]
        with serving(place, folder, devices, "tpm,tdx", both) as port:
            policy = both_kinds(place.init(port), folder, platform, elsewhere)
            assert told(place, port, policy) == SERVED
            extend(own)
            assert "tpm.pcr.mismatch" in told(place, port, policy)
            for change in (left_out, elsewhere.in_place_of_the_servers):
                with Mixing(place.servers, port, change) as middle:
                    said = told(place, middle.port, policy)
                    assert "binding.signature.invalid" in said, (said, middle.troubles)
                    assert middle.heard == b"", middle.heard
        # The server leaves it out itself, and signs that.
        with serving(place, folder, devices, "tdx", arguments) as port:
            assert "evidence.kind.count" in told(place, port, policy)
            # The defence off: a policy that wants the trust domain alone.
            assert told(place, port, platform.policy(folder).read_text()) == SERVED


def told(place, port, policy):
    """What a caller is told who has that policy."""
    through, _ = place.connect(port, policy)
    status, body = say(through)
    return SERVED if status == 200 else body


def both_kinds(text, folder, platform, elsewhere):
    """What the server shows, by either machine's TPM."""
    pem = folder / "minted.pem"
    pem.write_bytes(platform.root.pem)
    text = text.replace("    tdx:\n", f"    tdx:\n      roots: [{json.dumps(str(pem))}]\n")
    text = text.replace("attributes: []", "attributes: [pks]")
    assert 'ak: ["' in text, text
    return text.replace('ak: ["', f'ak: ["{elsewhere.name}", "')
