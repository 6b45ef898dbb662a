internal import Keys
internal import RATS

/// A map of claims in a CCA token, read strictly: Arm CCA Platform and Realm tokens, RMM
/// Specification (DEN0137) 1.0, section A7.2, and draft-ffm-rats-cca-token.
struct CCAClaims {
    /// An event may have any text, but not one of pages.
    private static let maxText = 256

    /// Which token it is, for refusals: `platform` or `realm`.
    let token: String
    private let values: [UInt64: CBORValue]

    /// Takes the claims of `payload`, all of which must be among `known`.
    init(_ payload: [UInt8], _ token: String, known: Set<UInt64>) throws(Refusal) {
        self.token = token
        let value: CBORValue
        do throws(CBORError) {
            value = try CBORDecoder.decode(payload, rules: .anyOrder)
        } catch {
            throw CCAEvidence.malformed(token, "a CBOR map", error.description)
        }
        do throws(CBORError) {
            let fields = try CBORFields(value, allowed: known)
            var values: [UInt64: CBORValue] = [:]
            for key in known { values[key] = fields.optional(key) }
            self.values = values
        } catch {
            throw CCAEvidence.malformed(token, "known claims, each once", error.description)
        }
    }

    /// The bytes of a claim, which has one of `sizes`.
    func bytes(_ key: UInt64, _ name: String, _ sizes: [Int]) throws(Refusal) -> [UInt8] {
        guard let bytes = values[key]?.byteString, sizes.contains(bytes.count) else {
            throw refusal(name, "\(sizes.map(String.init).joined(separator: " or ")) bytes")
        }
        return bytes
    }

    /// The bytes of a claim whose size is not given, up to 256.
    func bytes(_ key: UInt64, _ name: String) throws(Refusal) -> [UInt8] {
        guard let bytes = values[key]?.byteString, (1...256).contains(bytes.count) else {
            throw refusal(name, "1 to 256 bytes")
        }
        return bytes
    }

    /// The number of a claim.
    func number(_ key: UInt64, _ name: String) throws(Refusal) -> UInt64 {
        guard let number = values[key]?.number else { throw refusal(name, "a number") }
        return number
    }

    /// The characters of a claim that may be absent.
    func optionalText(_ key: UInt64, _ name: String) throws(Refusal) -> String? {
        guard let value = values[key] else { return nil }
        guard let text = value.textString, (1...CCAClaims.maxText).contains(text.utf8.count) else {
            throw refusal(name, "1 to \(CCAClaims.maxText) characters")
        }
        return text
    }

    /// The characters of a claim.
    func text(_ key: UInt64, _ name: String) throws(Refusal) -> String {
        guard let text = try optionalText(key, name) else { throw refusal(name, "a text") }
        return text
    }

    /// The hash that a claim names.
    func digest(_ key: UInt64, _ name: String) throws(Refusal) -> Digest {
        let text = try text(key, name)
        guard let digest = Digest.allCases.first(where: { $0.tokenName == text }) else {
            throw refusal(name, Digest.allCases.map(\.tokenName).joined(separator: " or "), text)
        }
        return digest
    }

    /// The items of an array of `count`.
    func items(
        _ key: UInt64, _ name: String, _ count: ClosedRange<Int>
    ) throws(Refusal) -> [CBORValue] {
        guard let items = values[key]?.items, count.contains(items.count) else {
            throw refusal(name, "\(count.lowerBound) to \(count.upperBound) items")
        }
        return items
    }

    func refusal(_ name: String, _ expected: String, _ got: String = "another") -> Refusal {
        CCAEvidence.malformed("\(token) \(name)", expected, got)
    }
}

extension Digest {
    /// The name in the IANA registry "Named Information Hash Algorithm", as tokens have it.
    var tokenName: String {
        switch self {
        case .sha256: "sha-256"
        case .sha384: "sha-384"
        case .sha512: "sha-512"
        }
    }
}
