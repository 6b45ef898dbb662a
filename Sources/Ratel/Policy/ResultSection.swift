internal import Appraisal
internal import Keys
internal import RATS

/// The section `result` of a peer in a policy; every key must be there. It is for files: no
/// formula ties such a token to a connection.
///
/// ```yaml
/// result:
///   keys: [jwks.json]              # the Verifier's key set, pinned; or keys in PEM
///   issuer: ["https://…"]          # or any
///   audience: any                  # or a list
///   max_age: 300s                  # since `iat`
///   claims:                        # as they nest in the token; lists mean any of
///     submods:
///       cpu0:
///         ear.status: [affirming]
/// ```
struct ResultSection {
    let node: PolicyNode

    /// Names of a path: tokens nest up to eight deep.
    private static let maxDepth = 16

    func policy(_ files: inout CertificateFiles) throws(Refusal) -> ResultPolicy {
        let fields = try node.fields(required: ["keys", "issuer", "audience", "max_age", "claims"])
        let keys = try fields["keys"].map { node throws(Refusal) in
            try files.verifierKeys(node)
        }
        var claims: [ResultPolicy.Constraint] = []
        try ResultSection.collect(fields["claims"] ?? node, [], &claims)
        guard !claims.isEmpty else {
            throw (fields["claims"] ?? node).refusal(
                "policy.result.claims", expected: "at least one claim", got: "none",
                remedy: "write what the Verifier has to say of the machine")
        }
        return ResultPolicy(
            keys: keys ?? VerifierKeys([]), issuer: try ResultSection.names(fields["issuer"]),
            audience: try ResultSection.names(fields["audience"]),
            maxAge: try fields["max_age"]?.seconds() ?? 0, claims: claims)
    }

    private static func names(_ node: PolicyNode?) throws(Refusal) -> ResultPolicy.Names {
        guard let node, !node.isAny else { return node == nil ? .oneOf([]) : .any }
        var names: [String] = []
        for item in try node.items() { names.append(try item.text()) }
        return .oneOf(names)
    }

    private static func collect(
        _ node: PolicyNode, _ path: [String], _ claims: inout [ResultPolicy.Constraint]
    ) throws(Refusal) {
        guard path.count <= maxDepth else { throw node.wrongType("at most \(maxDepth) names") }
        for (name, value) in try node.entries() {
            guard value.isList else {
                try collect(value, path + [name], &claims)
                continue
            }
            var allowed: [JSONValue] = []
            for item in try value.items() { allowed.append(try item.json()) }
            claims.append(ResultPolicy.Constraint(path: path + [name], allowed: allowed))
        }
    }
}
