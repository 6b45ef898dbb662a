internal import ArgumentParser
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
        try report { () throws(ConfigurationError) in
            try Inspector.verify(
                ConfigurationSource(attestation.flags), subject: subject, policy: policy,
                nonce: nonce, anyNonce: anyNonce, json: json)
        }
    }
}
