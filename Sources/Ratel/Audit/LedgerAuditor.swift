internal import Appraisal
internal import FoundationEssentials
internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts

/// `ratel audit`: recomputes what a router billed from its exports, with nobody else involved.
public enum LedgerAuditor {
    /// Bytes of one file of an export: an hour of 217 requests a second has some 2.5 GiB, which
    /// belong on a machine with as much memory; a tenth of it is taken here at once.
    private static let maxFile = 256 << 20

    /// Audits the periods in `folder`, which each have a folder of their own; `keyPath` is the PEM
    /// of the router's public key, and `policies` are those that the providers' Evidence is
    /// appraised under: without any it must be authentic, and `withoutEvidence` leaves it out.
    /// Status 0 when everything adds up, 1 when not, 2 when it cannot
    /// be read.
    public static func run(
        folder: String, keyPath: String, policies: [String], withoutEvidence: Bool, json: Bool
    ) throws(ConfigurationError) -> Inspector.Finding {
        let key = try readKey(keyPath)
        let judge = try makeJudge(policies, withoutEvidence: withoutEvidence)
        var periods: [ExportAudit.Result] = []
        let found = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        // What begins with a dot is being written.
        let names = found.filter {
            !$0.hasPrefix(".") && System.exists("\(folder)/\($0)/root.json")
        }
        guard !names.isEmpty else {
            throw ConfigurationError(
                "\(folder): expected a folder for each period, with a root.json; got none")
        }
        var chains = ServiceChains()
        for name in names.sorted() {
            do throws(Refusal) {
                periods.append(try audit("\(folder)/\(name)", key, judge, &chains))
            } catch {
                return Inspector.Finding(output: EvidenceReport.table(error), status: 2)
            }
        }
        let report = AuditReport(periods: periods, gaps: chains.gaps, judge: judge)
        return Inspector.Finding(
            output: json ? report.json.serialised(pretty: true) + "\n" : report.text,
            status: report.findings.isEmpty ? 0 : 1)
    }

    private static func makeJudge(
        _ paths: [String], withoutEvidence: Bool
    ) throws(ConfigurationError) -> EvidenceJudge? {
        guard !withoutEvidence else {
            guard paths.isEmpty else {
                throw ConfigurationError("--without-evidence leaves out --policy: name only one")
            }
            return nil
        }
        var policies: [AppraisalPolicy] = []
        for path in paths {
            policies.append(
                try PolicySource(path: path).load(LoggingSettings.quiet.logger("audit")))
        }
        return EvidenceJudge(policies)
    }

    private static func readKey(_ path: String) throws(ConfigurationError) -> [UInt8] {
        // P-256: some 180 bytes.
        guard let bytes = System.readFile(path, limit: 16 << 10) else {
            throw ConfigurationError("--key \(path): cannot be read")
        }
        do throws(KeyError) {
            let blocks = try PEM.decode(bytes, label: "PUBLIC KEY", limit: 1)
            guard let first = blocks.first else {
                throw KeyError(.malformed, "expected a PEM block of a PUBLIC KEY")
            }
            return try PublicKey(spki: first).spki
        } catch {
            throw ConfigurationError("--key \(path): \(error)")
        }
    }

    private static func audit(
        _ folder: String, _ key: [UInt8], _ judge: EvidenceJudge?, _ chains: inout ServiceChains
    ) throws(Refusal) -> ExportAudit.Result {
        try ExportAudit.run(
            routerKey: key, chains: &chains, attested: judge.map { $0.attestedKey }
        ) { file, each throws(Refusal) in
            let path = "\(folder)/\(file.rawValue)"
            guard let bytes = System.readFile(path, limit: maxFile) else {
                throw Refusal(
                    "audit.file.unreadable", .evidence, field: path,
                    expected: "a file of at most \(maxFile) bytes", got: "none that can be read",
                    remedy: "ask the router for the whole export")
            }
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                try each(String(decoding: line, as: UTF8.self))
            }
        }
    }
}

/// What an audit found, over all periods.
private struct AuditReport {
    let periods: [ExportAudit.Result]
    let findings: [ReceiptAudit.Finding]
    let judge: EvidenceJudge?

    init(periods: [ExportAudit.Result], gaps: [Refusal], judge: EvidenceJudge?) {
        self.periods = periods
        self.judge = judge
        findings =
            periods.flatMap(\.findings) + ExportAudit.findings(between: periods)
            + gaps.map { .init(receipt: nil, refusal: $0) }
    }

    private var bills: [(account: String, bill: ReceiptAudit.Bill)] {
        var bills: [String: ReceiptAudit.Bill] = [:]
        for period in periods {
            bills.merge(period.bills) { one, other in
                ReceiptAudit.Bill(
                    requests: one.requests + other.requests, cost: one.cost + other.cost)
            }
        }
        return bills.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// What is left open.
    private var open: String? {
        guard let judge else {
            return "Evidence: left out, whoever signed the offers may be anybody"
        }
        guard judge.isLooking else { return nil }
        return "measurements: no policy was applied (--policy), a provider may run any code"
    }

    private var signers: [(key: String, signer: EvidenceJudge.Signer)] {
        (judge?.signers ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    var text: String {
        var table = Table()
        table.heading(findings.isEmpty ? "EVERYTHING ADDS UP" : "IT DOES NOT ADD UP")
        table.row("periods", "\(periods.count)")
        table.row("receipts", "\(periods.reduce(0) { $0 + $1.receipts })")
        for (account, bill) in bills {
            table.row(
                account, "\(bill.requests) requests, \(AuditReport.dollars(bill.cost))")
        }
        for (key, signer) in signers {
            let formats = signer.formats.sorted().joined(separator: ", ")
            table.row(
                "provider \(key.prefix(16))",
                "\(signer.peer.map { "admitted as \($0)" } ?? "authentic"), \(formats), at "
                    + UTCTime.text(signer.time))
        }
        if let open { table.row("NOT CHECKED", open) }
        var text = table.text
        for finding in findings {
            text += "\n" + (finding.receipt.map { "receipt \($0)\n" } ?? "")
            text += EvidenceReport.table(finding.refusal)
        }
        return text
    }

    var json: JSONValue {
        .members([
            ("adds_up", .bool(findings.isEmpty)), ("periods", .integer(periods.count)),
            ("receipts", .integer(periods.reduce(0) { $0 + $1.receipts })),
            (
                "bills",
                .array(
                    bills.map { account, bill in
                        .members([
                            ("account", .string(account)), ("requests", .integer(bill.requests)),
                            ("cost_nusd", .integer(bill.cost)),
                        ])
                    })
            ),
            (
                "providers",
                .array(
                    signers.map { key, signer in
                        .members([
                            ("receipt_key_hash", .string(key)),
                            ("peer", signer.peer.map { .string($0) } ?? .null),
                            ("evidence", .array(signer.formats.sorted().map { .string($0) })),
                            ("at", .string(UTCTime.text(signer.time))),
                        ])
                    })
            ),
            ("not_checked", .array([open].compactMap { $0 }.map { .string($0) })),
            (
                "findings",
                .array(
                    findings.map { finding in
                        .members(
                            [("receipt_id", finding.receipt.map { .string($0) } ?? .null)]
                                + finding.refusal.parts.filter { !$0.text.isEmpty }.map {
                                    ($0.name, .string($0.text))
                                })
                    })
            ),
        ])
    }

    /// To the nano-dollar.
    private static func dollars(_ cost: Int64) -> String {
        let rest = String(cost % 1_000_000_000)
        return "$\(cost / 1_000_000_000)."
            + String(repeating: "0", count: 9 - rest.count) + rest
    }
}
