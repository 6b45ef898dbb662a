internal import HTTP
internal import Keys
internal import Loop
internal import RATLS
internal import RATS
internal import Receipts
internal import Streams

/// What a router says to everybody: whether it is there, what can be asked of it, and whose code it
/// is. Nothing of it is about a caller.
struct OpenPage {
    private let head: RequestHead
    private let router: RouterState

    init(_ head: RequestHead, _ router: RouterState) {
        self.head = head
        self.router = router
    }

    /// The page; nil where the path is none of these.
    var disposition: Disposition? {
        guard head.method == "GET" || head.method == "HEAD" else { return nil }
        switch head.path {
        case "/health": return text(200, "ok\n")
        case "/ready":
            let conditions = router.status?.readiness ?? [("listening", "not yet")]
            let isReady = conditions.allSatisfy { $0.trouble == nil }
            return text(
                isReady ? 200 : 503,
                conditions.map { "\($0.name): \($0.trouble ?? "ok")\n" }.joined())
        case "/metrics":
            return .answer(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: Array((router.status?.exposition ?? "").utf8))
        case "/v1/models":
            let listing = ModelListing(router)
            return .document(query("format") == "openrouter" ? listing.openRouter : listing.openAI)
        case "/v1/ratel/offers":
            let views = router.market.views(now: System.nowMilliseconds)
            return .document(.members([("offers", .array(views.map(\.statement.json)))]))
        case "/v1/ratel/attestation": return .document(ProvidersDocument(router).json)
        case let path where path.hasPrefix("/v1/models/"):
            let name = String(path.dropFirst("/v1/models/".count))
            guard let model = ModelListing(router).model(name) else {
                return .respond(.modelUnknown(name))
            }
            return .document(model)
        case let path where path.hasPrefix("/v1/ratel/sessions/"):
            let name = String(path.dropFirst("/v1/ratel/sessions/".count))
            guard let session = ProvidersDocument(router).session(name) else {
                return .respond(.sessionUnknown)
            }
            return .document(session)
        default: return nil
        }
    }

    private func query(_ name: String) -> String? { head.query(name) }

    private func text(_ status: Int, _ body: String) -> Disposition {
        .answer(status: status, contentType: "text/plain; charset=utf-8", body: Array(body.utf8))
    }

}

extension RequestHead {
    /// The value of a parameter of the query, as it is written; nil where there is none.
    func query(_ name: String) -> String? {
        guard let mark = target.firstIndex(of: "?") else { return nil }
        for part in target[target.index(after: mark)...].split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair[0] == name { return pair.count > 1 ? String(pair[1]) : "" }
        }
        return nil
    }
}

/// The models of the market, in the forms that clients and marketplaces read.
struct ModelListing {
    private let views: [Market.View]
    private let listings: [RouterFile.Listing]

    init(_ router: RouterState) {
        views = router.market.views(now: System.nowMilliseconds)
        listings = router.file.listings
    }

    private var names: [String] {
        var names: [String] = []
        for view in views where names.last != view.record.offer.model.id {
            names.append(view.record.offer.model.id)
        }
        return names
    }

    /// `GET /v1/models` of OpenAI's API.
    var openAI: JSONValue {
        .members([("object", .string("list")), ("data", .array(names.compactMap(model)))])
    }

    func model(_ name: String) -> JSONValue? {
        let own = views.filter { $0.record.offer.model.id == name }
        guard !own.isEmpty else { return nil }
        return .members([
            ("id", .string(name)), ("object", .string("model")),
            ("created", .integer(listing(name)?.created ?? 0)), ("owned_by", .string("ratel")),
            ("context_length", .integer(own.map(\.record.context).max() ?? 0)),
            ("providers", .array(own.map { .string($0.record.name) })),
        ])
    }

    private func listing(_ name: String) -> RouterFile.Listing? {
        listings.first { $0.id == name }
    }

    /// What OpenRouter reads of a provider: prices are those of the cheapest offer, for one token,
    /// as text. A model that nobody serves now is not ready, and still listed.
    var openRouter: JSONValue {
        .members([("data", .array(names.map(entry)))])
    }

    private func entry(_ name: String) -> JSONValue {
        let all = views.filter { $0.record.offer.model.id == name }
        let open = all.filter { $0.record.attestation != nil && $0.record.offer.isOpen }
        let shown = open.isEmpty ? all : open
        let cheapest =
            shown.min { $0.record.offer.price.output < $1.record.offer.price.output } ?? all[0]
        let price = cheapest.record.offer.price
        let listed = listing(name)
        let context = shown.map(\.record.context).max() ?? 0
        let parameters = Set(shown.flatMap(\.record.parameters)).sorted()
        return .members([
            ("id", .string(name)),
            ("hugging_face_id", .string(listed?.huggingFace ?? "")),
            ("name", .string(listed?.name ?? name)),
            ("created", .integer(listed?.created ?? 0)),
            ("input_modalities", .array((listed?.input ?? ["text"]).map { .string($0) })),
            ("output_modalities", .array((listed?.output ?? ["text"]).map { .string($0) })),
            ("quantization", .string(cheapest.record.offer.model.quantization)),
            ("context_length", .integer(context)), ("max_output_length", .integer(context)),
            (
                "pricing",
                .members([
                    ("prompt", .string(Dollars.perToken(price.input))),
                    ("completion", .string(Dollars.perToken(price.output))),
                    ("image", .string("0")), ("request", .string(Dollars.text(price.minimum))),
                    ("input_cache_read", .string(Dollars.perToken(price.cached))),
                ])
            ),
            ("supported_sampling_parameters", .array(parameters.map { .string($0) })),
            ("supported_features", .array((listed?.features ?? []).map { .string($0) })),
            ("is_ready", .bool(!open.isEmpty)),
            ("is_free", .bool(price.input == 0 && price.output == 0 && price.minimum == 0)),
            (
                "capacity_tpm",
                .integer(open.reduce(0) { $0 + $1.record.offer.tokensPerMinute })
            ),
        ])
    }
}

/// Nano-dollars as decimal dollars.
enum Dollars {
    static func text(_ nano: Int64) -> String { fraction(nano, places: 9) }

    /// Of a price for a million tokens, that of one.
    static func perToken(_ nano: Int64) -> String { fraction(nano, places: 15) }

    private static func fraction(_ value: Int64, places: Int) -> String {
        var digits = String(value)
        if digits.count <= places {
            digits = String(repeating: "0", count: places + 1 - digits.count) + digits
        }
        let whole = digits.dropLast(places)
        var rest = digits.suffix(places)
        while rest.last == "0" { rest.removeLast() }
        return rest.isEmpty ? String(whole) : "\(whole).\(rest)"
    }
}

/// What a router says of its providers' Evidence.
struct ProvidersDocument {
    private let router: RouterState

    init(_ router: RouterState) {
        self.router = router
    }

    var json: JSONValue {
        .members([
            ("receipt_key", .string(Hex.encode(router.book.key.spki))),
            ("policy_hash", .string(Hex.encode(router.policyHash))),
            ("providers", .array(router.providers.map { .members(members(of: $0)) })),
        ])
    }

    /// With the Evidence that it rests on, for callers to appraise themselves.
    func session(_ name: String) -> JSONValue? {
        router.providers.first { $0.now.admission?.session == name }.map { found in
            let shown = found.now.admission.map { [("evidence", $0.evidence.json)] } ?? []
            return .members(members(of: found) + shown)
        }
    }

    private func members(of provider: Provider) -> [(String, JSONValue)] {
        let now = provider.now
        var members: [(String, JSONValue)] = [
            ("name", .string(provider.name)), ("admitted", .bool(now.admission != nil)),
        ]
        if let admission = now.admission {
            members += admission.members
            members += [
                ("receipt_key_hash", .string(Hex.encode(admission.receiptKey))),
                ("policy", .string(Hex.encode(admission.policyDigest))),
            ]
        }
        return members + now.refused
    }
}
