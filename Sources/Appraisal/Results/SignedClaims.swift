internal import Keys
internal import RATS

/// Claims under one signature: a JSON Web Token (RFC 7519) or a CBOR one (RFC 8392).
struct SignedClaims: Sendable {
    let algorithm: TokenAlgorithm
    /// The name of the key, `kid`.
    let keyName: String?
    /// The claims; those of CBOR under the names of JSON where RFC 8392 and RFC 9711 have them, and
    /// else under their numbers; byte strings in hexadecimal.
    let claims: JSONValue
    private let signed: [UInt8]
    private let signature: [UInt8]

    /// Tokens carry the claims of several devices, some the Evidence: half of an evidence frame.
    static let maxSize = 512 * 1024

    /// Reads the compact form of RFC 7515 section 3.1.
    init(jwt text: String) throws(Refusal) {
        let bytes = Array(text.utf8)
        let parts = bytes.split(
            separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard bytes.count <= SignedClaims.maxSize, parts.count == 3,
            let header = Base64.decode(url: parts[0]).flatMap(JSONParser.parse),
            header.members != nil,
            let claims = Base64.decode(url: parts[1]).flatMap(JSONParser.parse),
            claims.members != nil, let signature = Base64.decode(url: parts[2])
        else { throw ResultToken.malformed("token", "a JSON Web Token in its compact form") }
        // Section 4.1.11: what must be understood and is not, makes the token invalid.
        guard header["crit"] == nil else {
            throw ResultToken.refusal(
                "result.header.critical", .evidence, "crit", "no extension that must be understood",
                header["crit"]?.serialised() ?? "")
        }
        guard let algorithm = header["alg"]?.text.flatMap(TokenAlgorithm.init(rawValue:)) else {
            throw ResultToken.algorithm(header["alg"]?.serialised() ?? "none")
        }
        self.algorithm = algorithm
        keyName = header["kid"]?.text
        self.claims = claims
        signed = Array(bytes[..<parts[1].endIndex])
        self.signature = signature
    }

    /// Reads a COSE_Sign1 (RFC 9052 section 4.2), with the tag of CWT (61) around it or without.
    init(cwt bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= SignedClaims.maxSize,
            var value = try? CBORDecoder.decode(bytes, rules: .anyOrder)
        else { throw ResultToken.malformed("token", "a CBOR Web Token") }
        if case .tagged(61, let inner) = value { value = inner }
        guard case .tagged(18, let inner) = value else {
            throw ResultToken.malformed("token", "a COSE_Sign1")
        }
        let message: COSESign1
        do throws(COSESign1.Trouble) {
            message = try COSESign1(inner)
        } catch {
            switch error {
            case .malformed: throw ResultToken.malformed("token", "a COSE_Sign1 with claims")
            case .header:
                throw ResultToken.refusal(
                    "result.header.critical", .evidence, "crit",
                    "alg under the signature, and no crit", "another header")
            case .algorithm: throw ResultToken.algorithm("none, or another")
            }
        }
        guard let map = try? CBORDecoder.decode(message.payload, rules: .anyOrder),
            map.entries != nil
        else { throw ResultToken.malformed("token", "a map of claims") }
        algorithm = message.algorithm
        keyName = message.keyName
        claims = ClaimNames.json(map, isOutermost: true)
        signed = message.signed
        signature = message.signature
    }

    /// Refuses claims that none of `keys` signed.
    func check(_ keys: VerifierKeys) throws(Refusal) {
        let candidates = keys.candidates(algorithm, named: keyName)
        guard !candidates.isEmpty else {
            throw ResultToken.refusal(
                "result.key.unknown", .evidence, "key of the token",
                "one of the pinned keys"
                    + (keys.keys.isEmpty
                        ? ", and there are none"
                        : ": " + keys.keys.map { $0.name ?? "unnamed" }.joined(separator: ", ")),
                "\(algorithm.rawValue) by \(keyName ?? "an unnamed key")",
                "fetch the Verifier's present key set, compare it, and pin it")
        }
        guard candidates.contains(where: { algorithm.verifies(signature, over: signed, by: $0) })
        else {
            throw ResultToken.refusal(
                "result.signature.invalid", .evidence, "signature",
                "one by \(keyName ?? "a pinned key")", "another",
                "the token was changed, or signed by somebody else")
        }
    }
}
