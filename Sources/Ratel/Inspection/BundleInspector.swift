internal import Appraisal
internal import Keys
internal import RATS

/// Appraises Evidence in files and says what came of it.
enum BundleInspector {
    static func verify(
        _ bundle: EvidenceBundle, _ request: VerifyRequest, _ policy: AppraisalPolicy?,
        _ source: ConfigurationSource
    ) throws(UnusableInput) -> Inspector.Finding {
        let now = try request.now()
        let anchors = try request.anchors()
        let covering = try request.expectedBytes()
        let completed = try BundleCollateral(source, request, policy: policy)
            .complete(bundle)
        let bundle = completed.bundle
        do throws(Refusal) {
            guard let policy else {
                let findings = try bundle.authenticate(
                    anchors: anchors, covering: covering, now: now)
                return show(findings, request, now, isCovered: covering != nil)
            }
            let result = try bundle.appraise(
                policy, anchors: anchors, covering: covering, now: now)
            return Inspector.finding(
                EvidenceReport.table(result), EvidenceReport.json(result), request.json, status: 0)
        } catch let unexplained {
            let error = unexplained.explained(by: completed.stock)
            var members: [(String, JSONValue)] = [
                ("admitted", .bool(false)),
                ("authenticity_only", .bool(request.authenticityOnly)),
                ("evidence_kind", .string(bundle.kind.rawValue)),
                ("at", .string(UTCTime.text(now))),
            ]
            members += error.parts.map { ($0.name, .string($0.text)) }
            return Inspector.finding(
                EvidenceReport.table(error), .members(members), request.json, status: 1)
        }
    }

    static func show(
        _ findings: BundleFindings, _ request: VerifyRequest, _ now: Int64, isCovered: Bool
    ) -> Inspector.Finding {
        var open = ["measurements: no policy was applied, this may be any code"]
        if !isCovered, findings.tier == "none" {
            open.append("freshness: nothing says when or for whom the Evidence was made (--nonce)")
        }
        open += findings.gaps
        var table = Table()
        table.heading("AUTHENTIC, and nothing more (--authenticity-only)")
        table.row("kind", findings.kind.rawValue)
        if let dialect = findings.dialect { table.row("dialect", dialect) }
        table.row("tier", findings.tier)
        table.row("at", UTCTime.text(now))
        table.row("checked", findings.checked.joined(separator: "; "))
        for text in open { table.row("NOT CHECKED", text) }
        for row in findings.tcb?.rows ?? [] { table.row("tcb.\(row.name)", row.text) }
        table.heading("claims")
        for row in findings.claims.rows { table.row(row.name, row.text) }
        let document = JSONValue.members([
            ("admitted", .bool(true)), ("authenticity_only", .bool(true)),
            ("evidence_kind", .string(findings.kind.rawValue)),
            ("dialect", findings.dialect.map { .string($0) } ?? .null),
            ("tier", .string(findings.tier)), ("at", .string(UTCTime.text(now))),
            ("checked", .array(findings.checked.map { .string($0) })),
            ("not_checked", .array(open.map { .string($0) })),
            ("tcb", findings.tcb?.json ?? .null), ("claims", findings.claims.json),
        ])
        return Inspector.finding(table.text, document, request.json, status: 0)
    }
}
