internal import Appraisal
internal import ArgumentParser
internal import Keys
internal import Loop
internal import RATS
internal import Ratel

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Appraise a server, or a file of Evidence, under a policy.",
        discussion: """
            Exit status: 0 when admitted, 1 when refused, 2 when there was nobody to ask, 78 when \
            a setting is wrong.
            """)

    @Argument(
        help: ArgumentHelp(
            "HOST:PORT of a `ratel serve`, or a file that `ratel attest --out` wrote.",
            valueName: "server|file"))
    var subject: String

    @Option(help: ArgumentHelp("What it must show.", valueName: "file"))
    var policy: String

    @Option(
        help: ArgumentHelp(
            "The nonce that a file's Evidence must cover.", valueName: "hex"))
    var nonce: String?

    @Flag(
        name: .customLong("any-nonce"),
        help: "Accept a file whatever its nonce: nothing then shows that it is fresh.")
    var anyNonce = false

    @Flag(help: "JSON in place of a table.")
    var json = false

    @OptionGroup(title: "Attestation (where the server asks for it)")
    var attestation: AttesterOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let logger = LoggingSettings.quiet.logger("verify")
            let policy = try PolicySource(path: policy).load(logger)
            if let bytes = System.readFile(subject, limit: EvidenceFile.maximumSize) {
                return try verifyFile(bytes, policy)
            }
            let server = try SettingValue.address(subject, setting: "server")
            let source = try ConfigurationSource(path: nil, known: [])
            let attester = try attestation.settings(source, default: .none).make(logger)
            return report(
                try PeerInspector.ask(server, policy: policy, attester: attester))
        }
    }

    private func verifyFile(
        _ bytes: [UInt8], _ policy: AppraisalPolicy
    ) throws(ConfigurationError) -> Int32 {
        let expected = try NonceOption.parse(nonce)
        guard expected != nil || anyNonce else {
            throw ConfigurationError(
                "a file needs --nonce HEX, the nonce that you chose, or --any-nonce")
        }
        do throws(Refusal) {
            let file = try EvidenceFile(parsing: bytes)
            if let expected, expected != file.nonce {
                throw Refusal(
                    "evidence.file.nonce", .binding, field: "nonce",
                    expected: Hex.encode(expected), got: Hex.encode(file.nonce),
                    remedy: "ask the machine for Evidence over your nonce")
            }
            return report(.admitted(try file.appraise(policy, now: System.now)))
        } catch {
            return report(.refused(error))
        }
    }

    private func report(_ outcome: PeerInspector.Outcome) -> Int32 {
        switch outcome {
        case .admitted(let result):
            show(EvidenceReport.table(result), EvidenceReport.json(result))
            return 0
        case .refused(let refusal):
            show(EvidenceReport.table(refusal), EvidenceReport.json(refusal))
            return 1
        case .inspected(let evidence, _):
            show(EvidenceReport.table(evidence), EvidenceReport.json(evidence))
            return 1
        case .unreachable(let why):
            System.writeError("ratel: \(why)")
            return 2
        }
    }

    private func show(_ table: String, _ document: JSONValue) {
        print(json ? document.serialised(pretty: true) : table, terminator: json ? "\n" : "")
    }
}
