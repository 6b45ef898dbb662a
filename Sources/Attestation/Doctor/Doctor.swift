internal import Keys
internal import RATS

/// Looks at every way in which this machine could produce Evidence, and says why each works or not.
///
/// What is there is put to work: it quotes three times over zeros, which no exchange takes.
/// Blocks for as long as that takes, usually below a second, some seconds for TDX.
public enum Doctor {
    /// Variables of the environment that name a TCTI, the first that is set wins.
    public static let tctiVariables = ["RATEL_TCTI", "TPM2TOOLS_TCTI", "TSS2_TCTI"]
    static let quotes = 3

    /// One finding for each interface, in a fixed order.
    ///
    /// `tcti` is the configured way to the TPM, if there is one; `environment` is asked for the
    /// variables above.
    public static func examine(
        tcti: String?,
        environment: [String: String] = [:],
        places: DevicePlaces = DevicePlaces()
    ) -> [Finding] {
        var findings = examineTrustRoots(places)
        findings.append(examineTPM(path: places.tpm))
        if let tcti {
            findings.append(examine(tcti: tcti, named: "TCTI of the configuration"))
        }
        for variable in tctiVariables {
            guard let found = environment[variable], found != tcti else { continue }
            findings.append(examine(tcti: found, named: "TCTI of \(variable)"))
        }
        findings.append(
            Finding(
                interface: "software key",
                place: "",
                state: .usable,
                detail: "simulated: vouches for nothing, and policies refuse it unless told",
                quoteMilliseconds: measureSimulated()
            )
        )
        return findings
    }

    private static func examineTPM(path: String) -> Finding {
        if let problem = HostFile.problem(path) {
            let state: Finding.State = HostFile.exists(path) ? .unusable : .absent
            let hint =
                state == .unusable ? "\(problem): add this user to the group `tss`" : problem
            return Finding(interface: "TPM 2.0", place: path, state: state, detail: hint)
        }
        return examine(tcti: "device:\(path)", named: "TPM 2.0")
    }

    /// Tries one TCTI.
    static func examine(tcti: String, named name: String) -> Finding {
        let settings = TPMAttester.Settings(tcti: tcti)
        return examine(TPMAttester(settings), named: name, place: tcti, describe: describe)
    }

    /// Has an Attester quote, and says how that went.
    static func examine(
        _ attester: any Attester,
        named name: String,
        place: String,
        describe: ([Evidence]) -> String
    ) -> Finding {
        let challenge = QuoteChallenge(
            tpmQualifyingData: [UInt8](repeating: 0, count: 32),
            gpuNonce: { _ in [UInt8](repeating: 0, count: 32) },
            reportData: { _ in [UInt8](repeating: 0, count: 64) }
        )
        var times: [Double] = []
        var last: [Evidence] = []
        do throws(Refusal) {
            for _ in 0..<quotes {
                let start = ContinuousClock.now
                last = try attester.quote(challenge)
                times.append(milliseconds(ContinuousClock.now - start))
            }
        } catch {
            return Finding(
                interface: name,
                place: place,
                state: .unusable,
                detail: "\(error.field): \(error.got)"
            )
        }
        return Finding(
            interface: name,
            place: place,
            state: .usable,
            detail: describe(last),
            quoteMilliseconds: times
        )
    }

    private static func describe(_ evidence: [Evidence]) -> String {
        guard let bytes = evidence.first?.bytes,
            let fields = try? CBORFields(decoding: bytes, allowed: Set(1...10)),
            let area = try? fields.bytes(3)
        else { return "quotes" }
        var parts = ["quotes; attestation key 000b\(Hex.encode(Digest.sha256(area)))"]
        let hasCertificate = fields.optional(6) != nil
        parts.append(hasCertificate ? "endorsement certificate" : "no endorsement certificate")
        parts.append(fields.optional(7) == nil ? "no event log" : "event log")
        if fields.optional(8) != nil { parts.append("vouched for by Azure's paravisor") }
        return parts.joined(separator: ", ")
    }

    private static func measureSimulated() -> [Double] {
        guard let attester = try? SimulatedAttester() else { return [] }
        let challenge = QuoteChallenge(
            tpmQualifyingData: [],
            gpuNonce: { _ in [] },
            reportData: { _ in [UInt8](repeating: 0, count: 64) }
        )
        return (0..<quotes).map { _ in
            let start = ContinuousClock.now
            _ = try? attester.quote(challenge)
            return milliseconds(ContinuousClock.now - start)
        }
    }

    private static func milliseconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) * 1000 + Double(attoseconds) / 1e15
    }
}
