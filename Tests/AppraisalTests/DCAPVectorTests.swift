import FoundationEssentials
import Keys
import RATS
import Testing

@testable import Appraisal

/// Quotes of real TDX and SGX platforms, and of synthetic ones, from the shared vectors.
struct DCAPVectorTests {
    private struct Vector {
        let name: String
        let folder: String
        let description: JSONValue

        func file(_ name: String) -> [UInt8]? { TestData.read(folder + "/" + name) }

        var isContested: Bool { description["contested"] != nil }
        var isVerified: Bool { description["expect"]?.text == "verified" }

        func time(_ text: String?) throws -> Int64 {
            try #require(text.flatMap(UTCTime.parse), "\(name)")
        }

        var verifyAt: Int64 { get throws { try time(description["verify_at"]?.text) } }

        /// The pinned key's hash: Intel's, or that of the vector's own root.
        var root: [UInt8] {
            get throws {
                guard let anchor = description["trust_anchor"]?.text, anchor.hasPrefix("file:"),
                    let bytes = file(String(anchor.dropFirst(5)))
                else { return DCAPVerification.intelRoot }
                let pem = String(decoding: bytes, as: UTF8.self)
                return Digest.sha256(try Certificate.read(pem: pem)[0].spki)
            }
        }

        func verify(at now: Int64) throws -> DCAPVerification {
            let collateral = DCAPCollateral(
                tcbInfo: file("tcb_info.json") ?? [], qeIdentity: file("qe_identity.json") ?? [],
                tcbSigningChain: file("tcb_signing_chain.pem") ?? [],
                pckRevocations: file("pck_crl.der") ?? [],
                rootRevocations: file("root_ca_crl.der") ?? [])
            let verification = try DCAPVerification(
                file("quote.bin") ?? [], collateral: collateral, now: now, root: try root)
            try DCAPRules.check(verification.quote)
            return verification
        }
    }

    private func vectors() throws -> [Vector] {
        var found: [Vector] = []
        for kind in ["tdx", "sgx"] {
            let root = TestData.shared + "/vectors/\(kind)"
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: root) else {
                print("skipped: \(root) is absent")
                continue
            }
            for name in names.sorted() {
                let bytes = try #require(TestData.read("\(root)/\(name)/vector.json"))
                let description = try #require(JSONParser.parse(bytes), "\(name)")
                found.append(
                    Vector(
                        name: "\(kind)/\(name)", folder: "\(root)/\(name)",
                        description: description))
            }
        }
        return found
    }

    @Test func everyVectorEndsAsIndependentVerifiersSay() throws {
        for vector in try vectors() where !vector.isContested {
            do {
                let result = try vector.verify(at: vector.verifyAt)
                #expect(vector.isVerified, "\(vector.name) was accepted")
                let tcb = vector.description["tcb"]
                #expect(result.status.rawValue == tcb?["status"]?.text, "\(vector.name)")
                guard let advisories = tcb?["advisory_ids"]?.items else { continue }
                #expect(
                    Set(result.advisories) == Set(advisories.compactMap(\.text)),
                    "\(vector.name)")
            } catch let refusal as Refusal {
                #expect(!vector.isVerified, "\(vector.name): \(refusal)")
            }
        }
    }

    @Test func nothingIsAcceptedOutsideItsWindow() throws {
        for vector in try vectors() where vector.isVerified {
            let window = try #require(vector.description["window"])
            for moment in [
                try vector.time(window["from"]?.text) - 86_400,
                try vector.time(window["to"]?.text) + 86_400,
            ] {
                #expect(throws: Refusal.self, "\(vector.name)") { try vector.verify(at: moment) }
            }
        }
    }

    @Test func claimsAreReadAsOthersReadThem() throws {
        for vector in try vectors() where vector.isVerified {
            let result = try vector.verify(at: vector.verifyAt)
            let claims = try #require(vector.description["claims"])
            #expect(Int(result.quote.version) == claims["quote_version"]?.integer)
            #expect(Hex.encode(result.quote.reportData) == claims["report_data"]?.text)
            #expect(Hex.encode(result.pck.fmspc) == claims["pck"]?["fmspc"]?.text)
            #expect(Hex.encode(result.pck.ppid) == claims["pck"]?["ppid"]?.text)
            #expect(result.pck.pceSVN == claims["pck"]?["pcesvn"]?.integer)
            guard case .tdx(let report) = result.quote.body else { continue }
            #expect(Hex.encode(report.mrTD) == claims["mrtd"]?.text, "\(vector.name)")
            #expect(Hex.encode(report.rtmr[3]) == claims["rtmr3"]?.text)
            #expect(Hex.encode(report.mrOwnerConfig) == claims["mrownerconfig"]?.text)
            #expect(Hex.encode(report.xfam) == claims["xfam"]?.text)
            #expect(report.teeTCBSVN2.map(Hex.encode) == claims["tee_tcb_svn2"]?.text)
        }
    }

    @Test func everyChangedByteOfAQuoteIsRefused() throws {
        guard
            let vector = try vectors().first(where: { $0.name == "tdx/v5-td15-uptodate" }),
            let quote = vector.file("quote.bin")
        else { return }
        let collateral = DCAPCollateral(
            tcbInfo: vector.file("tcb_info.json") ?? [],
            qeIdentity: vector.file("qe_identity.json") ?? [],
            tcbSigningChain: vector.file("tcb_signing_chain.pem") ?? [],
            pckRevocations: vector.file("pck_crl.der") ?? [],
            rootRevocations: vector.file("root_ca_crl.der") ?? [])
        let now = try vector.verifyAt
        // In steps, as each run costs signatures; below 900 all that is signed lies.
        for index in Array(stride(from: 0, to: 900, by: 5))
            + Array(stride(from: 900, to: quote.count, by: 197))
        {
            var changed = quote
            changed[index] ^= 0x01
            do {
                let result = try DCAPVerification(changed, collateral: collateral, now: now)
                // Line ends and base64's unused bits of the PEM may differ without meaning.
                #expect(result.quote.signed == Array(quote[..<result.quote.signed.count]))
                #expect(index >= 900, "byte \(index) was not covered")
            } catch {
                #expect(error.code.hasPrefix("dcap."), "\(error)")
            }
        }
    }
}
