internal import Bytes
internal import HTTP
internal import Loop
internal import Streams

/// Asks the engine each second how many requests wait in it, as its own metrics say.
final class QueueWatch {
    private let metering: Metering
    private let address: Address
    private let loop: EventLoop
    private var timer: LoopTimer?
    private var link: QueueLink?

    /// Milliseconds: a queue that forms is seen within one.
    private static let period: UInt64 = 1_000

    /// The number of waiting requests by engine: vLLM, TGI, SGLang, llama.cpp.
    static let names = [
        "vllm:num_requests_waiting", "tgi_queue_size", "sglang:num_queue_reqs",
        "llamacpp:requests_deferred",
    ]

    init(_ metering: Metering, of address: Address, on loop: EventLoop) {
        self.metering = metering
        self.address = address
        self.loop = loop
        let timer = LoopTimer(on: loop) { [unowned self] in self.ask() }
        timer.start(after: 0, every: QueueWatch.period)
        timer.detach()
        self.timer = timer
    }

    func close() {
        timer?.close()
        timer = nil
        link?.abandon()
        link = nil
    }

    private func ask() {
        guard let queue = metering.queue else { return }
        // The last one has had a whole period: who does not answer is not taken for full.
        if let link {
            link.abandon()
            self.link = nil
            metering.note(waiting: nil)
        }
        guard case .ip(let host, let port) = address else { return connect(to: address, queue) }
        Resolver.resolve(host: host, port: port, on: loop) { [weak self] found in
            guard let self, self.timer != nil, self.link == nil,
                case .success(let addresses) = found
            else { return }
            self.connect(to: addresses[0], queue)
        }
    }

    private func connect(to target: Address, _ queue: OffersFile.Queue) {
        let link = QueueLink(on: loop, to: target, path: queue.path) { [weak self] answer in
            guard let self else { return }
            self.link?.abandon()
            self.link = nil
            self.metering.note(waiting: answer.flatMap(QueueWatch.waiting))
        }
        self.link = link
        link.start()
    }

    /// The sum over the page's series of such a name; nil where there is none.
    static func waiting(_ page: [UInt8]) -> Int? {
        var sum: Double?
        for line in page.split(separator: 0x0A) {
            guard let name = names.first(where: { line.starts(with: $0.utf8) }) else { continue }
            let rest = line.dropFirst(name.utf8.count)
            // A longer name is another series.
            guard let next = rest.first, next == 0x20 || next == UInt8(ascii: "{"),
                let last = line.split(separator: 0x20).last,
                let number = Double(String(decoding: last, as: UTF8.self)), number >= 0,
                number < 1e9
            else { continue }
            sum = (sum ?? 0) + number
        }
        return sum.map { Int($0) }
    }
}

/// One question.
private final class QueueLink: Link {
    private let target: Address
    private let path: String
    private var report: (([UInt8]?) -> Void)?
    /// Pages of metrics have some 50 KiB.
    private var reader = AnswerReader(method: "GET", limit: 4 << 20)

    init(
        on loop: EventLoop, to target: Address, path: String,
        report: @escaping ([UInt8]?) -> Void
    ) {
        self.target = target
        self.path = path
        self.report = report
        super.init(on: loop, kind: target)
    }

    func start() {
        do throws(SocketError) {
            try connect(to: target)
        } catch {
            finish(nil)
        }
    }

    /// Ends it without a report.
    func abandon() {
        report = nil
        close()
    }

    private func finish(_ page: [UInt8]?) {
        let report = report
        self.report = nil
        report?(page)
    }

    override func didConnect(_ failure: SocketError?) {
        if failure != nil { return finish(nil) }
        begin()
    }

    override func didOpen() {
        let host = if case .unix = target { "localhost" } else { "\(target)" }
        let head =
            "GET \(path) HTTP/1.1\r\nhost: \(host)\r\nuser-agent: ratel\r\n"
            + "connection: close\r\n\r\n"
        sendMessage(Array(head.utf8))
    }

    override func didReceive(_ plaintext: consuming Buffer) {
        do throws(HTTPRefusal) {
            guard let answer = try reader.append(Array(copying: plaintext.bytes)) else { return }
            finish(answer.status == 200 ? answer.body : nil)
        } catch {
            finish(nil)
        }
    }

    override func didReceiveEnd() { finish(reader.ended().map(\.body)) }

    override func didBreak(_ error: LinkError) { finish(nil) }
}
