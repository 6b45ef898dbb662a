public import Keys
public import RATS

/// A software key that stands in where a machine has no root of trust at all.
///
/// It proves that the exchange works, and nothing about the machine. A policy must write
/// `simulated: true` to accept it, and both ends say so loudly.
///
/// Evidence: CBOR `{1: report_data bstr64, 2: SubjectPublicKeyInfo, 3: signature bstr64}`; the
/// signature is ECDSA P-256 with SHA-256, raw, over "ratel-attest/1 simulated\0" ‖ report_data.
public struct SimulatedAttester: Attester {
    private let key: PrivateKey

    /// Generates a key that lives as long as the process.
    public init() throws(KeyError) { key = try PrivateKey.generate() }

    /// Uses a given P-256 key.
    public init(key: PrivateKey) { self.key = key }

    public var name: String { "simulated (software key, vouches for nothing)" }
    public var kinds: [EvidenceKind] { [.simulated] }
    public var isSimulated: Bool { true }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        let reportData = challenge.reportData([])
        do throws(KeyError) {
            let text = Array("ratel-attest/1 simulated\0".utf8) + reportData
            let body = CBORValue.fields([
                (1, .bytes(reportData)), (2, .bytes(key.spki)),
                (3, .bytes(try key.signRaw(text))),
            ])
            return [Evidence(.simulated, bytes: body.encoded())]
        } catch {
            throw Refusal(
                "simulated.signature.failed",
                .attestation,
                kind: "simulated",
                field: "signature",
                expected: "a signature by the software key",
                got: error.description,
                remedy: "report this"
            )
        }
    }
}
