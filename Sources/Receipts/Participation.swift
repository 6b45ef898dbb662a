public import RATS

/// What a provider finds of itself in an account of requests.
///
/// An offer that was never looked at leaves no trace in an account, and no auditor can miss it: the
/// provider can, which knows what it published. It trusts the account as far as `ReceiptAudit`
/// found it whole.
public struct Participation: Sendable {
    /// Requests for a model that came while an offer of it was in force and open.
    public private(set) var requests = 0
    /// Of these, how many it was weighed for, and how many it served.
    public private(set) var weighed = 0
    public private(set) var served = 0
    /// Why it had no part in others, as the router wrote it, and how often.
    public private(set) var reasons: [String: Int] = [:]
    /// The receipts of those in which none of its offers stands at all.
    public private(set) var leftOut: [String] = []

    /// Sums of what the router measured of it where it was weighed, in microseconds.
    private var first: Int128 = 0
    private var gap: Int128 = 0

    private let offers: [(offer: Offer, digest: [UInt8])]
    private let grace: Int64

    /// For the provider that published `offers`; `grace` is the seconds that a router has to take
    /// up a new one.
    ///
    /// Errors: those of an offer.
    public init(of offers: [SignedStatement], grace: Int64 = 60) throws(Refusal) {
        var read: [(Offer, [UInt8])] = []
        for statement in offers { read.append((try Offer(statement), statement.digest)) }
        self.offers = read
        self.grace = grace
    }

    /// What the router says of its speed, in the mean: microseconds to the first token, and from
    /// token to token. The provider holds it against its own facts. Nil where it was never weighed.
    public var speed: (first: Int64, gap: Int64)? {
        guard weighed > 0 else { return nil }
        return (Int64(first / Int128(weighed)), Int64(gap / Int128(weighed)))
    }

    /// Looks at the next receipt and the candidates that it committed to.
    ///
    /// The model is that which was served; a request that nobody served names none, and counts
    /// only where the provider stands among its candidates. Errors: those of the receipt.
    public mutating func add(
        _ statement: SignedStatement, _ decision: Decision
    ) throws(Refusal) {
        let receipt = try Receipt(statement)
        let facts = try receipt.service.map { service throws(Refusal) in
            try ServiceFacts(service)
        }
        let own = decision.candidates.first { candidate in
            offers.contains { $0.digest == candidate.offer }
        }
        guard own != nil || facts.map(couldServe) == true else { return }
        requests += 1
        guard let own else { return leftOut.append(receipt.id) }
        if let measures = own.measures {
            weighed += 1
            first += Int128(measures.first)
            gap += Int128(measures.gap)
        } else {
            reasons[own.reason, default: 0] += 1
        }
        if own.offer == receipt.offer { served += 1 }
    }

    private func couldServe(_ facts: ServiceFacts) -> Bool {
        let time = facts.started / 1_000
        // The newest version that the router had time to take up; it may withdraw the others.
        let inForce = offers.map(\.offer).filter {
            $0.model.id == facts.model && $0.notBefore + grace <= time && time <= $0.notAfter
        }
        return inForce.max { $0.sequence < $1.sequence }?.isOpen ?? false
    }
}
