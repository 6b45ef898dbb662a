internal import Keys
internal import RATS

/// What OCSP says about a chain of NVIDIA's; their certificates have no other revocation.
struct NVIDIARevocation {
    /// The media type of an Endorsement that is an answer.
    static let mediaType = "application/ocsp-response"

    let device: NVIDIADevice
    /// The answers that came with the Evidence, DER.
    let answers: [[UInt8]]
    /// Whether each certificate needs an answer.
    let isRequired: Bool
    let now: Int64

    /// Checks every certificate from place `first` of `chain`, whose last one is the root.
    ///
    /// The leaf of a device is issued by the device itself, which answers nobody: NVIDIA's verifier
    /// begins at the one above it too. Gives how many certificates an answer calls good.
    @discardableResult
    func check(_ chain: [Certificate], from first: Int, _ what: String) throws(Refusal) -> Int {
        var count = 0
        for index in first..<chain.count - 1 {
            if try isGood(chain, index, what) {
                count += 1
            } else if isRequired {
                throw refusal(
                    "ocsp.missing", chain[index], what, "a current OCSP answer", "none",
                    "have the peer send the answers of NVIDIA's OCSP service, or write `ocsp: any`")
            }
        }
        return count
    }

    // One bad answer counts more than any number of good ones.
    private func isGood(_ chain: [Certificate], _ index: Int, _ what: String) throws(Refusal)
        -> Bool
    {
        var isGood = false
        var failure: KeyError?
        for answer in answers {
            let status: CertificateStatus?
            do throws(KeyError) {
                status = try StatusAnswer.statement(
                    of: chain[index],
                    issuer: chain[index + 1],
                    in: answer,
                    intermediates: Array(chain[(index + 1)...]),
                    anchor: chain[chain.count - 1],
                    now: now
                )?.status
            } catch {
                // Answers for other chains do not parse worse; this one spoke of the certificate.
                if error.reason != .malformed { failure = error }
                continue
            }
            switch status {
            case nil: continue
            case .good: isGood = true
            case .onHold:
                throw refusal(
                    "ocsp.hold", chain[index], what, "good", "certificateHold",
                    "NVIDIA has suspended the device or manifest; ask NVIDIA")
            case .revoked(let reason):
                throw refusal(
                    "ocsp.revoked", chain[index], what, "good", "revoked (reason \(reason))",
                    "do not use the device or manifest")
            case .unknown:
                throw refusal(
                    "ocsp.unknown", chain[index], what, "good", "unknown to its issuer",
                    "do not use the device or manifest")
            }
        }
        if !isGood, let failure {
            throw refusal(
                "ocsp.invalid", chain[index], what, "an answer of its issuer, current",
                failure.description, "fetch the answer again")
        }
        return isGood
    }

    private func refusal(
        _ code: String, _ certificate: Certificate, _ what: String, _ expected: String,
        _ got: String, _ remedy: String
    ) -> Refusal {
        device.refusal(
            code, .evidence, "\(what) certificate \(certificate.subject)", expected, got, remedy)
    }
}
