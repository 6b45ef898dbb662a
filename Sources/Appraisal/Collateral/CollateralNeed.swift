internal import Keys
public import RATS

/// A piece of what vendors say about their platforms, that Evidence cannot be appraised without.
public enum CollateralNeed: Sendable, Hashable, CustomStringConvertible {
    /// Intel's TCB info, QE identity and revocation lists for platforms of one kind.
    case dcap(tee: String, fmspc: [UInt8], ca: String)
    /// The certificate of one AMD chip's key at one TCB, in the order of AMD's KDS.
    case vcek(product: SNPProduct, chip: [UInt8], tcb: SNPTCB)
    /// AMD's certificates above it, and the revocation list of the root.
    case amd(product: SNPProduct, isLoaded: Bool)
    /// The reference manifest of one version of an NVIDIA GPU's driver or VBIOS, by its name at
    /// NVIDIA's RIM service.
    case manifest(id: String, chip: String, version: String)
    /// What NVIDIA's OCSP service says of each certificate of a chain but the last, its root; DER.
    case status(chain: [[UInt8]])

    /// A name without anything that tells machines apart but the kind of platform: for logs.
    public var description: String {
        switch self {
        case .dcap(let tee, let fmspc, let ca): "dcap \(tee) \(Hex.encode(fmspc)) \(ca)"
        case .vcek(let product, let chip, _):
            "vcek \(product.rawValue) \(Hex.encode(Array(chip.prefix(4))))"
        case .amd(let product, let isLoaded):
            "amd \(product.rawValue) \(isLoaded ? "vlek" : "vcek")"
        case .manifest(let id, _, _): "rim \(id)"
        case .status(let chain): "ocsp \(CollateralNeed.hash(of: chain).prefix(8))"
        }
    }

    /// A stable name for files, at most 255 characters of letters, digits and `-`.
    public var fileName: String {
        switch self {
        case .dcap(let tee, let fmspc, let ca): return "dcap-\(tee)-\(Hex.encode(fmspc))-\(ca)"
        case .vcek(let product, let chip, let tcb):
            let parts = tcb.parts.map { "\($0.name)\($0.value)" }.joined(separator: "-")
            // The whole identifier has 128 digits; its hash tells chips apart as well.
            let hash = Hex.encode(Array(Digest.sha256(chip).prefix(16)))
            return "vcek-\(product.rawValue)-\(hash)-\(parts)"
        case .amd(let product, let isLoaded):
            return "amd-\(product.rawValue)-\(isLoaded ? "vlek" : "vcek")"
        case .manifest(let id, _, _): return "rim-\(id)"
        case .status(let chain): return "ocsp-\(CollateralNeed.hash(of: chain))"
        }
    }

    private static func hash(of chain: [[UInt8]]) -> String {
        Hex.encode(Array(Digest.sha256(chain.flatMap(Digest.sha256)).prefix(16)))
    }

    /// What a file of this name, with these contents, answers; nil where the two do not agree.
    public init?(fileName: String, _ endorsements: [Endorsement]) {
        let parts = fileName.split(separator: "-").map(String.init)
        switch parts.first {
        case "dcap" where parts.count == 4:
            guard let fmspc = Hex.decode(parts[2]) else { return nil }
            self = .dcap(tee: parts[1], fmspc: fmspc, ca: parts[3])
        case "amd" where parts.count == 3:
            guard let product = SNPProduct(rawValue: parts[1]) else { return nil }
            self = .amd(product: product, isLoaded: parts[2] == "vlek")
        case "vcek" where parts.count > 1:
            // The name has a hash of the chip's identifier: the certificate says which chip.
            guard let product = SNPProduct(rawValue: parts[1]),
                let der = endorsements.first?.bytes,
                let certificate = try? Certificate.read(der: der),
                let chip = SNPKeyCertificate(certificate).hardwareID,
                let tcb = SNPKeyCertificate(certificate).tcb
            else { return nil }
            self = .vcek(product: product, chip: chip, tcb: tcb)
        case "rim" where parts.count == 2:
            guard let bytes = endorsements.first?.bytes,
                let manifest = try? ReferenceManifest(bytes, for: .gpu)
            else { return nil }
            self = .manifest(
                id: parts[1], chip: manifest.product, version: manifest.version)
        case "ocsp":
            // The answers name certificates by hashes: those lie beside them.
            self = .status(
                chain: endorsements.filter { $0.mediaType == CheckedCollateral.subjectType }
                    .map(\.bytes))
        default: return nil
        }
        guard self.fileName == fileName else { return nil }
    }

    /// What `evidence` needs, of what is worth asking a vendor for at the Unix time `now`.
    ///
    /// A quote of Intel's and a device of NVIDIA's have to lead to one of `roots` already: anybody
    /// could have anything fetched otherwise. AMD's keys cannot be checked before they are there;
    /// whoever fetches limits how often.
    public static func of(
        _ evidence: [Evidence], roots: CollateralRoots, now: Int64
    ) -> [CollateralNeed] {
        of(
            evidence.filter { item in
                switch EvidenceFormat(mediaType: item.mediaType) {
                case .tdx, .sgx:
                    guard let quote = try? DCAPQuote(item.bytes) else { return false }
                    return (try? quote.checkChain(roots: roots.intel, now: now)) != nil
                case .nvidiaGPU:
                    guard let (_, chain) = device(item.bytes) else { return false }
                    return (try? chain.checkTrust(roots.devices, now: now)) != nil
                default: return true
                }
            })
    }

    /// What `evidence` needs; nothing for what cannot be read. It is not believed here.
    public static func of(_ evidence: [Evidence]) -> [CollateralNeed] {
        evidence.flatMap { item -> [CollateralNeed] in
            guard let format = EvidenceFormat(mediaType: item.mediaType) else { return [] }
            switch format {
            case .tdx, .sgx: return (try? dcap(item.bytes)).map { [$0] } ?? []
            case .snp: return (try? snp(item.bytes)) ?? []
            case .tpm: return paravisor(item.bytes)
            case .nvidiaGPU: return device(item.bytes).map { of($0, $1) } ?? []
            default: return []
            }
        }
    }

    /// The Endorsements that lie within Evidence itself, as some platforms hand them out.
    public static func carried(by evidence: [Evidence]) -> [Endorsement] {
        evidence.flatMap { item -> [Endorsement] in
            guard EvidenceFormat(mediaType: item.mediaType) == .snp,
                let fields = try? SNPEvidence.fields(item.bytes)
            else { return [] }
            let certificates = fields.certificates.map {
                Endorsement(mediaType: Endorsement.certificateType, bytes: $0)
            }
            let lists = [fields.revocationList].compactMap(\.self).map {
                Endorsement(mediaType: Endorsement.revocationListType, bytes: $0)
            }
            return certificates + lists
        }
    }

    /// What a quote of Intel's needs; nothing for what cannot be read.
    public static func of(quote bytes: [UInt8]) -> [CollateralNeed] {
        (try? dcap(bytes)).map { [$0] } ?? []
    }

    static func dcap(_ bytes: [UInt8]) throws(Refusal) -> CollateralNeed {
        let quote = try DCAPQuote(bytes)
        let leaf = try DCAPChain(roots: [], now: 0).pck(in: quote.certificates).0
        let pck = try PCKCertificate(leaf)
        let ca = leaf.issuer.contains("Intel SGX PCK Platform CA") ? "platform" : "processor"
        return .dcap(tee: quote.isTDX ? "tdx" : "sgx", fmspc: pck.fmspc, ca: ca)
    }

    private static func snp(_ bytes: [UInt8]) throws(Refusal) -> [CollateralNeed] {
        let fields = try SNPEvidence.fields(bytes)
        return of(reported: fields.report, fields.certificates)
    }

    private static func device(_ bytes: [UInt8]) -> (NVIDIAReport, NVIDIADeviceChain)? {
        guard let fields = try? CBORFields(decoding: bytes, allowed: [1, 2]),
            let raw = try? fields.bytes(1),
            let items = try? fields.array(2, limit: NVIDIADeviceChain.sizes.upperBound),
            let report = try? NVIDIAReport(raw, of: .gpu),
            let chain = try? NVIDIADeviceChain(items.compactMap(\.byteString), of: .gpu)
        else { return nil }
        return (report, chain)
    }

    /// The leaf is issued by the device itself, which answers nobody about it.
    static func of(_ report: NVIDIAReport, _ chain: NVIDIADeviceChain) -> [CollateralNeed] {
        of(report, chip: chain.chip)
            + [.status(chain: chain.certificates.dropFirst().map(\.der))]
    }

    /// The names are those of NVIDIA's RIM service: chip and version of a driver; project, SKUs and
    /// version without its dots of a VBIOS (as in the file names of nvtrust's samples).
    private static func of(_ report: NVIDIAReport, chip: String) -> [CollateralNeed] {
        var needs: [CollateralNeed] = []
        func isPlain(_ text: String) -> Bool {
            text.utf8.allSatisfy {
                ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) || $0 == 0x2E
            }
        }
        if let version = report.driverVersion, isPlain(version) {
            needs.append(
                .manifest(id: "NV_GPU_DRIVER_\(chip)_\(version)", chip: chip, version: version))
        }
        let claims = report.claims
        let parts = ["project", "project_sku", "chip_sku"].compactMap { claims[$0]?.shown }
        if parts.count == 3, parts.allSatisfy(isPlain) {
            let version = report.vbiosVersion.filter { $0 != "." }
            let id = "NV_GPU_VBIOS_\(parts.joined(separator: "_"))_\(version)"
            needs.append(.manifest(id: id, chip: chip, version: report.vbiosVersion))
        }
        return needs
    }

    // The hardware under a virtual TPM, in the Evidence of an Azure confidential VM.
    private static func paravisor(_ bytes: [UInt8]) -> [CollateralNeed] {
        guard let fields = try? CBORFields(decoding: bytes, allowed: Set(1...10)),
            let report = (try? fields.optionalBytes(8)).flatMap(\.self),
            let hcl = try? HCLReport(report)
        else { return [] }
        if hcl.hardware == .snp { return of(reported: hcl.report, []) }
        guard let quote = (try? fields.optionalBytes(9)).flatMap(\.self) else { return [] }
        return of(quote: quote)
    }

    static func of(reported bytes: [UInt8], _ certificates: [[UInt8]]) -> [CollateralNeed] {
        guard let report = try? SNPReport(bytes) else { return [] }
        // Version 2 does not name its product: the key's certificate does, if there is one.
        let named = certificates.compactMap { try? Certificate.read(der: $0) }
            .filter(SNPKeyCertificate.isOne)
            .compactMap { key in
                SNPProduct.allCases.first { key.issuer.contains("-\($0.vendorName),") }
            }
        guard let product = report.product ?? named.first else { return [] }
        let isLoaded = report.signingKey == .vlek
        var needs: [CollateralNeed] = [.amd(product: product, isLoaded: isLoaded)]
        if !isLoaded, let tcb = SNPTCB(report.reportedTCB, product: product) {
            let size = product == .turin ? 8 : 64
            needs.append(
                .vcek(product: product, chip: Array(report.chipID.prefix(size)), tcb: tcb))
        }
        return needs
    }
}
