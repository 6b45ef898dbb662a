internal import Keys
internal import RATS
internal import Receipts

/// The offers that a provider lists, each signed by the key that its Evidence names.
struct ListedOffers {
    struct Listed {
        let statement: SignedStatement
        let offer: Offer
        let context: Int64
        let parameters: Set<String>
    }

    let all: [Listed]

    /// As many as the file of a provider may have; each costs a check of a signature.
    static let most = 256

    /// Reads what a provider answered whose Evidence names the key with this SHA-256.
    ///
    /// Errors: `provider.offers.*`, `provider.offer.key`, and those of an offer.
    init(
        _ body: [UInt8], status: Int, signedBy receiptKey: [UInt8]
    ) throws(Refusal) {
        guard status == 200, let root = JSONParser.parse(body), let items = root["offers"]?.items,
            (1...ListedOffers.most).contains(items.count)
        else {
            throw Refusal(
                "provider.offers.none", .evidence, field: "offers",
                expected: "1 to \(ListedOffers.most) signed offers", got: "status \(status)",
                remedy: "run `ratel serve --offers FILE` there")
        }
        let models = root["models"]?.items ?? []
        var all: [Listed] = []
        var names: Set<String> = []
        for item in items {
            let statement = try SignedStatement(.offer, reading: item)
            let offer = try Offer(statement)
            guard offer.keyset == receiptKey else {
                throw Refusal(
                    "provider.offer.key", .evidence, field: "offer.keyset_digest",
                    expected:
                        "the key that the Evidence names, \(Hex.encode(receiptKey))",
                    got: Hex.encode(offer.keyset), remedy: "take offers of this provider alone")
            }
            guard names.insert(offer.model.id).inserted else {
                throw Refusal(
                    "provider.offers.twice", .evidence, field: "offer.model.id",
                    expected: "one offer for each model", got: "two for one",
                    remedy: "withdraw one of them")
            }
            let model = models.first { $0["id"]?.text == offer.model.id }
            all.append(
                Listed(
                    statement: statement, offer: offer,
                    context: min(max(0, Int64(model?["context_length"]?.integer ?? 0)), Usage.max),
                    parameters: Set(model?["parameters"]?.items?.compactMap(\.text) ?? [])))
        }
        self.all = all
    }
}
