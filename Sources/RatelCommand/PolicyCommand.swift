internal import ArgumentParser
internal import Ratel

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Write and check appraisal policies.",
        subcommands: [Init.self, Check.self, Explain.self])

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Write a policy from what a server, or a file, shows (trust on first use).",
            discussion: """
                The policy goes to standard output, what it was made from to standard error. \
                Nothing vouches for the server yet: compare every value with what you built.
                """)

        @Argument(
            help: ArgumentHelp(
                "A `ratel serve`, or Evidence as `ratel verify` takes it.",
                valueName: "host:port|file|folder"))
        var subject: String

        @Option(help: "The name of the policy's entry.")
        var name = "server"

        func run() throws {
            try report { () throws(ConfigurationError) in
                try Inspector.makePolicy(from: subject, name: name)
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Explain a policy in words, or say what is wrong with it.")

        @Argument(help: ArgumentHelp("The policy.", valueName: "file"))
        var file: String

        func run() throws {
            try report { () throws(ConfigurationError) in try Inspector.explainPolicy(file) }
        }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "explain",
            abstract: "Explain a policy in words, and what each peer in it makes of Evidence.",
            discussion: """
                Exit status with --evidence: 0 when some peer admits it, 1 when none does, 2 when \
                the Evidence is unusable.
                """)

        @Argument(help: ArgumentHelp("The policy.", valueName: "file"))
        var file: String

        @Option(
            help: ArgumentHelp(
                "Evidence to try it on, as `ratel verify` takes it.", valueName: "file|folder"))
        var evidence: String?

        @Option(
            help: ArgumentHelp(
                "Appraise at this time (2026-11-24T12:00:00Z or Unix seconds).",
                valueName: "time"))
        var at: String?

        @Option(help: ArgumentHelp("Trust this root as well: PEM or DER.", valueName: "file"))
        var root: [String] = []

        func run() throws {
            try report { () throws(ConfigurationError) in
                guard let evidence else { return try Inspector.explainPolicy(file) }
                return try Inspector.explainPolicy(
                    file,
                    VerifyRequest(
                        subject: evidence, policy: file, anyNonce: true, time: at, roots: root))
            }
        }
    }
}
