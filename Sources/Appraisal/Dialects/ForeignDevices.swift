internal import Keys
internal import RATS

/// Evidence of NVIDIA GPUs as NVIDIA's own tools write it, and others after them: `{"certificate",
/// "evidence", ?"nonce"}`, base64 of the chain in PEM, leaf first, and of GET_MEASUREMENTS request
/// and response. The nonce of that request is the nonce of the answer that it came in.
enum ForeignDevices {
    /// GPUs of one machine: `Appraiser.maxEvidence` less the CPU, and as many switches.
    static let maxDevices = 16

    /// Reads `items`, numbered in their order; each nonce that is written has to be `nonce`.
    static func evidence(
        _ items: [JSONValue], nonce: [UInt8], in dialect: Dialect
    ) throws(Refusal) -> [Evidence] {
        guard items.count <= maxDevices else {
            throw AttestationEndpoint.malformed(dialect, "GPUs", "at most \(maxDevices)")
        }
        var evidence: [Evidence] = []
        for (index, item) in items.enumerated() {
            guard let report = item["evidence"]?.text.flatMap({ Base64.decode(Array($0.utf8)) }),
                let pem = item["certificate"]?.text.flatMap({ Base64.decode(Array($0.utf8)) }),
                let chain = try? Certificate.read(
                    pem: pem, limit: NVIDIADeviceChain.sizes.upperBound)
            else {
                throw AttestationEndpoint.malformed(
                    dialect, "GPU \(index)", "certificate and evidence in base64")
            }
            if let said = item["nonce"] { try check(said, nonce, in: dialect) }
            evidence.append(
                Evidence(
                    .nvidiaGPU, index: UInt16(index),
                    bytes: CBORValue.fields([
                        (1, .bytes(report)), (2, .array(chain.map { .bytes($0.der) })),
                    ]).encoded()))
        }
        return evidence
    }

    /// Refuses a nonce, as it is written, that is not `nonce`.
    static func check(
        _ said: JSONValue?, _ nonce: [UInt8], in dialect: Dialect
    ) throws(Refusal) {
        guard let bytes = said?.text.flatMap(Hex.decode), ConstantTime.equal(bytes, nonce) else {
            throw AttestationEndpoint.refusal(
                dialect, "nonce", "nonce of the GPUs", Hex.encode(nonce), said?.text ?? "none")
        }
    }
}

extension CarriedEvidence {
    /// The same with GPUs beside, whose requests have to have had `nonce`.
    func with(_ devices: [Evidence], nonce: [UInt8]) -> CarriedEvidence {
        var copy = CarriedEvidence(
            dialect, place, formula: formula, evidence: evidence + devices,
            endorsements: endorsements,
            expected: Appraiser.ExpectedBinding(
                reportData: expected.reportData, tpmQualifyingData: expected.tpmQualifyingData,
                nitro: expected.nitro, gpuNonces: devices.map { _ in nonce }))
        (copy.events, copy.coversKey, copy.gaps) = (events, coversKey, gaps)
        return copy
    }
}
