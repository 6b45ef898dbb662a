import Appraisal
import Attestation
import FoundationEssentials
import Keys
import RATLS
import RATS
import Testing

/// The exchange with a TPM that is one, if only in software.
@Suite(.serialized) struct TPMExchangeTests {
    private func attester(_ tpm: SoftwareTPM) -> TPMAttester {
        var settings = TPMAttester.Settings(tcti: tpm.tcti)
        settings.registers = [0, 4, 7]
        settings.eventLogPath = nil
        return TPMAttester(settings)
    }

    private func sides(
        _ attester: TPMAttester,
        _ key: TPMPolicy.KeyTrust,
        pcrs: [Int: ReferenceValue]? = nil
    ) -> (client: Wire.Side, server: Wire.Side) {
        let zero = ReferenceValue.oneOf([[UInt8](repeating: 0, count: 32)])
        let tpm = TPMPolicy(
            key: key,
            bank: .sha256,
            pcrs: pcrs ?? [0: zero, 4: zero, 7: .any],
            resetCount: .any,
            restartCount: .any,
            firmware: .any,
            allowsUnsafeClock: true,
            eventLog: .any
        )
        let peer = PeerPolicy(
            name: "node",
            tier: .session,
            maxAge: 300,
            require: [.tpm: 1],
            tpm: tpm,
            simulated: false,
            configuration: []
        )
        let policy = AppraisalPolicy(mode: .enforce, peers: .appraised([peer]), digest: [])
        return (
            Wire.Side(asks: .policy(policy), spki: Sample.clientKey),
            Wire.Side(asks: .policy(Sample.anonymous), attester: attester, spki: Sample.serverKey)
        )
    }

    private func inspect(_ attester: TPMAttester) throws -> Claims {
        var (client, server) = sides(attester, .pinned([]))
        client.asks = .inspection
        var wire = Wire(client: client, server: server)
        wire.run()
        server.attester = nil
        guard case .inspected(let evidence) = wire.clientEnd else {
            Issue.record("\(wire.clientEnd)")
            return Claims()
        }
        return try #require(evidence.first).claims
    }

    private func name(_ claims: Claims) throws -> [UInt8] {
        guard case .bytes(let name) = claims["ak.name"] else { throw CancellationError() }
        return name
    }

    @Test func aPinnedKeyIsAdmittedAndOtherStateIsNot() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let attester = attester(tpm)
        let claims = try inspect(attester)
        let key = TPMPolicy.KeyTrust.pinned([try name(claims)])
        #expect(claims["ek.issuer"] == .text("CN=swtpm-localca"))
        var (client, server) = sides(attester, key)
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        #expect(wire.frames.count == 4)

        // The Name follows from the TPM: it outlives the process and the TPM's restart.
        tpm.stop()
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.serverEnd.code == "tpm.unavailable")
        #expect(wire.clientEnd.code == "peer.refused")
        try tpm.restart()
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled, "the attester connects again")

        #expect(
            tpm.tool("tpm2_pcrextend 4:sha256=\(String(repeating: "ab", count: 32))") == 0
        )
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "tpm.pcr.mismatch")
        (client, server) = sides(attester, .pinned([]))
        wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "tpm.ak.name")
    }

    @Test func anEndorsedKeyProvesItselfInOneMoreRoundTrip() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let pem = try #require(TestData.read(tpm.authority))
        let roots = try Certificate.read(pem: String(decoding: pem, as: UTF8.self))
        let attester = attester(tpm)
        let (client, server) = sides(attester, .endorsed(roots: roots, keys: .any))
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.isSettled && wire.serverEnd.isSettled)
        #expect(wire.frames.map { $0.bytes[0] } == [1, 1, 2, 5, 6, 4])

        // Another answer, or none of the endorsement key's TPM.
        wire = Wire(client: client, server: server)
        wire.tamper = { _, bytes in
            guard bytes[0] == 6 else { return [bytes] }
            let secret = ActivationBody.encode(secret: [UInt8](repeating: 0, count: 32))
            return [Frame(.activated, secret).encoded]
        }
        wire.run()
        #expect(wire.clientEnd.code == "tpm.activation.failed")
        wire = Wire(client: client, server: server)
        wire.tamper = { _, bytes in
            var altered = bytes
            if bytes[0] == 5 { altered[20] ^= 1 }
            return [altered]
        }
        wire.run()
        #expect(wire.serverEnd.code == "tpm.unavailable", "the TPM checks the credential")

        guard let other = try SoftwareTPM.start() else { return }
        let otherPEM = try #require(TestData.read(other.authority))
        let otherRoots = try Certificate.read(pem: String(decoding: otherPEM, as: UTF8.self))
        let misled = sides(attester, .endorsed(roots: otherRoots, keys: .any))
        wire = Wire(client: misled.client, server: misled.server)
        wire.run()
        #expect(wire.clientEnd.code == "tpm.ek.certificate")

        // A second credential in one exchange is refused.
        wire = Wire(client: client, server: server)
        wire.tamper = { _, bytes in bytes[0] == 5 ? [bytes, bytes] : [bytes] }
        wire.run()
        #expect(!wire.serverEnd.isSettled)
    }

    @Test func anotherTPMCannotStandIn() throws {
        guard let first = try SoftwareTPM.start(), let second = try SoftwareTPM.start() else {
            return
        }
        let pinned = TPMPolicy.KeyTrust.pinned([try name(inspect(attester(first)))])
        let (client, server) = sides(attester(second), pinned)
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "tpm.ak.name")
    }

    @Test func everyByteOfAnEvidenceFrameCounts() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let attester = attester(tpm)
        let key = TPMPolicy.KeyTrust.pinned([try name(inspect(attester))])
        let (client, server) = sides(attester, key)
        var wire = Wire(client: client, server: server)
        let length = try wire.tamperWithEveryByte()
        #expect(length > 700)
    }

    @Test func aQuoteServesOneConnection() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        let attester = attester(tpm)
        let key = TPMPolicy.KeyTrust.pinned([try name(inspect(attester))])
        let (client, honest) = sides(attester, key)
        var server = honest
        server.attester = RecordedAttester(
            evidence: try attester.quote(
                QuoteChallenge(
                    tpmQualifyingData: [UInt8](repeating: 0, count: 32),
                    gpuNonce: { _ in [] },
                    reportData: { _ in [] }
                )
            )
        )
        var wire = Wire(client: client, server: server)
        wire.run()
        #expect(wire.clientEnd.code == "tpm.nonce.mismatch")
    }

    @Test func otherToolsAgreeWithAQuote() throws {
        guard let tpm = try SoftwareTPM.start() else { return }
        guard SoftwareTPM.run("command -v tpm2_checkquote >/dev/null") == 0 else {
            print("skipped: tpm2-tools are not installed")
            return
        }
        let nonce = SecureRandom.bytes(32)
        let evidence = try attester(tpm).quote(
            QuoteChallenge(
                tpmQualifyingData: nonce,
                gpuNonce: { _ in [] },
                reportData: { _ in [] }
            )
        )
        let fields = try CBORFields(decoding: evidence[0].bytes, allowed: [1, 2, 3, 4, 5, 6, 7])
        let key = try TPMTPublic(fields.bytes(3))
        let pem = PEM.encode(key.key.spki, label: "PUBLIC KEY")
        for (name, bytes) in [
            ("msg", try fields.bytes(1)), ("sig", try fields.bytes(2)), ("pem", Array(pem.utf8)),
        ] {
            try Data(bytes).write(to: URL(filePath: "\(tpm.folder)/q.\(name)"))
        }
        let check = "tpm2_checkquote -u q.pem -m q.msg -s q.sig -g sha256 -q"
        let folder = "cd \(tpm.folder) && TPM2TOOLS_TCTI=none "
        #expect(SoftwareTPM.run("\(folder)\(check) \(Hex.encode(nonce)) >/dev/null 2>&1") == 0)
        let other = Hex.encode(SecureRandom.bytes(32))
        #expect(SoftwareTPM.run("\(folder)\(check) \(other) >/dev/null 2>&1") != 0)
    }
}

/// Gives the same Evidence again and again.
private struct RecordedAttester: Attester {
    let evidence: [Evidence]
    var name: String { "recorded" }
    var kinds: [EvidenceKind] { [.tpm] }
    func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] { evidence }
}
