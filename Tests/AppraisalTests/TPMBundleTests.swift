import Bytes
import Keys
import RATS
import Testing

@testable import Appraisal

/// A TPM's quote in files, and what vouches for its key, each line by its own code.
struct TPMBundleTests {
    typealias Files = [String: [UInt8]]

    private func code(_ files: Files, roots: [[UInt8]] = [], now: Int64 = FakePKI.now) -> String {
        do throws(Refusal) {
            var anchors = TrustAnchors()
            for root in roots { try anchors.add(root) }
            guard let bundle = EvidenceBundle(files: files) else { return "no bundle" }
            _ = try bundle.authenticate(anchors: anchors, now: now)
            return "authentic"
        } catch {
            return error.code
        }
    }

    private func pem(_ key: PublicKey) -> [UInt8] {
        Array(PEM.encode(key.spki, label: "PUBLIC KEY").utf8)
    }

    /// The files of a machine, whose key is named as an anchor unless `isNamed` says otherwise.
    private func machine(
        isNamed: Bool = true, _ change: (inout FakeTPM) throws -> Void = { _ in },
        edit: (inout Files, FakeTPM) throws -> Void = { _, _ in }
    ) throws -> String {
        var tpm = try FakeTPM()
        try change(&tpm)
        let fields = try CBORFields(decoding: tpm.evidence().bytes, allowed: Set(1...10))
        let values = tpm.values.map { "\"\($0.key)\":\"\(Hex.encode($0.value))\"" }
        var files: Files = [
            "quote.msg": try fields.bytes(1), "quote.sig": try fields.bytes(2),
            "ak.tpmt-public.bin": try fields.bytes(3), "ak.pub.pem": pem(tpm.key.publicKey),
            "pcrs.json": Array("{\"pcrs\":{\(values.joined(separator: ","))}}".utf8),
        ]
        try edit(&files, tpm)
        return code(files, roots: isNamed ? [pem(tpm.key.publicKey)] : [])
    }

    @Test func aQuoteAgreesWithItself() throws {
        let other = try PrivateKey.generate()
        #expect(try machine() == "authentic")
        #expect(try machine { $0.magic = 1 } == "tpm.attest.magic")
        #expect(try machine { $0.tampersWithSignature = true } == "tpm.signature.invalid")
        #expect(try machine { $0.attributes = 0x0004_0072 } == "tpm.ak.attributes")
        #expect(try machine(isNamed: false) == "tpm.ak.untrusted")
        func edited(_ edit: @escaping (inout Files, FakeTPM) throws -> Void) throws -> String {
            try machine(edit: edit)
        }
        #expect(try edited { files, _ in files["ak.pub.pem"] = [1] } == "tpm.ak.malformed")
        #expect(try edited { files, _ in files["ak.pub.pem"] = nil } == "evidence.file.missing")
        #expect(try edited { files, _ in files["quote.sig"] = nil } == "evidence.file.missing")
        #expect(
            try edited { files, tpm in
                files["ak.tpmt-public.bin"] = try FakeTPM().publicArea
            } == "tpm.ak.area")
        #expect(try edited { files, _ in files["ak.tpmt-public.bin"] = nil } == "authentic")
        #expect(
            try edited { files, _ in files["ak.pub.pem"] = pem(other.publicKey) } == "tpm.ak.area")
    }

    @Test func theRegistersAreThoseQuoted() throws {
        func registers(_ text: String) throws -> String {
            try machine(edit: { files, _ in files["pcrs.json"] = Array(text.utf8) })
        }
        let zero = Hex.encode([UInt8](repeating: 1, count: 32))
        let seven = Hex.encode([UInt8](repeating: 2, count: 32))
        let both = "\"0\":\"\(zero)\",\"7\":\"\(seven)\""
        let malformed = "tpm.pcr.malformed"
        #expect(try registers("{\"pcrs\":{\(both)}}") == "authentic")
        #expect(try registers("{\"pcrs\":{\(both),\"8\":\"\(zero)\"}}") == "authentic")
        #expect(try registers("{\"pcrs\":{\"0\":\"\(zero)\"}}") == malformed)
        #expect(try registers("{\"pcrs\":{\"0\":\"\(zero)\",\"7\":\"x\"}}") == malformed)
        #expect(try registers("{\"pcrs\":[]}") == malformed)
        #expect(try registers("{") == malformed)
        #expect(
            try registers("{\"pcrs\":{\"0\":\"\(seven)\",\"7\":\"\(zero)\"}}") == "tpm.pcr.digest")
        // 64 KiB is the most.
        let text = "{\"pcrs\":{\(both)}}"
        let blanks = String(repeating: " ", count: 64 * 1024 - text.utf8.count)
        #expect(try registers(text + blanks) == "authentic")
        #expect(try registers(text + blanks + " ") == malformed)
        #expect(try machine(edit: { files, _ in files["pcrs.json"] = nil }) == "authentic")
        #expect(try machine { $0.selections = [] } == "tpm.pcr.duplicate")
        #expect(try machine { $0.selections.append((0x000C, [1])) } == "tpm.pcr.duplicate")
        #expect(
            try machine { $0.selections = [(0x000B, [1]), (0x000B, [0x80])] }
                == "tpm.pcr.duplicate")
    }

    @Test func aCloudsCertificateMustBeOfTheKey() throws {
        let authority = try PrivateKey.generate(.p384)
        let template = FakePKI.Template(subject: "Cloud", issuer: "Cloud", isAuthority: true)
        let root = try FakePKI.certificate(template, of: authority, by: authority)
        let refused = "tpm.ak.certificate"
        func certified(
            _ leaf: FakePKI.Template = FakePKI.Template(subject: "AK", issuer: "Cloud"),
            of key: PrivateKey? = nil, by signer: PrivateKey? = nil, chain: [[UInt8]]? = nil,
            isTrusted: Bool = true, name: String = "ak-cert.der"
        ) throws -> String {
            let tpm = try FakeTPM()
            let fields = try CBORFields(decoding: tpm.evidence().bytes, allowed: Set(1...10))
            let certificate = try FakePKI.certificate(
                leaf, of: key ?? tpm.key, by: signer ?? authority)
            let text = ([certificate] + (chain ?? [root]))
                .map { PEM.encode($0, label: "CERTIFICATE") }.joined()
            var files: Files = [
                "quote.msg": try fields.bytes(1), "quote.sig": try fields.bytes(2),
                "ak.pub.pem": pem(tpm.key.publicKey),
            ]
            files[name] = name.hasSuffix("pem") ? Array(text.utf8) : certificate
            return code(files, roots: isTrusted ? [root] : [])
        }
        for name in ["ak-cert.der", "ak-cert-chain.pem"] {
            #expect(try certified(name: name) == "authentic")
            #expect(try certified(of: authority, name: name) == refused)
            #expect(try certified(by: try .generate(.p384), name: name) == refused)
            #expect(try certified(isTrusted: false, name: name) == "tpm.ak.untrusted")
            var late = FakePKI.Template(subject: "AK", issuer: "Cloud")
            late.to = "270101000000Z"
            #expect(try certified(late, name: name) == refused)
        }
        #expect(try certified(chain: [[1]], name: "ak-cert-chain.pem") == refused)
        // A root may lie beside the Evidence in PEM; what makes it one is the key that is named.
        let tpm = try FakeTPM()
        let fields = try CBORFields(decoding: tpm.evidence().bytes, allowed: Set(1...10))
        let leaf = FakePKI.Template(subject: "AK", issuer: "Cloud")
        for (name, wanted) in [("cloud.pem", "authentic"), ("cloud.txt", "tpm.ak.untrusted")] {
            let files: Files = [
                "quote.msg": try fields.bytes(1), "quote.sig": try fields.bytes(2),
                "ak.pub.pem": pem(tpm.key.publicKey),
                "ak-cert.der": try FakePKI.certificate(leaf, of: tpm.key, by: authority),
                name: Array(PEM.encode(root, label: "CERTIFICATE").utf8),
            ]
            #expect(code(files, roots: [pem(authority.publicKey)]) == wanted)
        }
    }

    @Test func structuresHaveTheirSizes() throws {
        // An RSA key whose modulus is longer than its bits.
        let head: [UInt8] = [
            0, 1, 0, 0x0B, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14, 0, 0x0B, 8, 0, 0, 0, 0, 0,
        ]
        let modulus = [0xC0] + [UInt8](repeating: 0x5A, count: 254) + [1]
        #expect(throws: Never.self) { try TPMTPublic(head + [1, 0] + modulus) }
        let long = #expect(throws: Refusal.self) {
            try TPMTPublic(head + [1, 0x80] + modulus + [UInt8](repeating: 1, count: 128))
        }
        #expect(long?.code == "tpm.ak.algorithm")
        func read(_ size: Int, limit: Int) -> Bool {
            let bytes = [UInt8](repeating: 0, count: size)
            return
                (try? TPMStructure.read("x", bytes, limit: limit) { reader throws(ReadError) in
                    try reader.take(size)
                }) != nil
        }
        #expect(read(4, limit: 4))
        #expect(!read(5, limit: 4))
    }

    private func vector(_ name: String) throws -> (RealVector, Files, Int64)? {
        guard let vector = try RealVector.all("tpm").first(where: { $0.name == name }) else {
            return nil
        }
        var files: Files = [:]
        for name in [
            "quote.msg", "quote.sig", "ak.pub.pem", "pcrs.json", "hcl-report.bin", "vcek.der",
            "ask.der", "ark.der", "crl.der", "quote.bin", "runtime-data.json", "report.bin",
            "tcb_info.json", "qe_identity.json", "tcb_signing_chain.pem", "pck_crl.der",
            "root_ca_crl.der",
        ] {
            files[name] = vector.file(name)
        }
        return (vector, files, try vector.verifyAt())
    }

    @Test func theHardwareVouchesForTheKey() throws {
        guard let (_, files, now) = try vector("azure-snp-milan-challenge") else { return }
        #expect(code(files, now: now) == "authentic")
        func edited(_ edit: (inout Files) throws -> Void) rethrows -> String {
            var copy = files
            try edit(&copy)
            return code(copy, now: now)
        }
        let report = try #require(files["hcl-report.bin"])
        let hcl = try HCLReport(report)
        #expect(edited { $0["runtime-data.json"] = hcl.runtimeData } == "authentic")
        #expect(
            edited { $0["runtime-data.json"] = hcl.runtimeData + [0x20] } == "tpm.hcl.report_data")
        #expect(edited { $0["report.bin"] = hcl.report } == "authentic")
        #expect(
            edited { $0["report.bin"] = hcl.report.dropLast() + [1] } == "tpm.hcl.report_data")
        #expect(edited { $0["vcek.der"] = nil } == "snp.key.missing")
        #expect(edited { $0["ark.der"] = nil } == "snp.root.unknown")
        #expect(code(files, now: now + 20 * 366 * 86_400) == "snp.chain.invalid")
        // A signature of RSA is none of ECDSA, whatever the key would make of it.
        let message = try #require(files["quote.msg"])
        let pem = String(decoding: try #require(files["ak.pub.pem"]), as: UTF8.self)
        let key = try PublicKey(pem: pem)
        let bytes = try #require(files["quote.sig"])
        #expect(key.verifies(rsa: bytes, over: message, digest: .sha256, padding: .pkcs1))
        #expect(!key.verifies(rsa: bytes, over: message, digest: .sha256, padding: .pss))
        #expect(!key.verifies(der: bytes, over: message))
        // The signature is by the vector's key: another machine's is not in this report.
        guard let (_, others, _) = try vector("azure-snp-milan-2023") else { return }
        #expect(edited { $0["ak.pub.pem"] = others["ak.pub.pem"] } == "tpm.hcl.key")
        #expect(edited { $0["quote.sig"]?[20] ^= 1 } == "tpm.signature.invalid")
        #expect(edited { $0["hcl-report.bin"]?[1_300] ^= 1 } == "tpm.hcl.report_data")
    }

    @Test func theHardwareMayBeATrustDomain() throws {
        guard let (vector, files, now) = try vector("azure-tdx-live") else { return }
        #expect(code(files, now: now) == "authentic", "\(vector.name)")
        var copy = files
        copy["quote.bin"] = nil
        #expect(code(copy, now: now) == "tpm.hcl.quote.missing")
        copy = files
        for name in ["tcb_info.json", "qe_identity.json"] { copy[name] = nil }
        #expect(code(copy, now: now) == "authentic")
        #expect(code(copy, now: now + 20 * 366 * 86_400) == "dcap.pck.chain")
        // Beside a TDREPORT, report.bin is none of its copies.
        copy = files
        copy["report.bin"] = [1]
        #expect(code(copy, now: now) == "authentic")
    }

    /// The vector's TDREPORT with another's attributes, and a quote that agrees with it.
    @Test func aTrustDomainUnderATPMIsHeldToTheRules() throws {
        guard let (_, original, _) = try vector("azure-tdx-live") else { return }
        func outcome(debug: UInt8, collateral: Bool, revoked: [UInt8] = []) throws -> String {
            var files = original
            let hcl = try HCLReport(try #require(files["hcl-report.bin"]))
            var fake = try FakeDCAP()
            fake.revokedByIssuer = revoked
            fake.layout.body[120] = debug
            fake.layout.body.replaceSubrange(520..<584, with: hcl.expectedReportData)
            files["quote.bin"] = try fake.quote()
            let start = HCLReport.reportOffset + 512
            files["hcl-report.bin"]?.replaceSubrange(
                start..<start + 64, with: fake.layout.body[120..<184])
            let parts = try fake.collateral()
            files["tcb_info.json"] = collateral ? parts.tcbInfo : nil
            files["qe_identity.json"] = parts.qeIdentity
            files["tcb_signing_chain.pem"] = parts.tcbSigningChain
            files["pck_crl.der"] = parts.pckRevocations
            files["root_ca_crl.der"] = parts.rootRevocations
            return code(files, roots: [pem(fake.rootKey.publicKey)])
        }
        for collateral in [true, false] {
            #expect(try outcome(debug: 0, collateral: collateral) == "authentic")
            #expect(try outcome(debug: 1, collateral: collateral) == "dcap.tdx.debug")
        }
        #expect(try outcome(debug: 0, collateral: true, revoked: [3]) == "dcap.pck.chain")
    }
}
