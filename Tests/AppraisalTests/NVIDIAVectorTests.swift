import Keys
import RATS
import Testing

@testable import Appraisal

/// Evidence of real GPUs and NVSwitches, from the shared vectors; none has an OCSP answer.
struct NVIDIAVectorTests {
    private let reasons = [
        "h100-535-vbios-rim-measurement-mismatch": "nvidia.measurement.mismatch",
        "h100-driver-rim-bad-signature": "nvidia.rim.signature",
        "h100-invalid-signature": "nvidia.signature.invalid",
        "neg-chain-of-another-gpu": "nvidia.signature.invalid",
        "neg-chain-without-root": "nvidia.root.unknown",
        "neg-measurement-bit": "nvidia.signature.invalid",
        "neg-nonce-bit": "nvidia.signature.invalid",
        "neg-truncated": "nvidia.malformed",
        "nvswitch-invalid-signature": "nvidia.signature.invalid",
        "nvswitch-rim-invalid-signature": "nvidia.rim.signature",
    ]

    // The devices of a folder: one, or several that are numbered.
    private func verifications(_ vector: RealVector) throws -> [NVIDIAVerification] {
        let manifests = ["driver-rim", "vbios-rim", "bios-rim"].compactMap {
            vector.file($0 + ".swidtag.xml")
        }
        var all: [NVIDIAVerification] = []
        for suffix in [""] + (0..<8).map({ "-\($0)" }) {
            guard let report = vector.file("report\(suffix).bin") else { continue }
            let pem = try #require(vector.file("cert-chain\(suffix).pem"))
            let chain = try Certificate.read(pem: String(decoding: pem, as: UTF8.self))
            all.append(
                NVIDIAVerification(
                    report: report, certificates: chain.map(\.der), manifests: manifests))
        }
        return all
    }

    private func code(_ verification: NVIDIAVerification, at now: Int64) -> String {
        do throws(Refusal) {
            _ = try verification.claims(now: now)
            return "verified"
        } catch {
            return error.code
        }
    }

    @Test func everyReportIsVerifiedAsItShouldBe() throws {
        for vector in try RealVector.all("nvidia") {
            let all = try verifications(vector)
            #expect(!all.isEmpty, "\(vector.name)")
            for verification in all {
                let wanted = vector.isGood ? "verified" : reasons[vector.name]
                #expect(code(verification, at: try vector.verifyAt()) == wanted, "\(vector.name)")
            }
        }
    }

    // The certificates of devices never expire; those of manifests do.
    @Test func noneIsVerifiedOutsideItsTime() throws {
        for vector in try RealVector.all("nvidia") where vector.isGood {
            let (from, to) = try vector.window()
            for verification in try verifications(vector) {
                let refused = ["nvidia.chain.invalid", "nvidia.rim.chain.invalid"]
                #expect(refused.contains(code(verification, at: from - 1)), "\(vector.name)")
                // The windows leave out the authorities in between, which began later.
                let begins = try verification.certificates.map {
                    try Certificate(der: $0).notBefore
                }
                let first = max(from, begins.max() ?? from)
                #expect(code(verification, at: first) == "verified", "\(vector.name)")
                #expect(refused.contains(code(verification, at: first - 1)), "\(vector.name)")
                // The library takes the last second for the first one after.
                #expect(code(verification, at: to - 1) == "verified", "\(vector.name)")
                // The last second of the year 9999 is "no end" (RFC 5280 section 4.1.2.5).
                guard to < 253_402_300_799 else { continue }
                #expect(refused.contains(code(verification, at: to + 1)), "\(vector.name)")
            }
        }
    }

    @Test func claimsAreReadAsOthersReadThem() throws {
        for vector in try RealVector.all("nvidia") where vector.isGood {
            let described = vector.description["claims"]?["devices"]?.items
            let all = try verifications(vector)
            for (index, verification) in all.enumerated() {
                let claims = try verification.claims(now: vector.verifyAt())
                let wanted = described?[index] ?? vector.description["claims"] ?? .null
                #expect(compare(claims, wanted, vector.name) > 45, "\(vector.name)")
            }
        }
    }

    // As `RealVector.compare`, for one of several devices; serialNumber is 2.5.4.5 to others.
    private func compare(_ claims: Claims, _ wanted: JSONValue, _ vector: String) -> Int {
        var compared = 0
        for member in wanted.members ?? [] {
            for (name, value) in member.value.members?.map({
                ("\(member.name).\($0.name)", $0.value)
            }) ?? [(member.name, member.value)] where name != "nonce_expected" {
                var found = claims[name]?.json
                if name == "leaf_subject", let text = found?.text {
                    let parts = text.split(separator: ",").map {
                        $0.hasPrefix("serialNumber=") ? "2.5.4.5=" + $0.dropFirst(13) : String($0)
                    }
                    found = .string(parts.joined(separator: ","))
                }
                #expect(found == (value == .null ? nil : value), "\(vector): \(name)")
                compared += 1
            }
        }
        return compared
    }

    // A root of one's own is no anchor for NVIDIA's devices, nor the other way round.
    @Test func rootsAreNotInterchangeable() throws {
        let mixed = NVIDIARoots(
            devices: NVIDIARoots.nvidia.manifests, manifests: NVIDIARoots.nvidia.devices)
        for vector in try RealVector.all("nvidia") where vector.name == "h100-535-with-vbios-rim" {
            let good = try #require(try verifications(vector).first)
            let codes = [mixed, NVIDIARoots(devices: [], manifests: [])].map {
                code(with($0, good), at: 1_700_000_000)
            }
            #expect(codes == ["nvidia.root.unknown", "nvidia.root.unknown"])
            let half = NVIDIARoots(devices: NVIDIARoots.nvidia.devices, manifests: mixed.manifests)
            #expect(code(with(half, good), at: 1_700_000_000) == "nvidia.rim.root.unknown")
        }
    }

    private func with(_ roots: NVIDIARoots, _ good: NVIDIAVerification) -> NVIDIAVerification {
        NVIDIAVerification(
            report: good.report, certificates: good.certificates, manifests: good.manifests,
            roots: roots)
    }
}
