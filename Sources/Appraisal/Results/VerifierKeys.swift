public import Keys
public import RATS

/// The keys of a Verifier or maker elsewhere, pinned: a JSON Web Key Set (RFC 7517), or PEM.
///
/// They come from the policy or the command line. What a token says of its own key, where to fetch
/// it or which certificates go with it, counts for nothing.
public struct VerifierKeys: Sendable, Equatable {
    /// One key.
    public struct Key: Sendable, Equatable {
        /// Its `kid`; nil for a key in PEM.
        public let name: String?
        /// The algorithm that it is for (`alg`); nil for any that fits.
        let algorithm: TokenAlgorithm?
        /// The key.
        public let key: PublicKey

        public static func == (one: Key, other: Key) -> Bool {
            one.name == other.name && one.algorithm == other.algorithm
                && one.key.spki == other.key.spki
        }
    }

    /// The keys in order.
    public let keys: [Key]

    /// Bytes of a set: services publish up to some 20 KiB with their certificates.
    static let maxSize = 256 * 1024
    /// A service has two or three, one that attests each of its enclaves some dozens.
    static let maxKeys = 128

    /// Puts sets together.
    public init(_ sets: [VerifierKeys]) { keys = sets.flatMap(\.keys) }

    init(_ keys: [PublicKey]) {
        self.init(keys: keys.map { Key(name: nil, algorithm: nil, key: $0) })
    }

    private init(keys: [Key]) { self.keys = keys }

    /// Reads a set, one key in PEM, or the keys of certificates in PEM.
    ///
    /// Errors: `result.keys.malformed`.
    public init(parsing bytes: [UInt8]) throws(Refusal) {
        let text = String(decoding: bytes, as: UTF8.self)
        if text.contains("-----BEGIN PUBLIC KEY") {
            do throws(KeyError) {
                self.init([try PublicKey(pem: text)])
            } catch {
                throw VerifierKeys.malformed(error.description)
            }
            return
        }
        if text.contains("-----BEGIN CERTIFICATE") {
            do throws(KeyError) {
                self.init(try Certificate.read(pem: text).map(\.publicKey))
            } catch {
                throw VerifierKeys.malformed(error.description)
            }
            return
        }
        guard bytes.count <= VerifierKeys.maxSize,
            let items = JSONParser.parse(bytes)?["keys"]?.items
        else { throw VerifierKeys.malformed("no JSON Web Key Set") }
        guard (1...VerifierKeys.maxKeys).contains(items.count) else {
            throw VerifierKeys.malformed("\(items.count) keys")
        }
        // Keys of kinds that sign no token here, or that encrypt, are not for this.
        let read = items.compactMap(VerifierKeys.key)
        guard !read.isEmpty else { throw VerifierKeys.malformed("no key of a kind that is known") }
        self.init(keys: read)
    }

    /// The keys that a token with this header may be signed by.
    func candidates(_ algorithm: TokenAlgorithm, named name: String?) -> [PublicKey] {
        keys.filter { key in
            let isNamed = name == nil || key.name == nil || key.name == name
            return isNamed && algorithm.fits(key.key)
                && (key.algorithm == nil || key.algorithm == algorithm)
        }.map(\.key)
    }

    private static func key(_ item: JSONValue) -> Key? {
        if let use = item["use"]?.text, use != "sig" { return nil }
        var algorithm: TokenAlgorithm?
        if let name = item["alg"]?.text {
            guard let known = TokenAlgorithm(rawValue: name) else { return nil }
            algorithm = known
        }
        guard let key = parts(item) ?? certified(item) else { return nil }
        return Key(name: item["kid"]?.text, algorithm: algorithm, key: key)
    }

    // RFC 7518 sections 6.2.1 and 6.3.1.
    private static func parts(_ item: JSONValue) -> PublicKey? {
        func bytes(_ name: String) -> [UInt8]? { item[name]?.text.flatMap(Base64.decode(url:)) }
        switch item["kty"]?.text {
        case "RSA":
            guard let modulus = bytes("n"), let exponent = bytes("e"),
                (1...4).contains(exponent.count)
            else { return nil }
            return try? PublicKey(
                modulus: modulus, exponent: exponent.reduce(0) { $0 << 8 | UInt32($1) })
        case "EC":
            let curves: [String: PublicKey.Algorithm] = ["P-256": .p256, "P-384": .p384]
            guard let curve = item["crv"]?.text.flatMap({ curves[$0] }), let x = bytes("x"),
                let y = bytes("y")
            else { return nil }
            return try? PublicKey(curve: curve, x: x, y: y)
        default: return nil
        }
    }

    // Azure's sets have certificates alone. The set is what is trusted, not their issuers.
    private static func certified(_ item: JSONValue) -> PublicKey? {
        guard item["n"] == nil, item["x"] == nil, let text = item["x5c"]?.items?.first?.text,
            let der = Base64.decode(Array(text.utf8))
        else { return nil }
        return try? Certificate(der: der).publicKey
    }

    private static func malformed(_ got: String) -> Refusal {
        Refusal(
            "result.keys.malformed", .configuration, kind: "result", field: "keys",
            expected: "a JSON Web Key Set with keys that sign, or a public key in PEM", got: got,
            remedy: "save the set that the Verifier publishes, and compare it before pinning it")
    }
}
