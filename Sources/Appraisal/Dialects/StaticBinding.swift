internal import Keys
public import RATS

/// What Evidence in Ratel's own certificate covers; id-pe-cmw of others is read alike.
///
/// `claims = {"pubkey-hash": bstr(CBOR[1, SHA-256(SPKI)])}`, as the CCC's interoperable RA-TLS
/// writes them (protocol.md, "Dialects read"):
/// - report_data is SHA-256(claims) ‖ 0^32, and so are a Nitro document's user_data and the
///   challenge of a CCA realm;
/// - a TPM's qualifying data is SHA-256("ratel-attest/1 static tpm\0" ‖ SHA-256(claims)), a GPU's
///   nonce SHA-256("ratel-attest/1 static gpu N\0" ‖ SHA-256(claims)). The CCC specifies none; the
///   labels keep such a quote from ever serving in an exchange.
public struct StaticBinding: Sendable {
    private let hash: [UInt8]

    /// The binding to a buffer of claims.
    public init(claims: [UInt8]) { hash = Digest.sha256(claims) }

    /// The binding to a key, its SubjectPublicKeyInfo in DER.
    public init(spki: [UInt8]) { self.init(claims: StaticBinding.claims(spki: spki)) }

    /// The claims buffer for a key, its SubjectPublicKeyInfo in DER.
    public static func claims(spki: [UInt8]) -> [UInt8] {
        let hash = CBORValue.array([.unsigned(1), .bytes(Digest.sha256(spki))]).encoded()
        return CBORValue.named([("pubkey-hash", .bytes(hash))]).encoded()
    }

    /// What an Attester is asked to cover.
    public var challenge: QuoteChallenge {
        QuoteChallenge(
            tpmQualifyingData: tpmQualifyingData, gpuNonce: gpuNonce,
            reportData: { [reportData] _ in reportData })
    }

    /// 64 bytes.
    var reportData: [UInt8] { hash + [UInt8](repeating: 0, count: 32) }

    /// What `evidence` has to cover.
    func expected(of evidence: [Evidence]) -> Appraiser.ExpectedBinding {
        // GPUs and switches are numbered from 0 without a gap: no index is past their number.
        let devices = evidence.filter { $0.kind == .gpu }.indices
        return Appraiser.ExpectedBinding(
            reportData: reportData, tpmQualifyingData: tpmQualifyingData,
            nitro: .userDataAlone(reportData), gpuNonces: devices.map { gpuNonce(UInt32($0)) })
    }

    private var tpmQualifyingData: [UInt8] {
        Digest.sha256(Array("ratel-attest/1 static tpm\0".utf8) + hash)
    }

    private func gpuNonce(_ index: UInt32) -> [UInt8] {
        Digest.sha256(Array("ratel-attest/1 static gpu \(index)\0".utf8) + hash)
    }
}
