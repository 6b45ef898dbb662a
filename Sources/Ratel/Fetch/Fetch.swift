internal import Bytes
internal import HTTP
internal import Keys
internal import Loop
internal import RATLS
internal import Streams
internal import TLS

/// One request to an ordinary web server, and its whole answer in memory.
///
/// For the control plane: it blocks, with an event loop of its own, at most for its budget.
/// Redirects are not followed: collateral is where its service says it is.
struct Fetch {
    /// An answer with its body.
    struct Answer: Sendable {
        let status: Int
        let fields: HTTPFields
        let body: [UInt8]
    }

    /// Why there is no answer, in one line.
    struct Failure: Error, Sendable, CustomStringConvertible {
        let description: String
    }

    let url: WebAddress
    var method = "GET"
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// Certificates that may vouch for the server's name.
    var anchors: [Certificate]
    /// Milliseconds for everything: of the 10 s of an exchange, half are for the collateral.
    var budget: UInt64 = 5_000
    /// Bytes of the answer's body.
    var limit = 2 << 20

    func run() -> Result<Answer, Failure> {
        guard url.isSecure || url.address.isLoopback else {
            return .failure(
                Failure(description: "\(url): http is only used to this machine; write https"))
        }
        // A record in, one out, the request and a spare.
        let loop = EventLoop(bufferCount: 16)
        let connection = FetchConnection(self)
        connection.start(on: loop)
        loop.run()
        return connection.outcome ?? .failure(Failure(description: "\(url): no answer"))
    }

    var head: [UInt8] {
        var lines = "\(method) \(url.path) HTTP/1.1\r\nhost: \(url.authority)\r\n"
        lines += "user-agent: ratel\r\nconnection: close\r\n"
        for field in fields { lines += "\(field.name): \(field.value)\r\n" }
        if !body.isEmpty || method == "POST" { lines += "content-length: \(body.count)\r\n" }
        return Array((lines + "\r\n").utf8)
    }
}

/// The life of one such request.
private final class FetchConnection: Preamble {
    private(set) var outcome: Result<Fetch.Answer, Fetch.Failure>?
    private let fetch: Fetch
    private let verifier: WebServerVerifier
    private var link: FetchLink?
    private var timer: LoopTimer?
    private var addresses: [Address] = []

    private var reader: AnswerReader

    init(_ fetch: Fetch) {
        self.fetch = fetch
        reader = AnswerReader(method: fetch.method, limit: fetch.limit)
        verifier = WebServerVerifier(
            host: fetch.url.host, anchors: fetch.anchors, now: { System.now })
    }

    func start(on loop: EventLoop) {
        let timer = LoopTimer(on: loop) { [unowned self] in
            self.fail("no answer within \(self.fetch.budget) ms", on: loop)
        }
        timer.start(after: fetch.budget)
        self.timer = timer
        Resolver.resolve(host: fetch.url.host, port: fetch.url.port, on: loop) { [self] found in
            guard outcome == nil else { return }
            switch found {
            case .success(let addresses):
                self.addresses = addresses
                connectNext(on: loop, after: nil)
            case .failure(let error): fail("\(error)", on: loop)
            }
        }
    }

    // Names often have an address of a family that has no route here.
    private func connectNext(on loop: EventLoop, after trouble: String?) {
        link?.onBreak = nil
        link?.close()
        guard !addresses.isEmpty else { return fail(trouble ?? "no address", on: loop) }
        let address = addresses.removeFirst()
        let link = FetchLink(on: loop, kind: address)
        self.link = link
        link.fetch = self
        link.onBreak = { [unowned self] error in
            switch error {
            case .connect(let why): self.connectNext(on: loop, after: why)
            case .later(let why): self.broke(why, on: loop)
            }
        }
        do {
            try link.connect(to: address)
        } catch {
            fail("\(error)", on: loop)
        }
    }

    func didConnect(_ link: FetchLink) {
        guard fetch.url.isSecure else { return link.begin() }
        do throws(TLSError) {
            let context = try TLSContext(
                side: .client, identity: nil, protocols: [], verifier: verifier, profile: .web)
            link.begin(context, serverName: serverName, preamble: self)
        } catch {
            fail("\(error)", on: link.loop)
        }
    }

    // RFC 6066 section 3: literal addresses are not sent.
    private var serverName: String? { fetch.url.address.isNumeric ? nil : fetch.url.host }

    func begin(_ link: Link, handshake: Handshake) {
        do throws(TLSError) {
            link.open(try verifier.passage(handshake), leftover: [])
        } catch {
            fail("\(error)", on: link.loop)
        }
    }

    func receive(_ bytes: [UInt8], on link: Link) {}
    func linkDidBreak(_ link: Link) {}

    func didOpen(_ link: FetchLink) {
        link.sendMessage(fetch.head + fetch.body)
    }

    func didReceive(_ bytes: [UInt8], on link: FetchLink) {
        guard outcome == nil else { return }
        do throws(HTTPRefusal) {
            if let answer = try reader.append(bytes) { finish(.success(answer), on: link.loop) }
        } catch {
            fail("\(error.code)", on: link.loop)
        }
        if reader.isTooLong { fail("over \(fetch.limit) bytes", on: link.loop) }
    }

    func didEnd(_ link: FetchLink) {
        guard outcome == nil else { return }
        if let answer = reader.ended() { return finish(.success(answer), on: link.loop) }
        fail("the answer was cut short", on: link.loop)
    }

    private func broke(_ why: String, on loop: EventLoop) {
        fail(why, on: loop)
    }

    private func fail(_ why: String, on loop: EventLoop) {
        finish(.failure(Fetch.Failure(description: "\(fetch.url): \(why)")), on: loop)
    }

    private func finish(
        _ outcome: Result<Fetch.Answer, Fetch.Failure>, on loop: EventLoop
    ) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        timer?.close()
        timer = nil
        link?.onBreak = nil
        link?.fetch = nil
        link?.close()
        link = nil
        loop.mailbox.close()
    }
}

private final class FetchLink: Link {
    enum Trouble {
        case connect(String)
        case later(String)
    }

    weak var fetch: FetchConnection?
    var onBreak: ((Trouble) -> Void)?

    override func didConnect(_ failure: SocketError?) {
        if let failure {
            onBreak?(.connect("\(failure)"))
        } else {
            fetch?.didConnect(self)
        }
    }

    override func didOpen() { fetch?.didOpen(self) }

    override func didReceive(_ plaintext: consuming Buffer) {
        fetch?.didReceive(Array(copying: plaintext.bytes), on: self)
    }

    override func didReceiveEnd() { fetch?.didEnd(self) }

    override func didBreak(_ error: LinkError) {
        onBreak?(.later("\(error)"))
    }
}
