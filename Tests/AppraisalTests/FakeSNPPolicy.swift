import RATS

@testable import Appraisal

/// The parts of an SNP policy, to be changed one at a time; as they stand, much is let pass.
struct FakeSNPPolicy {
    static let anything = SNPPolicy.Floors(
        current: .any, committed: .any, reported: .any, launch: .any)

    var products: [SNPProduct: SNPPolicy.Floors] = [
        .milan: anything, .genoa: anything, .turin: anything,
    ]
    var measurement = ReferenceValue.any
    var hostData = ReferenceValue.any
    var idKeyDigest = ReferenceValue.any
    var authorKeyDigest = ReferenceValue.any
    var chipID = ReferenceValue.any
    var guestSVN = SNPPolicy.Least.any
    var vmpl: [UInt64] = [0, 1, 2, 3]
    var smt = SNPPolicy.Weakening.any
    var cxl = SNPPolicy.Weakening.any
    var singleSocket = SNPPolicy.Hardening.any
    var aesXTS = SNPPolicy.Hardening.any
    var raplDisabled = SNPPolicy.Hardening.any
    var ciphertextHiding = SNPPolicy.Hardening.any
    var pageSwapDisabled = SNPPolicy.Hardening.any
    var aliasCheck = SNPPolicy.Hardening.any
    var abi = SNPPolicy.Least.any
    var loadedKey = SNPPolicy.LoadedKey.any
    var revocation = SNPPolicy.Hardening.required
    var allowsProvisionalFirmware = true
    var roots = SNPRoots.amd

    var snp: SNPPolicy {
        SNPPolicy(
            products: products,
            identity: SNPPolicy.Identity(
                measurement: measurement,
                hostData: hostData,
                idKeyDigest: idKeyDigest,
                authorKeyDigest: authorKeyDigest,
                chipID: chipID,
                guestSVN: guestSVN,
                vmpl: vmpl
            ),
            features: SNPPolicy.Features(
                smt: smt,
                cxl: cxl,
                singleSocket: singleSocket,
                aesXTS: aesXTS,
                raplDisabled: raplDisabled,
                ciphertextHiding: ciphertextHiding,
                pageSwapDisabled: pageSwapDisabled,
                aliasCheck: aliasCheck
            ),
            abi: abi,
            loadedKey: loadedKey,
            revocation: revocation,
            allowsProvisionalFirmware: allowsProvisionalFirmware,
            roots: roots
        )
    }

    /// The code of the refusal, or `admitted`, of Evidence that covers `reportData`.
    func code(
        _ evidence: [UInt8],
        reportData: [UInt8],
        endorsements: [Endorsement] = [],
        now: Int64,
        section: Bool = true
    ) throws -> String {
        do throws(Refusal) {
            _ = try appraise(
                evidence, reportData: reportData, endorsements: endorsements, now: now,
                section: section)
            return "admitted"
        } catch {
            return error.code
        }
    }

    func appraise(
        _ evidence: [UInt8],
        reportData: [UInt8],
        endorsements: [Endorsement] = [],
        now: Int64,
        section: Bool = true
    ) throws(Refusal) -> Appraiser.Outcome {
        let peer = PeerPolicy(
            name: "node",
            tier: .session,
            maxAge: 300,
            require: [.snp: 1],
            tpm: nil,
            snp: section ? snp : nil,
            simulated: false,
            configuration: []
        )
        return try Appraiser.appraise(
            Appraiser.Submission(
                evidence: [Evidence(.snp, bytes: evidence)],
                endorsements: endorsements,
                configuration: Array("{}".utf8)
            ),
            expected: Appraiser.ExpectedBinding(
                reportData: reportData,
                tpmQualifyingData: [UInt8](repeating: 0, count: 32)
            ),
            policy: AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
            now: now
        )
    }
}
