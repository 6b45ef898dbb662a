import Keys
import RATS

@testable import Appraisal

/// A quote of an Intel platform under a PKI of its own, with its collateral; to be changed one
/// thing at a time and then signed.
struct FakeDCAP {
    let rootKey: PrivateKey
    let issuerKey: PrivateKey
    let pckKey: PrivateKey
    let tcbKey: PrivateKey
    let attestationKey: PrivateKey
    var root = FakePKI.Template(
        subject: "Intel SGX Root CA", issuer: "Intel SGX Root CA", isAuthority: true)
    var issuer = FakePKI.Template(
        subject: "Intel SGX PCK Platform CA", issuer: "Intel SGX Root CA", serial: 2,
        isAuthority: true)
    var pck = FakePKI.Template(
        subject: "Intel SGX PCK Certificate", issuer: "Intel SGX PCK Platform CA", serial: 3)
    var tcb = FakePKI.Template(
        subject: "Intel SGX TCB Signing", issuer: "Intel SGX Root CA", serial: 4)
    var pckSigner: PrivateKey
    var tcbSigner: PrivateKey
    /// Applied to the PCK chain and to the TCB signing chain, PEM.
    var pckChain: (String) -> String = { $0 }
    var tcbChain: (String) -> String = { $0 }
    var revokedByIssuer: [UInt8] = []
    var revokedByRoot: [UInt8] = []
    var listEnd = "280101000000Z"

    var extension_ = FakeSGXExtension()
    var documents = FakeTCBDocuments()
    var documentsKey: PrivateKey?
    var layout = FakeQuoteLayout()
    /// Signs in place of the PCK and of the attestation key.
    var qeReportKey: PrivateKey?
    var quoteKey: PrivateKey?
    /// Applied to the finished collateral and quote.
    var collateralChange: (inout DCAPCollateral) -> Void = { _ in }
    var quoteChange: (inout [UInt8]) -> Void = { _ in }

    init() throws {
        rootKey = try PrivateKey.generate(.p256)
        issuerKey = try PrivateKey.generate(.p256)
        pckKey = try PrivateKey.generate(.p256)
        tcbKey = try PrivateKey.generate(.p256)
        attestationKey = try PrivateKey.generate(.p256)
        pckSigner = issuerKey
        tcbSigner = rootKey
    }

    var roots: [[UInt8]] { [Digest.sha256(rootKey.spki)] }

    func pem(_ template: FakePKI.Template, _ key: PrivateKey, _ signer: PrivateKey) throws -> String
    {
        PEM.encode(
            try FakePKI.certificate(template, of: key, by: signer), label: "CERTIFICATE")
    }

    func collateral() throws -> DCAPCollateral {
        let top = try pem(root, rootKey, rootKey)
        let chain = tcbChain(try pem(tcb, tcbKey, tcbSigner) + top)
        let signer = documentsKey ?? tcbKey
        var collateral = DCAPCollateral(
            tcbInfo: try documents.tcbInfo(signer), qeIdentity: try documents.qeIdentity(signer),
            tcbSigningChain: Array(chain.utf8),
            pckRevocations: try FakePKI.revocationList(
                issuer: issuer.subject, serials: revokedByIssuer, to: listEnd, by: issuerKey),
            rootRevocations: try FakePKI.revocationList(
                issuer: root.subject, serials: revokedByRoot, to: listEnd, by: rootKey))
        collateralChange(&collateral)
        return collateral
    }

    func quote() throws -> [UInt8] {
        var leaf = pck
        leaf.extensions.append((PCKCertificate.identifier, extension_.content()))
        let chain = pckChain(
            try pem(leaf, pckKey, pckSigner) + pem(issuer, issuerKey, rootKey)
                + pem(root, rootKey, rootKey))
        var bytes = try layout.bytes(
            attestation: attestationKey, signer: quoteKey ?? attestationKey,
            qe: qeReportKey ?? pckKey, chain: Array(chain.utf8))
        quoteChange(&bytes)
        return bytes
    }

    func verify(now: Int64 = FakePKI.now) throws -> DCAPVerification {
        try DCAPVerification(
            try quote(), collateral: try collateral(), now: now, roots: roots)
    }

    /// The code of the refusal, or the status of the TCB.
    func code(now: Int64 = FakePKI.now) throws -> String {
        do throws(Refusal) {
            let verification: DCAPVerification
            do {
                verification = try verify(now: now)
            } catch let refusal as Refusal {
                throw refusal
            } catch {
                return "\(error)"
            }
            try DCAPRules.check(verification.quote)
            return verification.status.rawValue
        } catch {
            return error.code
        }
    }
}

/// What Intel's extension says of the platform.
struct FakeSGXExtension {
    var ppid = [UInt8](repeating: 0xAA, count: 16)
    var pceID: [UInt8] = [0, 0]
    var fmspc: [UInt8] = [0, 0x80, 0x6F, 5, 0, 0]
    var components = [Int](repeating: 5, count: 16)
    var pceSVN = 13
    var cpuSVN = [UInt8](repeating: 5, count: 16)
    /// Appended to the fields of the TCB, and to those around it.
    var moreInTCB: [[UInt8]] = []
    var more: [[UInt8]] = []
    /// Applied to the whole.
    var change: ([UInt8]) -> [UInt8] = { $0 }

    static func field(_ arc: String, _ value: [UInt8]) -> [UInt8] {
        DER.sequence([DER.objectIdentifier(PCKCertificate.identifier + arc), value])
    }

    static func number(_ value: Int) -> [UInt8] {
        DER.tagged(0x02, value < 0x80 ? [UInt8(value)] : [UInt8(value >> 8), UInt8(value & 0xFF)])
    }

    func content() -> [UInt8] {
        let levels = components.enumerated().map {
            FakeSGXExtension.field(".2.\($0 + 1)", FakeSGXExtension.number($1))
        }
        let tcb = DER.sequence(
            levels + [
                FakeSGXExtension.field(".2.17", FakeSGXExtension.number(pceSVN)),
                FakeSGXExtension.field(".2.18", DER.octetString(cpuSVN)),
            ] + moreInTCB)
        return change(
            DER.sequence(
                [
                    FakeSGXExtension.field(".1", DER.octetString(ppid)),
                    FakeSGXExtension.field(".2", tcb),
                    FakeSGXExtension.field(".3", DER.octetString(pceID)),
                    FakeSGXExtension.field(".4", DER.octetString(fmspc)),
                ] + more))
    }
}
