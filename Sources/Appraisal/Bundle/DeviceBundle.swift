internal import Keys
internal import RATS

/// The Evidence of NVIDIA devices in files: `report.bin` with `cert-chain.pem`, or a pair for each
/// of several (`report-0.bin`, `cert-chain-0.pem` and so on); reference manifests
/// (`*-rim.swidtag.xml`) and OCSP answers (`ocsp*.der`) beside them.
struct DeviceBundle {
    let bundle: EvidenceBundle
    let anchors: TrustAnchors
    let now: Int64

    /// 8 GPUs and 4 switches are usual in one machine.
    private static let maximumDevices = 32

    init(_ bundle: EvidenceBundle, _ anchors: TrustAnchors, _ now: Int64) {
        self.bundle = bundle
        self.anchors = anchors
        self.now = now
    }

    /// The devices as a connection would bring them, for a policy to decide on, once the reports'
    /// signatures hold. GPUs stand in front of switches, as in an exchange.
    func evidence() throws(Refusal) -> [AuthenticEvidence] {
        var all: [NVIDIAEvidence] = []
        for suffix in several.isEmpty ? [""] : several.map({ "-\($0)" }) {
            let certificates = try chain(suffix)
            let device = NVIDIADevice(of: certificates)
            all.append(
                try NVIDIAEvidence(
                    report: NVIDIAReport(try report(suffix), of: device),
                    chain: NVIDIADeviceChain(certificates, of: device)))
        }
        let ordered =
            all.filter { $0.report.device == .gpu } + all.filter { $0.report.device != .gpu }
        return ordered.enumerated().map { index, evidence in
            AuthenticEvidence(
                format: evidence.report.device.format, index: UInt16(index),
                claims: evidence.claims, detail: .nvidia(evidence))
        }
    }

    /// What others say of them, as it would travel.
    var endorsements: [Endorsement] {
        manifests.map { Endorsement(mediaType: ReferenceManifest.mediaType, bytes: $0) }
            + answers.map { Endorsement(mediaType: NVIDIARevocation.mediaType, bytes: $0) }
    }

    private var several: [Int] {
        (0..<DeviceBundle.maximumDevices).prefix { bundle.file("report-\($0).bin") != nil }
    }

    func authenticate() throws(Refusal) -> BundleFindings {
        let several = several
        guard !several.isEmpty else { return findings(try claims("")) }
        var devices: [Claims] = []
        var chains: [NVIDIADeviceChain] = []
        for index in several {
            devices.append(try claims("-\(index)"))
            let certificates = try chain("-\(index)")
            chains.append(
                try NVIDIADeviceChain(certificates, of: NVIDIADevice(of: certificates)))
        }
        guard NVIDIADeviceChain.areDistinct(chains) else {
            throw Refusal(
                "nvidia.device.duplicate", .evidence, kind: "nvidia_gpu", field: "devices",
                expected: "each device once", got: "one of them twice",
                remedy: "one device answered for several; look at the machine")
        }
        var all = Claims()
        all.set("devices", .list(devices.map { .group($0) }))
        return findings(all, of: devices)
    }

    private func findings(_ claims: Claims, of devices: [Claims]? = nil) -> BundleFindings {
        var findings = BundleFindings(
            .nvidia, claims: claims,
            checked: ["report signature", "device certificate chain", "firmware id"])
        let devices = devices ?? [claims]
        if !manifests.isEmpty {
            findings.checked.append("reference manifests: signature, chain and golden values")
        }
        if devices.contains(where: {
            $0["driver_rim"] != .flag(true) && $0["driver_version"] != nil
        }) {
            findings.gaps.append("driver: no reference manifest is there")
        }
        if devices.contains(where: { $0["vbios_rim"] != .flag(true) }) {
            findings.gaps.append("VBIOS: no reference manifest is there")
        }
        if answers.isEmpty {
            findings.gaps.append("revocation: no OCSP answer is there, and these exist online only")
        }
        return findings
    }

    private func report(_ suffix: String) throws(Refusal) -> [UInt8] {
        try bundle.required("report\(suffix).bin", "GET_MEASUREMENTS request and response")
    }

    private func chain(_ suffix: String) throws(Refusal) -> [[UInt8]] {
        let name = "cert-chain\(suffix).pem"
        let pem = try bundle.required(name, "the device's certificates, leaf first")
        do throws(KeyError) {
            return try Certificate.read(pem: String(decoding: pem, as: UTF8.self)).map(\.der)
        } catch {
            throw Refusal(
                "nvidia.chain.malformed", .evidence, kind: "nvidia", field: name,
                expected: "certificates in PEM", got: error.description,
                remedy: "give the chain as NVML hands it out")
        }
    }

    private func claims(_ suffix: String) throws(Refusal) -> Claims {
        let chain = try chain(suffix)
        return try NVIDIAVerification(
            report: try report(suffix), certificates: chain, manifests: manifests, answers: answers,
            roots: NVIDIARoots(
                devices: NVIDIARoots.nvidia.devices + anchors.pins,
                manifests: NVIDIARoots.nvidia.manifests + anchors.pins)
        ).claims(now: now)
    }

    private var manifests: [[UInt8]] { files { $0.hasSuffix("-rim.swidtag.xml") } }
    private var answers: [[UInt8]] { files { $0.hasPrefix("ocsp") && $0.hasSuffix(".der") } }

    private func files(_ isOne: (String) -> Bool) -> [[UInt8]] {
        bundle.files.filter { isOne($0.key) }.sorted { $0.key < $1.key }.map(\.value)
    }
}
