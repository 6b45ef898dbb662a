internal import Appraisal
internal import Keys

/// Policies for tokens in words.
enum ResultLines {
    static func explain(_ result: ResultPolicy) -> [String] {
        func show(_ names: ResultPolicy.Names) -> String {
            switch names {
            case .any: "any"
            case .oneOf(let list): list.isEmpty ? "nothing" : list.joined(separator: " or ")
            }
        }
        var lines = [
            "  another Verifier vouches for it, with one of \(result.keys.keys.count) keys:"
        ]
        lines += result.keys.keys.map {
            "    \($0.name ?? "unnamed"), SHA-256 \(Hex.encode(Digest.sha256($0.key.spki)))"
        }
        lines.append("  issuer: \(show(result.issuer))")
        lines.append("  audience: \(show(result.audience))")
        lines.append("  issued less than \(result.maxAge) s ago")
        for claim in result.claims {
            let allowed = claim.allowed.map { $0.serialised() }.joined(separator: " or ")
            lines.append(
                "  \(claim.path.joined(separator: ".")): \(allowed.isEmpty ? "nothing" : allowed)")
        }
        return lines
    }
}
