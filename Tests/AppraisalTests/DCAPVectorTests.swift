import Keys
import RATS
import Testing

@testable import Appraisal

extension RealVector {
    var collateral: DCAPCollateral {
        DCAPCollateral(
            tcbInfo: file("tcb_info.json") ?? [], qeIdentity: file("qe_identity.json") ?? [],
            tcbSigningChain: file("tcb_signing_chain.pem") ?? [],
            pckRevocations: file("pck_crl.der") ?? [],
            rootRevocations: file("root_ca_crl.der") ?? [])
    }

    /// The hashes of the pinned keys: Intel's, or that of the vector's own root.
    func roots() throws -> [[UInt8]] {
        guard let anchor = description["trust_anchor"]?.text, anchor.hasPrefix("file:"),
            let bytes = file(String(anchor.dropFirst(5)))
        else { return DCAPRoots.intel }
        let pem = String(decoding: bytes, as: UTF8.self)
        return [Digest.sha256(try Certificate.read(pem: pem)[0].spki)]
    }

    func verifyDCAP(at now: Int64) throws -> DCAPVerification {
        let verification = try DCAPVerification(
            file("quote.bin") ?? [], collateral: collateral, now: now, roots: try roots())
        try DCAPRules.check(verification.quote)
        return verification
    }
}

/// Quotes of real TDX and SGX platforms, and of synthetic ones, from the shared vectors.
struct DCAPVectorTests {
    private func vectors() throws -> [RealVector] {
        try RealVector.all("tdx") + RealVector.all("sgx")
    }

    @Test func everyVectorEndsAsIndependentVerifiersSay() throws {
        for vector in try vectors() {
            do {
                let result = try vector.verifyDCAP(at: vector.verifyAt())
                #expect(vector.isGood, "\(vector.name) was accepted")
                let tcb = vector.description["tcb"]
                #expect(result.status.rawValue == tcb?["status"]?.text, "\(vector.name)")
                guard let advisories = tcb?["advisory_ids"]?.items else { continue }
                #expect(
                    Set(result.advisories) == Set(advisories.compactMap(\.text)),
                    "\(vector.name)")
            } catch let refusal as Refusal {
                #expect(!vector.isGood, "\(vector.name): \(refusal)")
            }
        }
    }

    @Test func nothingIsAcceptedOutsideItsWindow() throws {
        for vector in try vectors() where vector.isGood {
            let window = try vector.window()
            for moment in [window.from - 86_400, window.to + 86_400] {
                #expect(throws: Refusal.self, "\(vector.name)") {
                    try vector.verifyDCAP(at: moment)
                }
            }
        }
    }

    @Test func claimsAreReadAsOthersReadThem() throws {
        for vector in try vectors() where vector.isGood {
            let result = try vector.verifyDCAP(at: vector.verifyAt())
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
        guard let vector = try vectors().first(where: { $0.name == "v5-td15-uptodate" }),
            let quote = vector.file("quote.bin")
        else { return }
        let collateral = vector.collateral
        let now = try vector.verifyAt()
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
