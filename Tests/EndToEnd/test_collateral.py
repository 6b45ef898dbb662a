"""Collateral from a stand-in for Intel and AMD: fetched, kept, refused when bad, in outages."""

import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))

import platforms  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509 import ocsp  # noqa: E402
from harness import scratch, wait_until  # noqa: E402
from minting.pki import Authority, name  # noqa: E402
from test_platforms import machine, serving  # noqa: E402
from vendors import Vendors  # noqa: E402

VECTORS = pathlib.Path(os.environ.get("RATEL_SHARED", "../shared")) / "vectors"


def run(context, *words, cache=None, vendors=None, **options):
    """The exit status and the JSON that a command prints."""
    command = [context.ratel, *map(str, words), "--json"]
    command += ["--collateral-cache", str(cache or "off")]
    url = vendors.url if vendors else "off"
    command += ["--pcs", url, "--kds", url, "--rim", url, "--ocsp", url]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"{command}: {done.returncode} {done.stderr}") from None


def vector(kind, name):
    folder = VECTORS / kind / name
    if not folder.is_dir():
        print(f"    skipped: {folder} is absent")
        return None, None
    return folder, json.loads((folder / "vector.json").read_text())


def test_real_collateral_is_fetched_bundled_and_shown(context):
    for kind, name in (("tdx", "v5-td15-uptodate"), ("sgx", "v3-lcp-swhardening"),
                       ("snp", "genoa-v3-azure"), ("snp", "milan-v3-vlek-aws")):
        folder, facts = vector(kind, name)
        if folder is None:
            return
        at = facts["verify_at"]
        with scratch() as path, Vendors(folder) as vendors:
            cache, out = f"{path}/cache", f"{path}/bundle"
            bare = pathlib.Path(path) / "evidence"
            bare.mkdir()
            for file in ("quote.bin", "report.bin", "vlek.der"):
                if (folder / file).exists():
                    shutil.copy(folder / file, bare)
            subject = bare
            status, items = run(
                context, "collateral", "fetch", subject, at=at, cache=cache, vendors=vendors)
            assert status == 0 and items, (name, items)
            window = facts["window"]
            assert all(item["from"] >= window["from"] or kind == "snp" for item in items), items
            asked = len(vendors.requests)
            # From the disk alone, as after a restart without a network.
            status, items = run(context, "collateral", "bundle", subject, at=at, cache=cache,
                                out=out)
            assert status == 0 and len(vendors.requests) == asked, items
            status, shown = run(context, "collateral", "show", at=at, cache=cache)
            assert status == 0 and len(shown) == len(items), shown
            # The bundle is what a machine without a network gets.
            status, shown = run(context, "collateral", "show", subject, at=at, collateral=out)
            assert status == 0 and all(item["source"].startswith("folder") for item in shown)
            for item in sorted(pathlib.Path(out).iterdir()):
                for file in item.iterdir():
                    original = folder / file.name
                    assert original.read_bytes() == file.read_bytes(), file
                    shutil.copy(file, bare)
            status, document = run(
                context, "verify", bare, "--authenticity-only", at=at, cache="off")
            assert status == 0, document
            # Once it has expired it is not given out, from disk neither.
            late = window["to"][:4]
            status, items = run(
                context, "collateral", "show", subject, at=f"{int(late) + 30}-01-01T00:00:00Z",
                cache=cache)
            assert status == 1 and all("missing" in item for item in items), items


def test_a_manifest_is_fetched_by_its_name(context):
    folder, facts = vector("nvidia", "h100-535-with-vbios-rim")
    if folder is None:
        return
    at, name = facts["verify_at"], "NV_GPU_VBIOS_1010_0200_882_96005E0001"
    with scratch() as path, Vendors(folder) as vendors:
        vendors.manifest = name
        cache = f"{path}/cache"
        status, items = run(
            context, "collateral", "fetch", folder, at=at, cache=cache, vendors=vendors)
        # There is none of the driver in the shared vectors.
        assert status == 1, items
        good, missing, *statuses = items
        # Of the device's certificates, and in turn of those who signed the manifest.
        assert [item["item"][:5] for item in statuses] == ["ocsp ", "ocsp "], items
        assert all("status 404" in item["missing"] for item in statuses), items
        assert good["item"] == f"rim {name}" and "missing" not in good, items
        assert missing["item"] == "rim NV_GPU_DRIVER_GH100_535.86.09", items
        # Another manifest under that name is not taken.
        vendors.manifest = None
        status, items = run(context, "collateral", "fetch", folder, at=at, cache="off",
                            vendors=vendors)
        assert status == 1 and "collateral.other" in items[1]["missing"], items
        vendors.fault = "signature"
        status, items = run(context, "collateral", "fetch", folder, at=at, cache="off",
                            vendors=vendors)
        assert status == 1 and all("missing" in item for item in items), items


def gpu_chain(folder):
    """A made-up device's certificates beside a real report, leaf first; answers the authorities."""

    def make(common, issuer=None, **options):
        key = ec.generate_private_key(ec.SECP384R1())
        return Authority(name(common), issuer, key, digest=hashes.SHA384(), **options)

    root = make("NVIDIA Device Identity CA")
    maker = make("NVIDIA GH100 Identity", root)
    batch = make("NVIDIA GH100 Provisioner ICA 1", maker)
    identity = make("GH100 A01 GSP BROM", batch)
    leaf = make("GH100 A01 GSP FMC LF", identity, is_authority=False)
    chain = [leaf, identity, batch, maker, root]
    (folder / "cert-chain.pem").write_bytes(b"".join(one.pem for one in chain))
    (folder / "root.pem").write_bytes(root.pem)
    return chain


def test_the_status_of_a_device_is_asked_of_its_issuers(context):
    folder, _ = vector("nvidia", "h100-535-with-vbios-rim")
    if folder is None:
        return
    with scratch() as path, Vendors(folder) as vendors:
        gpu = pathlib.Path(path) / "gpu"
        gpu.mkdir()
        shutil.copyfile(folder / "report.bin", gpu / "report.bin")
        _, *authorities = gpu_chain(gpu)
        for one, issuer in zip(authorities, authorities[1:]):
            vendors.authorities[one.certificate.serial_number] = (issuer, one.certificate)
        fetch = ["collateral", "fetch", gpu]

        def status_item(items):
            return next(item for item in items if item["item"].startswith("ocsp "))

        cache = f"{path}/cache"
        _, items = run(context, *fetch, cache=cache, vendors=vendors, root=gpu / "root.pem")
        item = status_item(items)
        assert "missing" not in item, items
        assert len([line for line in vendors.requests if line == "/"]) == 3, vendors.requests
        # Kept over an outage, and refused under roots that do not have the chain's.
        _, items = run(context, "collateral", "show", gpu, cache=cache, root=gpu / "root.pem")
        assert status_item(items)["until"] == item["until"], items
        _, items = run(context, *fetch, vendors=vendors)
        assert "collateral.other" in status_item(items)["missing"], items
        # Revoked is an answer too: the appraisal refuses then.
        bundle = pathlib.Path(path) / "bundle"
        vendors.revoked.add(authorities[1].certificate.serial_number)
        run(context, "collateral", "bundle", gpu, vendors=vendors, out=bundle,
            root=gpu / "root.pem")
        answers = sorted(bundle.glob("ocsp-*/ocsp-*.der"))
        assert len(answers) == 3, list(bundle.rglob("*"))
        serials = [ocsp.load_der_ocsp_response(file.read_bytes()).serial_number
                   for file in answers]
        assert set(serials) == set(vendors.authorities), serials
        vendors.fault = "signature"
        _, items = run(context, *fetch, vendors=vendors, root=gpu / "root.pem")
        assert "collateral.signature" in status_item(items)["missing"], items


def test_each_fault_is_told_and_nothing_bad_is_kept(context):
    folder, facts = vector("tdx", "v5-td15-uptodate")
    if folder is None:
        return
    at = facts["verify_at"]
    expected = {
        "429": "status 429", "500": "status 500", "truncated": "cut short",
        "signature": "signature", "slow": "ms"}
    with scratch() as path, Vendors(folder) as vendors:
        for fault, words in expected.items():
            vendors.fault = fault
            cache = f"{path}/{fault}"
            status, items = run(
                context, "collateral", "fetch", folder, at=at, cache=cache, vendors=vendors)
            assert status == 1 and words in items[0]["missing"], (fault, items)
            assert not list(pathlib.Path(cache).glob("*.cbor")), fault
        vendors.fault = None
        cache = f"{path}/good"
        status, _ = run(
            context, "collateral", "fetch", folder, at=at, cache=cache, vendors=vendors)
        assert status == 0
        # An outage after that: what is kept, signed and current goes on.
        for fault in expected:
            vendors.fault = fault
            run(context, "collateral", "fetch", folder, at=at, cache=cache, vendors=vendors)
            status, items = run(
                context, "collateral", "show", folder, at=at, cache=cache)
            assert status == 0 and "missing" not in items[0], (fault, items)


def test_collateral_never_goes_back(context):
    newer, new = vector("tdx", "v4-phala-b0c06f-outofdate-2026")
    older, old = vector("tdx", "v4-phala-b0c06f-uptodate-2025")
    if newer is None or older is None:
        return
    with scratch() as path:
        cache = f"{path}/cache"
        with Vendors(older) as vendors:
            status, items = run(context, "collateral", "fetch", older, at=old["verify_at"],
                                cache=f"{path}/other", vendors=vendors)
            assert status == 0, items
        with Vendors(newer) as vendors:
            status, items = run(context, "collateral", "fetch", newer, at=new["verify_at"],
                                cache=cache, vendors=vendors)
            assert status == 0, items
            # The same vendor, one that was rolled back: signed, and current at its time.
            vendors.folder = older
            status, items = run(context, "collateral", "fetch", older, at=old["verify_at"],
                                cache=cache, vendors=vendors)
            assert status == 1 and "collateral.rollback" in items[0]["missing"], items
        # A folder of a person's own is no way around it.
        status, items = run(context, "collateral", "show", older, at=old["verify_at"],
                            cache=cache, collateral=older)
        assert status == 1, items
        numbers = pathlib.Path(cache) / "evaluations.json"
        numbers.write_text("{")
        command = [context.ratel, "collateral", "show", "--collateral-cache", cache]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "evaluations.json" in done.stderr, done


def test_connections_use_what_is_fetched(context):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        # The sidecar staples nothing; the verifier asks the vendor.
        with serving(context, folder, devices, "tdx", []) as port, \
                Vendors(folder / "endorsements") as vendors:
            good = platform.policy(folder)
            subject, cache = f"127.0.0.1:{port}", folder / "cache"
            issuers = platform.vendor.platform.pem + platform.vendor.root.pem
            (folder / "endorsements" / "pck_crl_issuer_chain.pem").write_bytes(issuers)
            status, document = run(context, "verify", subject, policy=good)
            assert status == 1 and document["code"] == "dcap.collateral.missing", document
            status, document = run(context, "verify", subject, policy=good, cache=cache,
                                   vendors=vendors)
            assert status == 0, document
            asked = len(vendors.requests)
            # Whoever only claims to be such a platform has nobody asked.
            real = platform.policy(folder, "roots", None)
            status, document = run(context, "verify", subject, policy=real, vendors=vendors)
            assert status == 1 and len(vendors.requests) == asked, document
            vendors.fault = "500"
            status, document = run(context, "verify", subject, policy=good, cache=cache,
                                   vendors=vendors)
            assert status == 0 and len(vendors.requests) == asked, document
            status, document = run(context, "verify", subject, policy=good, vendors=vendors)
            assert status == 1 and "status 500" in document["got"], document


def test_a_folder_stands_before_what_the_peer_staples(context):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, "tdx", arguments) as port:
            subject, good = f"127.0.0.1:{port}", platform.policy(folder)
            status, document = run(context, "verify", subject, policy=good)
            assert status == 0, document
            # The same vendor says since that the platform is out of date.
            newer = folder / "newer"
            newer.mkdir()
            platform.vendor.write(newer, "TDX", "OutOfDate", ["INTEL-SA-00002"])
            status, document = run(
                context, "verify", subject, policy=good, collateral=newer)
            assert status == 1 and document["code"] == "dcap.tcb.status", document


def test_the_vendor_is_checked_by_name(context):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID
    import ipaddress

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    folder, facts = vector("tdx", "v5-td15-uptodate")
    if folder is None:
        return
    authority = Authority(name("Test Authority"))
    with scratch() as path:
        path = pathlib.Path(path)
        (path / "ca.pem").write_bytes(authority.pem)
        (path / "other.pem").write_bytes(Authority(name("Another")).pem)
        for host, ca, good in (
            (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), "ca.pem", True),
            (x509.IPAddress(ipaddress.ip_address("127.0.0.2")), "ca.pem", False),
            (x509.DNSName("example.org"), "ca.pem", False),
            (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), "other.pem", False),
        ):
            names = ("2.5.29.17", x509.SubjectAlternativeName([host]).public_bytes())
            leaf = Authority(name("server"), issuer=authority, is_authority=False,
                             extensions=[names])
            (path / "leaf.pem").write_bytes(leaf.pem)
            (path / "leaf.key").write_bytes(leaf.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()))
            settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            settings.load_cert_chain(path / "leaf.pem", path / "leaf.key")
            with Vendors(folder, settings) as vendors:
                status, items = run(
                    context, "collateral", "fetch", folder, at=facts["verify_at"],
                    vendors=vendors, collateral_ca=path / ca)
                assert (status == 0) == good, (host, ca, items)
                if not good:
                    assert "certificate" in items[0]["missing"], items


def test_a_policy_is_replaced_while_streams_run(context):
    platform = platforms.tdx(4)
    with machine(platform) as (folder, devices, arguments):
        with serving(context, folder, devices, "tdx", arguments) as port:
            from harness import Process, free_port
            from wire import get

            live = folder / "live.yaml"
            good, bad = platform.policy(folder), platform.policy(folder, "mrtd", ["fe" * 48])
            live.write_text(good.read_text())
            listen, admin = free_port(), free_port()
            command = [context.ratel, "connect", f"127.0.0.1:{port}", "--policy", live]
            command += ["--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}"]
            with Process("connect", command, folder) as process:
                process.wait_for_port(listen)
                assert get(listen).status == 200
                # On file change, and swapped as Kubernetes does.
                (folder / "next.yaml").write_text(bad.read_text())
                os.replace(folder / "next.yaml", live)
                wait_until(lambda: get(listen).status == 502, 10, "the new policy")
                assert b"dcap.tdx.mrtd" in get(listen).body
                # What cannot be used changes nothing, and says so.
                live.write_text("version: 1\npeers: [{nonsense: true}]\n")
                wait_until(lambda: "the old one stays" in process.text(), 10, "the complaint")
                assert get(listen).status == 502
                live.write_text(good.read_text())
                process.child.send_signal(1)
                wait_until(lambda: get(listen).status == 200, 10, "the first policy again")
                page = get(admin, "/metrics").body.decode()
                assert "ratel_policy_reloads_total 2" in page, page
                assert "ratel_policy_reload_failures_total 1" in page, page
                assert process.running()


def test_a_tolerance_that_ends_soon_is_told(context):
    platform = platforms.tdx(4, "SWHardeningNeeded", ["INTEL-SA-00001"])
    with machine(platform) as (folder, devices, arguments):
        soon = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86_400))
        tolerance = {"status": "SWHardeningNeeded", "advisories": ["INTEL-SA-00001"],
                     "until": soon}
        policy = platform.policy(folder, "tcb.tolerate", [tolerance])
        done = subprocess.run([context.ratel, "policy", "check", str(policy)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and soon in done.stdout + done.stderr, done
        assert "ends in 4 days" in done.stdout + done.stderr, done
