internal import ArgumentParser
internal import Ratel

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Recompute what a router billed, from its exports alone.",
        discussion: """
            Every receipt is held against the offer that it names, the facts that the provider \
            signed, and the draw that the router committed to; all of them against the signed \
            root of their period, and against each other. Whoever signed an offer must be a \
            provider whose Evidence is in the export: under a policy where one is named, each at \
            the time that the router appraised it.

            Exit status: 0 when everything adds up, 1 when something does not, 2 when the exports \
            cannot be read.
            """)

    @Argument(
        help: ArgumentHelp(
            "The exports: a folder with a folder for each period.", valueName: "folder"))
    var folder: String

    @Option(
        help: ArgumentHelp(
            "The router's public key, PEM; its Evidence says that it is the router's.",
            valueName: "file"))
    var key: String

    @Option(
        help: ArgumentHelp(
            "What a provider must show; may be given more than once, and one has to admit it.",
            valueName: "file"))
    var policy: [String] = []

    @Flag(
        name: .customLong("without-evidence"),
        help: "Leave out who signed the offers: bills, draws and order alone.")
    var withoutEvidence = false

    @Flag(help: "JSON in place of a table.")
    var json = false

    func run() throws {
        try report { () throws(ConfigurationError) in
            try LedgerAuditor.run(
                folder: folder, keyPath: key, policies: policy, withoutEvidence: withoutEvidence,
                json: json)
        }
    }
}
