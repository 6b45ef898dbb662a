internal import Appraisal
internal import Keys
internal import RATS
internal import Yams

/// The sections `nvidia_gpu` and `nvidia_switch` of a peer in a policy; every key but `roots` must
/// be there.
///
/// ```yaml
/// nvidia_gpu:
///   architectures: [hopper, blackwell]
///   mode: any                      # or some of spt, mpt, ppcie
///   driver: {at_least: "570.86.10"}  # or any, or exact versions: ["580.159.03"]
///   vbios: any                     # or {at_least: "96.00.5E.00.01"}, or exact versions
///   driver_rim: required           # reference manifest; or any: compared only if it is sent
///   vbios_rim: required
///   fwid: required                 # or any: drivers before 550 send none
///   ocsp: required                 # or any: bad answers still refuse
///   devices: any                   # or serial numbers of the devices' own certificates
///   # roots: {devices: [root.pem], manifests: [rim-root.pem]}   # in place of NVIDIA's
/// nvidia_switch: {bios: any, bios_rim: required, ocsp: required, devices: any}
/// ```
struct NVIDIASection {
    let node: PolicyNode

    func gpu(_ files: inout CertificateFiles) throws(Refusal) -> NVIDIAGPUPolicy {
        let names = [
            "architectures", "mode", "driver", "vbios", "driver_rim", "vbios_rim", "fwid", "ocsp",
            "devices",
        ]
        let fields = try node.fields(required: names, optional: ["roots"])
        return NVIDIAGPUPolicy(
            device: NVIDIADevicePolicy(
                vbios: try version(fields["vbios"], radix: 16),
                vbiosManifest: try requirement(fields["vbios_rim"]),
                ocsp: try requirement(fields["ocsp"]),
                devices: try devices(fields["devices"]),
                roots: try roots(fields["roots"], &files)
            ),
            architectures: try words(fields["architectures"]),
            modes: try modes(fields["mode"]),
            driver: try version(fields["driver"], radix: 10),
            driverManifest: try requirement(fields["driver_rim"]),
            firmwareID: try requirement(fields["fwid"])
        )
    }

    func nvswitch(_ files: inout CertificateFiles) throws(Refusal) -> NVIDIADevicePolicy {
        let fields = try node.fields(
            required: ["bios", "bios_rim", "ocsp", "devices"], optional: ["roots"])
        return NVIDIADevicePolicy(
            vbios: try version(fields["bios"], radix: 16),
            vbiosManifest: try requirement(fields["bios_rim"]),
            ocsp: try requirement(fields["ocsp"]),
            devices: try devices(fields["devices"]),
            roots: try roots(fields["roots"], &files)
        )
    }

    private func requirement(
        _ node: PolicyNode?
    ) throws(Refusal) -> NVIDIADevicePolicy.Requirement {
        try node?.word(NVIDIADevicePolicy.Requirement.self) ?? .required
    }

    private func words<Word: RawRepresentable & CaseIterable>(
        _ node: PolicyNode?
    ) throws(Refusal) -> [Word] where Word.RawValue == String {
        var words: [Word] = []
        for item in try node?.items() ?? [] { words.append(try item.word(Word.self)) }
        guard !words.isEmpty else {
            throw (node ?? self.node).refusal(
                "policy.value.refused",
                expected: "at least one of "
                    + Word.allCases.map(\.rawValue).joined(separator: ", "),
                got: "none")
        }
        return words
    }

    private func modes(_ node: PolicyNode?) throws(Refusal) -> NVIDIAGPUPolicy.Modes {
        node?.isAny == true ? .any : .oneOf(try words(node))
    }

    private func version(_ node: PolicyNode?, radix: Int) throws(Refusal) -> NVIDIAVersion {
        guard let node else { return .oneOf([]) }
        if node.isAny { return .any }
        guard case .mapping = node.node else {
            var versions: [String] = []
            for item in try node.items() { versions.append(try number(item, radix)) }
            return .oneOf(versions)
        }
        guard let least = try node.fields(required: ["at_least"])["at_least"] else {
            return .oneOf([])
        }
        return .atLeast(try number(least, radix))
    }

    private func number(_ node: PolicyNode, _ radix: Int) throws(Refusal) -> String {
        let text = try node.text()
        guard NVIDIAVersion.numbers(text, radix: radix) != nil else {
            throw node.refusal(
                "policy.value.refused",
                expected: radix == 10
                    ? "a version such as \"580.159.03\"" : "a version such as \"96.00.5E.00.01\"",
                got: text)
        }
        // VBIOS versions are in capitals, as NVIDIA's tools write them.
        return radix == 16 ? text.uppercased() : text
    }

    // RFC 5280 section 4.1.2.2: up to 20 bytes.
    private func devices(_ node: PolicyNode?) throws(Refusal) -> ReferenceValue {
        try node?.reference(Array(1...20)) ?? .oneOf([])
    }

    private func roots(
        _ node: PolicyNode?, _ files: inout CertificateFiles
    ) throws(Refusal) -> NVIDIARoots {
        guard let node else { return .nvidia }
        let fields = try node.fields(required: ["devices", "manifests"])
        var pins: [String: [[UInt8]]] = [:]
        for (name, value) in fields {
            pins[name] = try files.roots(value).map { Digest.sha256($0.spki) }
        }
        return NVIDIARoots(devices: pins["devices"] ?? [], manifests: pins["manifests"] ?? [])
    }
}
