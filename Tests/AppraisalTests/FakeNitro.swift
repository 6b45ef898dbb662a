import Keys
import RATS

@testable import Appraisal

/// An enclave under a PKI of its own, to be changed one thing at a time and then signed.
struct FakeNitro {
    let rootKey: PrivateKey
    let regionKey: PrivateKey
    var key: PrivateKey
    var root = FakePKI.Template(subject: "root", issuer: "root", isAuthority: true)
    var region = FakePKI.Template(subject: "region", issuer: "root", isAuthority: true)
    var leaf = FakePKI.Template(subject: "enclave", issuer: "region")
    var regionSigner: PrivateKey
    var leafSigner: PrivateKey

    var fields: [(String, CBORValue?)]
    var pcrs: [(CBORValue, CBORValue)] = [0, 1, 2, 8].map {
        (.unsigned($0), .bytes([UInt8](repeating: UInt8($0) + 1, count: 48)))
    }
    var header = CBORValue.map([.init(.unsigned(1), .negative(34))]).encoded()
    var open = CBORValue.map([])
    var tag: UInt64?
    var trailing: [UInt8] = []
    var bundle: [CBORValue]?
    var tampers = false
    var more: [CBORValue] = []
    var digest = Digest.sha384

    static let reportData = [UInt8](repeating: 1, count: 64)
    static let nonce = [UInt8](repeating: 2, count: 48)
    static let publicKey = [UInt8](repeating: 3, count: 91)

    init() throws {
        rootKey = try PrivateKey.generate(.p384)
        regionKey = try PrivateKey.generate(.p384)
        key = try PrivateKey.generate(.p384)
        regionSigner = rootKey
        leafSigner = regionKey
        fields = [
            ("module_id", .text("i-1-enc2")), ("digest", .text("SHA384")),
            ("timestamp", .unsigned(UInt64(FakePKI.now) * 1000)),
            ("public_key", .bytes(FakeNitro.publicKey)),
            ("user_data", .bytes(FakeNitro.reportData)), ("nonce", .bytes(FakeNitro.nonce)),
        ]
    }

    mutating func set(_ name: String, _ value: CBORValue?) {
        fields.removeAll { $0.0 == name }
        fields.append((name, value))
    }

    mutating func setRegister(_ index: UInt64, _ bytes: [UInt8]?) {
        pcrs.removeAll { $0.0 == .unsigned(index) }
        if let bytes { pcrs.append((.unsigned(index), .bytes(bytes))) }
    }

    func rootCertificate() throws -> [UInt8] {
        try FakePKI.certificate(root, of: rootKey, by: rootKey)
    }

    func evidence(root sent: [UInt8]) throws -> [UInt8] {
        let middle = try FakePKI.certificate(region, of: regionKey, by: regionSigner)
        let end = try FakePKI.certificate(leaf, of: key, by: leafSigner)
        let all: [(String, CBORValue?)] =
            [
                ("pcrs", .map(pcrs.map { CBORValue.Entry($0.0, $0.1) })),
                ("certificate", .bytes(end)),
                ("cabundle", .array(bundle ?? [.bytes(sent), .bytes(middle)])),
            ].filter { name in !fields.contains { $0.0 == name.0 } } + fields
        var payload = CBORValue.named(all.compactMap { name, value in value.map { (name, $0) } })
            .encoded()
        let structure = CBORValue.array([
            .text("Signature1"), .bytes(header), .bytes([]), .bytes(payload),
        ])
        let signature = try key.signRaw(structure.encoded(), digest: digest)
        if tampers { payload[payload.count - 1] ^= 1 }
        let document = CBORValue.array(
            [.bytes(header), open, .bytes(payload), .bytes(signature)] + more)
        return (tag.map { .tagged($0, document) } ?? document).encoded() + trailing
    }

    /// The code of the refusal, or `admitted`.
    func code(
        pcrs: [Int: ReferenceValue] = [0: .any, 1: .any, 2: .any, 8: .any],
        skew: UInt32 = 60,
        now: Int64 = FakePKI.now,
        expected: Appraiser.ExpectedBinding = FakeNitro.expected,
        pinned: Bool = true,
        section: Bool = true
    ) throws -> String {
        let root = try rootCertificate()
        let policy =
            pinned
            ? NitroPolicy(pcrs: pcrs, maxSkew: skew, roots: [Digest.sha256(root)])
            : NitroPolicy(pcrs: pcrs, maxSkew: skew)
        let peer = PeerPolicy(
            name: "enclave",
            tier: .session,
            maxAge: 300,
            require: [.nitro: 1],
            tpm: nil,
            nitro: section ? policy : nil,
            simulated: false,
            configuration: []
        )
        let submission = Appraiser.Submission(
            evidence: [Evidence(.nitro, bytes: try evidence(root: root))],
            endorsements: [],
            configuration: Array("{}".utf8)
        )
        do throws(Refusal) {
            _ = try Appraiser.appraise(
                submission,
                expected: expected,
                policy: AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                now: now
            )
            return "admitted"
        } catch {
            return error.code
        }
    }

    static let expected = Appraiser.ExpectedBinding(
        reportData: reportData,
        tpmQualifyingData: [UInt8](repeating: 0, count: 32),
        nitro: .init(nonce: nonce, publicKey: publicKey)
    )
}
