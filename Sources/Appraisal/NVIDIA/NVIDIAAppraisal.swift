internal import Keys
internal import RATS

/// The appraisal of all NVIDIA devices of one machine under one policy: appraisal.md, "NVIDIA GPU".
struct NVIDIAAppraisal {
    /// One device with the index that its nonce was made for.
    struct Device {
        let index: UInt16
        let evidence: NVIDIAEvidence
    }

    let gpu: NVIDIAGPUPolicy?
    let nvswitch: NVIDIADevicePolicy?
    let devices: [Device]
    let endorsements: [Endorsement]
    let now: Int64

    /// Returns if everything holds, for each device and between them.
    func run() throws(Refusal) {
        try NVIDIAComposition(devices: devices).check()
        let answers = endorsements.filter { $0.mediaType == NVIDIARevocation.mediaType }
            .map(\.bytes)
        var manifests: [NVIDIADevice: ManifestShelf] = [:]
        for item in devices {
            let evidence = item.evidence
            let device = evidence.report.device
            let policy = try policy(for: device)
            let revocation = NVIDIARevocation(
                device: device, answers: answers, isRequired: policy.ocsp == .required, now: now)
            let shelf =
                manifests[device]
                ?? ManifestShelf(endorsements, policy.roots, revocation)
            manifests[device] = shelf
            try evidence.chain.checkTrust(policy.roots.devices, now: now)
            try evidence.chain.checkFirmware(of: evidence.report)
            try revocation.check(evidence.chain.certificates, from: 1, "device")
            try check(evidence, policy, shelf)
        }
    }

    private func policy(for device: NVIDIADevice) throws(Refusal) -> NVIDIADevicePolicy {
        if let policy = device == .gpu ? gpu?.device : nvswitch { return policy }
        throw Refusal(
            "policy.\(device.rawValue).missing", .policy, kind: device.rawValue,
            field: device.rawValue, expected: "a section `\(device.rawValue)`", got: "none",
            remedy: "write what the \(device.rawValue) Evidence has to show")
    }

    private func check(
        _ evidence: NVIDIAEvidence,
        _ policy: NVIDIADevicePolicy,
        _ shelf: ManifestShelf
    ) throws(Refusal) {
        let report = evidence.report
        let device = report.device
        if device == .gpu, let gpu { try check(evidence, gpu) }
        guard policy.vbios.accepts(report.vbiosVersion, radix: 16) else {
            throw device.refusal(
                "vbios.version", .policy, "VBIOS version", policy.vbios.shown,
                report.vbiosVersion, "update the device's firmware, or change `vbios`")
        }
        guard policy.devices.accepts(evidence.chain.identity.serial) else {
            var expected = "any"
            if case .oneOf(let serials) = policy.devices {
                expected = serials.map(Hex.encode).joined(separator: " or ")
            }
            throw device.refusal(
                "device.refused", .policy, "device_serial", expected,
                Hex.encode(evidence.chain.identity.serial),
                "another device; if that is right, change `devices`")
        }
        let comparison = ManifestComparison(report: report, chip: evidence.chain.chip)
        let (driver, vbios) = comparison.applicable(shelf.manifests)
        if gpu?.driverManifest == .required, device == .gpu, driver == nil {
            throw shelf.missing("driver", report.driverVersion ?? "", evidence)
        }
        if policy.vbiosManifest == .required, vbios == nil {
            throw shelf.missing("vbios", report.vbiosVersion, evidence)
        }
        try comparison.check(driver, vbios)
    }

    private func check(_ evidence: NVIDIAEvidence, _ policy: NVIDIAGPUPolicy) throws(Refusal) {
        let report = evidence.report
        let chip = evidence.chain.chip
        guard policy.architectures.contains(where: { chip.hasPrefix($0.prefix) }) else {
            throw report.device.refusal(
                "architecture.refused", .policy, "architecture",
                policy.architectures.map(\.rawValue).joined(separator: " or "), chip,
                "another GPU; if it is right, write it under `architectures`")
        }
        guard policy.driver.accepts(report.driverVersion ?? "", radix: 10) else {
            throw report.device.refusal(
                "driver.version", .policy, "driver version", policy.driver.shown,
                report.driverVersion ?? "none", "update the driver, or change `driver`")
        }
        if case .oneOf(let modes) = policy.modes {
            guard let mode = report.mode, modes.contains(mode) else {
                throw report.device.refusal(
                    "mode.refused", .policy, "mode",
                    modes.map(\.rawValue).joined(separator: " or "),
                    report.mode?.rawValue ?? "none named",
                    "set the GPU's mode, or change `modes`")
            }
        }
        guard policy.firmwareID == .any || report.fwid != nil else {
            throw report.device.refusal(
                "fwid.missing", .policy, "FWID", "48 bytes", "none",
                "update the driver, or write `fwid: any`")
        }
    }
}
