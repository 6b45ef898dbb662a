import Keys
import RATS
import Testing

@testable import Appraisal

/// Evidence in files under a policy: what holds without one has to hold there too.
struct BundlePolicyTests {
    typealias Files = [String: [UInt8]]

    private func code(
        _ files: Files, _ peer: PeerPolicy, roots: [[UInt8]] = [], covering: [UInt8]? = nil
    ) throws -> String {
        let bundle = try #require(EvidenceBundle(files: files))
        do throws(Refusal) {
            var anchors = TrustAnchors()
            for root in roots { try anchors.add(root) }
            let result = try bundle.appraise(
                AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: []),
                anchors: anchors, covering: covering, now: FakePKI.now)
            return result.evidence.map(\.format.rawValue).joined(separator: " ")
        } catch {
            return error.code
        }
    }

    private func devices(
        gpus: Int, switches: Int = 0, covering: [UInt8]? = nil,
        _ change: (inout [FakeNVIDIA]) throws -> Void = { _ in }
    ) throws -> String {
        var machine = try FakeNVIDIAMachine(gpus: gpus, switches: switches)
        machine.machine = false
        machine.tier = .none
        machine.driverManifest = .any
        machine.vbiosManifest = .any
        machine.ocsp = .any
        for index in machine.devices.indices {
            machine.devices[index].nonce = nonce
            // Only in this mode a GPU names its switches.
            if switches > 0, machine.devices[index].device == .gpu {
                machine.devices[index].protect()
            }
        }
        // A switch stands first in the files.
        machine.devices.reverse()
        try change(&machine.devices)
        var files: Files = [:]
        for (index, device) in machine.devices.enumerated() {
            let chain = try device.chain().map { PEM.encode($0, label: "CERTIFICATE") }.joined()
            files["report-\(index).bin"] = try device.report()
            files["cert-chain-\(index).pem"] = Array(chain.utf8)
        }
        let outcome = try code(files, machine.policy, covering: covering)
        let (root, key) = (machine.devices[0].root, machine.maker.rootKey)
        let alone = try codeWithoutPolicy(
            files, root: FakePKI.certificate(root, of: key, by: key), covering: covering)
        #expect(alone == (outcome.hasPrefix("nvidia_") ? nil : outcome))
        return outcome
    }

    private func codeWithoutPolicy(
        _ files: Files, root: [UInt8], covering: [UInt8]?
    ) throws -> String? {
        let bundle = try #require(EvidenceBundle(files: files))
        do throws(Refusal) {
            var anchors = TrustAnchors()
            try anchors.add(root)
            _ = try bundle.authenticate(anchors: anchors, covering: covering, now: FakePKI.now)
            return nil
        } catch {
            return error.code
        }
    }

    private let nonce = [UInt8](repeating: 9, count: 32)

    @Test func devicesAreSignedAndInOrder() throws {
        #expect(try devices(gpus: 1) == "nvidia_gpu")
        let all = try devices(gpus: 2, switches: 1)
        #expect(all == "nvidia_gpu nvidia_gpu nvidia_switch")
        #expect(
            try devices(gpus: 1) { $0[0].after = [(60, 1)] } == "nvidia.signature.invalid")
    }

    @Test func eachDeviceCoversTheNonce() throws {
        #expect(try devices(gpus: 2, covering: nonce) == "nvidia_gpu nvidia_gpu")
        let wrong = "evidence.nonce.mismatch"
        #expect(try devices(gpus: 2, covering: nonce.dropLast()) == wrong)
        #expect(
            try devices(gpus: 2, covering: nonce) { $0[0].nonce[0] ^= 1 } == wrong)
        #expect(
            try devices(gpus: 2, covering: nonce) { $0[1].nonce[0] ^= 1 } == wrong)
    }

    @Test func aKeysAreaIsOfTheKey() throws {
        let tpm = try FakeTPM()
        let fields = try CBORFields(decoding: tpm.evidence().bytes, allowed: Set(1...10))
        let values = tpm.values.map { "\"\($0.key)\":\"\(Hex.encode($0.value))\"" }
        var files: Files = [
            "quote.msg": try fields.bytes(1), "quote.sig": try fields.bytes(2),
            "ak.tpmt-public.bin": try fields.bytes(3),
            "ak.pub.pem": Array(PEM.encode(tpm.key.publicKey.spki, label: "PUBLIC KEY").utf8),
            "pcrs.json": Array("{\"pcrs\":{\(values.joined(separator: ","))}}".utf8),
        ]
        let peer = PeerPolicy(
            name: "node", tier: .none, maxAge: 300, require: [.cca: 1], tpm: nil,
            simulated: false, configuration: [])
        #expect(try code(files, peer) == "evidence.kind.count")
        files["ak.tpmt-public.bin"] = try FakeTPM().publicArea
        #expect(try code(files, peer) == "tpm.ak.area")
    }

    @Test func aCertificatesEvidenceCovers() throws {
        let key = try PrivateKey.generate(.p256)
        let covered = Digest.sha256(key.spki) + [UInt8](repeating: 0, count: 32)
        var fake = try FakeDCAP()
        fake.layout.body.replaceSubrange(520..<584, with: covered)
        var template = FakePKI.Template(subject: "node", issuer: "node")
        template.extensions = [("1.2.840.113741.1337.6", try fake.quote())]
        let collateral = try fake.collateral()
        let files: Files = [
            "cert.der": try FakePKI.certificate(template, of: key, by: key),
            "tcb_info.json": collateral.tcbInfo, "qe_identity.json": collateral.qeIdentity,
            "tcb_signing_chain.pem": collateral.tcbSigningChain,
            "pck_crl.der": collateral.pckRevocations,
            "root_ca_crl.der": collateral.rootRevocations,
        ]
        let root = Array(try fake.pem(fake.root, fake.rootKey, fake.rootKey).utf8)
        let any = ReferenceValue.any
        let peer = PeerPolicy(
            name: "node", tier: .static, maxAge: 300, require: [.tdx: 1], tpm: nil,
            tdx: TDXPolicy(
                mrTD: any, rtmr: [any, any, any, any], mrConfigID: any, mrOwner: any,
                mrOwnerConfig: any, allowedAttributes: 0,
                tcb: TCBPolicy(accept: [.upToDate], tolerate: [], minimumEvaluation: 0),
                platforms: any),
            simulated: false, configuration: [])
        #expect(try code(files, peer, roots: [root]) == "tdx")
        #expect(try code(files, peer, roots: [root], covering: covered) == "tdx")
        #expect(
            try code(files, peer, roots: [root], covering: [1]) == "evidence.nonce.mismatch")
    }

    @Test func aResultIsSignedByAnAnchor() throws {
        var setup = try ResultAppraisalTests.Setup()
        func outcome(_ key: PublicKey?, now: Int64 = 1_800_000_000) throws -> String {
            let bundle = try #require(EvidenceBundle(file: Array(try setup.token().utf8)))
            do throws(Refusal) {
                var anchors = TrustAnchors()
                if let key {
                    try anchors.add(Array(PEM.encode(key.spki, label: "PUBLIC KEY").utf8))
                }
                _ = try bundle.authenticate(anchors: anchors, now: now)
                return "authentic"
            } catch {
                return error.code
            }
        }
        #expect(try outcome(setup.key.publicKey) == "authentic")
        #expect(try outcome(PrivateKey.generate().publicKey) == "result.signature.invalid")
        #expect(try outcome(nil) == "result.key.unknown")
        #expect(try outcome(setup.key.publicKey, now: 1_900_000_000) == "result.expired")
        setup.claims = "{}"
        #expect(try outcome(setup.key.publicKey) == "result.time.missing")
    }
}
