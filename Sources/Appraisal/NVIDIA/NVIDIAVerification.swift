internal import Keys
public import RATS

/// Whether the Evidence of an NVIDIA device is authentic, with no policy and no connection: for
/// files, and for looking at a machine.
///
/// Structure, signature, chain, firmware id, and whatever manifests and OCSP answers are there:
/// these must be authentic, of this device and its versions, and agree with it.
public struct NVIDIAVerification: Sendable {
    /// GET_MEASUREMENTS request and response, one behind the other, at most 8192 bytes.
    public let report: [UInt8]
    /// The device's certificates, DER, leaf first, root last.
    public let certificates: [[UInt8]]
    /// Reference manifests, signed SWID tags; may be none.
    public let manifests: [[UInt8]]
    /// OCSP answers, DER; may be none.
    public let answers: [[UInt8]]
    /// The roots to anchor in.
    public let roots: NVIDIARoots

    /// Collects what is to be verified.
    public init(
        report: [UInt8],
        certificates: [[UInt8]],
        manifests: [[UInt8]] = [],
        answers: [[UInt8]] = [],
        roots: NVIDIARoots = .nvidia
    ) {
        self.report = report
        self.certificates = certificates
        self.manifests = manifests
        self.answers = answers
        self.roots = roots
    }

    /// The kind of device that the certificates are of: a switch says so, all else is a GPU's.
    public var device: NVIDIADevice { NVIDIADevice(of: certificates) }

    /// Gives the claims if everything holds at the Unix time `now`.
    public func claims(now: Int64) throws(Refusal) -> Claims {
        let device = device
        let report = try NVIDIAReport(report, of: device)
        let chain = try NVIDIADeviceChain(certificates, of: device)
        try chain.checkSignature(of: report)
        try chain.checkTrust(roots.devices, now: now)
        try chain.checkFirmware(of: report)
        let revocation = NVIDIARevocation(
            device: device, answers: answers, isRequired: false, now: now)
        var good = try revocation.check(chain.certificates, from: 1, "device")
        var read: [ReferenceManifest] = []
        for bytes in manifests {
            let manifest = try ReferenceManifest(bytes, for: device)
            try manifest.checkTrust(roots.manifests, now: now, for: device)
            good += try revocation.check(manifest.certificates, from: 0, "manifest")
            read.append(manifest)
        }
        let comparison = ManifestComparison(report: report, chip: chain.chip)
        let (driver, vbios) = comparison.applicable(read)
        guard [driver, vbios].compactMap(\.self).count == read.count else {
            throw device.refusal(
                "rim.version", .policy, "reference manifests",
                "\(chain.chip) \(report.driverVersion.map { "\($0) or " } ?? "")"
                    + report.vbiosVersion,
                read.map { "\($0.product) \($0.version)" }.joined(separator: ", "),
                "fetch the manifests of the versions that the device reports")
        }
        try comparison.check(driver, vbios)
        var claims = report.claims
        chain.addClaims(to: &claims)
        claims.set("driver_rim", .flag(driver != nil))
        claims.set("vbios_rim", .flag(vbios != nil))
        claims.set("ocsp_good", .number(UInt64(good)))
        return claims
    }
}
