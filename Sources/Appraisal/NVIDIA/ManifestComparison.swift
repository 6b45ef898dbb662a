internal import Keys
internal import RATS

/// The comparison of a report's measurements with the reference manifests of its versions.
///
/// Manifest index i is measurement block i + 1. Developer tools and debug firmware change what is
/// measured: a device with them matches no manifest.
struct ManifestComparison {
    /// The index that means something only while NVDEC0 is enabled, as NVIDIA's verifier has it.
    private static let conditionalIndex = 35

    let report: NVIDIAReport
    let chip: String

    private var device: NVIDIADevice { report.device }

    /// The manifests among `manifests` that are of this device and its versions; which of those the
    /// policy requires is for it to say.
    func applicable(
        _ manifests: [ReferenceManifest]
    ) -> (driver: ReferenceManifest?, vbios: ReferenceManifest?) {
        let own = manifests.filter { $0.product == chip }
        let driver = own.first { $0.version == report.driverVersion }
        return (driver, own.first { $0.version == report.vbiosVersion })
    }

    /// Returns if every active value of each manifest was measured.
    func check(_ driver: ReferenceManifest?, _ vbios: ReferenceManifest?) throws(Refusal) {
        let common = Set((driver?.active ?? [:]).keys).intersection((vbios?.active ?? [:]).keys)
        if let index = common.min() {
            throw device.refusal(
                "rim.conflict", .policy, "index \(index)", "in one manifest", "in both",
                "fetch both manifests from NVIDIA's RIM service again")
        }
        for (name, manifest) in [("driver", driver), ("VBIOS", vbios)] {
            for (index, values) in (manifest?.active ?? [:]).sorted(by: { $0.key < $1.key }) {
                try check(index, values, name)
            }
        }
    }

    private func check(_ index: Int, _ values: [[UInt8]], _ name: String) throws(Refusal) {
        if index == ManifestComparison.conditionalIndex, device == .gpu {
            guard let isEnabled = report.isNVDEC0Enabled else {
                throw device.refusal(
                    "nvdec0.missing", .policy, "NVDEC0 status", "aa or 55", "none",
                    "update the GPU's driver")
            }
            if !isEnabled { return }
        }
        let measured = report.spdm.measurements[UInt8(index + 1)]
        guard let measured, values.contains(measured) else {
            throw device.refusal(
                "measurement.mismatch", .policy,
                "measurement \(index + 1) (index \(index) of the \(name) manifest)",
                values.map(Hex.encode).joined(separator: " or "),
                measured.map(Hex.encode) ?? "none",
                "other firmware than NVIDIA signed, or developer tools; do not use the device")
        }
    }
}
