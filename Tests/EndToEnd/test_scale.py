"""Thousands of connections: descriptors and memory come back."""

import resource
import socket
import struct
import time

from harness import wait_until
from wire import Client, get

IDLE, CYCLES = 5000, 10000


def settle(process, descriptors):
    """Descriptors as they were, allowing for pooled connections that come and go."""
    wait_until(
        lambda: process.descriptors() <= descriptors + 8,
        30,
        f"{process.name} back at {descriptors} descriptors",
    )


def test_5000_idle_connections(context):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert limit > IDLE + 200, f"needs {IDLE + 200} descriptors, the limit is {limit}"
    assert get(context.port).status == 200
    connect = context.stack.connect
    descriptors, memory = connect.descriptors(), connect.resident()
    clients = [socket.create_connection(("127.0.0.1", context.port)) for _ in range(IDLE)]
    # Less what was there before and went: the first request's two connections.
    wait_until(lambda: connect.descriptors() >= descriptors + IDLE - 8, 20, "5,000 accepted")
    grown = connect.resident() - memory
    print(f"    {grown} KiB for {IDLE} idle connections, {grown * 1024 // IDLE} bytes each")
    # 4 KiB each: the objects of a connection and its libuv handle; an idle one holds no buffer.
    assert grown < IDLE * 4, grown
    started = time.monotonic()
    assert get(context.port).status == 200
    assert time.monotonic() - started < 2
    for number in (0, IDLE // 2, IDLE - 1):
        clients[number].sendall(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
        assert clients[number].recv(4096).startswith(b"HTTP/1.1 200")
    for client in clients:
        client.close()
    settle(connect, descriptors)


def test_10000_connections_come_and_go(context):
    assert get(context.port).status == 200
    for process, port in (
        (context.stack.connect, context.port),
        (context.stack.serve, context.stack.serve_port),
    ):
        descriptors = process.descriptors()
        grown = []
        # How many are open at once differs from round to round, and the allocator keeps the peak;
        # a leak grows in every round. 2 MiB: 400 bytes a connection, the smallest objects.
        while not grown or (grown[-1] > 2048 and len(grown) < 4):
            memory = process.resident()
            cycle(port, CYCLES // 2)
            settle(process, descriptors)
            grown.append(process.resident() - memory)
        print(f"    {process.name}: {grown} KiB, each after {CYCLES // 2} connections")
        assert grown[-1] <= 2048, grown
    assert get(context.port).status == 200


def cycle(port, count):
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        if number % 3 == 1:
            client.sendall(b"GET / HT")
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


def test_2000_requests_on_connections_of_their_own(context):
    for _ in range(200):
        assert get(context.port).status == 200
    processes = (context.stack.connect, context.stack.serve)
    before = [(process.descriptors(), process.resident()) for process in processes]
    for number in range(2000):
        with Client(context.port) as client:
            client.send(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            assert client.answer().body == b"GET /%d 0" % number
    for process, (descriptors, memory) in zip(processes, before):
        settle(process, descriptors)
        grown = process.resident() - memory
        print(f"    {process.name}: {grown} KiB after 2000 requests")
        assert grown < 4096, grown
