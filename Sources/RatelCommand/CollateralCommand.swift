internal import ArgumentParser
internal import Ratel

struct CollateralCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collateral",
        abstract: "Fetch, bundle and show what vendors say about platforms.",
        discussion: """
            Exit status: 0 when everything is there, 1 when something is missing, 2 when the \
            input is unusable.
            """,
        subcommands: [Fetch.self, Bundle.self, Show.self])

    struct Subject: ParsableArguments {
        @Argument(
            help: ArgumentHelp(
                "Files or folders of Evidence, or HOST:PORT of machines that attest.",
                valueName: "file|folder|server"))
        var subjects: [String] = []

        @Option(
            help: ArgumentHelp(
                "Check at this time (2026-11-24T12:00:00Z or Unix seconds).", valueName: "time"))
        var at: String?

        @Option(
            help: ArgumentHelp("Trust this root as well: PEM or DER.", valueName: "file"))
        var root: [String] = []

        @Flag(help: "JSON in place of a table.")
        var json = false

        func request(out: String? = nil) -> CollateralInspector.Request {
            CollateralInspector.Request(
                subjects: subjects, out: out, time: at, roots: root, json: json)
        }
    }

    struct Fetch: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fetch",
            abstract: "Fetch what Evidence needs into the cache, whatever is there already.")

        @OptionGroup var subject: Subject
        @OptionGroup(title: "Collateral") var collateral: CollateralOptions

        func run() throws {
            try report { () throws(ConfigurationError) in
                try CollateralInspector.fetch(
                    ConfigurationSource(collateral.flags), subject.request())
            }
        }
    }

    struct Bundle: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "bundle",
            abstract: "Write what Evidence needs into a folder, for machines without a network.",
            discussion: "Point `--collateral` of serve and connect to the folder.")

        @OptionGroup var subject: Subject

        @Option(help: ArgumentHelp("Where the bundle goes.", valueName: "folder"))
        var out: String

        @OptionGroup(title: "Collateral") var collateral: CollateralOptions

        func run() throws {
            try report { () throws(ConfigurationError) in
                try CollateralInspector.bundle(
                    ConfigurationSource(collateral.flags), subject.request(out: out))
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "List the cache, or what is at hand for the Evidence that is named.")

        @OptionGroup var subject: Subject
        @OptionGroup(title: "Collateral") var collateral: CollateralOptions

        func run() throws {
            try report { () throws(ConfigurationError) in
                try CollateralInspector.show(
                    ConfigurationSource(collateral.flags), subject.request())
            }
        }
    }
}
