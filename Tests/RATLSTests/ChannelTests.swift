import Keys
import RATLS
import Testing

@testable import TLS

/// What is asked of the peer's certificate before anything is exchanged.
struct ChannelTests {
    private func handshake(key: [UInt8]? = nil, chain: [[UInt8]] = []) -> Handshake {
        Handshake(
            channelID: 7, applicationProtocol: nil, localKey: nil, peerKey: key,
            peerCertificate: chain.first, peerChain: chain, cipherSuite: "")
    }

    @Test func aCertificateIsThereWhereItIsDemanded() throws {
        let demanding = ChannelVerifier(demandsCertificate: true)
        #expect(throws: TLSError.self) { try demanding.judge(handshake()) }
        #expect(throws: Never.self) { try demanding.judge(handshake(key: [1])) }
        let modest = ChannelVerifier(demandsCertificate: false)
        #expect(throws: Never.self) { try modest.judge(handshake()) }
    }

    @Test func aServerOnTheWebIsTheOneThatWasAskedFor() throws {
        let authority = try PrivateKey.generate()
        let other = try PrivateKey.generate()
        let key = try PrivateKey.generate()
        let now = FakePKI.now
        let top = FakePKI.Template(subject: "CA", issuer: "CA", isAuthority: true)
        let root = try Certificate(der: FakePKI.certificate(top, of: authority, by: authority))
        var template = FakePKI.Template(subject: "web", issuer: "CA", serial: 2)
        let name = DER.sequence([DER.tagged(0x82, Array("example.org".utf8))])
        template.extensions = [("2.5.29.17", name)]
        let good = try FakePKI.certificate(template, of: key, by: authority)
        let forged = try FakePKI.certificate(template, of: key, by: other)
        func isLetThrough(_ chain: [[UInt8]], host: String = "example.org", at time: Int64) -> Bool
        {
            let verifier = WebServerVerifier(host: host, anchors: [root], now: { time })
            return (try? verifier.passage(handshake(chain: chain))) != nil
        }
        #expect(isLetThrough([good], at: now))
        #expect(!isLetThrough([], at: now))
        #expect(!isLetThrough([forged], at: now))
        #expect(!isLetThrough([good], host: "example.com", at: now))
        #expect(!isLetThrough([good], at: now + 1000 * 86_400))
        template.extensions.append(
            ("2.5.29.37", DER.sequence([DER.objectIdentifier("1.3.6.1.5.5.7.3.2")])))
        let client = try FakePKI.certificate(template, of: key, by: authority)
        #expect(!isLetThrough([client], at: now))
        #expect(!isLetThrough([good], host: "", at: now))
        #expect(!isLetThrough([good], host: "example.org\0.example.com", at: now))
        #expect(isLetThrough([good, [1, 2, 3]], at: now))
        #expect(!isLetThrough([[1, 2, 3], good], at: now))
    }
}
