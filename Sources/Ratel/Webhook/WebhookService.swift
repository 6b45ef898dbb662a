internal import HTTP
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// Answers the API server's questions on one worker.
final class WebhookService: StreamService {
    let budgets = Budgets()
    let limits = HTTPLimits()
    let metrics: StreamMetrics
    private let webhook: WebhookState

    init(_ webhook: WebhookState, metrics: StreamMetrics) {
        self.webhook = webhook
        self.metrics = metrics
    }

    func begin(_ connection: Downstream) {
        connection.begin(
            webhook.trust.context, serverName: nil,
            preamble: WebPreamble(.caller(WebCallerVerifier()), log: webhook.log))
    }

    func makeHandler(for connection: Downstream) -> any RequestHandler {
        WebhookHandler(webhook, of: connection.callerHost)
    }

    func ended(_ connection: Downstream, _ error: LinkError?) {
        webhook.log.ended(connection, error)
    }

    func expireAdmissions(cutting failure: Failure?) {}
    func close() {}
}

private final class WebhookHandler: RequestHandler {
    private static let path = "/mutate"
    private let webhook: WebhookState
    /// Of the caller.
    private let host: [UInt8]
    /// What the question under way took of the budget.
    private var taken = 0

    init(_ webhook: WebhookState, of host: [UInt8]) {
        self.webhook = webhook
        self.host = host
    }

    func handle(_ head: RequestHead) -> Disposition {
        guard head.path == WebhookHandler.path else {
            return .respond(
                Failure(
                    status: 404, code: "webhook.path", message: "there is nothing here",
                    stage: "request", expected: WebhookHandler.path, got: head.path))
        }
        guard head.method == "POST" else {
            return .respond(
                Failure(
                    status: 405, code: "webhook.method", message: "questions are posted",
                    stage: "request", expected: "POST", got: head.method, allowed: "POST"))
        }
        return collect(head.framing)
    }

    private func collect(_ framing: BodyFraming) -> Disposition {
        let length: Int
        switch framing {
        case .none: length = 0
        case .length(let declared): length = Int(clamping: declared)
        // What comes in chunks may be as long as any.
        case .chunked, .untilClose: length = AdmissionReview.maxSize
        }
        guard length <= AdmissionReview.maxSize else {
            return .respond(Failure(.bodyTooLarge(UInt64(AdmissionReview.maxSize))))
        }
        guard let taken = webhook.budget.take(length, of: host) else {
            webhook.outcomes.count("busy")
            return .respond(.webhookBusy)
        }
        self.taken = taken
        return .collect(within: length)
    }

    func answer(_ body: [UInt8], with reply: LocalReply) {
        do throws(Refusal) {
            reply.send(
                status: 200, contentType: "application/json", body: try webhook.answer(body))
        } catch {
            reply.refuse(
                Failure(
                    status: 400, code: error.code, message: "the question cannot be answered",
                    stage: "request", field: error.field, expected: error.expected,
                    got: error.got, remedy: error.remedy))
        }
    }

    func finished(_ summary: ExchangeSummary) {
        guard taken > 0 else { return }
        webhook.budget.giveBack(taken, of: host)
        taken = 0
    }
}

extension Failure {
    fileprivate static let webhookBusy = Failure(
        status: 503, code: "webhook.busy", message: "too many questions are being read",
        stage: "request", field: "bodies that are not whole yet",
        expected: "at most \(ReviewBudget.total) bytes, and of one caller a quarter of it or as "
            + "much as is free",
        got: "one more",
        remedy: "try again; where it stays so, look who else reaches this port, and have a "
            + "NetworkPolicy let the API server alone in", retryAfter: 1)
}
