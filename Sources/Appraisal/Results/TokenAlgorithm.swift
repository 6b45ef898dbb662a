internal import Keys

/// How a token is signed: the algorithms of RFC 7518 section 3.1 and RFC 9053 section 2 that need a
/// public key of at least 112 bits of strength. `none` and keyed hashes are not among them.
enum TokenAlgorithm: String, CaseIterable, Sendable {
    case es256 = "ES256"
    case es384 = "ES384"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"

    /// Its number in COSE, of which −1 − n is written: RFC 9053 table 1, RFC 8230, RFC 8812.
    var number: UInt64 {
        switch self {
        case .es256: 6
        case .es384: 34
        case .ps256: 36
        case .ps384: 37
        case .ps512: 38
        case .rs256: 256
        case .rs384: 257
        case .rs512: 258
        }
    }

    private var digest: Digest {
        switch self {
        case .es256, .rs256, .ps256: .sha256
        case .es384, .rs384, .ps384: .sha384
        case .rs512, .ps512: .sha512
        }
    }

    /// Whether `key` is of the kind that this algorithm needs.
    func fits(_ key: PublicKey) -> Bool {
        switch (self, key.algorithm) {
        case (.es256, .p256), (.es384, .p384): true
        case (.rs256, .rsa), (.rs384, .rsa), (.rs512, .rsa): true
        case (.ps256, .rsa), (.ps384, .rsa), (.ps512, .rsa): true
        default: false
        }
    }

    /// Whether `signature` is one by `key` over `message`.
    func verifies(_ signature: [UInt8], over message: [UInt8], by key: PublicKey) -> Bool {
        guard fits(key) else { return false }
        switch self {
        case .es256, .es384: return key.verifies(raw: signature, over: message, digest: digest)
        case .rs256, .rs384, .rs512:
            return key.verifies(rsa: signature, over: message, digest: digest, padding: .pkcs1)
        case .ps256, .ps384, .ps512:
            return key.verifies(rsa: signature, over: message, digest: digest, padding: .pss)
        }
    }
}
