internal import Keys
internal import RATS

/// Evidence of a GPU or an NVSwitch: a CBOR map.
///
/// | key | value |
/// |---|---|
/// | 1 | GET_MEASUREMENTS request and response, as NVML gives them |
/// | 2 | array of X.509 certificates, DER: leaf first, root last |
///
/// Reference manifests travel as Endorsements of `application/swid+xml`, OCSP answers as those of
/// `application/ocsp-response`: machines with eight GPUs send each once.
struct NVIDIAEvidence: Sendable {
    let report: NVIDIAReport
    /// Nobody has vouched for the keys yet.
    let chain: NVIDIADeviceChain

    /// Checks structure, binding and signature, in this order.
    static func authenticate(
        _ evidence: Evidence,
        of device: NVIDIADevice,
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let nvidia = try NVIDIAEvidence(evidence.bytes, of: device)
        let found = nvidia.report.spdm.requestNonce
        guard expected.gpuNonces.indices.contains(Int(evidence.index)) else {
            throw device.refusal(
                "index.refused", .binding, "index", "0 to \(expected.gpuNonces.count - 1)",
                "\(evidence.index)", "the peer numbers its devices otherwise; update it")
        }
        let nonce = expected.gpuNonces[Int(evidence.index)]
        guard ConstantTime.equal(found, nonce) else {
            throw device.refusal(
                "nonce.mismatch", .binding, "nonce of the request", Hex.encode(nonce),
                Hex.encode(found), "the report is not of this connection, or of another index")
        }
        try nvidia.chain.checkSignature(of: nvidia.report)
        return AuthenticEvidence(
            format: device.format,
            index: evidence.index,
            claims: nvidia.claims,
            detail: .nvidia(nvidia)
        )
    }

    /// Puts together what lies in files, and checks the signature.
    init(report: NVIDIAReport, chain: NVIDIADeviceChain) throws(Refusal) {
        self.report = report
        self.chain = chain
        try chain.checkSignature(of: report)
    }

    private init(_ bytes: [UInt8], of device: NVIDIADevice) throws(Refusal) {
        let raw: [UInt8]
        var certificates: [[UInt8]] = []
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2])
            raw = try fields.bytes(1)
            for item in try fields.array(2, limit: NVIDIADeviceChain.sizes.upperBound) {
                guard let der = item.byteString else { throw CBORError(.wrongType, offset: 2) }
                certificates.append(der)
            }
        } catch {
            throw device.malformed(
                "evidence", "a map with report and certificates", error.description)
        }
        report = try NVIDIAReport(raw, of: device)
        chain = try NVIDIADeviceChain(certificates, of: device)
    }

    var claims: Claims {
        var claims = report.claims
        chain.addClaims(to: &claims)
        return claims
    }
}
