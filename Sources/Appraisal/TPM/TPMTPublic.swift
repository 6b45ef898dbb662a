internal import Bytes
public import Keys
public import RATS

/// TPMT_PUBLIC of an asymmetric key: TPM 2.0 Library part 2, section 12.2.4.
public struct TPMTPublic: Sendable {
    /// TPMA_OBJECT, section 8.3.
    public struct Attributes: OptionSet, Sendable {
        public let rawValue: UInt32

        /// Takes the bits as they are.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The key never leaves the TPM.
        public static let fixedTPM = Attributes(rawValue: 1 << 1)
        /// The key keeps its parent.
        public static let fixedParent = Attributes(rawValue: 1 << 4)
        /// The TPM made the key's secret.
        public static let sensitiveDataOrigin = Attributes(rawValue: 1 << 5)
        /// The key works on what the TPM made only.
        public static let restricted = Attributes(rawValue: 1 << 16)
        /// The key decrypts.
        public static let decrypt = Attributes(rawValue: 1 << 17)
        /// The key signs.
        public static let sign = Attributes(rawValue: 1 << 18)
    }

    /// TPM_ALG_ID of the hash of the Name.
    public let nameAlgorithm: UInt16
    /// What the key may do.
    public let attributes: Attributes
    /// TPM_ALG_ID of the signing scheme that the key is tied to, and of its hash.
    public let scheme: (algorithm: UInt16, hash: UInt16)
    /// The key itself.
    public let key: PublicKey
    /// The Name: TPM_ALG_ID of the hash and the hash of the structure, part 1, section 16.
    public let name: [UInt8]

    /// The largest structure is an RSA 4096 key's: 512 bytes of modulus, 64 of policy, 32 of rest.
    static let limit = 1024

    private struct Parts {
        let nameAlgorithm: UInt16
        let attributes: UInt32
        let scheme: (UInt16, UInt16)
        let point: (curve: UInt16, x: [UInt8], y: [UInt8])?
        let rsa: (bits: UInt16, exponent: UInt32, modulus: [UInt8])?
    }

    /// Reads a structure without a size in front.
    public init(_ bytes: [UInt8]) throws(Refusal) {
        let parts = try TPMStructure.read("TPMT_PUBLIC", bytes, limit: TPMTPublic.limit) {
            reader throws(ReadError) in
            try TPMTPublic.parts(&reader)
        }
        guard let hash = PCRBank(algorithm: parts.nameAlgorithm)?.digest else {
            throw TPMTPublic.algorithm("hash of the Name", "SHA-256 or larger")
        }
        nameAlgorithm = parts.nameAlgorithm
        attributes = Attributes(rawValue: parts.attributes)
        scheme = parts.scheme
        let prefix = [UInt8(nameAlgorithm >> 8), UInt8(nameAlgorithm & 0xFF)]
        name = prefix + hash.hash(bytes)
        do throws(KeyError) {
            key = try TPMTPublic.key(parts)
        } catch {
            throw TPMTPublic.algorithm("key", "P-256, P-384 or RSA of 2048 bits and up")
        }
    }

    /// A key of a file beside which its structure was not kept: it has no Name, an empty one, which
    /// no policy can pin, and no attributes.
    init(unnamed key: PublicKey) {
        nameAlgorithm = TPMAlgorithm.null
        attributes = []
        scheme = (TPMAlgorithm.null, TPMAlgorithm.null)
        name = []
        self.key = key
    }

    private static func key(_ parts: Parts) throws(KeyError) -> PublicKey {
        if let (curve, x, y) = parts.point {
            // TPM_ECC_NIST_P256 and TPM_ECC_NIST_P384.
            switch curve {
            case 3: return try PublicKey(curve: .p256, x: x, y: y)
            case 4: return try PublicKey(curve: .p384, x: x, y: y)
            default: throw KeyError(.unsupported, "curve")
            }
        }
        guard let (bits, exponent, modulus) = parts.rsa, modulus.count == Int(bits) / 8 else {
            throw KeyError(.malformed, "modulus")
        }
        // 0 stands for 2^16 + 1.
        return try PublicKey(modulus: modulus, exponent: exponent == 0 ? 65_537 : exponent)
    }

    private static func parts(_ reader: inout Reader) throws(ReadError) -> Parts? {
        let type = try reader.u16()
        let nameAlgorithm = try reader.u16()
        let attributes = try reader.u32()
        _ = try reader.sized()
        // TPMT_SYM_DEF_OBJECT: only keys that decrypt have one.
        if try reader.u16() != TPMAlgorithm.null { _ = try reader.take(4) }
        guard let scheme = try scheme(&reader) else { return nil }
        switch type {
        case TPMAlgorithm.rsa:
            let bits = try reader.u16()
            let exponent = try reader.u32()
            return Parts(
                nameAlgorithm: nameAlgorithm,
                attributes: attributes,
                scheme: scheme,
                point: nil,
                rsa: (bits, exponent, try reader.sized())
            )
        case TPMAlgorithm.ecc:
            let curve = try reader.u16()
            if try reader.u16() != TPMAlgorithm.null { _ = try reader.u16() }
            let x = try reader.sized()
            return Parts(
                nameAlgorithm: nameAlgorithm,
                attributes: attributes,
                scheme: scheme,
                point: (curve, x, try reader.sized()),
                rsa: nil
            )
        default:
            return nil
        }
    }

    private static func scheme(_ reader: inout Reader) throws(ReadError) -> (UInt16, UInt16)? {
        let algorithm = try reader.u16()
        switch algorithm {
        case TPMAlgorithm.null, TPMAlgorithm.rsaes: return (algorithm, TPMAlgorithm.null)
        case TPMAlgorithm.rsassa, TPMAlgorithm.rsapss, TPMAlgorithm.ecdsa, TPMAlgorithm.oaep:
            return (algorithm, try reader.u16())
        default: return nil
        }
    }

    private static func algorithm(_ field: String, _ expected: String) -> Refusal {
        Refusal(
            "tpm.ak.algorithm",
            .evidence,
            kind: "tpm",
            field: field,
            expected: expected,
            got: "another",
            remedy: "have the attester make a key that is accepted"
        )
    }

    /// Refuses a key that is not made and kept by the TPM for signing what the TPM made.
    func checkAttributes() throws(Refusal) {
        let needed: Attributes = [
            .fixedTPM, .fixedParent, .sensitiveDataOrigin, .restricted, .sign,
        ]
        guard attributes.isSuperset(of: needed), !attributes.contains(.decrypt) else {
            throw Refusal(
                "tpm.ak.attributes",
                .evidence,
                kind: "tpm",
                field: "attributes of the key",
                expected:
                    "fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, no decrypt",
                got: String(attributes.rawValue, radix: 16),
                remedy: "the key could sign forged quotes; have the attester make another"
            )
        }
    }
}
