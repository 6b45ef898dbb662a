internal import Keys
internal import RATS

/// The certificates of a device: the key that signs reports, the device's own authority, and those
/// of the manufacturer up to the root, in this order.
struct NVIDIADeviceChain: Sendable {
    /// Five in practice; NVML's buffer has room for six of them.
    static let sizes = 3...6

    let device: NVIDIADevice
    let certificates: [Certificate]
    /// The chip as reference manifests name it: `GH100`, `GB100`, `LS10`.
    let chip: String

    /// The key that signs reports.
    var leaf: Certificate { certificates[0] }
    /// The authority burnt into the device, which the manufacturer certified once: its identity.
    var identity: Certificate { certificates[1] }
    /// The last one; nobody has compared it with a pin yet.
    var root: Certificate { certificates[certificates.count - 1] }

    /// Checks number, order and roles; signatures and the root come later.
    init(_ encoded: [[UInt8]], of device: NVIDIADevice) throws(Refusal) {
        guard NVIDIADeviceChain.sizes.contains(encoded.count) else {
            throw device.refusal(
                "chain.malformed", .evidence, "certificate chain",
                "\(NVIDIADeviceChain.sizes.lowerBound) to \(NVIDIADeviceChain.sizes.upperBound)",
                "\(encoded.count)", "have the peer send the chain that NVML gives, root included")
        }
        var certificates: [Certificate] = []
        for der in encoded {
            do throws(KeyError) {
                certificates.append(try Certificate.read(der: der))
            } catch {
                throw device.refusal(
                    "chain.malformed", .evidence, "certificate", "X.509 in DER", error.description)
            }
        }
        for (lower, upper) in zip(certificates, certificates.dropFirst()) {
            guard lower.issuer == upper.subject, upper.isAuthority else {
                throw device.refusal(
                    "chain.order", .evidence, "certificate chain",
                    "each followed by the authority that issued it",
                    "\(lower.issuer), then \(upper.subject)")
            }
        }
        guard !certificates[0].isAuthority, certificates[0].publicKey.algorithm == .p384 else {
            throw device.refusal(
                "chain.leaf", .evidence, "certificate of the signing key",
                "a P-384 key, not an authority", certificates[0].subject)
        }
        self.device = device
        self.certificates = certificates
        chip = try NVIDIADeviceChain.chip(certificates, device)
    }

    /// Whether each is of a device of its own: no two share the key of identity, or of reports.
    static func areDistinct(_ chains: [NVIDIADeviceChain]) -> Bool {
        [\NVIDIADeviceChain.identity, \.leaf].allSatisfy { key in
            Set(chains.map { $0[keyPath: key].spki }).count == chains.count
        }
    }

    // The device names itself in the leaf; what the manufacturer certified it to be is in the name
    // of the authority above the device's own.
    private static func chip(
        _ certificates: [Certificate],
        _ device: NVIDIADevice
    ) throws(Refusal) -> String {
        let leaf = DistinguishedName.commonName(certificates[0].subject) ?? ""
        let maker = DistinguishedName.commonName(certificates[2].subject) ?? ""
        let parts = maker.split(separator: " ")
        let name = parts.count > 1 && parts[0] == "NVIDIA" ? String(parts[1]) : ""
        let isSwitch = name.hasPrefix("LS")
        let isGPU = name.hasPrefix("GH") || name.hasPrefix("GB")
        guard device == .gpu ? isGPU : isSwitch, leaf.hasPrefix(name + " ") else {
            throw device.refusal(
                "chain.device", .evidence, "certificate chain",
                device == .gpu ? "a GPU of Hopper or Blackwell" : "an NVSwitch",
                "\(leaf) under \(maker)", "the Evidence is of another kind of device")
        }
        return name.filter { $0 != "_" }
    }

    /// Whether the report is signed by the leaf.
    func checkSignature(of report: NVIDIAReport) throws(Refusal) {
        let holds = leaf.publicKey.verifies(
            raw: report.spdm.signature, over: report.spdm.signed, digest: .sha384)
        guard holds else {
            throw device.refusal(
                "signature.invalid", .evidence, "signature", "one by \(leaf.subject)", "another",
                "the report was changed, or is of another device than the certificates")
        }
    }

    /// Whether the certificates lead to a pinned root, valid at the Unix time `now`.
    func checkTrust(_ roots: [[UInt8]], now: Int64) throws(Refusal) {
        guard roots.contains(Digest.sha256(root.spki)) else {
            throw device.refusal(
                "root.unknown", .evidence, "root certificate",
                roots.map(Hex.encode).joined(separator: " or "),
                Hex.encode(Digest.sha256(root.spki)),
                "have the peer send the whole chain; if its root is right, name it as an anchor")
        }
        do throws(KeyError) {
            try CertificateChain.validate(
                leaf,
                intermediates: Array(certificates[1..<certificates.count - 1]),
                anchors: [root],
                now: now
            )
        } catch {
            throw device.refusal(
                "chain.invalid", .evidence, "certificate chain",
                "one from the signing key to the root, valid now", error.description,
                "compare the clocks; else the certificates were changed")
        }
    }

    /// Whether the firmware that the report names is the one that the leaf was issued for.
    func checkFirmware(of report: NVIDIAReport) throws(Refusal) {
        guard let reported = report.fwid else { return }
        let certified = NVIDIAFirmwareID.certified(by: leaf)
        guard let certified, certified == reported else {
            throw device.refusal(
                "fwid.mismatch", .evidence, "FWID",
                certified.map(Hex.encode) ?? "one in the certificate", Hex.encode(reported),
                "the certificate was issued to other firmware")
        }
    }

    /// The claims that only certificates tell.
    func addClaims(to claims: inout Claims) {
        claims.set("hwmodel", .text(DistinguishedName.commonName(leaf.subject) ?? ""))
        claims.set("chip", .text(chip))
        claims.set("device_serial", .bytes(identity.serial))
        // RFC 4514 section 3 has no short name for serialNumber; OpenSSL writes one.
        let subject = leaf.subject.replacing(",serialNumber=", with: ",2.5.4.5=")
        claims.set("leaf_subject", .text(subject))
        claims.set("leaf_serial", .bytes(leaf.serial))
        claims.set(
            "chain_subjects",
            .list(
                certificates.map { .text(DistinguishedName.commonName($0.subject) ?? $0.subject) }))
    }
}
