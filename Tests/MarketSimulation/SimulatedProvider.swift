import Keys
import Ratel
import Receipts

/// A provider as it is, which a router can only find out.
struct SimulatedProvider {
    /// What it does once it has served enough to be trusted.
    enum Turn: String, CaseIterable {
        /// It stays as it is.
        case honest
        /// It becomes slow, and signs that it is not.
        case slow
        /// It counts 2/5 more tokens than there are: more than the others, but nothing impossible.
        case inflates
        /// It counts six times as many, which the bytes cannot hold.
        case invents
        /// It counts a tenth more, which is too little to be put apart for.
        case shaves
        /// It serves nothing any more.
        case dies
    }

    let name: String
    let key: PrivateKey
    let offer: Offer
    let signed: SignedStatement
    /// Microseconds to the first token when it is idle, and from token to token.
    let first: Int64
    let gap: Int64
    /// Requests in a thousand that it fails.
    let failures: Int64
    let turn: Turn

    init(
        name: String, key: PrivateKey, offer change: (inout Offer) -> Void, first: Int64,
        gap: Int64, failures: Int64, turn: Turn
    ) throws {
        self.name = name
        self.key = key
        (self.first, self.gap, self.failures, self.turn) = (first, gap, failures, turn)
        let start = Simulation.start / 1_000_000
        var offer = Offer(
            id: name, sequence: 1, keyset: Digest.sha256(key.spki),
            measurement: Digest.sha256([1]),
            model: .init(id: "m", weights: Digest.sha256([2]), quantization: "fp8"),
            price: Price(input: 0, cached: 0, output: 0), billing: .postpaid,
            settlement: "invoice", cancelPolicy: .counted, tokensPerMinute: 0, streams: 0,
            region: "eu", retention: "none", notBefore: start - 60,
            notAfter: start - 60 + Offer.maxLifetime)
        change(&offer)
        self.offer = offer
        signed = try SignedStatement(.offer, offer.json, signedBy: key)
    }

    /// Mean microseconds to the first token, twice as many when it is full, and from token to
    /// token.
    func speed(openStreams: Int64, turned: Bool) -> (first: Int64, gap: Int64) {
        let isSlow = turned && turn == .slow
        let first = isSlow ? 8_000_000 : self.first
        return (first + first * openStreams / offer.streams, isSlow ? 200_000 : gap)
    }

    /// How many times its price a request there costs, by the truth of this moment: what its score
    /// should come to.
    func burden(openStreams: Int64, turned: Bool) -> Double {
        let speed = speed(openStreams: openStreams, turned: turned)
        let some = Usage(input: 1_000, cached: 0, output: 1_000, reasoning: 0)
        let counted = offer.price.cost(of: counts(some, turned: turned))
        return max(1, Double(speed.first) / 2_000_000) * max(1, Double(speed.gap) / 40_000)
            * Double(counted) / Double(max(1, offer.price.cost(of: some)))
            / (1 - Double(failures) / 1_000)
    }

    /// Whether it is good enough for anybody, however full it is.
    var isSound: Bool { first <= 1_000_000 && gap <= 40_000 && failures <= 50 }

    /// What it says of `usage`.
    func counts(_ usage: Usage, turned: Bool) -> Usage {
        guard turned else { return usage }
        let (parts, whole): (Int64, Int64)
        switch turn {
        case .inflates: (parts, whole) = (7, 5)
        case .invents: (parts, whole) = (6, 1)
        case .shaves: (parts, whole) = (11, 10)
        case .honest, .slow, .dies: return usage
        }
        return Usage(
            input: turn == .invents ? usage.input : usage.input * parts / whole,
            cached: usage.cached, output: usage.output * parts / whole, reasoning: 0)
    }
}

extension SimulatedProvider {
    /// A market of `count`, the first of which turn each in its way; prices, speeds, sizes and
    /// failures differ by what `random` has.
    static func market(
        _ count: Int, _ random: inout SplitMix64
    ) throws -> [SimulatedProvider] {
        var providers: [SimulatedProvider] = []
        let turns = Turn.allCases.filter { $0 != .honest }
        for index in 0..<count {
            let turn = index < turns.count ? turns[index] : .honest
            providers.append(try one(index, turn, &random))
        }
        return providers
    }

    private static func one(
        _ index: Int, _ turn: Turn, _ random: inout SplitMix64
    ) throws -> SimulatedProvider {
        // $0.06 to $0.80 for a million tokens in; those that turn are cheap, to be sought after.
        let isHonest = turn == .honest
        let input = random.number(isHonest ? 60_000_000...800_000_000 : 50_000_000...56_000_000)
        let (streams, region) = (random.number(12...96), random.chance(600) ? "eu" : "us")
        let quantization = random.chance(700) ? "fp8" : "bf16"
        let retention = random.chance(800) ? "none" : "30 days"
        let tokens = random.number(400_000...8_000_000)
        // One in three is sound, and of the others some are.
        let slowest: (first: Int64, gap: Int64, failures: Int64) =
            index % 3 == 0 ? (1_000_000, 40_000, 50) : (2_500_000, 60_000, 60)
        return try SimulatedProvider(
            name: isHonest ? "provider-\(index)" : turn.rawValue, key: try key(&random),
            offer: { offer in
                offer.price = Price(input: input, cached: input / 10, output: input * 4)
                (offer.streams, offer.tokensPerMinute) = (streams, tokens)
                guard isHonest else { return }
                (offer.region, offer.retention) = (region, retention)
                offer.model.quantization = quantization
            }, first: isHonest ? random.number(200_000...slowest.first) : 400_000,
            gap: isHonest ? random.number(8_000...slowest.gap) : 15_000,
            failures: isHonest ? random.number(0...slowest.failures) : 5, turn: turn)
    }

    // The same from the same seed: SEC 1's form of a private key on P-256, without its public
    // half.
    private static func key(_ random: inout SplitMix64) throws -> PrivateKey {
        let curve: [UInt8] = [0xA0, 0x0A, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7]
        let der = [0x30, 0x31, 2, 1, 1, 4, 32] + random.bytes(32) + curve
        return try PrivateKey(pem: PEM.encode(der, label: "EC PRIVATE KEY"))
    }

    /// What a router knows of it at first.
    var record: ProviderRecord {
        ProviderRecord(
            name: name, digest: signed.digest, offer: offer, context: 32_768,
            attestation: .init(
                session: name, claims: ["tdx"], appraised: Simulation.start / 1_000,
                admittedUntil: .max))
    }
}
