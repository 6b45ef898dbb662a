internal import ArgumentParser
internal import Ratel

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Recompute what a router billed, from its exports alone.",
        discussion: """
            Every receipt is held against the offer that it names, the facts that the provider \
            signed, and the draw that the router committed to; all of them against the signed \
            root of their period, and against each other.

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

    @Flag(help: "JSON in place of a table.")
    var json = false

    func run() throws {
        try report { () throws(ConfigurationError) in
            try LedgerAuditor.run(folder: folder, keyPath: key, json: json)
        }
    }
}
