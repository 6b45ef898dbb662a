internal import ArgumentParser
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
        try report { () throws(ConfigurationError) in
            try Inspector.attest(
                ConfigurationSource(attestation.flags), nonce: nonce, out: out, json: json)
        }
    }
}
