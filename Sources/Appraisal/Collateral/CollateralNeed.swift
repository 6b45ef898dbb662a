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

    /// A name without anything that tells machines apart but the kind of platform: for logs.
    public var description: String {
        switch self {
        case .dcap(let tee, let fmspc, let ca): "dcap \(tee) \(Hex.encode(fmspc)) \(ca)"
        case .vcek(let product, let chip, _):
            "vcek \(product.rawValue) \(Hex.encode(Array(chip.prefix(4))))"
        case .amd(let product, let isLoaded):
            "amd \(product.rawValue) \(isLoaded ? "vlek" : "vcek")"
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
        }
    }

    /// What `evidence` needs; nothing for what carries all of it, or cannot be read.
    ///
    /// Evidence is not believed here: who sends nonsense has nonsense fetched, once.
    public static func of(_ evidence: [Evidence]) -> [CollateralNeed] {
        evidence.flatMap { item -> [CollateralNeed] in
            guard let format = EvidenceFormat(mediaType: item.mediaType) else { return [] }
            switch format {
            case .tdx, .sgx: return (try? dcap(item.bytes)).map { [$0] } ?? []
            case .snp: return (try? snp(item.bytes)) ?? []
            default: return []
            }
        }
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
        let report = try SNPReport(fields.report)
        let keys = fields.certificates.compactMap { try? Certificate(der: $0) }
            .filter(SNPKeyCertificate.isOne)
        // Version 2 does not name its product: the key's certificate does, if there is one.
        let named = keys.compactMap { key in
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
