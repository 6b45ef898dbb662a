internal import Appraisal
internal import ArgumentParser
internal import Keys
internal import Loop
internal import RATS
internal import Ratel

struct AttestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attest",
        abstract: "Show this machine's Evidence.",
        discussion: """
            With --nonce, the Evidence covers 32 bytes that whoever asks chose, so that they can \
            see it is fresh: `ratel verify FILE --nonce HEX --policy policy.yaml`.
            """)

    @Flag(help: "JSON in place of a table.")
    var json = false

    @Option(help: ArgumentHelp("Write the Evidence to a file.", valueName: "file"))
    var out: String?

    @Option(help: ArgumentHelp("32 bytes in hexadecimal (default: random).", valueName: "hex"))
    var nonce: String?

    @OptionGroup(title: "Attestation")
    var attestation: AttesterOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let source = try ConfigurationSource(path: nil, known: [])
            let nonce = try NonceOption.parse(nonce)
            guard
                let attester = try attestation.settings(source, default: .auto)
                    .make(LoggingSettings.quiet.logger("attest"))
            else { throw ConfigurationError("--attester none: there is nothing to show") }
            do throws(Refusal) {
                let file = try EvidenceFile(from: attester, nonce: nonce)
                let evidence = try file.authenticate()
                if let out {
                    guard System.writeFile(out, file.text) else {
                        throw Refusal(
                            "evidence.file.unwritable", .configuration, field: "--out",
                            expected: "a writable path", got: out, remedy: "choose another path")
                    }
                }
                print(
                    json
                        ? EvidenceReport.json(evidence).serialised(pretty: true)
                        : EvidenceReport.table(evidence),
                    terminator: json ? "\n" : "")
                return 0
            } catch {
                print(EvidenceReport.table(error), terminator: "")
                return 1
            }
        }
    }
}

enum NonceOption {
    static func parse(_ text: String?) throws(ConfigurationError) -> [UInt8]? {
        guard let text else { return nil }
        guard let nonce = Hex.decode(text), nonce.count == EvidenceFile.nonceSize else {
            throw ConfigurationError("--nonce: expected 64 hexadecimal digits, got \(text)")
        }
        return nonce
    }
}
