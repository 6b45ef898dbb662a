internal import Keys
public import RATS

/// The GPUs of this machine, asked through NVIDIA's management library (NVML).
///
/// Evidence is CBOR `{1: request and response, 2: [certificates, DER, leaf first]}`, one for each
/// GPU in the order of NVML. NVSwitches are asked otherwise, and not by this version.
public struct NVIDIAAttester: Attester {
    /// Where the driver puts its library, for the dynamic linker to find.
    public static let defaultLibrary = "libnvidia-ml.so.1"
    /// More than any machine has, and what a policy can ask for.
    private static let maxDevices = 16

    private let library: NVMLLibrary

    /// Loads the library at `path`, or by that name. Errors: `Refusal` at stage `attestation`.
    public init(library path: String = NVIDIAAttester.defaultLibrary) throws(Refusal) {
        library = try NVMLLibrary(path)
    }

    public var name: String { "NVIDIA GPU" }
    public var kinds: [EvidenceKind] { [.gpu] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        try library.checkMode()
        let count = try library.deviceCount()
        guard (1...NVIDIAAttester.maxDevices).contains(count) else {
            throw NVMLLibrary.refusal(
                "nvidia.devices", "GPUs", "1 to \(NVIDIAAttester.maxDevices)", "\(count)")
        }
        var evidence: [Evidence] = []
        for index in 0..<count {
            let nonce = challenge.gpuNonce(UInt32(index))
            let body = CBORValue.fields([
                (1, .bytes(try library.report(of: index, nonce: nonce))),
                (2, .array(try certificates(of: index).map(CBORValue.bytes))),
            ])
            evidence.append(
                Evidence(.nvidiaGPU, index: UInt16(index), bytes: body.encoded()))
        }
        return evidence
    }

    private func certificates(of index: Int) throws(Refusal) -> [[UInt8]] {
        let pem = try library.certificates(of: index)
        do throws(KeyError) {
            return try Certificate.read(pem: pem).map(\.der)
        } catch {
            throw NVMLLibrary.refusal(
                "nvidia.nvml.failed", "attestation certificates", "PEM", error.description)
        }
    }
}
