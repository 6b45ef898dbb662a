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
        WebhookHandler(webhook)
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

    init(_ webhook: WebhookState) {
        self.webhook = webhook
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
        return .collect(within: AdmissionReview.maxSize)
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

    func finished(_ summary: ExchangeSummary) {}
}
