import Appraisal
import Keys
import RATLS
import RATS
import Testing

@testable import TLS

/// A server that speaks no exchange: what is asked before its certificate is read.
struct ForeignJobTests {
    private func code(
        _ tiers: [PeerPolicy.Tier], hasCertificate: Bool = true, ofAnother: Bool = false
    ) throws -> String {
        let key = try PrivateKey.generate()
        let template = FakePKI.Template(subject: "node", issuer: "node")
        let certificate = try FakePKI.certificate(template, of: key, by: key)
        let handshake = Handshake(
            channelID: 7, applicationProtocol: "http/1.1", localKey: nil,
            peerKey: ofAnother ? try PrivateKey.generate().spki : key.spki,
            peerCertificate: hasCertificate ? certificate : nil, peerChain: [], cipherSuite: "")
        let peers = tiers.map {
            PeerPolicy(
                name: "node", tier: $0, maxAge: 300, require: [.tdx: 1], tpm: nil,
                simulated: false, configuration: [])
        }
        do throws(Refusal) {
            _ = try ForeignJob(
                handshake,
                policy: AppraisalPolicy(mode: .enforce, peers: .appraised(peers), digest: []),
                now: FakePKI.now)
            return "read"
        } catch {
            return error.code
        }
    }

    @Test func aPolicyHasToAcceptTheStaticTier() throws {
        #expect(try code([.static]) == "read")
        #expect(try code([.session, .static]) == "read")
        #expect(try code([.session]) == "policy.tier.mismatch")
        #expect(try code([.none]) == "policy.tier.mismatch")
        #expect(try code([]) == "policy.tier.mismatch")
    }

    @Test func theCertificateIsOfTheKey() throws {
        #expect(try code([.static], hasCertificate: false) == "certificate.evidence.none")
        #expect(try code([.static], ofAnother: true) == "certificate.evidence.none")
    }
}
