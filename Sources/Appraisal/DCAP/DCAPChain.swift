internal import Keys
internal import RATS

/// Certificate paths to Intel's root, with revocation: Intel SGX PCK Certificate and CRL Profile
/// Specification, sections 1.3 and 1.4.
struct DCAPChain {
    /// SHA-256 of the SubjectPublicKeyInfo of each root that will do.
    let roots: [[UInt8]]
    let now: Int64

    /// The PCK certificate of a quote, proved.
    func pck(_ pem: [UInt8], _ collateral: DCAPCollateral) throws(Refusal) -> Certificate {
        let (leaf, certificates) = try pck(in: pem)
        try validate(
            leaf, certificates, "pck.chain",
            lists: [collateral.pckRevocations, collateral.rootRevocations])
        return leaf
    }

    /// The PCK certificate of a quote, of which nobody knows whether it is revoked.
    func pckWithoutRevocation(_ pem: [UInt8]) throws(Refusal) -> Certificate {
        let (leaf, certificates) = try pck(in: pem)
        try validate(leaf, certificates, "pck.chain", lists: nil)
        return leaf
    }

    func pck(in pem: [UInt8]) throws(Refusal) -> (Certificate, [Certificate]) {
        let certificates = try read(pem, "PCK chain")
        let leaves = certificates.filter { $0.subject.contains("Intel SGX PCK Certificate") }
        guard leaves.count == 1, !leaves[0].isAuthority else {
            throw chainRefusal("pck.chain", "one PCK certificate", "\(leaves.count)")
        }
        let issuer = leaves[0].issuer
        guard
            issuer.contains("Intel SGX PCK Platform CA")
                || issuer.contains("Intel SGX PCK Processor CA")
        else { throw chainRefusal("pck.issuer", "a PCK CA of Intel", issuer) }
        return (leaves[0], certificates)
    }

    /// The certificate that signs TCB info and QE identities, proved.
    func tcbSigner(_ collateral: DCAPCollateral) throws(Refusal) -> Certificate {
        let certificates = try read(collateral.tcbSigningChain, "TCB signing chain")
        let leaves = certificates.filter { $0.subject.contains("Intel SGX TCB Signing") }
        guard leaves.count == 1, !leaves[0].isAuthority else {
            throw chainRefusal("tcb.chain", "one TCB signing certificate", "\(leaves.count)")
        }
        try validate(
            leaves[0], certificates, "tcb.chain", lists: [collateral.rootRevocations])
        return leaves[0]
    }

    /// Certificates of a PEM, one to `limit`: C strings of some platforms' tools carry their end
    /// along, and some put no line break between two certificates.
    static func certificates(_ pem: [UInt8]) throws(KeyError) -> [Certificate] {
        var bytes = pem
        while bytes.last == 0 { bytes.removeLast() }
        do throws(KeyError) {
            return try Certificate.read(pem: bytes, limit: limit)
        } catch {
            let text = String(decoding: bytes, as: UTF8.self).replacing(
                "-----END CERTIFICATE----------BEGIN",
                with: "-----END CERTIFICATE-----\n-----BEGIN")
            return try Certificate.read(pem: text, limit: limit)
        }
    }

    /// Chains of Intel's have three certificates; some platforms repeat them.
    private static let limit = 8

    func read(_ pem: [UInt8], _ name: String) throws(Refusal) -> [Certificate] {
        guard let certificates = try? DCAPChain.certificates(pem) else {
            throw chainRefusal("chain.malformed", name + " as PEM", "something else")
        }
        return certificates
    }

    private func validate(
        _ leaf: Certificate, _ certificates: [Certificate], _ code: String, lists: [[UInt8]]?
    ) throws(Refusal) {
        let anchors = certificates.filter {
            roots.contains(Digest.sha256($0.spki)) && $0.isSelfSigned
        }
        guard !anchors.isEmpty else {
            throw chainRefusal(
                "chain.root", expectedRoot,
                certificates.filter(\.isSelfSigned).map(\.subject).joined(separator: ", "))
        }
        guard lists?.allSatisfy({ !$0.isEmpty }) != false else {
            throw DCAPRefusal.collateral(
                "revocation.missing", "certificate revocation lists", "one of each CA", "none")
        }
        var options = CertificateChain.Options()
        options.revocationLists = lists ?? []
        do throws(KeyError) {
            try CertificateChain.validate(
                leaf, intermediates: certificates, anchors: anchors, now: now, options: options)
        } catch {
            throw chainRefusal(code, "a current path to Intel's root", error.description)
        }
    }

    private var expectedRoot: String {
        if roots == DCAPRoots.intel { return "the pinned Intel SGX Root CA" }
        return "a root of the policy: " + roots.map(Hex.encode).joined(separator: " or ")
    }

    private func chainRefusal(_ code: String, _ expected: String, _ got: String) -> Refusal {
        DCAPRefusal.evidence(code, "certificate chain", expected, got)
    }
}
