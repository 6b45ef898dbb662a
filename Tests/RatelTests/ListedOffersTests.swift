import Keys
import RATS
import Receipts
import Testing

@testable import Ratel

/// What a router takes of a provider's list, and of its facts.
struct ListedOffersTests {
    private let key: PrivateKey

    init() throws {
        key = try PrivateKey.generate()
    }

    private func offer(_ model: String, by signer: PrivateKey, keyset: [UInt8]) throws -> JSONValue
    {
        let offer = Offer(
            id: "o", sequence: 1, keyset: keyset, measurement: Digest.sha256([1]),
            model: .init(id: model, weights: Digest.sha256([2]), quantization: "none"),
            price: Price(input: 1, cached: 1, output: 1), billing: .postpaid,
            settlement: "invoice", cancelPolicy: .counted, tokensPerMinute: 1, streams: 1,
            region: "eu", retention: "none", notBefore: 0, notAfter: 60)
        return try SignedStatement(.offer, offer.json, signedBy: signer).json
    }

    private func own(_ model: String) throws -> JSONValue {
        try offer(model, by: key, keyset: Digest.sha256(key.spki))
    }

    private func read(_ offers: [JSONValue], _ models: [JSONValue] = []) throws(Refusal)
        -> [ListedOffers.Listed]
    {
        let value = JSONValue.members([("offers", .array(offers)), ("models", .array(models))])
        return try ListedOffers(
            Array(value.serialised().utf8), status: 200, signedBy: Digest.sha256(key.spki)
        ).all
    }

    private func code(_ offers: [JSONValue]) -> String? {
        do throws(Refusal) {
            _ = try read(offers)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func onlyTheKeyOfTheEvidenceOffers() throws {
        #expect(try read([try own("a"), try own("b")]).map(\.offer.model.id) == ["a", "b"])
        let other = try PrivateKey.generate()
        let theirs = Digest.sha256(other.spki)
        #expect(code([try offer("a", by: other, keyset: theirs)]) == "provider.offer.key")
        // Names the key of the Evidence, and is signed by another.
        let stolen = try offer("a", by: other, keyset: Digest.sha256(key.spki))
        #expect(code([stolen]) == "offer.key")
    }

    @Test func listsAreBounded() throws {
        #expect(code([]) == "provider.offers.none")
        #expect(code([try own("a"), try own("a")]) == "provider.offers.twice")
        let one = try own("a")
        #expect(
            code(Array(repeating: one, count: ListedOffers.most + 1)) == "provider.offers.none")
    }

    @Test(arguments: [("-5", 0), ("9000000000000000000", Usage.max), ("4096", 4096), ("1.5", 0)])
    func contextsAreWithinReason(_ written: String, _ read: Int64) throws {
        let model = JSONValue.members([
            ("id", .string("a")), ("context_length", .number(written)),
        ])
        #expect(try self.read([try own("a")], [model])[0].context == read)
    }

    // MARK: Facts

    private func facts(request: UInt8, chain: UInt8, events: Int64) -> ServiceFacts {
        ServiceFacts(
            receipt: "r", router: [], sequence: 1, previous: [], offer: [], model: "m",
            weights: [], request: [request], response: [], chainHead: [chain], events: events,
            usage: .none,
            end: .complete, started: 0, first: 0, ended: 0)
    }

    private func answer(isWhole: Bool, events: Int64) -> MeasuredAnswer {
        MeasuredAnswer(
            first: 0, spread: 0, requestBytes: 1, hasReferences: false, hasTools: false,
            maxOutput: nil, chunks: 0, contentBytes: 0, request: [1], chainHead: [2],
            events: events, isWhole: isWhole)
    }

    @Test func factsAreOfWhatWasAskedAndCame() {
        let whole = answer(isWhole: true, events: 3)
        #expect(whole.fits(facts(request: 1, chain: 2, events: 3)))
        #expect(!whole.fits(facts(request: 9, chain: 2, events: 3)))
        #expect(!whole.fits(facts(request: 1, chain: 9, events: 3)))
        #expect(!whole.fits(facts(request: 1, chain: 9, events: 4)))
        #expect(!whole.fits(facts(request: 1, chain: 2, events: 2)))
        // More may be on its way to a caller that left, and never less.
        let part = answer(isWhole: false, events: 3)
        #expect(part.fits(facts(request: 1, chain: 2, events: 3)))
        #expect(part.fits(facts(request: 1, chain: 9, events: 4)))
        #expect(!part.fits(facts(request: 1, chain: 9, events: 3)))
        #expect(!part.fits(facts(request: 1, chain: 9, events: 2)))
        #expect(!part.fits(facts(request: 9, chain: 9, events: 4)))
        // An answer that is no stream is one event, which has not ended yet.
        #expect(answer(isWhole: false, events: 0).fits(facts(request: 1, chain: 9, events: 1)))
    }
}
