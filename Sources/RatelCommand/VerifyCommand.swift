internal import ArgumentParser
internal import Ratel

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Appraise a server, or Evidence in a file or folder, under a policy.",
        discussion: """
            A folder holds Evidence and its collateral side by side, under the names that the \
            README lists; a file may be any one piece of Evidence, a certificate that carries \
            some, or what `ratel attest --out` wrote.

            A server that speaks no exchange is known by Evidence over its key: in its \
            certificate, after the handshake (Flashbots), or at its address (Tinfoil, NEAR AI). \
            A policy accepts that only where it says `tier: static`.

            Exit status: 0 when admitted, 1 when refused, 2 when the input is unusable or there \
            was nobody to ask, 78 when a setting or the policy is wrong.
            """)

    @Argument(
        help: ArgumentHelp(
            "HOST:PORT or https://HOST[:PORT], or a file or folder of Evidence.",
            valueName: "server|file|folder"))
    var subject: String

    @Option(help: ArgumentHelp("What it must show.", valueName: "file"))
    var policy: String?

    @Flag(
        name: .customLong("authenticity-only"),
        help: """
            Leave out the policy: check signatures, chains, revocation, collateral, freshness and \
            bindings, and say what stays open.
            """)
    var authenticityOnly = false

    @Option(
        help: ArgumentHelp(
            "Appraise a file or folder at this time (2026-11-24T12:00:00Z or Unix seconds).",
            valueName: "time"))
    var at: String?

    @Option(
        help: ArgumentHelp(
            "Trust this root as well, for this run: PEM or DER; may be given more than once.",
            valueName: "file"))
    var root: [String] = []

    @Option(
        help: ArgumentHelp(
            "What a file's Evidence must cover: a nonce, or report_data.", valueName: "hex"))
    var nonce: String?

    @Flag(
        name: .customLong("any-nonce"),
        help: "Accept a file whatever it covers: nothing then shows that it is fresh.")
    var anyNonce = false

    @Flag(help: "JSON in place of a table.")
    var json = false

    @OptionGroup(title: "Collateral (that does not come with the Evidence)")
    var collateral: CollateralOptions

    @OptionGroup(title: "Attestation (where the server asks for it)")
    var attestation: AttesterOptions

    func run() throws {
        try report { () throws(ConfigurationError) in
            try Inspector.verify(
                ConfigurationSource(attestation.flags, collateral.flags),
                VerifyRequest(
                    subject: subject, policy: policy, nonce: nonce, anyNonce: anyNonce,
                    authenticityOnly: authenticityOnly, time: at, roots: root, json: json))
        }
    }
}
