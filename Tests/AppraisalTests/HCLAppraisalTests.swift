import Keys
import RATS
import Testing

@testable import Appraisal

/// Virtual TPMs of Azure confidential VMs: the hardware's report vouches for the attestation key.
struct HCLAppraisalTests {
    private func vector(_ name: String) throws -> RealVector? {
        try RealVector.all("tpm").first { $0.name == name }
    }

    // TPMT_PUBLIC of a restricted RSA signing key, with the vector's modulus.
    private func area(_ key: PublicKey) throws -> TPMTPublic {
        // The SPKI of RSA 2048 ends in the modulus, then INTEGER 65537 in five bytes.
        let modulus = Array(key.spki.dropLast(5).suffix(256))
        let head: [UInt8] = [
            0, 1, 0, 0x0B, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14, 0, 0x0B, 8, 0, 0, 0, 0, 0, 1, 0,
        ]
        return try TPMTPublic(head + modulus)
    }

    private func evidence(
        _ vector: RealVector, report: [UInt8]?, key: PublicKey? = nil
    ) throws -> TPMEvidence {
        let pem = String(decoding: try #require(vector.file("ak.pub.pem")), as: UTF8.self)
        let values = try #require(JSONParser.parse(vector.file("pcrs.json") ?? [])?["pcrs"])
        var registers: [Int: [UInt8]] = [:]
        for index in 0..<24 {
            registers[index] = values["\(index)"]?.text.flatMap(Hex.decode) ?? []
        }
        return TPMEvidence(
            attest: try TPMSAttest(#require(vector.file("quote.msg"))),
            key: try area(key ?? PublicKey(pem: pem)), bank: .sha256, values: registers,
            paravisorReport: report, hardwareQuote: vector.file("quote.bin"))
    }

    private func code(
        _ evidence: TPMEvidence, _ trust: TPMPolicy.KeyTrust, _ vector: RealVector,
        at now: Int64? = nil
    ) throws -> String {
        let policy = TPMPolicy(
            key: trust, bank: .sha256,
            pcrs: Dictionary(uniqueKeysWithValues: (0..<24).map { ($0, ReferenceValue.any) }),
            resetCount: .any, restartCount: .any, firmware: .any, allowsUnsafeClock: true,
            eventLog: .any)
        let endorsements = ["vcek.der", "ask.der", "ark.der"].compactMap { name in
            vector.file(name).map { Endorsement(mediaType: "application/pkix-cert", bytes: $0) }
        }
        do throws(Refusal) {
            let request = try TPMAppraisal(
                policy: policy, evidence: evidence, endorsements: endorsements,
                now: now ?? (try? vector.verifyAt()) ?? 0, activations: []
            ).run()
            return request == nil ? "admitted" : "activation"
        } catch {
            return error.code
        }
    }

    private func policy(_ change: (inout FakeSNPPolicy) -> Void = { _ in }) -> SNPPolicy {
        var policy = FakeSNPPolicy()
        policy.revocation = .any
        change(&policy)
        return policy.snp
    }

    @Test func aMachineUnderSEVSNPIsAdmittedAndEachStepHasItsRefusal() throws {
        guard let vector = try vector("azure-snp-milan-challenge") else { return }
        let report = try #require(vector.file("hcl-report.bin"))
        let good = try evidence(vector, report: report)
        #expect(try code(good, .underSNP(policy()), vector) == "admitted")
        #expect(
            try code(evidence(vector, report: nil), .underSNP(policy()), vector)
                == "tpm.hcl.missing")
        // One character of the runtime data: the report does not vouch for it any more.
        var changed = report
        changed[1_300] ^= 1
        #expect(
            try code(evidence(vector, report: changed), .underSNP(policy()), vector)
                == "tpm.hcl.report_data")
        let other = try PrivateKey.generate().publicKey
        #expect(other.spki != good.key.key.spki)
        let stranger = try self.vector("azure-snp-milan-2023")
        let strange = try evidence(try #require(stranger), report: report)
        #expect(try code(strange, .underSNP(policy()), vector) == "tpm.hcl.key")
        var cut = report
        cut.removeLast(1_500)
        #expect(
            try code(evidence(vector, report: cut), .underSNP(policy()), vector)
                == "tpm.hcl.malformed")
        let strict = policy { $0.measurement = .oneOf([[UInt8](repeating: 1, count: 48)]) }
        #expect(try code(good, .underSNP(strict), vector) == "snp.measurement")
        let revocation = policy { $0.revocation = .required }
        #expect(try code(good, .underSNP(revocation), vector) == "snp.crl.missing")
        let (from, to) = try vector.window()
        for now in [from - 1, to + 1] {
            #expect(
                try code(good, .underSNP(policy()), vector, at: now) == "snp.chain.invalid")
        }
    }

    @Test func aMachineUnderTDXNeedsItsQuote() throws {
        guard let vector = try vector("azure-tdx-live") else { return }
        let report = try #require(vector.file("hcl-report.bin"))
        let good = try evidence(vector, report: report)
        #expect(try code(good, .underSNP(policy()), vector) == "tpm.hcl.hardware")
        let hcl = try HCLReport(report)
        #expect(throws: Never.self) { try hcl.quote(vector.file("quote.bin")) }
        let refusal = #expect(throws: Refusal.self) { try hcl.quote(nil) }
        #expect(refusal?.code == "tpm.hcl.quote.missing")
        // A quote of another machine of the same kind.
        let others = try RealVector.all("tpm").first { $0.name == "azure-tdx-ak-certified-2026" }
        let foreign = #expect(throws: Refusal.self) {
            try hcl.quote(others?.file("quote.bin"))
        }
        #expect(foreign?.code == "tpm.hcl.quote")
    }

    @Test func aCloudsCertificateVouchesForTheKey() throws {
        guard let vector = try vector("azure-tdx-ak-certified-2026") else { return }
        let pem = String(decoding: try #require(vector.file("ak-cert-chain.pem")), as: UTF8.self)
        let chain = try Certificate.read(pem: pem)
        let root = try Certificate.read(
            pem: String(
                decoding: try #require(vector.file("azure-virtual-tpm-root-2023.pem")),
                as: UTF8.self))
        func certified(_ certificates: [Certificate]) throws -> TPMEvidence {
            let plain = try evidence(vector, report: nil)
            return TPMEvidence(
                attest: plain.attest, key: plain.key, bank: plain.bank, values: plain.values,
                keyCertificates: certificates.map(\.der))
        }
        let good = try certified(chain)
        #expect(try code(good, .certified(roots: root), vector) == "admitted")
        // A key whose structure nobody kept has no Name that a policy could pin.
        let bare = TPMEvidence(
            attest: good.attest, key: TPMTPublic(unnamed: good.key.key), bank: good.bank,
            values: good.values, keyCertificates: chain.map(\.der))
        #expect(try code(bare, .certified(roots: root), vector) == "admitted")
        #expect(try code(bare, .pinned([good.key.name]), vector) == "tpm.ak.area.missing")
        #expect(try code(bare, .pinned([[]]), vector) == "tpm.ak.area.missing")
        #expect(try code(good, .pinned([good.key.name]), vector) == "admitted")
        let refused = "tpm.ak.certificate"
        #expect(try code(good, .certified(roots: [chain[1]]), vector) == "admitted")
        #expect(try code(certified([]), .certified(roots: root), vector) == refused)
        #expect(
            try code(certified(Array(chain.dropFirst())), .certified(roots: root), vector)
                == refused)
        #expect(try code(certified([chain[0]]), .certified(roots: root), vector) == refused)
        let leaf = chain[0]
        for now in [leaf.notBefore - 1, leaf.notAfter + 1] {
            #expect(try code(good, .certified(roots: root), vector, at: now) == refused)
        }
    }
}
