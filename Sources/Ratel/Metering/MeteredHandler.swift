internal import Bytes
internal import HTTP
internal import Keys
internal import Loop
internal import Receipts
internal import Streams

/// Serves the requests of one connection as a provider: only what its offers have, each counted,
/// with signed facts at the end.
final class MeteredHandler: RequestHandler {
    private let service: RelayService
    private let metering: Metering
    private let caller: CallerFacts
    private let wellKnown: WellKnownEndpoint
    private unowned let connection: Downstream
    private var waiting: (head: RequestHead, path: InferencePath)?

    /// Bytes of a request's body: a million tokens of four bytes, or twenty pictures, base64.
    static let maxBody = 32 << 20
    /// What is read beside metered requests: nothing that an engine would change anything by.
    private static let open = ["/v1/models", "/health", "/version", "/ping"]

    init(service: RelayService, metering: Metering, connection: Downstream) {
        self.service = service
        self.metering = metering
        self.connection = connection
        wellKnown = WellKnownEndpoint(channel: service.channel, connection: connection)
        caller = CallerFacts(
            connection, forwardsAddress: service.settings.forwardsClientAddress)
    }

    func handle(_ head: RequestHead) -> Disposition {
        if WellKnownPath.isReserved(head.path) { return reserved(head) }
        guard let path = InferencePath(rawValue: head.path) else { return beside(head) }
        guard head.method == "POST" else { return .respond(.methodRefused("POST")) }
        // Before a body is read that could not be served.
        guard !metering.isFull else { return .respond(.saturated("requests wait in the engine")) }
        if case .length(let length) = head.framing, length > UInt64(MeteredHandler.maxBody) {
            return .respond(Failure(.bodyTooLarge(UInt64(MeteredHandler.maxBody))))
        }
        waiting = (head, path)
        return .collect(within: MeteredHandler.maxBody)
    }

    private func beside(_ head: RequestHead) -> Disposition {
        let isRead = head.method == "GET" || head.method == "HEAD"
        guard isRead, MeteredHandler.open.contains(head.path) else {
            return .respond(.notOffered)
        }
        return .forward(caller.forward(head, to: service.pool.target.address), service.pool)
    }

    private func reserved(_ head: RequestHead) -> Disposition {
        guard head.method == "GET" || head.method == "HEAD" else {
            return wellKnown.disposition(of: head)
        }
        if head.path == WellKnownPath.offers {
            return .document(OffersDocument(metering).json)
        }
        guard head.path.hasPrefix(WellKnownPath.receipts) else {
            return wellKnown.disposition(of: head)
        }
        let (statement, isOpen) = metering.book.facts(
            String(head.path.dropFirst(WellKnownPath.receipts.count)))
        guard let statement else { return .respond(isOpen ? .openReceipt : .noReceipt) }
        return .document(statement.json)
    }

    func answer(_ body: [UInt8], with reply: LocalReply) {
        guard let (head, path) = waiting.take() else {
            return wellKnown.answer(body, with: reply)
        }
        do throws(Failure) {
            try serve(head, path, body, reply)
        } catch {
            reply.refuse(error)
        }
    }

    private func serve(
        _ head: RequestHead, _ path: InferencePath, _ body: [UInt8], _ reply: LocalReply
    ) throws(Failure) {
        let request = try RequestBody(body)
        guard let model = request["model"]?.text else { throw .noModel }
        let isStream = try request.flag("stream")
        let routed = try RoutedBy(head)
        guard let standing = metering.book.standing(model, digest: routed.offer) else {
            throw routed.offer == nil ? .modelNotOffered : .offerGone
        }
        guard metering.take(standing) else { throw .saturated("every place of the offer is taken") }
        guard metering.book.begin(routed.receipt) else {
            metering.giveBack(standing)
            throw .receiptTwice
        }
        let (changed, asked) = edit(request, path, isStream, isRouted: routed.isRouted)
        let tap = ServiceTap(
            standing, of: metering.book, path: path, asked: asked, request: Digest.sha256(body),
            receipt: routed.receipt, router: routed.router
        ) { [metering] in metering.giveBack(standing) }
        let pool = service.pool
        var forwarded = caller.forward(head, to: pool.target.address)
        // What is packed cannot be counted, either way.
        forwarded.fields.removeAll(named: "content-encoding")
        forwarded.fields.removeAll(named: "accept-encoding")
        reply.forward(AnswerTap.Upstreaming(forwarded, to: pool), body: changed, tap: tap)
    }

    /// Asks the engine for its counts, and parts the caches of callers.
    private func edit(
        _ request: RequestBody, _ path: InferencePath, _ isStream: Bool, isRouted: Bool
    ) -> (body: [UInt8], asked: ServiceTap.Asked) {
        var changes: [(name: String, value: JSONValue?)] = []
        var asked = ServiceTap.Asked.nothing
        if path.asksForUsage, isStream {
            let options = request["stream_options"]?.members ?? []
            func has(_ name: String) -> Bool {
                options.contains { $0.name == name && $0.value == .bool(true) }
            }
            if has("include_usage") { asked = has("continuous_usage_stats") ? .always : .total }
            let own = ["include_usage", "continuous_usage_stats"]
            let others = options.filter { !own.contains($0.name) }
            changes.append(
                (
                    "stream_options",
                    .object(others + own.map { JSONValue.Member($0, .bool(true)) })
                ))
        }
        // A router parts its own callers, each by a secret; it is one caller here.
        switch metering.cacheSalt {
        case .strip: changes.append(("cache_salt", nil))
        case .inject where isRouted && request.size("cache_salt") != nil: break
        case .inject where path == .embeddings: changes.append(("cache_salt", nil))
        case .inject:
            let name = caller.peer.map { "\($0.tier) \($0.name)" } ?? "local"
            changes.append(("cache_salt", .string(metering.salt(of: name))))
        }
        return (request.setting(changes), asked)
    }

    var sendsAtTicks: Bool { service.settings.padding == .tick }

    func finished(_ summary: ExchangeSummary) {
        waiting = nil
        service.log.finished(summary)
    }
}

/// What a router says of a request that it sends on.
private struct RoutedBy {
    /// Chosen by the router, or here where there is none.
    let receipt: String
    /// The offer that it was priced by.
    let offer: [UInt8]?
    /// SHA-256 of the router's key; nil for a caller that is none.
    let router: [UInt8]?
    var isRouted: Bool { router != nil }

    init(_ head: RequestHead) throws(Failure) {
        let receipts = head.fields.values(named: "x-ratel-receipt-id")
        let offers = head.fields.values(named: "x-ratel-offer")
        let routers = head.fields.values(named: "x-ratel-router")
        guard let id = receipts.first else {
            receipt = "svc-" + Hex.encode(SecureRandom.bytes(16))
            offer = nil
            router = nil
            return
        }
        let isName = id.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                || (0x61...0x7A).contains($0) || $0 == 0x2D || $0 == 0x5F
        }
        guard receipts.count == 1, isName, (16...64).contains(id.utf8.count), offers.count == 1,
            let digest = Hex.decode(offers[0]), digest.count == 32, routers.count == 1,
            let asking = Hex.decode(routers[0]), asking.count == 32
        else { throw .malformedRouting }
        receipt = id
        offer = digest
        router = asking
    }
}
