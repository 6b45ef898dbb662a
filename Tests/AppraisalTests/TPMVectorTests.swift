import FoundationEssentials
import Keys
import RATS
import Testing

@testable import Appraisal

/// Quotes of real TPMs, from the shared vectors.
struct TPMVectorTests {
    private struct Vector {
        let name: String
        let folder: String
        let description: JSONValue

        func file(_ name: String) -> [UInt8]? { TestData.read(folder + "/" + name) }
    }

    private func vectors() throws -> [Vector] {
        let root = TestData.shared + "/vectors/tpm"
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: root) else {
            print("skipped: \(root) is absent")
            return []
        }
        return try names.sorted().map { name in
            let bytes = try #require(TestData.read("\(root)/\(name)/vector.json"))
            return Vector(
                name: name,
                folder: "\(root)/\(name)",
                description: try #require(JSONParser.parse(bytes))
            )
        }
    }

    @Test func everyQuoteIsReadAsOthersReadIt() throws {
        for vector in try vectors() {
            let attest = try TPMSAttest(#require(vector.file("quote.msg")))
            let claims = try #require(vector.description["claims"])
            #expect(Hex.encode(attest.extraData) == claims["extra_data"]?.text, "\(vector.name)")
            #expect(Hex.encode(attest.qualifiedSigner) == claims["qualified_signer"]?.text)
            #expect(Hex.encode(attest.pcrDigest) == claims["pcr_digest"]?.text)
            #expect(Int(attest.resetCount) == claims["reset_count"]?.integer)
            #expect(Int(attest.restartCount) == claims["restart_count"]?.integer)
            #expect(Int(attest.clock) == claims["clock"]?.integer)
            #expect((attest.safe ? 1 : 0) == claims["safe"]?.integer)
            let version = "0x" + String(attest.firmwareVersion, radix: 16)
            #expect(version == claims["firmware_version"]?.text)
            let registers = claims["pcr_select"]?.items?[0]["pcrs"]?.items?.map(\.integer)
            #expect(attest.selections[0].registers.map(Optional.some) == registers)
        }
    }

    @Test func signaturesAndRegistersHoldWhereTheyShould() throws {
        for vector in try vectors() {
            let expect = try #require(vector.description["expect"]?.text)
            let message = try #require(vector.file("quote.msg"))
            let pem = String(decoding: try #require(vector.file("ak.pub.pem")), as: UTF8.self)
            let key = try PublicKey(pem: pem)
            let bytes = try #require(vector.file("quote.sig"))
            let signed: Bool
            if let signature = try? TPMTSignature(bytes) {
                guard let digest = try? signature.digest() else {
                    #expect(expect.contains("SHA-1"), "\(vector.name)")
                    continue
                }
                switch signature.value {
                case .rsa(let rsa):
                    signed = key.verifies(rsa: rsa, over: message, digest: digest, padding: .pkcs1)
                case .ecdsa(let r, let s):
                    signed = key.verifies(raw: r + s, over: message, digest: digest)
                }
            } else {
                signed = key.verifies(rsa: bytes, over: message, digest: .sha256, padding: .pkcs1)
            }
            let isOtherLayer = ["runtime data", "not signed by the AK of"].contains {
                expect.contains($0)
            }
            let registers = try digestHolds(vector, message)
            let holds = signed && registers
            #expect(holds == (expect == "verified") || isOtherLayer, "\(vector.name)")
        }
    }

    private func digestHolds(_ vector: Vector, _ message: [UInt8]) throws -> Bool {
        guard let bytes = vector.file("pcrs.json") else { return true }
        let values = try #require(JSONParser.parse(bytes)?["pcrs"])
        let attest = try TPMSAttest(message)
        let all = attest.selections[0].registers.flatMap {
            values["\($0)"]?.text.flatMap(Hex.decode) ?? []
        }
        return Digest.sha256(all) == attest.pcrDigest
    }

    @Test func publicAreasAndLogsOfAShieldedMachine() throws {
        for vector in try vectors() where vector.name.hasPrefix("gce") {
            let area = try TPMTPublic(#require(vector.file("ak.tpmt-public.bin")))
            let pem = String(decoding: try #require(vector.file("ak.pub.pem")), as: UTF8.self)
            #expect(area.key.spki == (try PublicKey(pem: pem)).spki)
            try area.checkAttributes()
            let signature = try TPMTSignature(#require(vector.file("quote.sig")))
            try signature.check(by: area, over: #require(vector.file("quote.msg")))
            let log = try EventLog(#require(vector.file("eventlog.bin")))
            guard vector.name.hasSuffix("sha256") else { continue }
            let bytes = try #require(vector.file("pcrs.json"))
            let values = try #require(JSONParser.parse(bytes)?["pcrs"])
            for (register, value) in try log.replay(.sha256) where register < 8 {
                #expect(values["\(register)"]?.text == Hex.encode(value), "PCR \(register)")
            }
        }
    }

    @Test func copiesBesideTheParavisorsReportAreTheSame() throws {
        for vector in try vectors() where vector.name == "azure-snp-milan-challenge" {
            var files: [String: [UInt8]] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: vector.folder) {
                files[name] = vector.file(name)
            }
            let now: Int64 = 1_743_249_600
            _ = try #require(EvidenceBundle(files: files)).authenticate(now: now)
            for name in ["report.bin", "runtime-data.json"] {
                var altered = files
                altered[name]?[700] ^= 1
                let bundle = try #require(EvidenceBundle(files: altered))
                let refusal = #expect(throws: Refusal.self) { try bundle.authenticate(now: now) }
                #expect(refusal?.code == "tpm.hcl.report_data" && refusal?.field == name)
            }
        }
    }
}
