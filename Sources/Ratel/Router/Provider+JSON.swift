internal import Keys
internal import RATS

/// What documents and pages say alike of a provider's standing.
extension Provider.Admission {
    var members: [(String, JSONValue)] {
        [
            ("session", .string(session)), ("peer", .string(peer)),
            ("claims", .array(claims.sorted().map { .string($0) })),
            ("appraised_ms", .integer(appraised)), ("until_ms", .integer(until)),
        ]
    }
}

extension Provider.State {
    /// Why it has no admission; nothing where it has, or before it was asked.
    var refused: [(String, JSONValue)] {
        trouble.map { trouble in
            [("refused", .members(trouble.parts.map { ($0.name, .string($0.text)) }))]
        } ?? []
    }
}
