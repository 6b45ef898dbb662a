internal import Appraisal
internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import Streams

/// One provider as every worker sees it: how it is reached, and under which key it signs.
final class Provider: Sendable {
    /// What callers name it by.
    let name: String
    let address: Address
    let policyPath: String
    /// Carries requests, many on one connection.
    let channel: Channel
    /// Asks for Evidence anew, apart from what carries requests.
    let control: Channel
    private let state = Locked(State())

    /// What is known of it now.
    struct State: Sendable {
        var admission: Admission?
        /// Why it has none; nil where it has, or before it was asked.
        var trouble: Refusal?
        var lastAsked: Int64 = 0
    }

    /// What its Evidence came to, when it was last asked.
    struct Admission: Sendable, Equatable {
        /// Names this admission to callers.
        let session: String
        /// SHA-256 of the key that its offers and facts are signed with.
        let receiptKey: [UInt8]
        let claims: Set<String>
        /// Milliseconds since 1970.
        let appraised: Int64
        let until: Int64
        let peer: String
        let policyDigest: [UInt8]
        /// What it rests on, for others to appraise.
        let evidence: SessionEvidence
    }

    init(
        name: String, address: Address, policyPath: String, channel: Channel, control: Channel
    ) {
        self.name = name
        self.address = address
        self.policyPath = policyPath
        self.channel = channel
        self.control = control
    }

    var now: State { state.withLock { $0 } }

    func admit(_ admission: Admission) {
        state.withLock {
            $0.admission = admission
            $0.trouble = nil
            $0.lastAsked = System.nowMilliseconds
        }
    }

    func refuse(_ refusal: Refusal) {
        state.withLock {
            $0.admission = nil
            $0.trouble = refusal
            $0.lastAsked = System.nowMilliseconds
        }
    }

    /// Where a loop's pool connects to.
    func target(_ budgets: Budgets) -> UpstreamTarget {
        var target = UpstreamTarget(
            address: address,
            security: channel.upstreamSecurity(serverName: address.serverName))
        target.offersHTTP2 = true
        target.budgets = budgets
        return target
    }
}

extension Provider.Admission {
    /// What an appraisal of `evidence` came to; nil where the peer signs no receipts.
    init?(_ result: AttestationResult, _ evidence: SessionEvidence, now: Int64) {
        guard let configuration = JSONParser.parse(result.configuration),
            let key = Provider.Admission.receiptKey(in: configuration)
        else { return nil }
        receiptKey = key
        self.evidence = evidence
        peer = result.peer
        policyDigest = result.policyDigest
        var claims = Set(result.evidence.map(\.format.rawValue))
        claims.insert("tier:\(result.tier.rawValue)")
        if !result.isSimulated { claims.insert("hardware") }
        for name in ["access_log", "backend", "padding"] {
            if let value = configuration[name]?.text { claims.insert("\(name):\(value)") }
        }
        self.claims = claims
        appraised = now
        until = now + Int64(result.lifetime(at: now / 1_000)) * 1_000
        session = Hex.encode(
            Array(
                Digest.sha256(
                    Array("ratel/session/1".utf8) + [0] + key + result.policyDigest
                        + Array(claims.sorted().joined(separator: ",").utf8)
                ).prefix(16)))
    }

    /// SHA-256 of the key that offers and facts are signed with, as an effective configuration
    /// names it; nil where it names none.
    static func receiptKey(in configuration: JSONValue?) -> [UInt8]? {
        configuration?["receipt_key"]?.text.flatMap(Hex.decode).flatMap {
            $0.count == 32 ? $0 : nil
        }
    }
}
