public import HTTP
public import Loop
public import Streams

/// What operators and Kubernetes ask: `/healthz`, `/readyz`, `/metrics`, `/drain` where it is
/// allowed, and the pages of the use itself.
public final class AdminService: StreamService {
    public private(set) var budgets = Budgets()
    public let limits = HTTPLimits()
    public let metrics = StreamMetrics(LoopTraffic())
    private let status: any StatusSource
    private var drain: ((LocalReply) -> Void)?

    /// Serves what `status` says.
    public init(status: any StatusSource) {
        self.status = status
    }

    /// Has `GET /drain` call `drain`, which answers it within so many milliseconds.
    func drains(within milliseconds: UInt64, _ drain: @escaping (LocalReply) -> Void) {
        self.drain = drain
        // A moment more, so that it has its answer and is not cut.
        budgets.handshake = max(budgets.handshake, milliseconds + 5_000)
    }

    public func begin(_ connection: Downstream) {
        connection.begin()
    }

    public func makeHandler(for connection: Downstream) -> any RequestHandler {
        AdminHandler(status: status, drain: drain, on: connection.loop)
    }

    public func ended(_ connection: Downstream, _ error: LinkError?) {}
    public func expireAdmissions(cutting failure: Failure?) {}
    public func close() {}
}

/// What the admin listener shows.
public protocol StatusSource: AnyObject, Sendable {
    /// Each condition of readiness, with nil when it holds and the reason when not.
    var readiness: [(name: String, trouble: String?)] { get }
    /// Every metric in Prometheus's text format.
    var exposition: String { get }
    /// What `/status` shows a person; nil where there is nothing more to show.
    var report: String? { get }
    /// A page of this use's own, which `loop` shows; nil where it has none at the path.
    func page(_ head: RequestHead, on loop: EventLoop) -> AdminPage?
}

extension StatusSource {
    /// Nothing.
    public var report: String? { nil }
    /// None.
    public func page(_ head: RequestHead, on loop: EventLoop) -> AdminPage? { nil }
}

private final class AdminHandler: RequestHandler {
    private let status: any StatusSource
    private let drain: ((LocalReply) -> Void)?
    private unowned let loop: EventLoop
    private var asked: ((LocalReply) -> Void)?

    init(status: any StatusSource, drain: ((LocalReply) -> Void)?, on loop: EventLoop) {
        self.status = status
        self.drain = drain
        self.loop = loop
    }

    func handle(_ head: RequestHead) -> Disposition {
        guard head.method == "GET" || head.method == "HEAD" else {
            return .respond(
                Failure(
                    status: 405, code: "admin.method", message: "only GET is answered here",
                    stage: "request", expected: "GET", got: head.method))
        }
        switch head.path {
        case "/healthz":
            return text(200, "ok\n")
        case "/readyz":
            let conditions = status.readiness
            let isReady = conditions.allSatisfy { $0.trouble == nil }
            let lines = conditions.map { "\($0.name): \($0.trouble ?? "ok")\n" }
            return text(isReady ? 200 : 503, lines.joined())
        case "/metrics":
            return .answer(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: Array(status.exposition.utf8))
        case "/drain" where drain != nil && head.method == "GET":
            asked = drain
            return .collect(within: 0)
        case "/status" where status.report != nil:
            return text(200, status.report ?? "")
        default:
            return page(head)
        }
    }

    private func page(_ head: RequestHead) -> Disposition {
        switch status.page(head, on: loop) {
        case .ready(let document):
            return .answer(
                status: 200, contentType: document.contentType, body: document.body,
                fields: document.fields)
        case .asked(let ask):
            asked = ask
            return .collect(within: 0)
        case .refused(let failure):
            return .respond(failure)
        case nil:
            return .respond(
                Failure(
                    status: 404, code: "admin.path", message: "there is nothing here",
                    stage: "request", expected: "/healthz, /readyz or /metrics", got: head.path))
        }
    }

    func answer(_ body: [UInt8], with reply: LocalReply) {
        let ask = asked
        asked = nil
        ask?(reply)
    }

    func finished(_ summary: ExchangeSummary) {}

    private func text(_ status: Int, _ body: String) -> Disposition {
        .answer(status: status, contentType: "text/plain; charset=utf-8", body: Array(body.utf8))
    }
}
