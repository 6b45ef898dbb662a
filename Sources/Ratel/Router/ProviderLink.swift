internal import Bytes
internal import HTTP
internal import Loop
internal import Streams

/// One connection to a provider for the router's own questions, one after the other: freshly
/// attested, apart from those that carry requests.
final class ProviderLink: Link {
    /// Why a question has no answer.
    struct Trouble: Error {
        let why: String
        /// Nil where it was not the provider's Evidence.
        var refusal: Failure?
    }

    /// One answer, with when each read of its body came, in nanoseconds since boot.
    struct Answer {
        let status: Int
        let body: [UInt8]
        let began: UInt64
        let reads: [(at: UInt64, bytes: Int)]
    }

    typealias Completion = (Result<Answer, Trouble>) -> Void

    private let provider: Provider
    private var addresses: [Address]
    private var whenOpen: ((Result<ProviderLink, Trouble>) -> Void)?
    private var reader: AnswerReader?
    private var completion: Completion?
    private var began: UInt64 = 0
    private var reads: [(at: UInt64, bytes: Int)] = []
    private var timer: LoopTimer?

    /// Bytes of an answer: offers of 256 models, 1 KiB each, or a probe's stream.
    private static let maxAnswer = 4 << 20

    /// Connects and attests; `then` is called once, with the open link or why there is none.
    static func open(
        to provider: Provider, on loop: EventLoop,
        then: @escaping (Result<ProviderLink, Trouble>) -> Void
    ) {
        guard case .ip(let host, let port) = provider.address else {
            return ProviderLink(provider, [provider.address], on: loop, then).start()
        }
        Resolver.resolve(host: host, port: port, on: loop) { found in
            switch found {
            case .success(let addresses):
                ProviderLink(provider, addresses, on: loop, then).start()
            case .failure(let error): then(.failure(Trouble(why: "\(host): \(error)")))
            }
        }
    }

    private init(
        _ provider: Provider, _ addresses: [Address], on loop: EventLoop,
        _ then: @escaping (Result<ProviderLink, Trouble>) -> Void
    ) {
        self.provider = provider
        self.addresses = addresses
        whenOpen = then
        super.init(on: loop, kind: addresses[0])
    }

    private func start() {
        let timer = LoopTimer(on: loop) { [unowned self] in
            self.fail(Trouble(why: "no answer in time"))
        }
        self.timer = timer
        let budgets = Budgets()
        timer.start(after: budgets.connect + budgets.handshake)
        do throws(SocketError) {
            try connect(to: addresses[0])
        } catch {
            fail(Trouble(why: "\(addresses[0]): \(error)"))
        }
    }

    /// Asks; nothing may be asked before the answer to what was asked before.
    func ask(
        _ method: String, _ path: String, body: [UInt8] = [],
        fields: [(name: String, value: String)] = [], within milliseconds: UInt64,
        then completion: @escaping Completion
    ) {
        reader = AnswerReader(method: method, limit: ProviderLink.maxAnswer)
        self.completion = completion
        reads = []
        began = System.uptime
        timer?.start(after: milliseconds)
        var head =
            "\(method) \(path) HTTP/1.1\r\nhost: \(provider.address)\r\nuser-agent: ratel\r\n"
        for field in fields { head += "\(field.name): \(field.value)\r\n" }
        if !body.isEmpty {
            head += "content-type: application/json\r\ncontent-length: \(body.count)\r\n"
        }
        sendMessage(Array((head + "\r\n").utf8) + body)
    }

    /// Ends it; nothing is told any more.
    func abandon() {
        whenOpen = nil
        completion = nil
        timer?.close()
        timer = nil
        if !isClosing { close() }
    }

    private func fail(_ trouble: Trouble) {
        let (open, asked) = (whenOpen, completion)
        abandon()
        open?(.failure(trouble))
        asked?(.failure(trouble))
    }

    override func didConnect(_ failure: SocketError?) {
        if let failure { return fail(Trouble(why: "\(addresses[0]): \(failure)")) }
        guard
            case .tls(let context, let serverName, let makePreamble) =
                provider.control.upstreamSecurity(serverName: provider.address.serverName)
        else { return }
        begin(context(), serverName: serverName, preamble: makePreamble())
    }

    override func didOpen() {
        timer?.stop()
        let open = whenOpen
        whenOpen = nil
        open?(.success(self))
    }

    override func didReceive(_ plaintext: consuming Buffer) {
        reads.append((System.uptime, plaintext.count))
        do throws(HTTPRefusal) {
            if let answer = try reader?.append(Array(copying: plaintext.bytes)) { finish(answer) }
        } catch {
            return fail(Trouble(why: "\(error.code): \(error.got)"))
        }
        if reader?.isTooLong == true {
            fail(Trouble(why: "an answer of over \(ProviderLink.maxAnswer) bytes"))
        }
    }

    private func finish(_ answer: Fetch.Answer) {
        guard let completion else { return }
        self.completion = nil
        reader = nil
        timer?.stop()
        completion(
            .success(
                Answer(status: answer.status, body: answer.body, began: began, reads: reads)))
    }

    override func didReceiveEnd() {
        if let answer = reader?.ended() { return finish(answer) }
        fail(Trouble(why: "it closed the connection"))
    }

    override func didBreak(_ error: LinkError) {
        var refusal: Failure?
        if case .refused(let failure) = error { refusal = failure }
        fail(Trouble(why: "\(error)", refusal: refusal))
    }
}
