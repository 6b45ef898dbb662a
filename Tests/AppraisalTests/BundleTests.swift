import Keys
import RATS
import Testing

@testable import Appraisal

/// Evidence in files: what is refused of it without a policy, each line by its own code.
struct BundleTests {
    typealias Files = [String: [UInt8]]

    private func code(
        _ files: Files, roots: [[UInt8]] = [], covering: [UInt8]? = nil, now: Int64 = FakePKI.now
    ) throws -> String {
        let bundle = try #require(EvidenceBundle(files: files))
        do throws(Refusal) {
            var anchors = TrustAnchors()
            for root in roots { try anchors.add(root) }
            _ = try bundle.authenticate(anchors: anchors, covering: covering, now: now)
            return "authentic"
        } catch {
            return error.code
        }
    }

    private func pem(_ key: PublicKey) -> [UInt8] {
        Array(PEM.encode(key.spki, label: "PUBLIC KEY").utf8)
    }

    private func quote(
        _ covering: [UInt8]? = nil, without names: [String] = [],
        changing change: (inout FakeDCAP) throws -> Void = { _ in }
    ) throws -> String {
        var fake = try FakeDCAP()
        try change(&fake)
        let collateral = try fake.collateral()
        var files: Files = [
            "quote.bin": try fake.quote(), "tcb_info.json": collateral.tcbInfo,
            "qe_identity.json": collateral.qeIdentity,
            "tcb_signing_chain.pem": collateral.tcbSigningChain,
            "pck_crl.der": collateral.pckRevocations,
            "root_ca_crl.der": collateral.rootRevocations,
        ]
        for name in names { files[name] = nil }
        let root = try fake.pem(fake.root, fake.rootKey, fake.rootKey)
        return try code(files, roots: [Array(root.utf8)], covering: covering)
    }

    @Test func aQuoteIsVerifiedWithAndWithoutCollateral() throws {
        let debug: (inout FakeDCAP) -> Void = { $0.layout.body[120] = 1 }
        #expect(try quote() == "authentic")
        #expect(try quote(changing: debug) == "dcap.tdx.debug")
        #expect(try quote(without: ["tcb_info.json"]) == "dcap.collateral.missing")
        #expect(try quote(without: ["qe_identity.json"]) == "dcap.collateral.missing")
        #expect(try quote(without: ["tcb_signing_chain.pem"]) == "dcap.collateral.missing")
        #expect(try quote(without: ["pck_crl.der"]) == "dcap.revocation.missing")
        #expect(try quote(without: ["root_ca_crl.der"]) == "dcap.revocation.missing")
        // What is wrong with the quote itself comes first.
        #expect(try quote(without: ["tcb_info.json"], changing: debug) == "dcap.tdx.debug")
        let other = try PrivateKey.generate(.p256)
        #expect(try quote(without: ["tcb_info.json"]) { $0.pckSigner = other } == "dcap.pck.chain")
        #expect(
            try quote(without: ["tcb_info.json"]) { $0.qeReportKey = other } == "dcap.qe.signature")
        #expect(
            try quote(without: ["tcb_info.json"]) { $0.quoteKey = other } == "dcap.quote.signature")
    }

    @Test func whatTheEvidenceCoversIsCompared() throws {
        let all = [UInt8](repeating: 0x42, count: 64)
        let short: [UInt8] = [1, 2, 3]
        let wrong = "evidence.nonce.mismatch"
        #expect(try quote(all) == "authentic")
        #expect(try quote(all.dropLast()) == wrong)
        #expect(try quote([]) == wrong)
        let padded: (inout FakeDCAP) -> Void = {
            $0.layout.body.replaceSubrange(520..<584, with: [UInt8](repeating: 0, count: 64))
            $0.layout.body.replaceSubrange(520..<523, with: [1, 2, 3])
        }
        #expect(try quote(short, changing: padded) == "authentic")
        #expect(try quote([1, 2], changing: padded) == wrong)
        #expect(try quote(short + [1], changing: padded) == wrong)
    }

    private func report(
        without names: [String] = [], _ change: (inout FakeSNP) throws -> Void = { _ in }
    ) throws -> String {
        var fake = try FakeSNP()
        try change(&fake)
        let fields = try SNPEvidence.fields(try fake.evidence())
        var files: Files = ["report.bin": fields.report, "crl.der": fields.revocationList ?? []]
        for (name, der) in zip(["vcek.der", "ask.der", "ark.der"], fields.certificates) {
            files[name] = der
        }
        for name in names { files[name] = nil }
        let root = try FakePKI.certificate(fake.root, of: fake.ark, by: fake.ark)
        return try code(files, roots: [root])
    }

    @Test func aReportIsVerified() throws {
        #expect(try report() == "authentic")
        #expect(try report { $0.report[0x0A] |= 8 } == "snp.debug")
        #expect(try report { $0.report[0x0A] |= 4 } == "snp.migrate_ma")
        #expect(try report(without: ["crl.der"]) == "snp.crl.missing")
        #expect(try report(without: ["vcek.der"]) == "snp.key.missing")
        #expect(try report { $0.revoked = [7] } == "snp.revoked")
        #expect(try report { $0.overwritten = [(0x90, 0)] } == "snp.signature.invalid")
    }

    @Test func aDocumentIsVerified() throws {
        func document(_ change: (inout FakeNitro) throws -> Void = { _ in }) throws -> String {
            var fake = try FakeNitro()
            try change(&fake)
            let root = try fake.rootCertificate()
            return try code(
                ["attestation-document.cbor": try fake.evidence(root: root)], roots: [root])
        }
        #expect(try document() == "authentic")
        #expect(try document { $0.tampers = true } == "nitro.signature.invalid")
        let zero = [UInt8](repeating: 0, count: 48)
        #expect(try document { $0.setRegister(0, zero) } == "nitro.debug")
        #expect(try document { $0.leaf.to = "270101000000Z" } == "nitro.chain.invalid")
        let covered = try FakeNitro()
        let root = try covered.rootCertificate()
        let files = ["attestation-document.cbor": try covered.evidence(root: root)]
        #expect(try code(files, roots: [root], covering: FakeNitro.nonce) == "authentic")
        #expect(
            try code(files, roots: [root], covering: FakeNitro.nonce.dropLast())
                == "evidence.nonce.mismatch")
        let fake = try FakeNitro()
        let file = ["attestation-document.cbor": try fake.evidence(root: fake.rootCertificate())]
        #expect(try code(file) == "nitro.root.unknown")
    }

    @Test func aTokenIsVerifiedUnderANamedKey() throws {
        let fake = try FakeCCA()
        let files = ["cca-token.cbor": try fake.token()]
        let key = pem(fake.platformKey.publicKey)
        let other = pem(fake.realmKey.publicKey)
        #expect(try code(files, roots: [key]) == "authentic")
        #expect(try code(files, roots: [other, key]) == "authentic")
        #expect(try code(files) == "cca.cpak.missing")
        #expect(try code(files, roots: [other]) == "cca.platform.signature")
        var open = fake
        open.platform[2395] = .unsigned(0x4000)
        #expect(try code(["cca-token.cbor": try open.token()], roots: [key]) == "cca.lifecycle")
    }

    private func devices(
        _ change: (inout FakeNVIDIA) throws -> Void = { _ in }, count: Int = 0,
        edit: (inout Files) -> Void = { _ in }
    ) throws -> String {
        let maker = try FakeNVIDIAMaker.shared.get()
        var device = try FakeNVIDIA(maker)
        try change(&device)
        let chain = try device.chain().map { PEM.encode($0, label: "CERTIFICATE") }.joined()
        var files: Files = [:]
        for index in 0..<max(1, count) {
            let suffix = count == 0 ? "" : "-\(index)"
            files["report\(suffix).bin"] = try device.report()
            files["cert-chain\(suffix).pem"] = Array(chain.utf8)
        }
        edit(&files)
        let root = try FakePKI.certificate(device.root, of: maker.rootKey, by: maker.rootKey)
        return try code(files, roots: [root])
    }

    @Test func devicesAreVerified() throws {
        #expect(try devices() == "authentic")
        #expect(try devices(count: 1) == "authentic")
        #expect(try devices(count: 2) == "nvidia.device.duplicate")
        #expect(try devices(edit: { $0["cert-chain.pem"] = [1] }) == "nvidia.chain.malformed")
        #expect(try devices({ $0.after = [(60, 1)] }) == "nvidia.signature.invalid")
        #expect(try devices({ $0.leaf.extensions = [] }) == "nvidia.fwid.mismatch")
        #expect(try devices({ $0.root.to = "270101000000Z" }) == "nvidia.chain.invalid")
        #expect(
            try devices(count: 1, edit: { $0["cert-chain-0.pem"] = nil })
                == "evidence.file.missing")
    }

    /// What could not be checked is named, and nothing else is.
    @Test func gapsAreNamed() throws {
        let machine = try FakeNVIDIAMachine(gpus: 1, switches: 1)
        func gaps(_ index: Int, _ edit: (inout Files) throws -> Void) throws -> [String] {
            let device = machine.devices[index]
            let chain = try device.chain().map { PEM.encode($0, label: "CERTIFICATE") }.joined()
            var files: Files = [
                "report.bin": try device.report(), "cert-chain.pem": Array(chain.utf8),
            ]
            try edit(&files)
            var anchors = TrustAnchors()
            try anchors.add(
                FakePKI.certificate(
                    device.root, of: machine.maker.rootKey, by: machine.maker.rootKey))
            let root = FakePKI.Template(
                subject: "RIM root", issuer: "RIM root", serial: 21, isAuthority: true)
            try anchors.add(
                FakePKI.certificate(
                    root, of: machine.maker.manifestRootKey, by: machine.maker.manifestRootKey))
            let bundle = try #require(EvidenceBundle(files: files))
            return try bundle.authenticate(anchors: anchors, now: FakePKI.now).gaps
                .compactMap { $0.split(separator: ":").first.map(String.init) }
        }
        #expect(try gaps(0) { _ in } == ["driver", "VBIOS", "revocation"])
        // A switch has no driver of its own.
        #expect(try gaps(1) { _ in } == ["VBIOS", "revocation"])
        let driver = try machine.manifests[0].bytes()
        #expect(try gaps(0) { $0["driver-rim.swidtag.xml"] = driver } == ["VBIOS", "revocation"])
        let answer = try machine.devices[0].answer.encoded()
        for (name, isOne) in [("ocsp-0.der", true), ("answer.der", false), ("ocsp.txt", false)] {
            #expect(try gaps(0) { $0[name] = answer }.contains("revocation") == !isOne, "\(name)")
        }
    }

    @Test func eachKindIsReadBeforeAPolicyDecides() throws {
        let peer = PeerPolicy(
            name: "node", tier: .session, maxAge: 300, require: [.cca: 1], tpm: nil,
            simulated: false, configuration: [])
        let policy = AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: [])
        func code(_ files: Files) -> String? {
            do throws(Refusal) {
                _ = try EvidenceBundle(files: files)?.appraise(
                    policy, covering: nil, now: FakePKI.now)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(["quote.msg": [1]]) == "tpm.attest.magic")
        #expect(code(["cca-token.cbor": [1]]) == "cca.cpak.missing")
        #expect(code(["report-0.bin": [1]]) == "evidence.file.missing")
    }

    /// Files appraised under a policy, each with another quote's signature.
    @Test func signaturesOfFilesHoldUnderAPolicyToo() throws {
        let other = try PrivateKey.generate(.p256)
        var fake = try FakeDCAP()
        let any = ReferenceValue.any
        func code(
            _ covering: [UInt8]?, requires: EvidenceFormat = .tdx
        ) throws -> String {
            let collateral = try fake.collateral()
            let bundle = try #require(
                EvidenceBundle(files: [
                    "quote.bin": try fake.quote(), "tcb_info.json": collateral.tcbInfo,
                    "qe_identity.json": collateral.qeIdentity,
                    "tcb_signing_chain.pem": collateral.tcbSigningChain,
                    "pck_crl.der": collateral.pckRevocations,
                    "root_ca_crl.der": collateral.rootRevocations,
                ]))
            let tdx = TDXPolicy(
                mrTD: any, rtmr: [any, any, any, any], mrConfigID: any, mrOwner: any,
                mrOwnerConfig: any, allowedAttributes: 0,
                tcb: TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 0),
                platforms: any)
            let peer = PeerPolicy(
                name: "node", tier: .session, maxAge: 300, require: [requires: 1], tpm: nil,
                tdx: tdx, simulated: false, configuration: [])
            var anchors = TrustAnchors()
            try anchors.add(Array(fake.pem(fake.root, fake.rootKey, fake.rootKey).utf8))
            do throws(Refusal) {
                let result = try bundle.appraise(
                    AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                    anchors: anchors, covering: covering, now: FakePKI.now)
                return result.isSimulated ? "simulated" : "admitted"
            } catch {
                return error.code
            }
        }
        #expect(try code([UInt8](repeating: 0x42, count: 64)) == "admitted")
        #expect(try code(nil) == "admitted")
        #expect(try code([1]) == "evidence.nonce.mismatch")
        #expect(try code(nil, requires: .snp) == "evidence.kind.count")
        fake.quoteKey = other
        #expect(try code(nil) == "dcap.quote.signature")
        #expect(try code(nil, requires: .snp) == "dcap.quote.signature")
    }

    @Test func anAnchorIsACertificateOrAKey() throws {
        let fake = try FakeCCA()
        let files = ["cca-token.cbor": try fake.token()]
        #expect(try code(files, roots: [[1, 2, 3]]) == "anchor.malformed")
        let broken = Array("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n".utf8)
        #expect(try code(files, roots: [broken]) == "anchor.malformed")
    }

    @Test func filesSayWhatTheyAre() throws {
        let one: [UInt8] = [1]
        let kinds: [(EvidenceBundle.Kind?, Files)] = [
            (nil, [:]), (nil, ["notes.txt": one]), (.certificate, ["cert.pem": one]),
            (.certificate, ["cert.der": one, "quote.bin": one]), (.tpm, ["quote.msg": one]),
            (.nitro, ["attestation-document.cbor": one]), (.cca, ["cca-token.cbor": one]),
            (.snp, ["report.bin": one]), (.snp, ["report.bin": one, "ark.der": one]),
            (.snp, ["report.bin": [0x11, 0xE0], "vlek.der": one, "cert-chain.pem": one]),
            (.nvidia, ["report.bin": one, "cert-chain.pem": one]),
            (.nvidia, ["report.bin": [0x11, 0xE0]]), (.nvidia, ["report-0.bin": one]),
            (.tdx, ["quote.bin": one]), (.tdx, ["quote.bin": [4, 0, 2, 0, 0x81, 0, 0, 0]]),
            (.sgx, ["quote.bin": [4, 0, 2, 0, 0, 0, 0, 0]]),
        ]
        for (kind, files) in kinds {
            #expect(EvidenceBundle(files: files)?.kind == kind, "\(files.keys)")
        }
        let quote = try FakeDCAP().quote()
        let report = try SNPEvidence.fields(try FakeSNP().evidence()).report
        let fake = try FakeNitro()
        let certificate = try fake.rootCertificate()
        let bare: [(EvidenceBundle.Kind?, [UInt8])] = [
            (.tdx, quote), (.tdx, Array(quote[..<48])), (nil, Array(quote[..<47])), (.snp, report),
            (nil, report + [0]), (nil, [2, 1] + report.dropFirst(2)),
            (.certificate, certificate), (nil, certificate.dropLast()),
            (.nitro, try fake.evidence(root: certificate)), (.cca, try FakeCCA().token()),
            (.tpm, try FakeTPM().attest), (nil, []), (nil, one),
            (.certificate, Array("-----BEGIN CERTIFICATE-----".utf8)),
            (.nvidia, [0x11, 0xE0, 1]), (.nitro, [0xD2, 0x84]), (.nitro, [0x84, 0x44]),
        ]
        for (index, (kind, bytes)) in bare.enumerated() {
            #expect(EvidenceBundle(file: bytes)?.kind == kind, "file \(index)")
        }
    }

    @Test func filesMayBeText() throws {
        let quote = try FakeDCAP().quote()
        func kind(_ text: String) -> EvidenceBundle.Kind? {
            EvidenceBundle(file: Array(text.utf8))?.kind
        }
        let hex = Hex.encode(quote)
        #expect(kind(hex) == .tdx)
        #expect(kind("0x" + hex + "\r\n") == .tdx)
        #expect(kind(Base64.encode(quote)) == .tdx)
        #expect(kind(" \t\r\n" + Base64.encode(quote)) == .tdx)
        for text in ["", "\n", "\u{B}" + hex, hex + "\u{7F}", hex + "g"] {
            #expect(kind(text) == nil, "\(text.prefix(9))")
        }
        let blanks = String(repeating: " ", count: 2 * EvidenceBundle.maximumFile - hex.utf8.count)
        #expect(kind(hex + blanks) == .tdx)
        #expect(kind(hex + blanks + " ") == nil)
    }
}
