internal import Bytes
internal import Keys

/// Which end of the connection attests; part of every hash, so that nothing can be reflected.
public enum Role: UInt8, Sendable, CaseIterable {
    case server = 0
    case client = 1

    /// The other end.
    public var peer: Role { self == .server ? .client : .server }

    /// As labels, logs and records name it.
    public var name: String { self == .server ? "server" : "client" }
}

/// The formulas that tie Evidence to one connection: protocol.md, "Binding".
///
/// Pure functions; every string ends in a zero byte that is hashed with it, integers are
/// big-endian.
public enum Binding {
    /// The length of a nonce, a challenge hash and an exported secret, in bytes.
    public static let nonceSize = 32

    /// C: the hash of a challenge body exactly as it was sent, 32 bytes.
    public static func challengeHash(_ body: [UInt8]) -> [UInt8] {
        Digest.sha256(tagged("challenge") + body)
    }

    /// The label for the TLS exporter (RFC 8446 section 7.5); it differs between the roles.
    public static func exporterLabel(attester: Role) -> String {
        "EXPERIMENTAL-ratel-attest/1 " + attester.name
    }

    /// The context for the TLS exporter: C ‖ N_att ‖ seq u32.
    public static func exporterContext(
        challengeHash: [UInt8],
        attesterNonce: [UInt8],
        sequence: UInt32
    ) -> [UInt8] {
        var context = Writer()
        context.append(challengeHash)
        context.append(attesterNonce)
        context.u32(sequence)
        return context.bytes
    }

    /// What is particular to one exchange on one connection.
    public struct Inputs: Sendable, Equatable {
        /// Which end attests.
        public var role: Role
        /// 0 for the first exchange of the connection and role, then counting.
        public var sequence: UInt32
        /// SHA-256 of the attester's leaf SubjectPublicKeyInfo.
        public var attesterKeyHash: [UInt8]
        /// SHA-256 of the peer's leaf SubjectPublicKeyInfo; `nil` if it showed no certificate.
        public var peerKeyHash: [UInt8]?
        /// C.
        public var challengeHash: [UInt8]
        /// N_att, 32 bytes.
        public var attesterNonce: [UInt8]
        /// EKM, 32 bytes from the TLS exporter; it never travels.
        public var exported: [UInt8]
        /// SHA-384 of the effective configuration.
        public var configurationHash: [UInt8]

        /// Collects the inputs, which must have their lengths.
        public init(
            role: Role,
            sequence: UInt32,
            attesterKeyHash: [UInt8],
            peerKeyHash: [UInt8]?,
            challengeHash: [UInt8],
            attesterNonce: [UInt8],
            exported: [UInt8],
            configurationHash: [UInt8]
        ) {
            self.role = role
            self.sequence = sequence
            self.attesterKeyHash = attesterKeyHash
            self.peerKeyHash = peerKeyHash
            self.challengeHash = challengeHash
            self.attesterNonce = attesterNonce
            self.exported = exported
            self.configurationHash = configurationHash
        }
    }

    /// base: everything that must be the same at both ends, 64 bytes.
    public static func base(_ inputs: Inputs) -> [UInt8] {
        // The hash has no lengths in it: every part must have its own.
        precondition(
            inputs.attesterKeyHash.count == 32 && (inputs.peerKeyHash?.count ?? 32) == 32
                && inputs.challengeHash.count == 32 && inputs.attesterNonce.count == 32
                && inputs.exported.count == 32 && inputs.configurationHash.count == 48,
            "an input of the binding has another length"
        )
        var text = Writer()
        text.append(tagged("base"))
        text.u8(inputs.role.rawValue)
        text.u32(inputs.sequence)
        text.append(inputs.attesterKeyHash)
        text.append(inputs.peerKeyHash ?? [UInt8](repeating: 0, count: 32))
        text.append(inputs.challengeHash)
        text.append(inputs.attesterNonce)
        text.append(inputs.exported)
        text.append(inputs.configurationHash)
        return Digest.sha512(text.bytes)
    }

    /// The leaf of a batch's Merkle tree for one connection, 48 bytes.
    public static func leaf(_ base: [UInt8]) -> [UInt8] { Digest.sha384(tagged("leaf") + base) }

    /// An inner node of a batch's Merkle tree, 48 bytes.
    public static func node(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        Digest.sha384(tagged("node") + left + right)
    }

    /// root: the Merkle root with the binding key, 48 bytes; what a quote covers.
    public static func root(merkleRoot: [UInt8], bindingKeyHash: [UInt8]) -> [UInt8] {
        Digest.sha384(tagged("root") + merkleRoot + bindingKeyHash)
    }

    /// The SPDM nonce for the GPU with this index, 32 bytes.
    public static func gpuNonce(index: UInt32, root: [UInt8]) -> [UInt8] {
        var text = Writer()
        text.append(tagged("gpu"))
        text.u32(index)
        text.append(root)
        return Digest.sha256(text.bytes)
    }

    /// The qualifying data of a TPM2_Quote, 32 bytes.
    public static func tpmQualifyingData(root: [UInt8]) -> [UInt8] {
        Digest.sha256(tagged("tpm") + root)
    }

    /// One piece of Evidence as the manifest names it.
    public struct ManifestEntry: Sendable, Equatable {
        /// The kind, protocol.md: 1 CPU TEE, 2 GPU, 3 TPM or vTPM, 4 Nitro.
        public let kind: UInt8
        /// Which one of its kind.
        public let index: UInt16
        /// The Evidence as it travels.
        public let bytes: [UInt8]

        /// Names one piece of Evidence.
        public init(kind: UInt8, index: UInt16, bytes: [UInt8]) {
            self.kind = kind
            self.index = index
            self.bytes = bytes
        }
    }

    /// M: count, then each kind, index and SHA-384 of the Evidence, sorted bytewise.
    public static func manifest(_ entries: [ManifestEntry]) -> [UInt8] {
        let lines = entries.map { entry in
            var line = Writer()
            line.u8(entry.kind)
            line.u16(entry.index)
            line.append(Digest.sha384(entry.bytes))
            return line.bytes
        }
        var text = Writer()
        text.u16(UInt16(lines.count))
        for line in lines.sorted(by: { $0.lexicographicallyPrecedes($1) }) { text.append(line) }
        return text.bytes
    }

    /// report_data for a CPU TEE: all 64 bytes of the field in TDX, SNP, SGX and CCA.
    public static func reportData(root: [UInt8], manifest: [UInt8]) -> [UInt8] {
        Digest.sha512(tagged("cpu") + root + Digest.sha384(manifest))
    }

    /// What the binding key signs in an evidence frame.
    public static func evidenceToSign(base: [UInt8], manifest: [UInt8]) -> [UInt8] {
        tagged("evidence") + base + Digest.sha384(manifest)
    }

    /// What the binding key signs in a lease frame.
    public static func leaseToSign(base: [UInt8]) -> [UInt8] { tagged("lease") + base }

    private static func tagged(_ name: String) -> [UInt8] {
        Array("ratel-attest/1 \(name)\0".utf8)
    }
}
