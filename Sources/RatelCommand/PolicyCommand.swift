internal import ArgumentParser
internal import Ratel

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Write and check appraisal policies.",
        subcommands: [Init.self, Check.self])

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Write a policy from what a server presents now (trust on first use).",
            discussion: """
                The policy goes to standard output, what it was made from to standard error. \
                Nothing vouches for the server yet: compare every value with what you built.
                """)

        @Argument(
            help: ArgumentHelp(
                "A `ratel serve`, or a file that `ratel attest --out` wrote.",
                valueName: "host:port|file"))
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
}
