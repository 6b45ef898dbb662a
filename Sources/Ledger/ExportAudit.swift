internal import Keys
public import RATS
public import Receipts

/// Checks one exported period as a whole: every receipt under the root that the router signed, and
/// every bill recomputed.
public struct ExportAudit {
    /// What came of it.
    public struct Result {
        /// Milliseconds since 1970 at which the period begins, and how many it has.
        public var start: Int64
        public var period: Int64
        public var receipts: Int
        /// The first and last place of its receipts, so that periods can be laid end to end; 0
        /// where there is none.
        public var first: Int64
        public var last: Int64
        /// What the first names as the one before, and the digest of the last.
        public var previous: [UInt8]
        public var digest: [UInt8]
        public var bills: [String: ReceiptAudit.Bill]
        public var findings: [ReceiptAudit.Finding]
    }

    /// Audits the lines of one export; `routerKey` is the SubjectPublicKeyInfo that the router's
    /// Evidence vouches for. `lines` calls its argument with each line of a file.
    ///
    /// `chains` is what the exports before showed of the providers' facts, and then this one too:
    /// what is missing between them is found once all were read. `attested` appraises a line of
    /// `evidence.jsonl` and answers the SHA-256 of the key that it vouches for; where it is nil,
    /// nobody asks who signed the offers. Errors: what makes the export unreadable as a whole. All
    /// else is a finding.
    public static func run(
        routerKey: [UInt8], chains: inout ServiceChains,
        attested: ((String) throws(Refusal) -> [UInt8])?,
        lines: (LedgerExport.File, (String) throws(Refusal) -> Void) throws(Refusal) -> Void
    ) throws(Refusal) -> Result {
        var root: Root?
        try lines(.root) { line throws(Refusal) in root = try Root(line, routerKey: routerKey) }
        guard let root else { throw malformed("root.json", "a signed root", "none") }
        var offers: [SignedStatement] = []
        try lines(.offers) { line throws(Refusal) in
            offers.append(try SignedStatement(.offer, reading: parse(line, .offers)))
        }
        var (decisions, tree) = ([String: Decision](), HashTree.Growing())
        try lines(.decisions) { line throws(Refusal) in
            tree.append(Array(line.utf8))
            let (id, decision) = try decision(line)
            decisions[id] = decision
        }
        var evidence = EvidenceAudit(attested)
        try lines(.evidence) { line throws(Refusal) in evidence.add(line) }
        var audit = try ReceiptAudit(
            routerKey: routerKey, offers: offers, decisions: decisions, seeds: root.seeds,
            chains: chains)
        var receipts = HashTree.Growing()
        var result = Result(
            start: root.start, period: root.period, receipts: 0, first: root.first,
            last: root.last, previous: [], digest: [], bills: [:], findings: [])
        try lines(.receipts) { line throws(Refusal) in
            let statement = try SignedStatement(.receipt, reading: parse(line, .receipts))
            if receipts.count == 0 {
                result.previous = statement.body["prev"]?.text.flatMap(Hex.decode) ?? []
            }
            result.digest = statement.digest
            receipts.append(statement.digest)
            audit.add(statement)
            if let finding = root.findingOfTime(statement) { result.findings.append(finding) }
        }
        chains = audit.chains
        result.receipts = receipts.count
        result.bills = audit.bills
        result.findings +=
            audit.findings + evidence.findings(of: offers)
            + root.findings(
                receipts: receipts, decisions: tree, evidence: evidence.tree, places: audit.places)
        return result
    }

    /// What does not follow on each other in exports of one router, in whatever order they come.
    public static func findings(between results: [Result]) -> [ReceiptAudit.Finding] {
        // Periods without receipts have no places.
        let placed = results.filter { $0.receipts > 0 }.sorted { $0.start < $1.start }
        return zip(placed, placed.dropFirst()).compactMap { before, after in
            let place = "of the period from \(after.start) ms on"
            if after.first != before.last + 1 {
                return finding(
                    nil, "audit.period.gap", "first_seq \(place)", "\(before.last + 1)",
                    "\(after.first)", "ask the router for the periods between")
            }
            guard after.previous != before.digest else { return nil }
            return finding(
                nil, "audit.period.chain", "the first prev \(place)", Hex.encode(before.digest),
                Hex.encode(after.previous), "the receipt before was replaced")
        }
    }

    fileprivate static func finding(
        _ receipt: String?, _ code: String, _ field: String, _ expected: String, _ got: String,
        _ remedy: String
    ) -> ReceiptAudit.Finding {
        ReceiptAudit.Finding(
            receipt: receipt,
            refusal: Refusal(
                code, .evidence, field: field, expected: expected, got: got, remedy: remedy))
    }

    /// What the provider that published `offers` finds of itself in an export, which `run` found
    /// whole: how often it was weighed, and the requests for which it was not looked at.
    ///
    /// Errors: what makes the export unreadable.
    public static func participation(
        of offers: [SignedStatement],
        lines: (LedgerExport.File, (String) throws(Refusal) -> Void) throws(Refusal) -> Void
    ) throws(Refusal) -> Participation {
        var decisions: [String: Decision] = [:]
        try lines(.decisions) { line throws(Refusal) in
            let (id, decision) = try decision(line)
            decisions[id] = decision
        }
        var participation = try Participation(of: offers)
        try lines(.receipts) { line throws(Refusal) in
            let statement = try SignedStatement(.receipt, reading: parse(line, .receipts))
            guard let id = statement.body["receipt_id"]?.text, let decision = decisions[id] else {
                throw malformed("decisions.jsonl", "the candidates of each receipt", "none")
            }
            try participation.add(statement, decision)
        }
        return participation
    }

    private static func decision(_ line: String) throws(Refusal) -> (String, Decision) {
        let value = try parse(line, .decisions)
        guard let id = value["receipt_id"]?.text else {
            throw malformed("decisions.jsonl", "a receipt_id", "none")
        }
        let decision = try Decision(
            request: value["request"], candidates: value["candidates"], at: "decision")
        return (id, decision)
    }

    private static func parse(
        _ line: String, _ file: LedgerExport.File
    ) throws(Refusal) -> JSONValue {
        guard line.utf8.count <= SignedStatement.maxSize * 8,
            let value = JSONParser.parse(Array(line.utf8))
        else { throw malformed(file.rawValue, "JSON, a value a line", "something else") }
        return value
    }

    fileprivate static func malformed(
        _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            "audit.export.malformed", .evidence, field: field, expected: expected, got: got,
            remedy: "ask the router for the export as it was written")
    }
}

/// Whether those who signed the offers of a period were attested.
private struct EvidenceAudit {
    private let attested: ((String) throws(Refusal) -> [UInt8])?
    private var keys: Set<[UInt8]> = []
    private var refusals: [Refusal] = []
    private(set) var tree = HashTree.Growing()

    init(_ attested: ((String) throws(Refusal) -> [UInt8])?) {
        self.attested = attested
    }

    mutating func add(_ line: String) {
        tree.append(Array(line.utf8))
        guard let attested else { return }
        do throws(Refusal) {
            keys.insert(try attested(line))
        } catch {
            refusals.append(error)
        }
    }

    func findings(of offers: [SignedStatement]) -> [ReceiptAudit.Finding] {
        guard attested != nil else { return [] }
        let signers = Set(offers.map { Digest.sha256($0.key) })
        return refusals.map { ReceiptAudit.Finding(receipt: nil, refusal: $0) }
            + signers.subtracting(keys).sorted { $0.lexicographicallyPrecedes($1) }.map { key in
                ExportAudit.finding(
                    nil, "audit.evidence.none", "evidence.jsonl",
                    "Evidence of the provider that signs with \(Hex.encode(key))",
                    "none that is admitted", "do not pay for what it served: it may be anybody")
            }
    }
}

/// The signed root of an export.
private struct Root {
    let start: Int64
    let period: Int64
    let count: Int64
    let first: Int64
    let last: Int64
    let receiptsRoot: [UInt8]
    let decisionsRoot: [UInt8]
    let evidenceRoot: [UInt8]
    let seeds: [[UInt8]]

    init(_ line: String, routerKey: [UInt8]) throws(Refusal) {
        let statement = try SignedStatement(
            .export, reading: JSONParser.parse(Array(line.utf8)))
        guard statement.key == routerKey else {
            throw Refusal(
                "audit.router.key", .evidence, field: "root.json key",
                expected: Hex.encode(Digest.sha256(routerKey)),
                got: Hex.encode(Digest.sha256(statement.key)),
                remedy: "it is another router's")
        }
        func number(_ name: String) throws(Refusal) -> Int64 {
            guard let number = statement.body[name]?.integer else {
                throw ExportAudit.malformed("root.json \(name)", "a number", "none")
            }
            return Int64(number)
        }
        func digest(_ name: String) throws(Refusal) -> [UInt8] {
            guard let bytes = statement.body[name]?.text.flatMap(Hex.decode), bytes.count == 32
            else { throw ExportAudit.malformed("root.json \(name)", "32 bytes", "others") }
            return bytes
        }
        start = try number("start_ms")
        period = try number("period_ms")
        count = try number("count")
        first = try number("first_seq")
        last = try number("last_seq")
        receiptsRoot = try digest("receipts_root")
        decisionsRoot = try digest("decisions_root")
        evidenceRoot = try digest("evidence_root")
        seeds = try Root.seeds(statement.body["seeds"])
        // Both are below 2^53, as every number of a statement is.
        guard period > 0, start >= 0, start % period == 0 else {
            throw ExportAudit.malformed(
                "root.json start_ms", "a multiple of \(period)", "\(start)")
        }
    }

    private static func seeds(_ value: JSONValue?) throws(Refusal) -> [[UInt8]] {
        let seeds = value?.items?.map { $0.text.flatMap(Hex.decode) ?? [] }
        guard let seeds, seeds.allSatisfy({ $0.count == 32 }) else {
            throw ExportAudit.malformed("root.json seeds", "a list of 32 bytes each", "another")
        }
        return seeds
    }

    /// A receipt belongs to the period that it was written in.
    func findingOfTime(_ statement: SignedStatement) -> ReceiptAudit.Finding? {
        let time = statement.body["time_ms"]?.integer.map(Int64.init)
        guard time.map({ (start..<start + period).contains($0) }) != true else { return nil }
        return ExportAudit.finding(
            statement.body["receipt_id"]?.text, "audit.period.time", "time_ms",
            "\(start) to \(start + period - 1)", time.map { "\($0)" } ?? "none",
            "the receipt is another period's")
    }

    func findings(
        receipts: HashTree.Growing, decisions: HashTree.Growing, evidence: HashTree.Growing,
        places: ClosedRange<Int64>?
    ) -> [ReceiptAudit.Finding] {
        var findings: [ReceiptAudit.Finding] = []
        func compare(_ field: String, _ expected: String, _ got: String) {
            guard expected != got else { return }
            findings.append(
                ExportAudit.finding(
                    nil, "audit.export.root", field, expected, got,
                    "the files are not those that were signed"))
        }
        compare("receipts.jsonl lines", "\(count)", "\(receipts.count)")
        compare("receipts.jsonl", Hex.encode(receiptsRoot), Hex.encode(receipts.root))
        compare("decisions.jsonl", Hex.encode(decisionsRoot), Hex.encode(decisions.root))
        compare("evidence.jsonl", Hex.encode(evidenceRoot), Hex.encode(evidence.root))
        compare("first_seq", "\(first)", "\(places?.lowerBound ?? 0)")
        compare("last_seq", "\(last)", "\(places?.upperBound ?? 0)")
        return findings
    }
}
