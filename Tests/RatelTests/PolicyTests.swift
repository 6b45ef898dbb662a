import Appraisal
import Attestation
import Keys
import RATS
import Ratel
import Testing

struct PolicyTests {
    private func load(_ text: String) throws(Refusal) -> AppraisalPolicy {
        try PolicyLoader.load(bytes: Array(text.utf8))
    }

    private let name = "000b" + String(repeating: "ab", count: 32)
    private let value = String(repeating: "01", count: 32)

    private var complete: String {
        """
        version: 1
        mode: enforce
        peers:
          - name: nodes
            tier: session
            max_age: 5m
            require: {tpm: 1}
            tpm:
              ak: ["\(name)"]
              pcrs: {bank: sha256, values: {0: ["\(value)"], 7: any}}
              reset_count: any
              restart_count: [0, 1]
              firmware: {at_least: "2020010100000000"}
              clock: safe
              event_log: any
            configuration:
              access_log: [off, metadata]
              tls.early_data: [false]
        """
    }

    @Test func aCompletePolicyIsReadAndExplained() throws {
        let policy = try load(complete)
        guard case .appraised(let peers) = policy.peers, let tpm = peers[0].tpm else {
            Issue.record("no peer")
            return
        }
        #expect(peers[0].maxAge == 300)
        #expect(peers[0].configuration[0].allowed == [.string("off"), .string("metadata")])
        #expect(peers[0].configuration[1].path == ["tls", "early_data"])
        #expect(peers[0].configuration[1].allowed == [.bool(false)])
        #expect(tpm.pcrs[7] == .any)
        #expect(tpm.pcrs[0] == .oneOf([[UInt8](repeating: 1, count: 32)]))
        #expect(tpm.restartCount == .oneOf([0, 1]))
        #expect(tpm.firmware == .atLeast(0x2020_0101_0000_0000))
        #expect(policy.digest.count == 48)
        #expect(try load(complete + "\n").digest != policy.digest)
        let text = PolicyExplanation.text(policy)
        #expect(text.contains("PCR 7: any"))
        #expect(text.contains(name))
    }

    @Test func theShortFormsAreRead() throws {
        #expect(try load("version: 1\npeers: anonymous").isAnonymous)
        let empty = try load("version: 1\npeers: []")
        #expect(!empty.isAnonymous)
        #expect(empty.acceptedKinds.isEmpty)
        let simulated = try load("version: 1\npeers: [{name: a, simulated: true}]")
        #expect(simulated.acceptsSimulated)
        #expect(simulated.acceptedKinds == [.simulated])
    }

    @Test func everythingElseIsRefused() throws {
        let cases: [(String, String)] = [
            ("", "policy.malformed"), ("[", "policy.malformed"), ("- 1", "policy.value.refused"),
            ("version: 2\npeers: []", "policy.value.refused"), ("peers: []", "policy.key.missing"),
            ("version: 1", "policy.key.missing"),
            ("version: 1\npeers: []\nextra: 1", "policy.key.unknown"),
            ("version: 1\npeers: []\npeers: anonymous", "policy.malformed"),
            ("version: 1\npeers: any", "policy.value.refused"),
            ("version: 1\npeers: true", "policy.value.refused"),
            ("version: 1\npeers:", "policy.value.refused"),
            ("version: 1\npeers: [{name: a}]", "policy.peer.incomplete"),
            ("version: 1\npeers: [{name: a, require: {tpm: 1}}]", "policy.peer.incomplete"),
            ("version: 1\npeers: [{name: a, require: {tpm: 0}}]", "policy.value.refused"),
            ("version: 1\npeers: [{name: a, require: {simulated: 1}}]", "policy.peer.incomplete"),
            ("version: 1\npeers: [{name: a, simulated: yes}]", "policy.value.refused"),
            ("version: 1\npeers: [{name: \"a b\", simulated: true}]", "policy.value.refused"),
            (
                "version: 1\npeers: [{name: a, simulated: true, tier: best}]",
                "policy.value.refused"
            ),
            (
                "version: 1\npeers: [{name: a, simulated: true, max_age: 300}]",
                "policy.value.refused"
            ),
            (
                "version: 1\npeers: [{name: a, simulated: true}, {name: a, simulated: true}]",
                "policy.peer.duplicate"
            ),
        ]
        for (text, code) in cases {
            let refusal = #expect(throws: Refusal.self, "\(text)") { try load(text) }
            #expect(refusal?.code == code, "\(text)")
            #expect(refusal?.stage == .configuration)
        }
    }

    @Test func anAgeIsOneThatCanBeRenewed() throws {
        func policy(_ age: String) -> String {
            "version: 1\npeers: [{name: a, simulated: true, max_age: \(age)}]"
        }
        for age in ["1s", "10s"] {
            let refusal = #expect(throws: Refusal.self, "\(age)") { try load(policy(age)) }
            #expect(refusal?.code == "policy.max_age.short")
            #expect(refusal?.field == "peers[0].max_age (line 2)")
            #expect(refusal?.expected == "11s or more, or 0s for Evidence on every connection")
            #expect(refusal?.got == age)
            #expect(refusal?.remedy.contains("write 11s") == true)
        }
        for age in ["0s", "11s", "300s"] { _ = try load(policy(age)) }
    }

    @Test func everyChoiceOfTheTPMSectionMustBeMade() throws {
        for line in complete.split(separator: "\n") where line.hasPrefix("      ") {
            let key = line.split(separator: ":")[0].drop { $0 == " " }
            guard !["access_log", "tls.early_data"].contains(key) else { continue }
            let without = complete.split(separator: "\n").filter { $0 != line }
            let refusal = #expect(throws: Refusal.self, "without \(key)") {
                try load(without.joined(separator: "\n"))
            }
            #expect(refusal?.code == (key == "ak" ? "policy.tpm.key" : "policy.key.missing"))
            #expect(refusal?.field.contains("line") == true)
        }
        let both = complete.replacing(
            "ak: [",
            with: "ek_roots: [a]\n      ek_keys: any\n      ak: ["
        )
        #expect(throws: Refusal.self) { try load(both) }
        let short = complete.replacing(value, with: "01")
        #expect(throws: Refusal.self) { try load(short) }
        let wide = complete.replacing("7: any", with: "24: any")
        #expect(throws: Refusal.self) { try load(wide) }
        let unread = complete.replacing(
            "ak: [\"\(name)\"]",
            with: "ek_roots: [x.pem]\n      ek_keys: any"
        )
        let refusal = #expect(throws: Refusal.self) { try load(unread) }
        #expect(refusal?.code == "policy.file.unreadable")
    }

    @Test func namedFilesAreCoveredByTheDigest() throws {
        let key = try PrivateKey.generate()
        let root = try LeafCertificate.make(key: key, commonName: "a", now: 0, lifetime: 9)
        let other = try LeafCertificate.make(key: key, commonName: "a", now: 0, lifetime: 9)
        let text = complete.replacing(
            "ak: [\"\(name)\"]",
            with: "ek_roots: [x.pem]\n      ek_keys: any"
        )
        let first = try PolicyLoader.load(bytes: Array(text.utf8)) { _ in Array(root.pem.utf8) }
        let second = try PolicyLoader.load(bytes: Array(text.utf8)) { _ in Array(other.pem.utf8) }
        #expect(first.digest != second.digest)
    }

    @Test func whatIsWrittenCanBeRead() throws {
        let reportData = [UInt8](repeating: 3, count: 64)
        let evidence = try SimulatedAttester().quote(
            QuoteChallenge(
                tpmQualifyingData: [],
                gpuNonce: { _ in [] },
                reportData: { _ in reportData }
            )
        )
        let authentic = try Appraiser.authenticate(
            Appraiser.Submission(
                evidence: evidence,
                endorsements: [],
                configuration: Array("{}".utf8)
            ),
            expected: Appraiser.ExpectedBinding(
                reportData: reportData,
                tpmQualifyingData: [UInt8](repeating: 0, count: 32)
            )
        )
        let text = PolicyWriter.yaml(name: "host:8443", evidence: authentic)
        guard case .appraised(let peers) = try load(text).peers else {
            Issue.record("no peers")
            return
        }
        #expect(peers.map(\.name) == ["host-8443"])
        #expect(peers[0].simulated)
    }
}
