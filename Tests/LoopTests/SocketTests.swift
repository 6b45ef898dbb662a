import Bytes
import Loop
import Testing

private final class Echo: Socket {
    override func didRead(_ buffer: consuming Buffer) { _ = write(buffer) }
    override func didEnd() { close() }
    override func didFail(_ error: SocketError) { close() }
}

private final class EchoListener: Listener {
    override func didBecomeReady() {
        let socket = Echo(on: loop, kind: address)
        do {
            try socket.accept(from: self)
            socket.startReading()
        } catch {
            socket.close()
        }
    }
}

private final class Caller: Socket {
    var received: [UInt8] = []
    var failure: SocketError?
    var expected = 0
    var message: [UInt8] = []
    var onEnd: () -> Void = {}

    override func didConnect(_ failure: SocketError?) {
        self.failure = failure
        guard failure == nil else { return finish() }
        startReading()
        guard var buffer = lendBuffer() else { return finish() }
        _ = buffer.append(message.span)
        _ = write(buffer)
    }

    override func didRead(_ buffer: consuming Buffer) {
        for index in buffer.bytes.indices { received.append(buffer.bytes[index]) }
        if received.count >= expected { finish() }
    }

    override func didFail(_ error: SocketError) {
        failure = error
        finish()
    }

    func finish() {
        close()
        onEnd()
    }
}

@Suite struct SocketTests {
    @Test func bytesGoOutAndComeBack() throws {
        let loop = EventLoop(bufferCount: 16)
        let listener = try EchoListener(on: loop, address: .ip(host: "127.0.0.1", port: 0))
        let caller = Caller(on: loop, kind: listener.address)
        caller.message = Array("hello".utf8)
        caller.expected = 5
        caller.onEnd = {
            listener.close()
            loop.mailbox.close()
        }
        try caller.connect(to: listener.address)
        loop.run()
        #expect(caller.received == Array("hello".utf8))
        #expect(loop.buffers.available == loop.buffers.capacity)
    }

    @Test func aClosedPortIsAnError() throws {
        let port = try Listener.freePorts(1)[0]
        let loop = EventLoop(bufferCount: 16)
        let address = Address.ip(host: "127.0.0.1", port: port)
        let caller = Caller(on: loop, kind: address)
        caller.onEnd = { loop.mailbox.close() }
        try caller.connect(to: address)
        loop.run()
        #expect(caller.failure?.description.contains("ECONNREFUSED") == true)
    }

    @Test func aPathThatIsTooLongIsRefused() {
        let loop = EventLoop(bufferCount: 16)
        let address = Address.unix(path: "/" + String(repeating: "x", count: 200))
        let caller = Caller(on: loop, kind: address)
        #expect(throws: SocketError.self) { try caller.connect(to: address) }
        caller.close()
        loop.mailbox.close()
        loop.run()
    }

    @Test func aPortInUseIsNotShared() throws {
        let loop = EventLoop(bufferCount: 16)
        let listener = try Listener(on: loop, address: .ip(host: "127.0.0.1", port: 0))
        #expect(throws: SocketError.self) { try Listener.probe(listener.address) }
        listener.close()
        loop.mailbox.close()
        loop.run()
    }

    @Test func exhaustedBuffersStopReadingAndComeBack() throws {
        let loop = EventLoop(bufferCount: 2)
        let listener = try EchoListener(on: loop, address: .ip(host: "127.0.0.1", port: 0))
        let caller = Caller(on: loop, kind: listener.address)
        caller.message = Array("hello".utf8)
        caller.expected = 5
        var hoard: [Hoarded] = []
        caller.onEnd = {
            listener.close()
            loop.mailbox.close()
        }
        try caller.connect(to: listener.address)
        // Until the caller's bytes wait in the kernel, and none can be read.
        while let buffer = loop.buffers.lend() { hoard.append(Hoarded(buffer)) }
        for _ in 0..<4 { loop.turn(waiting: false) }
        #expect(caller.received.isEmpty)
        hoard = []
        let retry = LoopTimer(on: loop) {}
        retry.start(after: 1)
        // The caller had no buffer to send from: it gave up, or its bytes came back.
        loop.turn()
        retry.close()
        if !caller.isClosing { caller.finish() }
        loop.run()
        #expect(loop.buffers.available == 2)
    }

    @Test func workReturnsToItsLoop() {
        let loop = EventLoop(bufferCount: 1)
        var answer = 0
        loop.offload({ 6 * 7 }) { result in
            answer = result
            loop.mailbox.close()
        }
        loop.run()
        #expect(answer == 42)
    }

    @Test func jobsOfOtherThreadsRunInOrder() {
        let loop = EventLoop(bufferCount: 1)
        let mailbox = loop.mailbox
        let seen = LoopBound(Seen())
        let worker = Worker {
            for number in 0..<100 { mailbox.post { seen.value.numbers.append(number) } }
            mailbox.post { mailbox.close() }
        }
        loop.run()
        worker.join()
        #expect(seen.value.numbers == Array(0..<100))
        #expect(!mailbox.post {})
    }
}

private final class Seen {
    var numbers: [Int] = []
}

private final class Hoarded {
    private let buffer: Buffer
    init(_ buffer: consuming Buffer) { self.buffer = buffer }
}

@Suite struct AddressTests {
    @Test func writesWhatItIs() {
        #expect(Address.ip(host: "127.0.0.1", port: 80).description == "127.0.0.1:80")
        #expect(Address.ip(host: "::1", port: 80).description == "[::1]:80")
        #expect(Address.unix(path: "/a").description == "unix:/a")
    }

    @Test func knowsNumbersFromNames() {
        #expect(Address.ip(host: "10.0.0.1", port: 1).isNumeric)
        #expect(Address.ip(host: "::1", port: 1).isNumeric)
        #expect(!Address.ip(host: "vllm", port: 1).isNumeric)
        #expect(Address.ip(host: "127.9.9.9", port: 1).isLoopback)
        #expect(!Address.ip(host: "10.0.0.1", port: 1).isLoopback)
    }
}
