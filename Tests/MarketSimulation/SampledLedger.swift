import Keys
import RATS
import Ratel
import Receipts

/// The times that a provider signs, in microseconds.
struct SignedTimes {
    let started: Int64
    let first: Int64
    let duration: Int64
}

/// A sample of the requests with everything that is signed, and the audit of it.
struct SampledLedger {
    private let router: PrivateKey
    private let seed: [UInt8]
    private(set) var receipts: [SignedStatement] = []
    private(set) var decisions: [String: Decision] = [:]
    private var services: [String: (sequence: Int64, digest: [UInt8])] = [:]

    init(seed: [UInt8]) throws {
        router = try PrivateKey.generate()
        self.seed = seed
    }

    /// Signs for one request as provider and as router.
    mutating func add(
        _ request: SimulatedRequest, _ decision: Decision, _ attempts: [Receipt.Attempt],
        _ times: SignedTimes, _ provider: SimulatedProvider, _ usage: Usage, breaks: Bool
    ) throws {
        let end: ServiceEnd = breaks ? .error : request.gaveUp ? .cancelled : .complete
        let last = services[provider.name]
        let zeros = [UInt8](repeating: 0, count: 32)
        let facts = ServiceFacts(
            receipt: request.id, router: Digest.sha256(router.spki),
            sequence: (last?.sequence ?? 0) + 1,
            previous: last?.digest ?? zeros, offer: provider.signed.digest, model: "m",
            weights: provider.offer.model.weights, request: Digest.sha256(Array(request.id.utf8)),
            response: zeros, chainHead: zeros, events: request.usage.output, usage: usage, end: end,
            started: times.started / 1_000, first: (times.started + times.first) / 1_000,
            ended: (times.started + times.duration) / 1_000)
        let service = try SignedStatement(.service, facts.json, signedBy: provider.key)
        services[provider.name] = (facts.sequence, service.digest)
        var receipt = Receipt(
            id: request.id, account: "callers", service: service, offer: provider.signed.digest,
            price: provider.offer.price, usage: usage,
            cost: Billing.cost(of: facts, price: provider.offer.price, cancelPolicy: .counted),
            attempts: attempts, policy: zeros, seedCommitment: Decision.commitment(to: seed),
            end: end, time: facts.ended)
        receipt.sequence = Int64(receipts.count) + 1
        receipt.previous = receipts.last?.digest ?? zeros
        receipt.candidatesRoot = try decision.root()
        decisions[request.id] = decision
        receipts.append(try SignedStatement(.receipt, receipt.json, signedBy: router))
    }

    /// How often the auditor finds what, in the sample as it is read from JSON.
    func audit(_ providers: [SimulatedProvider]) throws -> [String: Int] {
        var read: [String: Decision] = [:]
        for (id, decision) in decisions {
            let json = JSONParser.parse(Array(decision.json.serialised().utf8))
            read[id] = try Decision(
                request: json?["request"], candidates: json?["candidates"], at: id)
        }
        var audit = try ReceiptAudit(
            routerKey: router.spki, offers: providers.map(\.signed), decisions: read,
            seeds: [seed])
        for receipt in receipts { audit.add(receipt) }
        audit.finish()
        return audit.findings.reduce(into: [:]) { $0[$1.refusal.code, default: 0] += 1 }
    }

    /// What one provider finds of itself.
    func participation(of provider: SimulatedProvider) throws -> Participation {
        var participation = try Participation(of: [provider.signed])
        for receipt in receipts {
            guard let id = receipt.body["receipt_id"]?.text, let decision = decisions[id] else {
                continue
            }
            try participation.add(receipt, decision)
        }
        return participation
    }
}
