internal import Keys
internal import RATS

/// What kind of NVIDIA device Evidence is of.
public enum NVIDIADevice: String, Sendable, CaseIterable {
    /// A GPU: Hopper or Blackwell.
    case gpu = "nvidia_gpu"
    /// An NVSwitch: LS10.
    case nvswitch = "nvidia_switch"

    var format: EvidenceFormat { self == .gpu ? .nvidiaGPU : .nvidiaSwitch }

    /// The kind that certificates (DER, leaf first) are of: a switch says so, all else is a GPU's.
    init(of certificates: [[UInt8]]) {
        let leaf = certificates.first.flatMap { try? Certificate.read(der: $0) }
        let name = leaf.flatMap { DistinguishedName.commonName($0.subject) } ?? ""
        self = name.hasPrefix("LS") ? .nvswitch : .gpu
    }

    /// A refusal of Evidence of this kind.
    func refusal(
        _ code: String, _ stage: Refusal.Stage, _ field: String, _ expected: String,
        _ got: String,
        _ remedy: String = "the Evidence does not agree with itself; look at the machine"
    ) -> Refusal {
        Refusal(
            "nvidia." + code, stage, kind: rawValue, field: field, expected: expected, got: got,
            remedy: remedy)
    }

    func malformed(_ field: String, _ expected: String, _ got: String) -> Refusal {
        refusal("malformed", .evidence, field, expected, got)
    }
}
