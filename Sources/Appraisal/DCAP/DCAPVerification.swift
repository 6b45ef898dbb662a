internal import Keys
internal import RATS

/// A DCAP quote whose chain, collateral, signatures and TCB level hold at one instant.
///
/// Only its initialiser makes one, in the order of Intel's quote verification library; whether the
/// status, the measurements and the attributes will do is for the policy to say.
struct DCAPVerification: Sendable {
    let quote: DCAPQuote
    let pck: PCKCertificate
    let status: TCBStatus
    let advisories: [String]
    /// What the status was made of.
    let parts: TCBEvaluation.Parts
    /// `tcbEvaluationDataNumber` of the TCB info and of the QE identity.
    let tcbInfoEvaluation: Int
    let qeEvaluation: Int

    /// Unix time at which the first of the collateral and certificates expires.
    let validUntil: Int64

    /// The lower of the evaluation numbers: the whole is as old as its older half.
    var evaluation: Int { min(tcbInfoEvaluation, qeEvaluation) }

    /// Verifies `bytes` with `collateral` at the Unix time `now`; `roots` are the hashes of
    /// the keys that chains may end in.
    init(
        _ bytes: [UInt8], collateral: DCAPCollateral, now: Int64, roots: [[UInt8]] = DCAPRoots.intel
    ) throws(Refusal) {
        guard collateral.isWithinLimits else {
            throw DCAPRefusal.collateral(
                "collateral.too_long", "collateral", "at most 256 KiB a part", "more")
        }
        let quote = try DCAPQuote(bytes)
        let chain = DCAPChain(roots: roots, now: now)
        let leaf = try chain.pck(quote.certificates, collateral)
        let pck = try PCKCertificate(leaf)
        let signer = try chain.tcbSigner(collateral)

        let tcbDocument = try SignedDocument.read(collateral.tcbInfo, member: "tcbInfo")
        try tcbDocument.check(key: signer.publicKey, name: "TCB info", now: now)
        let info = try TCBInfo.read(tcbDocument)
        try DCAPVerification.check(info, against: quote, pck)

        try DCAPVerification.checkQE(quote, pckKey: leaf.publicKey)
        let identityDocument = try SignedDocument.read(
            collateral.qeIdentity, member: "enclaveIdentity")
        try identityDocument.check(key: signer.publicKey, name: "QE identity", now: now)
        let identity = try QEIdentity.read(identityDocument)
        let qeLevel = try identity.level(of: quote)

        try quote.checkSignatures()
        let evaluated = try TCBEvaluation(info: info, pck: pck, quote: quote, qe: qeLevel)
        guard evaluated.status != .revoked else {
            throw DCAPRefusal.evidence(
                "tcb.revoked", "TCB level", "one that is not revoked", "Revoked",
                "this platform must not be used")
        }
        self.quote = quote
        self.pck = pck
        status = evaluated.status
        advisories = evaluated.advisories
        parts = evaluated.parts
        tcbInfoEvaluation = info.evaluation
        qeEvaluation = identity.evaluation
        let lists = [collateral.pckRevocations, collateral.rootRevocations]
            .compactMap { try? RevocationList.read($0).nextUpdate }
        validUntil =
            ([
                tcbDocument.nextUpdate, identityDocument.nextUpdate, signer.notAfter, leaf.notAfter,
            ] + lists).min() ?? now
    }

    private static func check(
        _ info: TCBInfo, against quote: DCAPQuote, _ pck: PCKCertificate
    ) throws(Refusal) {
        let wanted = quote.isTDX ? "TDX" : "SGX"
        guard info.identifier == wanted else {
            throw DCAPRefusal.collateral("tcb.id", "TCB info id", wanted, info.identifier)
        }
        guard info.fmspc == pck.fmspc else {
            throw DCAPRefusal.collateral(
                "tcb.fmspc", "FMSPC", Hex.encode(pck.fmspc), Hex.encode(info.fmspc))
        }
        guard info.pceID == pck.pceID else {
            throw DCAPRefusal.collateral(
                "tcb.pceid", "PCE-ID", Hex.encode(pck.pceID), Hex.encode(info.pceID))
        }
    }

    /// The quoting enclave's report is signed by the PCK.
    private static func checkQE(_ quote: DCAPQuote, pckKey: PublicKey) throws(Refusal) {
        guard pckKey.verifies(raw: quote.qeReportSignature, over: quote.qeReport.bytes) else {
            throw DCAPRefusal.evidence(
                "qe.signature", "QE report", "a signature by the PCK", "another")
        }
    }
}

extension DCAPQuote {
    var isTDX: Bool { if case .tdx = body { true } else { false } }

    /// What needs no certificate: the quote is signed by its attestation key, and the quoting
    /// enclave's report names that key.
    func checkSignatures() throws(Refusal) {
        let bound = Digest.sha256(attestationKey + qeAuthenticationData)
        let expected = bound + [UInt8](repeating: 0, count: 32)
        guard ConstantTime.equal(qeReport.reportData, expected) else {
            throw DCAPRefusal.evidence(
                "qe.binding", "QE report_data", "the hash of the attestation key", "another")
        }
        let x = Array(attestationKey[..<32])
        let y = Array(attestationKey[32...])
        guard let key = try? PublicKey(curve: .p256, x: x, y: y),
            key.verifies(raw: signature, over: signed)
        else {
            throw DCAPRefusal.evidence(
                "quote.signature", "quote", "a signature by the attestation key", "another")
        }
    }
}
