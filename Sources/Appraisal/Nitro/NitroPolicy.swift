internal import Keys
public import RATS

/// What a Nitro enclave has to show. Nothing has a default but the root.
public struct NitroPolicy: Sendable {
    /// The registers that every policy speaks of, if only with `any`: image, kernel, application,
    /// signing certificate.
    public static let requiredRegisters = [0, 1, 2, 8]

    /// What registers may hold, 48 bytes each; must name `requiredRegisters`.
    public let pcrs: [Int: ReferenceValue]
    /// By how many seconds the document's clock may differ from that of the appraisal.
    public let maxSkew: UInt32
    /// SHA-256 of each root certificate that will do, DER, 32 bytes: AWS publishes it so.
    public internal(set) var roots: [[UInt8]]

    /// Puts together what an enclave has to show.
    public init(
        pcrs: [Int: ReferenceValue],
        maxSkew: UInt32,
        roots: [[UInt8]] = [NitroPolicy.awsRoot]
    ) {
        self.pcrs = pcrs
        self.maxSkew = maxSkew
        self.roots = roots
    }

    /// SHA-256 of "AWS Nitro Enclaves Root-G1" as the AWS Nitro Enclaves User Guide, "Verifying
    /// the root of trust", prints it. The China regions have another root, which is not taken.
    public static let awsRoot: [UInt8] = {
        let digits = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
        guard let bytes = Hex.decode(digits), bytes.count == 32 else {
            preconditionFailure("not a SHA-256 value")
        }
        return bytes
    }()
}
