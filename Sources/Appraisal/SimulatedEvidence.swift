internal import Keys
internal import RATS

/// Evidence by a software key: `{1: report_data, 2: SubjectPublicKeyInfo, 3: signature}`.
enum SimulatedEvidence {
    /// Checks structure, binding and signature.
    static func authenticate(
        _ evidence: Evidence,
        expected: Appraiser.ExpectedBinding
    ) throws(Refusal) -> AuthenticEvidence {
        let reportData: [UInt8]
        let signature: [UInt8]
        let key: PublicKey
        do {
            let fields = try CBORFields(decoding: evidence.bytes, allowed: [1, 2, 3])
            reportData = try fields.bytes(1, count: 64)
            signature = try fields.bytes(3, count: 64)
            key = try PublicKey(spki: fields.bytes(2))
        } catch {
            throw refusal(
                "simulated.malformed",
                .evidence,
                "evidence",
                "report_data, key and signature",
                "\(error)"
            )
        }
        guard ConstantTime.equal(reportData, expected.reportData) else {
            throw refusal(
                "simulated.report_data.mismatch",
                .binding,
                "report_data",
                Hex.encode(expected.reportData),
                Hex.encode(reportData)
            )
        }
        let text = Array("ratel-attest/1 simulated\0".utf8) + reportData
        guard key.algorithm == .p256, key.verifies(raw: signature, over: text) else {
            throw refusal(
                "simulated.signature.invalid",
                .evidence,
                "signature",
                "ECDSA P-256 by the key in the Evidence",
                "another"
            )
        }
        var claims = Claims()
        claims.set("warning", .text("simulated: a software key, vouches for nothing"))
        claims.set("key", .bytes(Digest.sha256(key.spki)))
        claims.set("report_data", .bytes(reportData))
        return AuthenticEvidence(
            format: .simulated,
            index: evidence.index,
            claims: claims,
            detail: .simulated
        )
    }

    private static func refusal(
        _ code: String,
        _ stage: Refusal.Stage,
        _ field: String,
        _ expected: String,
        _ got: String
    ) -> Refusal {
        Refusal(
            code,
            stage,
            kind: "simulated",
            field: field,
            expected: expected,
            got: got,
            remedy: "the Evidence is not of this connection, or was changed on its way"
        )
    }
}
