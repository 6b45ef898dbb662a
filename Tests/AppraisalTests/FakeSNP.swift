import Keys

@testable import Appraisal

/// A Genoa guest under a PKI of its own, to be changed one thing at a time and then signed.
struct FakeSNP {
    let ark: PrivateKey
    let ask: PrivateKey
    let key: PrivateKey
    /// The report before it is signed, then what is written over it after.
    var report = [UInt8](repeating: 0, count: 0x4A0)
    var overwritten: [(Int, UInt8)] = []
    var trailing: [UInt8] = []

    var root = FakePKI.Template(subject: "ARK-Genoa", issuer: "ARK-Genoa", isAuthority: true)
    var middle = FakePKI.Template(
        subject: "SEV-Genoa", issuer: "ARK-Genoa", serial: 7, isAuthority: true)
    var leaf = FakePKI.Template(subject: "SEV-VCEK", issuer: "SEV-Genoa")
    var productName: String? = "Genoa"
    var levels: [String: UInt8] = ["3.1": 10, "3.2": 1, "3.3": 23, "3.8": 200]
    var hardwareID: [UInt8]? = (0..<64).map { UInt8($0) }
    var providerID: String?

    /// Who really signs; another than `ark` or `ask` is a forgery.
    var middleSigner: PrivateKey
    var leafSigner: PrivateKey
    var listSigner: PrivateKey
    var leavesOut: Set<Int> = []
    var strangeCertificate: [UInt8]?
    /// The root first, and before it what is strange.
    var isReversed = false

    var hasList = true
    var revoked: [UInt8] = [9]
    var listFrom = "260101000000Z"
    var listTo = "280101000000Z"

    init() throws {
        ark = try PrivateKey.generate(.p384)
        ask = try PrivateKey.generate(.p384)
        key = try PrivateKey.generate(.p384)
        middleSigner = ark
        leafSigner = ask
        listSigner = ark
        set(0x00, [3])
        set(0x04, [5])
        set(0x08, [2, 1, 3])
        set(0x30, [0])
        set(0x34, [1])
        set(0x40, [0x21])
        set(0x50, reportData)
        set(0x90, [UInt8](repeating: 0xAA, count: 48))
        set(0xC0, [UInt8](repeating: 0xBB, count: 32))
        set(0xE0, [UInt8](repeating: 0xCC, count: 48))
        set(0x110, [UInt8](repeating: 0xDD, count: 48))
        for offset in [0x38, 0x180, 0x1E0, 0x1F0] { set(offset, [10, 1, 0, 0, 0, 0, 23, 200]) }
        set(0x188, [0x19, 0x11, 1])
        set(0x1A0, (0..<64).map { UInt8($0) })
        for offset in [0x1E8, 0x1EC] { set(offset, [40, 55, 1]) }
    }

    var reportData: [UInt8] { [UInt8](repeating: 0x55, count: 64) }

    mutating func set(_ offset: Int, _ bytes: [UInt8]) {
        report.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// The policy that trusts this PKI and lets all else pass.
    var policy: FakeSNPPolicy {
        var policy = FakeSNPPolicy()
        policy.roots = [.genoa: [Digest.sha256(ark.spki)]]
        return policy
    }

    func evidence() throws -> [UInt8] {
        var bytes = report
        let raw = try key.signRaw(Array(bytes[..<0x2A0]), digest: .sha384)
        bytes.replaceSubrange(0x2A0..<0x2D0, with: raw[..<48].reversed())
        bytes.replaceSubrange(0x2E8..<0x318, with: raw[48...].reversed())
        for (offset, value) in overwritten { bytes[offset] = value }
        let certificates = [
            try FakePKI.certificate(certified, of: key, by: leafSigner),
            try FakePKI.certificate(middle, of: ask, by: middleSigner),
            try FakePKI.certificate(root, of: ark, by: ark),
        ]
        var sent = certificates.enumerated().filter { !leavesOut.contains($0.offset) }
            .map { CBORValue.bytes($0.element) }
        if let strangeCertificate { sent.append(.bytes(strangeCertificate)) }
        if isReversed { sent.reverse() }
        let list = try FakePKI.revocationList(
            issuer: "ARK-Genoa", serials: revoked, from: listFrom, to: listTo, by: listSigner)
        return CBORValue.fields([
            (1, .bytes(bytes + trailing)), (2, .array(sent)), (3, hasList ? .bytes(list) : nil),
        ]).encoded()
    }

    private var certified: FakePKI.Template {
        let arc = "1.3.6.1.4.1.3704.1."
        func text(_ value: String) -> [UInt8] { DER.tagged(0x16, Array(value.utf8)) }
        var template = leaf
        if let productName { template.extensions.append((arc + "2", text(productName))) }
        for (name, value) in levels.sorted(by: { $0.key < $1.key }) {
            template.extensions.append((arc + name, DER.integer([value])))
        }
        if let hardwareID { template.extensions.append((arc + "4", hardwareID)) }
        if let providerID { template.extensions.append((arc + "5", text(providerID))) }
        return template
    }

    /// Renames the chain, so that it is one of another product.
    mutating func become(_ name: String, cpuid: [UInt8], levels: [String: UInt8], tcb: [UInt8]) {
        middle.subject = "SEV-\(name)"
        leaf.issuer = "SEV-\(name)"
        productName = name
        self.levels = levels
        set(0x188, cpuid)
        for offset in [0x38, 0x180, 0x1E0, 0x1F0] { set(offset, tcb) }
    }

    /// Signed by a VLEK, as clouds do that hide their chips.
    mutating func becomeLoaded(_ provider: String?) {
        set(0x48, [4])
        set(0x1A0, [UInt8](repeating: 0, count: 64))
        middle.subject = "SEV-VLEK-Genoa"
        leaf.issuer = "SEV-VLEK-Genoa"
        leaf.subject = "SEV-VLEK"
        hardwareID = nil
        providerID = provider
    }

    mutating func becomeTurin() {
        become(
            "Turin",
            cpuid: [0x1A, 2, 1],
            levels: ["3.9": 4, "3.1": 1, "3.2": 2, "3.3": 3, "3.8": 71],
            tcb: [4, 1, 2, 3, 0, 0, 0, 71]
        )
        hardwareID = [1, 2, 3, 4, 5, 6, 7, 8]
        set(0x1A0, [1, 2, 3, 4, 5, 6, 7, 8] + [UInt8](repeating: 0, count: 56))
    }
}
