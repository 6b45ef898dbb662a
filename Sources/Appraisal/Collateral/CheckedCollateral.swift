internal import Keys
public import RATS

/// The roots that collateral may be signed under: the vendors', and those that a policy names.
public struct CollateralRoots: Sendable {
    var intel: [[UInt8]]
    var amd: [SNPProduct: [[UInt8]]]
    var manifests: [[UInt8]]
    var devices: [[UInt8]]

    /// The vendors' roots, and every other that `policy` accepts.
    public init(policy: AppraisalPolicy? = nil) {
        intel = DCAPRoots.intel
        amd = SNPRoots.amd
        manifests = NVIDIARoots.nvidia.manifests
        devices = NVIDIARoots.nvidia.devices
        guard case .appraised(let peers) = policy?.peers else { return }
        for peer in peers {
            manifests += peer.nvidiaGPU?.device.roots.manifests ?? []
            devices += peer.nvidiaGPU?.device.roots.devices ?? []
            intel += peer.everyTDX.flatMap(\.roots) + (peer.sgx?.roots ?? [])
            for policy in peer.everySNP {
                for (product, roots) in policy.roots { amd[product, default: []] += roots }
            }
        }
    }
}

extension CollateralRoots {
    /// Trusts the keys of `anchors` as well.
    public mutating func trust(_ anchors: TrustAnchors) {
        intel += anchors.pins
        manifests += anchors.pins
        devices += anchors.pins
        for product in SNPProduct.allCases { amd[product, default: []] += anchors.pins }
    }
}

/// Collateral whose signatures hold, with the time that it is good for. Only its initialiser makes
/// one, so that nothing unsigned or expired is ever kept.
public struct CheckedCollateral: Sendable {
    /// What it answers.
    public let need: CollateralNeed
    /// As it travels.
    public let endorsements: [Endorsement]
    /// Unix times: from the youngest issue to the first expiry among its parts.
    public let from: Int64
    public let until: Int64
    /// Intel's evaluation numbers in it, by what they are of: never to go back.
    public let evaluations: [String: Int]

    /// Checks what `endorsements` say about `need` at the Unix time `now`.
    ///
    /// `pckIssuers` is the PEM chain of the PCK revocation list, where the source gives it.
    public init(
        _ need: CollateralNeed, _ endorsements: [Endorsement], pckIssuers: [UInt8]? = nil,
        roots: CollateralRoots, now: Int64
    ) throws(Refusal) {
        let facts: Facts
        switch need {
        case .dcap(let tee, let fmspc, let ca):
            facts = try CheckedCollateral.dcap(
                endorsements, tee, fmspc, ca, pckIssuers, roots.intel, now)
        case .amd(let product, let isLoaded):
            facts = try CheckedCollateral.amd(
                endorsements, product, isLoaded, roots.amd[product] ?? [], now)
        case .manifest(_, let chip, let version):
            facts = try CheckedCollateral.manifest(
                endorsements, chip, version, roots.manifests, now)
        case .vcek(let product, let chip, let tcb):
            facts = try CheckedCollateral.vcek(endorsements, product, chip, tcb)
        case .status(let chain):
            facts = try CheckedCollateral.status(
                endorsements, chain, roots.devices + roots.manifests, now)
        }
        guard facts.from <= now, now < facts.until else {
            throw CheckedCollateral.refusal(
                "collateral.stale", need.description, "current at \(UTCTime.text(now))",
                "\(UTCTime.text(facts.from)) to \(UTCTime.text(facts.until))")
        }
        self.need = need
        self.endorsements = facts.endorsements
        from = facts.from
        until = facts.until
        evaluations = facts.evaluations
    }

    /// When it should be fetched again: at two thirds of its time.
    public var refreshAt: Int64 { from + (until - from) / 3 * 2 }

    struct Facts {
        var endorsements: [Endorsement]
        var from: Int64
        var until: Int64
        var evaluations: [String: Int] = [:]
    }

    private static func dcap(
        _ endorsements: [Endorsement], _ tee: String, _ fmspc: [UInt8], _ ca: String,
        _ pckIssuers: [UInt8]?, _ roots: [[UInt8]], _ now: Int64
    ) throws(Refusal) -> Facts {
        guard let collateral = try DCAPEvidence.collateral(in: endorsements) else {
            throw refusal("collateral.missing", "collateral", "Intel's, all five parts", "none")
        }
        guard collateral.isWithinLimits else {
            throw refusal("collateral.too_long", "collateral", "at most 256 KiB a part", "more")
        }
        let chain = DCAPChain(roots: roots, now: now)
        let signer = try chain.tcbSigner(collateral)
        let document = try SignedDocument.read(collateral.tcbInfo, member: "tcbInfo")
        try document.check(key: signer.publicKey, name: "TCB info", now: now)
        let info = try TCBInfo.read(document)
        guard info.identifier == tee.uppercased(), info.fmspc == fmspc else {
            throw refusal(
                "collateral.other", "TCB info", "\(tee) \(Hex.encode(fmspc))",
                "\(info.identifier) \(Hex.encode(info.fmspc))")
        }
        let identityDocument = try SignedDocument.read(
            collateral.qeIdentity, member: "enclaveIdentity")
        try identityDocument.check(key: signer.publicKey, name: "QE identity", now: now)
        let identity = try QEIdentity.read(identityDocument)
        guard identity.identifier == (tee == "tdx" ? "TD_QE" : "QE") else {
            throw refusal("collateral.other", "QE identity", tee, identity.identifier)
        }
        let anchors = try chain.read(collateral.tcbSigningChain, "TCB signing chain")
            .filter(\.isSelfSigned)
        let rootList = try list(collateral.rootRevocations, by: anchors)
        let issuers =
            try pckIssuers.map { (pem) throws(Refusal) in
                try chain.read(pem, "PCK CRL issuer chain")
            }
        let pckList = try list(collateral.pckRevocations, by: issuers)
        let wanted = ca == "platform" ? "Intel SGX PCK Platform CA" : "Intel SGX PCK Processor CA"
        guard pckList.issuer.contains(wanted) else {
            throw refusal("collateral.other", "PCK CRL", wanted, pckList.issuer)
        }
        let ends = [
            document.nextUpdate, identityDocument.nextUpdate, rootList.nextUpdate ?? 0,
            pckList.nextUpdate ?? 0, signer.notAfter,
        ]
        let starts = [
            document.issued, identityDocument.issued, rootList.thisUpdate, pckList.thisUpdate,
        ]
        return Facts(
            endorsements: [collateral.endorsement], from: starts.max() ?? 0,
            until: ends.min() ?? 0,
            evaluations: [
                "\(tee) TCB info \(Hex.encode(fmspc))": info.evaluation,
                "\(tee) QE identity": identity.evaluation,
            ])
    }

    // Without the issuers the list's signature is checked where it is used, with the quote's chain.
    private static func list(
        _ bytes: [UInt8], by issuers: [Certificate]?
    ) throws(Refusal) -> RevocationList {
        do throws(KeyError) {
            let list = try RevocationList.read(bytes)
            if let issuers {
                guard issuers.contains(where: { list.isSigned(by: $0) }) else {
                    throw KeyError(.chain, "revocation list: not signed by its issuer")
                }
            }
            return list
        } catch {
            throw refusal(
                "collateral.signature", "revocation list", "one signed by its issuer",
                error.description)
        }
    }

    private static func amd(
        _ endorsements: [Endorsement], _ product: SNPProduct, _ isLoaded: Bool,
        _ pins: [[UInt8]], _ now: Int64
    ) throws(Refusal) -> Facts {
        let certificates = certificates(in: endorsements)
        let name = isLoaded ? "SEV-VLEK-\(product.vendorName)" : "SEV-\(product.vendorName)"
        let roots = certificates.filter {
            $0.isSelfSigned && pins.contains(Digest.sha256($0.spki))
        }
        guard let root = roots.first,
            let issuer = certificates.first(where: {
                $0.isAuthority && !$0.isSelfSigned && $0.subject.hasPrefix("CN=\(name),")
            })
        else {
            throw refusal(
                "collateral.other", "certificates", "the pinned ARK and CN=\(name)",
                certificates.map(\.subject).joined(separator: "; "))
        }
        let bytes =
            endorsements.first { $0.mediaType == Endorsement.revocationListType }?.bytes ?? []
        let revocations = try list(bytes, by: [root])
        try checkIssuer(issuer, root, bytes, now)
        return Facts(
            endorsements: [
                Endorsement(mediaType: Endorsement.certificateType, bytes: issuer.der),
                Endorsement(mediaType: Endorsement.certificateType, bytes: root.der),
                Endorsement(mediaType: Endorsement.revocationListType, bytes: bytes),
            ],
            from: max(revocations.thisUpdate, issuer.notBefore),
            until: min(revocations.nextUpdate ?? 0, issuer.notAfter, root.notAfter))
    }

    // A subject is only a name: the pinned key has to have signed it, and not taken it back.
    private static func checkIssuer(
        _ issuer: Certificate, _ root: Certificate, _ list: [UInt8], _ now: Int64
    ) throws(Refusal) {
        var options = CertificateChain.Options()
        options.revocationLists = [list]
        do throws(KeyError) {
            try CertificateChain.validate(issuer, anchors: [root], now: now, options: options)
        } catch {
            throw refusal(
                "collateral.signature", issuer.subject, "signed by \(root.subject), not revoked",
                error.description)
        }
    }

    private static func vcek(
        _ endorsements: [Endorsement], _ product: SNPProduct, _ chip: [UInt8], _ tcb: SNPTCB
    ) throws(Refusal) -> Facts {
        let found = certificates(in: endorsements).first { certificate in
            let key = SNPKeyCertificate(certificate)
            return key.hardwareID == chip && key.tcb == tcb
                && certificate.issuer.hasPrefix("CN=SEV-\(product.vendorName),")
        }
        guard let found else {
            throw refusal(
                "collateral.other", "VCEK", "the certificate of this chip at \(tcb.shown)",
                "another")
        }
        return Facts(
            endorsements: [Endorsement(mediaType: Endorsement.certificateType, bytes: found.der)],
            from: found.notBefore, until: found.notAfter)
    }

    // A version's manifest does not change: it is good for as long as its signer's certificates.
    private static func manifest(
        _ endorsements: [Endorsement], _ chip: String, _ version: String, _ roots: [[UInt8]],
        _ now: Int64
    ) throws(Refusal) -> Facts {
        var found = "none"
        for item in endorsements where item.mediaType == ReferenceManifest.mediaType {
            let manifest = try ReferenceManifest(item.bytes, for: .gpu)
            guard manifest.product == chip, manifest.version == version else {
                found = "\(manifest.product) \(manifest.version)"
                continue
            }
            try manifest.checkTrust(roots, now: now, for: .gpu)
            let chain = manifest.certificates
            return Facts(
                endorsements: [item], from: chain.map(\.notBefore).max() ?? 0,
                until: chain.map(\.notAfter).min() ?? 0)
        }
        throw refusal("collateral.other", "manifest", "\(chip) \(version)", found)
    }

    private static func certificates(in endorsements: [Endorsement]) -> [Certificate] {
        endorsements.filter { $0.mediaType == Endorsement.certificateType }
            .compactMap { try? Certificate.read(der: $0.bytes) }
    }

    static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            code, .evidence, field: field, expected: expected, got: got,
            remedy: "fetch the collateral again, or from another source")
    }
}
