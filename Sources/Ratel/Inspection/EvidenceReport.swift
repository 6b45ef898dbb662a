public import Appraisal
public import Keys
public import RATS

/// Shows Evidence, results and refusals to people and to programs.
public enum EvidenceReport {
    /// What Evidence says, as a table.
    public static func table(_ evidence: [AuthenticEvidence]) -> String {
        var table = Table()
        for item in evidence {
            table.heading("evidence \(item.index): \(item.format.rawValue)")
            if item.format == .simulated {
                table.row("WARNING", "simulated: a software key that vouches for nothing")
            }
            for row in item.claims.rows { table.row(row.name, row.text) }
        }
        return table.text
    }

    /// An admission, as a table; `dialect` is how another system's server carried its Evidence.
    public static func table(_ result: AttestationResult, dialect: String? = nil) -> String {
        var table = Table()
        table.heading("ADMITTED")
        table.row("peer", result.peer)
        table.row("tier", result.tier.rawValue)
        if let dialect { table.row("dialect", dialect) }
        table.row("policy", Hex.encode(result.policyDigest))
        table.row("configuration", String(decoding: result.configuration, as: UTF8.self))
        return table.text + EvidenceReport.table(result.evidence)
    }

    /// A refusal, as a table.
    public static func table(_ refusal: Refusal, dialect: String? = nil) -> String {
        var table = Table()
        table.heading("REFUSED")
        if let dialect { table.row("dialect", dialect) }
        for part in refusal.parts where !part.text.isEmpty { table.row(part.name, part.text) }
        return table.text
    }

    /// What Evidence says, as JSON.
    public static func json(_ evidence: [AuthenticEvidence]) -> JSONValue {
        .array(
            evidence.map { item in
                .members([
                    ("format", .string(item.format.rawValue)),
                    ("index", .integer(item.index)),
                    ("claims", item.claims.json),
                ])
            })
    }

    /// An admission, as JSON.
    public static func json(_ result: AttestationResult, dialect: String? = nil) -> JSONValue {
        .members([
            ("admitted", .bool(true)),
            ("peer", .string(result.peer)),
            ("tier", .string(result.tier.rawValue)),
            ("dialect", dialect.map { .string($0) } ?? .null),
            ("policy", .string(Hex.encode(result.policyDigest))),
            ("configuration", JSONParser.parse(result.configuration) ?? .null),
            ("evidence", json(result.evidence)),
        ])
    }

    /// A refusal, as JSON.
    public static func json(_ refusal: Refusal) -> JSONValue {
        .members(
            [("admitted", .bool(false))] + refusal.parts.map { ($0.name, .string($0.text)) })
    }
}
