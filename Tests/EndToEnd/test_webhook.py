"""`ratel webhook` beside a stand-in for the API server: what pods get, what is refused, and whose
certificate is trusted when. `make test-kube` asks a real API server."""

import base64
import contextlib
import copy
import datetime
import json
import pathlib
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from harness import scratch, wait_until
from kubernetes import NAME, TEMPLATE, APIServer, Webhook, pod, served, webhook
from wire import get, metric


def test_a_pod_gets_the_sidecar(context):
    with webhook(context) as running:
        before = pod()
        after, warnings = running.mutate(copy.deepcopy(before))
        assert not warnings
        (sidecar,) = after["spec"]["initContainers"]
        assert sidecar["name"] == "ratel" and sidecar["restartPolicy"] == "Always"
        assert sidecar["args"] == [
            "serve", "--backend", "http://127.0.0.1:8000", "--padding", "records"]
        assert sidecar["ports"] == [{"name": "ratel", "containerPort": 8443}]
        assert sidecar["securityContext"] == {
            "readOnlyRootFilesystem": True, "runAsUser": 65532}
        assert after["spec"]["volumes"] == [
            {"name": "ratel-policy", "configMap": {"name": "ratel-callers"}}]
        assert after["spec"]["terminationGracePeriodSeconds"] == 360
        (backend,) = after["spec"]["containers"]
        assert backend.pop("lifecycle") == {
            "preStop": {"httpGet": {"path": "/drain", "port": 9901}}}
        assert backend == before["spec"]["containers"][0]
        assert set(after["metadata"]["annotations"]) == {"ratel.dev/injected"}
        # A second time changes nothing.
        assert running.mutate(copy.deepcopy(after)) == (after, [])


def test_what_a_pod_has_stays(context):
    with webhook(context) as running:
        own = pod({"other": "x", "ratel.dev/backend-port": "9000", "ratel.dev/padding": "off",
                   "ratel.dev/policy": "mine.v2"},
                  initContainers=[{"name": "first", "image": "i"}],
                  volumes=[{"name": "models", "emptyDir": {}}],
                  terminationGracePeriodSeconds=900)
        own["spec"]["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["x"]}}}
        own["spec"]["containers"].append(
            {"name": "logs", "image": "l", "lifecycle": {"postStart": {"sleep": {"seconds": 1}}}})
        after, _ = running.mutate(copy.deepcopy(own))
        spec = after["spec"]
        assert [one["name"] for one in spec["initContainers"]] == ["first", "ratel"]
        assert "http://127.0.0.1:9000" in spec["initContainers"][1]["args"]
        assert spec["initContainers"][1]["args"][-1] == "off"
        assert [one["name"] for one in spec["volumes"]] == ["models", "ratel-policy"]
        assert spec["volumes"][1]["configMap"]["name"] == "mine.v2"
        assert spec["terminationGracePeriodSeconds"] == 900
        assert spec["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["x"]}}}
        assert set(spec["containers"][1]["lifecycle"]) == {"postStart", "preStop"}
        assert after["metadata"]["annotations"]["other"] == "x"


def test_a_pod_may_be_written_oddly(context):
    """With nothing, with null and with what is empty, where lists and objects may be."""
    with webhook(context) as running:
        for none in (None, [], {}, "absent"):
            odd = pod()
            odd["metadata"]["annotations"] = none if none == {} else None
            backend = odd["spec"]["containers"][0]
            odd["spec"] |= {"volumes": none, "initContainers": none, "hostNetwork": None,
                            "terminationGracePeriodSeconds": None}
            backend |= {"lifecycle": {"preStop": None} if none == [] else none, "ports": none}
            if none == "absent":
                for place in (odd["spec"], backend):
                    for key in [key for key in place if place[key] in (None, "absent")]:
                        del place[key]
                del odd["metadata"]["annotations"]
            if none == {}:
                odd["spec"] |= {"volumes": [], "initContainers": []}
                backend["ports"] = []
            after, _ = running.mutate(json.loads(json.dumps(odd)))
            names = [one["name"] for one in after["spec"]["initContainers"]]
            assert names == ["ratel"], (none, names)
            assert [one["name"] for one in after["spec"]["volumes"]] == ["ratel-policy"]
            assert after["spec"]["terminationGracePeriodSeconds"] == 360
            hook = after["spec"]["containers"][0]["lifecycle"]["preStop"]
            assert hook["httpGet"]["path"] == "/drain"
            assert set(after["metadata"]["annotations"]) == {"ratel.dev/injected"}
        named = pod({"a~b/c~1d": "x", "ratel.dev~1inject": "y"})
        named["metadata"]["labels"] |= {"a~0/b": "z"}
        after, _ = running.mutate(copy.deepcopy(named))
        assert after["metadata"]["labels"] == named["metadata"]["labels"]
        assert len(after["metadata"]["annotations"]) == 3


def test_who_did_not_ask_is_left_alone(context):
    with webhook(context) as running:
        for labels in ({}, {"ratel.dev/inject": "false"}, {"ratel.dev/inject": "yes"}, None):
            other = pod()
            other["metadata"]["labels"] = labels
            assert running.mutate(copy.deepcopy(other)) == (other, [])
        own = pod()
        own["spec"]["containers"].append({"name": "ratel", "image": "mine"})
        after, (warning,) = running.mutate(copy.deepcopy(own))
        assert after == own and "of its own" in warning


def test_nonsense_is_refused_with_its_remedy(context):
    with webhook(context) as running:
        for annotations, words in (
            ({"ratel.dev/backend-prot": "80"}, ["webhook.annotation.unknown", "backend-port"]),
            ({"ratel.dev/backend-port": "0"}, ["webhook.annotation.value", "1 to 65535"]),
            ({"ratel.dev/backend-port": "8000,"}, ["webhook.annotation.value"]),
            ({"ratel.dev/backend-port": "+80"}, ["webhook.annotation.value"]),
            # The sidecar's own, over which a caller would drain it.
            ({"ratel.dev/backend-port": "8443"}, ["webhook.annotation.port", "8443", "another"]),
            ({"ratel.dev/padding": "none"}, ["off or records or tick", "none"]),
            ({"ratel.dev/policy": "../other"}, ["webhook.annotation.value"]),
            ({"ratel.dev/policy": "${padding}"}, ["webhook.annotation.value"]),
        ):
            message = running.refusal(pod(annotations))
            assert all(word in message for word in words), message
        taken = pod()
        ports = [{"containerPort": 80}, {"containerPort": 8443}]
        taken["spec"]["containers"].append({"name": "web", "image": "w", "ports": ports})
        message = running.refusal(taken)
        assert "webhook.pod.port" in message and "web" in message, message
        first = pod(initContainers=[{"name": "first", "image": "i", "ports": ports}])
        message = running.refusal(first)
        assert "webhook.pod.port" in message and "first" in message, message
        assert "webhook.pod.host_network" in running.refusal(pod(hostNetwork=True))
        message = running.refusal(pod(volumes=[{"name": "ratel-policy", "emptyDir": {}}]))
        assert "webhook.pod.volume" in message and "rename" in message, message
        probed = pod()
        probed["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"port": 8000}}
        _, (warning,) = running.mutate(probed)
        assert "readinessProbe of vllm" in warning
        open_ = pod()
        open_["spec"]["containers"][0]["args"] = ["--host=0.0.0.0"]
        after, (warning,) = running.mutate(open_)
        assert "listens on 127.0.0.1" in warning and after["spec"]["initContainers"]
        open_["spec"]["containers"][0]["env"] = [{"name": "HOST", "value": "127.0.0.1"}]
        assert running.mutate(open_)[1] == []


def test_other_questions_get_no_yes(context):
    with webhook(context) as running:
        good = {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE", "object": pod()}
        for request, code in (
            ({**good, "operation": "UPDATE"}, "webhook.review.other"),
            ({**good, "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
             "webhook.review.other"),
            ({key: good[key] for key in good if key != "object"}, "webhook.review.malformed"),
            ({**good, "uid": ""}, "webhook.review.malformed"),
        ):
            status, answer = running.post(json.dumps({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": request}))
            assert status == 400 and answer["error"]["code"] == code, answer
        for body, code in ((b"{", "webhook.review.malformed"), (b"", "webhook.review.malformed"),
                           (b'{"apiVersion":"admission.k8s.io/v1beta1"}',
                            "webhook.review.malformed")):
            status, answer = running.post(body)
            assert status == 400 and answer["error"]["code"] == code, answer
        large, deep = pod(), pod()
        large["spec"]["containers"][0]["args"] = ["x"] * 8_192
        deep["spec"]["affinity"] = json.loads('{"a":' * 30 + "1" + "}" * 30)
        for one, limit in ((large, "at most 8192 JSON values"), (deep, "at most 32 deep")):
            status, answer = running.post(json.dumps({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {**good, "object": one}}))
            error = answer["error"]
            assert status == 400 and error["code"] == "webhook.review.too_large", answer
            assert limit in error["expected"] and error["got"] == "more", answer
            assert "make the pod smaller" in error["remedy"], answer
        assert running.post(b" " * (3 << 20) + b"  ")[0] == 413
        assert running.post(b"{}", "/other")[0] == 404
        # It goes on.
        assert "initContainers" in running.mutate(pod())[0]["spec"]
        text = get(running.admin, "/metrics").body.decode()
        assert 'ratel_webhook_reviews_total{outcome="unanswered"} 9' in text, text
        assert 'ratel_webhook_reviews_total{outcome="injected"} 1' in text, text


def test_the_template_is_read_again_and_a_bad_one_changes_nothing(context):
    with webhook(context) as running:
        def image():
            return running.mutate(pod())[0]["spec"]["initContainers"][0]["image"]

        assert image() == "ratel:1"
        for bad in ("{", "version: 2\n", TEMPLATE.replace("${padding}", "${paddling}"),
                    TEMPLATE.replace("name: ratel\n", ""),
                    TEMPLATE.replace('default: "8000"', 'default: "x"'),
                    TEMPLATE.replace("  padding:", "  injected:"), TEMPLATE + "more: 1\n"):
            size = len(running.process.text())
            running.template.write_text(bad)
            wait_until(lambda: "was not replaced" in running.process.text()[size:], 5, bad)
            assert image() == "ratel:1"
        running.template.write_text(TEMPLATE.replace("ratel:1", "ratel:2"))
        wait_until(lambda: image() == "ratel:2", 5, "the new template")
        running.template.write_text(TEMPLATE.replace("native: true", "native: false"))
        wait_until(lambda: "initContainers" not in running.mutate(pod())[0]["spec"], 5, "plain")
        after, _ = running.mutate(pod())
        assert [one["name"] for one in after["spec"]["containers"]] == ["vllm", "ratel"]
        assert "restartPolicy" not in after["spec"]["containers"][1]


def test_a_bad_template_does_not_start(context):
    with scratch() as folder:
        path = pathlib.Path(folder) / "sidecar.yaml"
        path.write_text(TEMPLATE.replace("${padding}", "${paddling}"))
        found = subprocess.run(
            [context.ratel, "webhook", "--template", path, "--dns-name", NAME,
             "--configuration", "ratel", "--api", "https://127.0.0.1:1"],
            capture_output=True, text=True)
        assert found.returncode == 78, found
        assert "template.placeholder.unknown" in found.stderr and "paddling" in found.stderr


def test_certificates_change_without_a_call_that_fails(context):
    """Lives of 12 s: 4 s before its end there is a next one, trusted for 2 s before its turn."""
    with webhook(context, "--certificate-life", "12s") as running:
        presented, end = set(), time.monotonic() + 26
        while time.monotonic() < end:
            assert running.review(pod())["allowed"]
            # Not even while the next one is on its way: replicas change theirs at the same time.
            assert running.ready(), get(running.admin, "/readyz").body
            presented.add(served(running.port))
            time.sleep(0.1)
        assert len(presented) >= 3, len(presented)
        # What has expired is not trusted for ever.
        now = datetime.datetime.now(datetime.timezone.utc)
        ends = [one.not_valid_after_utc for one in running.api.bundle()]
        assert min(ends) > now - datetime.timedelta(seconds=12), ends
        for one in running.api.bundle():
            names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert names.get_values_for_type(x509.DNSName) == [NAME]


def test_replicas_and_strangers_share_the_bundle(context):
    with webhook(context) as running:
        directory = running.template.parent
        api = running.api
        api.conflicts = 2
        with Webhook(context, api, directory, name="second") as second:
            assert {served(running.port), served(second.port)} <= {
                one.public_bytes(Encoding.PEM).decode() for one in api.bundle()}
            for one in (running, second):
                assert one.review(pod())["allowed"]
            # Whoever writes over it is written over.
            api.trust("")
            for one in (running, second):
                wait_until(lambda: served(one.port) in {
                    one_.public_bytes(Encoding.PEM).decode() for one_ in api.bundle()},
                    25, "the certificates to be back")


def authorities(count):
    """Certificates of strangers, each a minute younger than the one before it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    for number in range(count):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"stranger {number}")])
        begin = now + datetime.timedelta(minutes=number - 2 * count)
        yield (x509.CertificateBuilder().subject_name(name).issuer_name(name)
               .public_key(key.public_key()).serial_number(number + 1).not_valid_before(begin)
               .not_valid_after(now + datetime.timedelta(hours=1)).sign(key, hashes.SHA256()))


def test_a_full_bundle_loses_its_oldest(context):
    """64 certificates are kept: one's own, and of the others the youngest."""
    with webhook(context) as running:
        strangers = list(authorities(80))
        pems = [one.public_bytes(Encoding.PEM) for one in strangers]
        running.api.trust(base64.b64encode(b"".join(pems[40:] + pems[:40])).decode())
        wait_until(lambda: len(running.api.bundle()) == 64, 25, "a bundle of 64")
        bundle = set(running.api.bundle())
        own = x509.load_pem_x509_certificate(served(running.port).encode())
        assert bundle == {own, *strangers[80 - 63:]}
        assert running.review(pod())["allowed"]


def test_a_token_that_is_none_is_not_sent(context):
    """What it is sent in has no other characters, and what stands in the file is not told."""
    with webhook(context) as running:
        token = running.template.parent / "token"
        for bad in (b"the-t\xc3\xb6ken", b"the-\x01token", b"the-\x7ftoken", b" \n"):
            size = len(running.process.text())
            token.write_bytes(bad)
            # Trust is looked at each 10 s, and more often where it is gone.
            running.api.trust("")
            wait_until(lambda: "not a token" in running.process.text()[size:], 25, bad)
            token.write_text("the-token\n")
            wait_until(lambda: running.api.bundle(), 25, "trust again")
        assert "the-" not in running.process.text()
        assert running.api.tokens == {"Bearer the-token"}, running.api.tokens


def test_nobody_is_ready_before_it_is_trusted(context):
    with scratch() as folder:
        directory = pathlib.Path(folder)
        api = APIServer(directory)
        running = Webhook(context, api, directory)
        (directory / "token").write_text("another")
        try:
            def trouble():
                with contextlib.suppress(OSError):
                    return get(running.admin, "/readyz").body
                return b""

            wait_until(lambda: b"status 401" in trouble(), 10, "the reason")
            assert not running.ready() and not api.bundle()
            assert b"another" not in running.process.text().encode()
            (directory / "token").write_text("the-token")
            wait_until(running.ready, 10, "readiness")
            # An API server that is away for a while takes nothing back.
            api.server.shutdown()
            api.server.server_close()
            wait_until(lambda: metric(
                running.admin, "ratel_webhook_trust_failures_total") > 2, 40, "a failure")
            assert running.ready()
        finally:
            running.process.stop()


def test_a_server_that_is_not_the_api_servers_gets_no_token(context):
    with scratch() as folder:
        directory = pathlib.Path(folder)
        api, other = APIServer(directory), pathlib.Path(folder) / "other"
        other.mkdir()
        stranger = APIServer(other)
        api.certificate = stranger.certificate
        running = Webhook(context, api, directory)
        try:
            wait_until(lambda: "configuration cannot be kept" in running.process.text(), 10, "it")
            assert not api.patches and not running.ready()
        finally:
            running.process.stop()
            api.server.shutdown()
            stranger.server.shutdown()
