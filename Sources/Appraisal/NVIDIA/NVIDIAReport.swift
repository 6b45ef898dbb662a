internal import Keys
internal import RATS

/// What an NVIDIA device reports about itself, decoded; not yet believed.
struct NVIDIAReport: Sendable {
    typealias Mode = NVIDIAGPUPolicy.Mode

    let device: NVIDIADevice
    let spdm: SPDMMeasurements
    let opaque: NVIDIAOpaqueData
    /// The version of the driver, such as `580.159.03`; `nil` for a switch.
    let driverVersion: String?
    /// The version of VBIOS or BIOS, such as `96.00.5E.00.01`.
    let vbiosVersion: String
    /// SHA-384 of the first firmware; older drivers and switches send none.
    let fwid: [UInt8]?
    /// `nil` where neither feature flag nor protected PCIe status is sent.
    let mode: Mode?
    /// Whether measurement 36 (index 35) means something; `nil` where that is not said.
    let isNVDEC0Enabled: Bool?

    init(_ bytes: [UInt8], of device: NVIDIADevice) throws(Refusal) {
        self.device = device
        spdm = try SPDMMeasurements(bytes, of: device)
        opaque = try NVIDIAOpaqueData(spdm.opaque, of: device)
        driverVersion = opaque.text(.driverVersion)
        guard (driverVersion != nil) == (device == .gpu) else {
            throw device.malformed(
                "driver version", device == .gpu ? "visible ASCII" : "none", "another")
        }
        guard let version = NVIDIAReport.vbiosVersion(opaque, device) else {
            throw device.malformed("VBIOS version", "5 bytes, or its text", "another")
        }
        vbiosVersion = version
        fwid = opaque[.fwid]
        guard fwid?.count ?? 48 == 48 else { throw device.malformed("FWID", "48 bytes", "others") }
        mode = try NVIDIAReport.mode(opaque, device)
        isNVDEC0Enabled = try NVIDIAReport.flag(opaque, .nvdec0Status, device)
        guard opaque.identifiers(.switchPDI) != nil, opaque.identifiers(.switchGPUPDIs) != nil
        else { throw device.malformed("PDI", "8 bytes each", "others") }
    }

    // A GPU has the last byte of the version before the first four, reversed and padded to 8.
    private static func vbiosVersion(_ opaque: NVIDIAOpaqueData, _ device: NVIDIADevice) -> String?
    {
        guard device == .gpu else { return opaque.text(.vbiosVersion) }
        guard let bytes = opaque[.vbiosVersion], bytes.count == 8, bytes[5...] == [0, 0, 0] else {
            return nil
        }
        let parts = [bytes[3], bytes[2], bytes[1], bytes[0], bytes[4]]
        return parts.map { Hex.encode([$0]).uppercased() }.joined(separator: ".")
    }

    // 0xAA for yes and 0x55 for no, so that a stuck bit is neither.
    private static func flag(
        _ opaque: NVIDIAOpaqueData,
        _ field: NVIDIAOpaqueData.Field,
        _ device: NVIDIADevice
    ) throws(Refusal) -> Bool? {
        switch opaque[field] {
        case nil: return nil
        case [0xAA]: return true
        case [0x55]: return false
        case let other?:
            throw device.malformed("\(field)", "aa or 55", Hex.encode(other))
        }
    }

    private static func mode(
        _ opaque: NVIDIAOpaqueData,
        _ device: NVIDIADevice
    ) throws(Refusal) -> Mode? {
        let isProtected = try flag(opaque, .protectedPCIeStatus, device)
        guard let value = opaque[.featureFlag] else {
            return isProtected == true ? .protectedPCIe : nil
        }
        guard value.count == 2, value[1] == 0, value[0] < Mode.allCases.count else {
            throw device.malformed("feature flag", "0, 1 or 2", Hex.encode(value))
        }
        let mode = Mode.allCases[Int(value[0])]
        guard isProtected == nil || isProtected == (mode == .protectedPCIe) else {
            throw device.malformed(
                "feature flag", "what the protected PCIe status says", mode.rawValue)
        }
        return mode
    }

    /// The claims, under the names of NVIDIA's attestation SDK.
    var claims: Claims {
        var claims = Claims()
        claims.set("kind", .text(device == .gpu ? "gpu" : "nvswitch"))
        claims.set("request_nonce", .bytes(spdm.requestNonce))
        claims.set("response_nonce", .bytes(spdm.responseNonce))
        claims.set("spdm_version", .text("0x11"))
        claims.set("number_of_blocks", .number(UInt64(spdm.measurements.count)))
        if let driverVersion { claims.set("driver_version", .text(driverVersion)) }
        claims.set("vbios_version", .text(vbiosVersion))
        if let mode { claims.set("mode", .text(mode.rawValue)) }
        let texts: [(String, NVIDIAOpaqueData.Field)] = [
            ("project", .project), ("project_sku", .projectSKU), ("chip_sku", .chipSKU),
        ]
        for (name, field) in texts {
            if let text = opaque.text(field) { claims.set(name, .text(text)) }
        }
        if let fwid { claims.set("fwid", .bytes(fwid)) }
        for field in opaque.fields {
            claims.set("opaque_fields.\(field.type)", .bytes(field.value))
        }
        for (index, value) in spdm.measurements.sorted(by: { $0.key < $1.key }) {
            claims.set("measurements.\(index)", .bytes(value))
        }
        return claims
    }
}
