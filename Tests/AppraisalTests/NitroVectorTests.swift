import Keys
import RATS
import Testing

@testable import Appraisal

/// Documents of real Nitro enclaves, from the shared vectors.
struct NitroVectorTests {
    private let reasons = [
        "blocky-debug": "nitro.debug",
        "blocky-selfsigned": "nitro.malformed",
        "dstack-debug": "nitro.debug",
        "evervault-debug": "nitro.debug",
        "evervault-spki-user-data": "nitro.debug",
        "fortanix-debug-2021": "nitro.debug",
        "fortanix-tampered-certificate": "nitro.certificate.malformed",
        "fortanix-tampered-signature": "nitro.signature.invalid",
        "marlin-custom-root": "nitro.root.unknown",
        "neg-alg-es256": "nitro.algorithm",
        "neg-cose-signature-bit": "nitro.signature.invalid",
        "neg-expired": "nitro.chain.invalid",
        "neg-pcr0-bit": "nitro.signature.invalid",
        "neg-truncated": "nitro.malformed",
        "neg-user-data-bit": "nitro.signature.invalid",
    ]
    // The public documents were bound by others in their own ways: all but the binding counts.
    private func appraise(
        _ vector: RealVector,
        at now: Int64,
        skew: UInt32 = 4 * 3600
    ) throws -> NitroEvidence {
        let bytes = try #require(vector.file("attestation-document.cbor"))
        let evidence = try NitroEvidence.unbound(bytes)
        let policy = NitroPolicy(pcrs: [0: .any, 1: .any, 2: .any, 8: .any], maxSkew: skew)
        try NitroAppraisal(policy: policy, evidence: evidence, now: now).run()
        return evidence
    }

    @Test func everyDocumentIsAppraisedAsItShouldBe() throws {
        for vector in try RealVector.all("nitro") {
            let now = try vector.verifyAt()
            if vector.isGood {
                let claims = try appraise(vector, at: now, skew: 60).document.claims
                let count = vector.compare(claims)
                #expect(count >= 19, "\(vector.name)")
            } else {
                let refusal = #expect(throws: Refusal.self) { try appraise(vector, at: now) }
                #expect(refusal?.code == reasons[vector.name], "\(vector.name)")
            }
        }
    }

    @Test func noneIsAdmittedOutsideItsTime() throws {
        for vector in try RealVector.all("nitro") where vector.isGood {
            let (from, to) = try vector.window()
            for now in [from - 1, to + 1] {
                let refusal = #expect(throws: Refusal.self) { try appraise(vector, at: now) }
                #expect(refusal?.code == "nitro.chain.invalid", "\(vector.name)")
            }
            // The library takes the last second for the first one after.
            for now in [from, to - 1] { _ = try appraise(vector, at: now) }
        }
    }
}
